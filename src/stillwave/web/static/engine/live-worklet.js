/**
 * The audio worklet of live signals: sends the microphone's blocks to a worker and plays what returns.
 *
 * The worker writes to a ring buffer in shared memory, so that samples arrive while this thread is busy; where pages may
 * not share memory (no cross-origin isolation), they arrive as messages.
 *
 * Outputs: what is listened to, the input and the enhanced signal, the last two aligned. All are `delay` samples behind the
 * microphone. A sample that has not returned by then is played as silence and counted (`underruns`). The delay grows
 * after that, so that a slow machine settles, and shrinks again when more samples than necessary have been waiting.
 */

const QUANTUM = 128;
const RING_SECONDS = 4;
const METERS_PER_SECOND = 20;
/** By how much an underrun lengthens the delay, and how long it may become. */
const STEP_SECONDS = 0.01;
const LONGEST_SECONDS = 1;
/** Time constant of a change of the dry mix, so that it does not click. */
const MIX_SECONDS = 0.02;
/** How long samples must have been waiting before the delay is shortened. */
const CALM_SECONDS = 5;

class LiveWorklet extends AudioWorkletProcessor {
  constructor({ processorOptions: { delay, block, ring, dryMix } }) {
    super();
    this.delay = delay;
    this.size = 2 ** Math.ceil(Math.log2(RING_SECONDS * sampleRate));
    this.before = new Float32Array(this.size);
    this.ring = new Ring(ring, this.size);
    this.block = new Float32Array(block);
    this.filled = 0;
    this.sent = 0;
    this.now = 0;
    this.underruns = 0;
    this.missing = false;
    this.listen = "after";
    this.dry = { now: dryMix, wanted: dryMix };
    this.meter = emptyMeter();
    this.shortest = delay;
    this.calm = { samples: 0, waiting: Infinity };
    this.running = true;
    this.port.onmessage = ({ data }) => this.#control(data);
  }

  #control({ port, listen, dryMix, stop }) {
    if (port) {
      this.link = port;
      this.link.onmessage = ({ data }) => this.ring.write(data);
    }
    if (listen) this.listen = listen;
    if (dryMix !== undefined) this.dry.wanted = dryMix;
    if (stop) this.running = false;
  }

  process([input], [heard, before, after]) {
    if (!this.link) return this.running;
    this.#take(input);
    this.#play(heard[0], before[0], after[0]);
    this.now += QUANTUM;
    if (this.meter.samples >= sampleRate / METERS_PER_SECOND) this.#report();
    return this.running;
  }

  /** Store the mean of the input's channels, and send complete blocks. */
  #take(channels) {
    const mask = this.size - 1;
    for (let n = 0; n < QUANTUM; n++) {
      let value = 0;
      for (const channel of channels) value += channel[n];
      if (channels.length > 1) value /= channels.length;
      this.before[(this.now + n) & mask] = value;
      this.block[this.filled++] = value;
      if (this.filled === this.block.length) {
        const full = this.block.slice();
        this.link.postMessage(full, [full.buffer]);
        this.sent += this.filled;
        this.filled = 0;
      }
    }
  }

  #play(heard, before, after) {
    const mask = this.size - 1;
    const { meter, dry } = this;
    const step = 1 - Math.exp(-1 / (MIX_SECONDS * sampleRate));
    const { received } = this.ring;
    if (received === 0) this.#waitForFirst();
    let missing = false;
    for (let n = 0; n < QUANTUM; n++) {
      const at = this.now + n - this.delay;
      const old = at < 0 ? 0 : this.before[at & mask];
      const late = at >= received;
      missing ||= late;
      dry.now += step * (dry.wanted - dry.now);
      const wet = this.ring.samples[at & mask];
      const enhanced = at < 0 || late ? 0 : wet + dry.now * (old - wet);
      before[n] = old;
      after[n] = enhanced;
      heard[n] = this.listen === "before" ? old : enhanced;
      meter.before += old * old;
      meter.after += enhanced * enhanced;
      meter.beforePeak = Math.max(meter.beforePeak, Math.abs(old));
      meter.afterPeak = Math.max(meter.afterPeak, Math.abs(enhanced));
    }
    meter.samples += QUANTUM;
    this.#shorten(received - (this.now + QUANTUM - this.delay));
    if (missing && !this.missing) this.#late();
    this.missing = missing;
  }

  /** Shorten the delay if at least `waiting` samples were ready for some seconds. */
  #shorten(waiting) {
    const { calm } = this;
    const step = Math.round(STEP_SECONDS * sampleRate);
    calm.samples += QUANTUM;
    calm.waiting = Math.min(calm.waiting, waiting);
    if (calm.samples < CALM_SECONDS * sampleRate) return;
    if (calm.waiting > 2 * step) this.delay = Math.max(this.shortest, this.delay - calm.waiting + step);
    this.calm = { samples: 0, waiting: Infinity };
  }

  /** Begin to play with the first samples that return, however long the worker needs to get going. */
  #waitForFirst() {
    this.delay = Math.max(this.delay, Math.min(this.now + QUANTUM, LONGEST_SECONDS * sampleRate));
  }

  #late() {
    this.calm = { samples: 0, waiting: Infinity };
    this.underruns += 1;
    this.delay = Math.min(this.delay + Math.round(STEP_SECONDS * sampleRate), LONGEST_SECONDS * sampleRate);
  }

  #report() {
    const { meter } = this;
    this.port.postMessage({
      before: { rms: Math.sqrt(meter.before / meter.samples), peak: meter.beforePeak },
      after: { rms: Math.sqrt(meter.after / meter.samples), peak: meter.afterPeak },
      underruns: this.underruns,
      delay: this.delay,
      backlog: this.sent - this.ring.received,
    });
    this.meter = emptyMeter();
  }
}

/** Enhanced samples by their number, in memory that `live-link.js` writes, or from messages. */
class Ring {
  constructor(memory, size) {
    this.shared = Boolean(memory);
    this.counter = this.shared ? new Int32Array(memory, 0, 1) : null;
    this.samples = this.shared ? new Float32Array(memory, 4) : new Float32Array(size);
    this.count = 0;
  }

  get received() {
    // The counter has 32 bits: its distance to the last count is added.
    if (this.shared) this.count += (Atomics.load(this.counter, 0) - this.count) | 0;
    return this.count;
  }

  write(values) {
    for (const value of values) this.samples[this.count++ & (this.samples.length - 1)] = value;
  }
}

function emptyMeter() {
  return { before: 0, after: 0, beforePeak: 0, afterPeak: 0, samples: 0 };
}

registerProcessor("stillwave-live", LiveWorklet);
