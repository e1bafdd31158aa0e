/** Enhance recordings in memory or in blocks, and open streams for live signals. */

import { StillwaveError } from "./errors.js";
import { StreamingPipeline } from "./pipeline.js";
import { StreamingResampler } from "./resampler.js";
import { joined } from "./stft.js";

const LOWEST_RATE = 1000;
const HIGHEST_RATE = 768000;
/** Values beyond this are faults, as NaN is. */
const LOUDEST = 2 ** 32;
const BLOCK_SECONDS = 2;
const TAIL_SECONDS = 0.1;

/** Return the amplitude factor of the dry signal for a greatest reduction of noise in dB (null: no limit). */
export function dryMixOf(limitDb) {
  if (limitDb === null || limitDb === undefined) return 0;
  if (!(limitDb >= 0)) throw new StillwaveError(`limitDb: expected 0 dB or more, got ${limitDb}`);
  return 10 ** (-limitDb / 20);
}

/**
 * Enhance a recording; the result has its length and alignment.
 * @param {import("./network.js").Network} network
 * @param {Float32Array[]} channels One array a channel.
 * @param {number} rate Sampling rate in Hz.
 * @param {{limitDb?: number | null, keepClean?: boolean, signal?: AbortSignal, progress?: (share: number) => void}} options
 */
export async function enhance(network, channels, rate, { limitDb = null, keepClean, signal, progress } = {}) {
  const length = checked(channels);
  const size = BLOCK_SECONDS * checkedRate(rate);
  const blocks = (function* () {
    for (let i = 0; i < length; i += size) yield channels.map((row) => row.subarray(i, i + size));
  })();
  const output = channels.map(() => new Float32Array(length));
  let at = 0;
  for await (const samples of enhanceBlocks(network, blocks, rate, channels.length, { limitDb, keepClean })) {
    signal?.throwIfAborted();
    samples.forEach((row, c) => output[c].set(row, at));
    at += samples[0].length;
    progress?.(at / length);
  }
  return output;
}

/**
 * Enhance a recording that is given as blocks, in constant memory; yields blocks of other sizes, in all as many samples.
 * @param {import("./network.js").Network} network
 * @param {Iterable<Float32Array[]> | AsyncIterable<Float32Array[]>} blocks
 * @param {number} rate Sampling rate in Hz.
 * @param {number} channels Number of channels.
 * @param {{limitDb?: number | null, keepClean?: boolean}} options
 */
export async function* enhanceBlocks(network, blocks, rate, channels, { limitDb = null, keepClean = false } = {}) {
  const pipeline = new StreamingPipeline(network, channels, checkedRate(rate), rate, dryMixOf(limitDb), keepClean);
  let received = 0;
  let returned = 0;
  for await (const block of blocks) {
    received += block[0].length;
    const samples = await pipeline.push(block.map(withoutFaults));
    returned += samples[0].length;
    if (samples[0].length) yield samples;
  }
  // The signal is followed by silence.
  const silence = new Float32Array(Math.round(TAIL_SECONDS * rate));
  while (returned < received) {
    const left = received - returned;
    const samples = (await pipeline.push(Array(channels).fill(silence))).map((row) => row.subarray(0, left));
    returned += samples[0].length;
    if (samples[0].length) yield samples;
  }
}

/**
 * Enhance a live signal block by block: as many samples out as in, `delaySamples` behind the input.
 * The first `delaySamples` samples are silence; `flush` returns the rest.
 */
export class Stream {
  /**
   * @param {import("./network.js").Network} network
   * @param {{rate?: number, channels?: number, limitDb?: number | null, keepClean?: boolean}} options
   */
  constructor(network, { rate = network.sampleRate, channels = 1, limitDb = null, keepClean = false } = {}) {
    this.network = network;
    this.rate = checkedRate(rate);
    this.channels = channels;
    this.dryMix = dryMixOf(limitDb);
    this.keepClean = keepClean;
    /** Delay of the output in samples at `rate`. */
    this.delaySamples = delayOf(network.sampleRate, rate, network.hop);
    this.reset();
  }

  /** Start a new signal with the next block. */
  reset() {
    const { network, channels, rate, dryMix, keepClean } = this;
    this.pipeline = new StreamingPipeline(network, channels, rate, rate, dryMix, keepClean);
    /** Complete, not yet returned. */
    this.ahead = Array.from({ length: this.channels }, () => new Float32Array(this.delaySamples));
  }

  /**
   * Enhance the next block. Calls must not overlap: wait for the result of one before the next.
   * @param {Float32Array[]} block One array a channel.
   * @returns {Promise<Float32Array[]>}
   */
  async process(block) {
    const count = block[0].length;
    const ready = (await this.pipeline.push(block.map(withoutFaults))).map((row, c) => joined(this.ahead[c], row));
    this.ahead = ready.map((row) => row.slice(count));
    return ready.map((row) => row.slice(0, count));
  }

  /** Return the last `delaySamples` samples and reset the stream. */
  async flush() {
    const rest = await this.process(this.ahead.map(() => new Float32Array(this.delaySamples)));
    this.reset();
    return rest;
  }
}

/**
 * Return the least delay, in samples at `rate`, with which blocks of any size can be returned: the largest number of
 * input samples that are waiting just before a frame is complete.
 */
export function delayOf(modelRate, rate, hop) {
  const up = new StreamingResampler(rate, modelRate);
  const down = new StreamingResampler(modelRate, rate);
  const frames = Math.min(up.up, 2 ** 16) + Math.floor((2 * (up.reach + down.reach)) / hop) + 7;
  let delay = 0;
  for (let frame = 1; frame <= frames; frame++) {
    const before = up.needed(frame * hop) - 1;
    const ready = down.ready(Math.max(0, frame - 2) * hop);
    delay = Math.max(delay, before - ready);
  }
  return delay;
}

function checked(channels) {
  if (!Array.isArray(channels) || !channels.length || !channels.every((row) => row instanceof Float32Array)) {
    throw new StillwaveError("channels: expected an array with one Float32Array for each channel");
  }
  const length = channels[0].length;
  if (channels.some((row) => row.length !== length)) {
    throw new StillwaveError("channels: expected arrays of one length");
  }
  return length;
}

function checkedRate(rate) {
  if (!Number.isInteger(rate) || rate < LOWEST_RATE || rate > HIGHEST_RATE) {
    throw new StillwaveError(
      `rate: expected a whole number of Hz from ${LOWEST_RATE} to ${HIGHEST_RATE}, got ${rate}`,
    );
  }
  return rate;
}

/** Return `row` with NaN, infinity and values beyond ±2³² replaced by silence. */
export function withoutFaults(row) {
  let valid = true;
  for (let n = 0; valid && n < row.length; n++) valid = Math.abs(row[n]) <= LOUDEST;
  return valid ? row : row.map((value) => (Math.abs(value) <= LOUDEST ? value : 0));
}
