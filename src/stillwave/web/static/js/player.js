/**
 * Play before, after or a mix of both at the same moment.
 *
 * Both versions are scheduled sample by sample on one clock, in chunks that are read when they are needed; only their
 * gains change when the user switches.
 */

import { sentenceError } from "./problems.js";

const CHUNK_SECONDS = 1;
const AHEAD_SECONDS = 3;
const FADE_SECONDS = 0.008;
const START_SECONDS = 0.06;
/** Time for the sound card to be opened. */
const RESUME_MS = 5000;
/** Rates that browsers accept for an audio context; others are converted while playing. */
const RATES = [8000, 96000];

const contexts = new Map();
let current = null;

/** Plays one item. Events: `state` (played or paused), `end`. */
export class Player extends EventTarget {
  /**
   * @param {(start: number, count: number) => Promise<Float32Array>} read Returns interleaved frames, before and after.
   * @param {{rate: number, channels: number, frames: number}} facts
   */
  constructor(read, facts) {
    super();
    Object.assign(this, { read, facts });
    this.playing = false;
    this.at = 0;
    this.heard = "after";
    this.dry = 0;
    /** Gains, as amplitude factors, that make before and after equally loud. */
    this.match = { before: 1, after: 1 };
    this.sources = new Set();
    this.run = 0;
  }

  /** Position in frames. */
  get position() {
    if (!this.playing) return this.at;
    const passed = (this.context.currentTime - this.startTime) * this.facts.rate;
    return Math.min(this.facts.frames, Math.max(this.at, this.at + passed));
  }

  async play() {
    if (current && current !== this) current.pause();
    current = this;
    this.#open();
    await this.#resume();
    if (this.position >= this.facts.frames) this.at = 0;
    this.playing = true;
    this.#begin();
    this.dispatchEvent(new Event("state"));
  }

  pause() {
    if (!this.playing) return;
    this.at = Math.round(this.position);
    this.playing = false;
    this.#stopSources();
    this.dispatchEvent(new Event("state"));
  }

  /** Continue at a position in frames. */
  seek(frame) {
    this.at = Math.round(Math.max(0, Math.min(frame, this.facts.frames - 1)));
    if (this.playing) this.#begin();
  }

  /** Set what is played: `heard` is before or after, `dry` the amplitude factor of before in after. */
  set({ heard = this.heard, dry = this.dry, match = this.match }) {
    Object.assign(this, { heard, dry, match });
    this.#fade();
  }

  /** End; the player cannot be used afterwards. */
  close() {
    this.pause();
    this.master?.disconnect();
  }

  /** Amplitude factors of the two versions that are played. */
  get gains() {
    if (this.heard === "before") return { before: this.match.before, after: 0 };
    return { before: this.match.after * this.dry, after: this.match.after * (1 - this.dry) };
  }

  #open() {
    if (this.context) return;
    this.context = contextFor(this.facts.rate);
    this.master = new GainNode(this.context);
    this.master.connect(this.context.destination);
    const gains = this.gains;
    this.nodes = {};
    for (const version of ["before", "after"]) {
      this.nodes[version] = new GainNode(this.context, { gain: gains[version] });
      this.nodes[version].connect(this.master);
    }
  }

  /** Start the context; where no sound card can be opened, browsers wait without end. */
  async #resume() {
    const waited = new Promise((_, refuse) => setTimeout(() => refuse(sentenceError("errorOutput")), RESUME_MS));
    await Promise.race([this.context.resume(), waited]);
  }

  #fade() {
    if (!this.context) return;
    for (const [version, gain] of Object.entries(this.gains)) {
      this.nodes[version].gain.setTargetAtTime(gain, this.context.currentTime, FADE_SECONDS);
    }
  }

  /** Schedule chunks from `at` on until the end, a few seconds ahead. */
  async #begin() {
    this.#stopSources();
    const run = this.run;
    const { rate, frames } = this.facts;
    let chunk = await this.#chunk(this.at);
    if (run !== this.run) return;
    const grid = this.context.sampleRate;
    this.startTime = Math.ceil((this.context.currentTime + START_SECONDS) * grid) / grid;
    for (let frame = this.at; ; ) {
      this.#schedule(chunk, this.startTime + (frame - this.at) / rate);
      frame += chunk.length;
      if (frame >= frames) break;
      chunk = await this.#chunk(frame);
      await this.#until(this.startTime + (frame - this.at) / rate - AHEAD_SECONDS);
      if (run !== this.run) return;
    }
    await this.#until(this.startTime + (frames - this.at) / rate);
    if (run === this.run) this.#end();
  }

  async #chunk(frame) {
    const count = Math.min(Math.ceil(CHUNK_SECONDS * this.facts.rate), this.facts.frames - frame);
    const values = await this.read(frame, count);
    const heard = this.facts.channels <= 2 ? this.facts.channels : 1;
    const make = (version) => {
      const buffer = new AudioBuffer({ numberOfChannels: heard, length: count, sampleRate: this.facts.rate });
      for (let c = 0; c < heard; c++) fillChannel(buffer.getChannelData(c), values, this.facts.channels, version, c, heard);
      return buffer;
    };
    return { length: count, before: make(0), after: make(1) };
  }

  #schedule(chunk, when) {
    for (const version of ["before", "after"]) {
      const source = new AudioBufferSourceNode(this.context, { buffer: chunk[version] });
      source.connect(this.nodes[version]);
      source.start(when);
      this.sources.add(source);
      source.onended = () => this.sources.delete(source);
    }
  }

  /** Wait until the clock of the context reaches a time, or the playing ends. */
  async #until(time) {
    const run = this.run;
    while (run === this.run && this.context.currentTime < time) await new Promise((done) => setTimeout(done, 50));
  }

  #stopSources() {
    this.run += 1;
    for (const source of this.sources) {
      source.onended = null;
      source.stop();
      source.disconnect();
    }
    this.sources.clear();
    this.startTime = Infinity;
  }

  #end() {
    this.at = this.facts.frames;
    this.playing = false;
    this.#stopSources();
    this.dispatchEvent(new Event("state"));
  }
}

/** Copy a channel of one version; the mean of all if only one of several is played. */
function fillChannel(target, values, channels, version, channel, heard) {
  const width = 2 * channels;
  const first = version * channels + channel;
  const averaged = heard === 1 ? channels : 1;
  for (let n = 0, at = first; n < target.length; n++, at += width) {
    let sum = values[at];
    for (let c = 1; c < averaged; c++) sum += values[at + c];
    target[n] = sum / averaged;
  }
}

/** Return the context of a rate, shared by all players. */
function contextFor(rate) {
  const [lowest, highest] = RATES;
  const fits = rate >= lowest && rate <= highest;
  const key = fits ? rate : 0;
  if (!contexts.has(key)) contexts.set(key, new AudioContext(fits ? { sampleRate: rate } : {}));
  return contexts.get(key);
}
