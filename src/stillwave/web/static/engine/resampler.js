/**
 * Resample signals in blocks with a short symmetric filter, as `stillwave.inference.streaming_resampler`.
 *
 * Output m is Σ_k h(m·rateIn/rateOut − k) x(k) with h a Kaiser-windowed sinc of `HALF` zero crossings on each side: 2 ms
 * at 16 kHz. The pass band ends at 0.87 of the lower Nyquist frequency, the stop band (−90 dB) begins at 1.05 of it.
 */

import { joined } from "./stft.js";

/** Zero crossings of the filter on each side, at the lower of the two rates. */
const HALF = 32;
const CUTOFF = 0.96;
const BETA = 8.96;
/** Ratios that need more filters interpolate linearly between the two nearest, with an error of −100 dB. */
const MOST_PHASES = 1024;

/** Resample one signal from `rateIn` to `rateOut`, aligned, in blocks of any size. Equal rates pass through. */
export class StreamingResampler {
  /**
   * @param {number} rateIn Rate of the input in Hz.
   * @param {number} rateOut Rate of the output in Hz.
   */
  constructor(rateIn, rateOut) {
    const common = greatestCommonDivisor(rateIn, rateOut);
    this.up = rateOut / common;
    this.down = rateIn / common;
    this.same = rateIn === rateOut;
    const lower = Math.min(1, rateOut / rateIn);
    /** Input samples on each side that an output depends on. */
    this.reach = this.same ? 0 : Math.ceil(HALF / lower);
    this.phases = Math.min(this.up, MOST_PHASES);
    this.filters = this.same ? null : filtersOf(this.phases, this.reach, lower);
    this.taps = 2 * this.reach + 1;
    this.held = new Float32Array(this.reach);
    /** Position of the next output after the centre of the first window in `held`, in 1/up input samples. */
    this.numerator = 0;
  }

  /** Return the outputs that `block` completes. */
  push(block) {
    if (this.filters === null) return block;
    const { up, down, taps } = this;
    const signal = joined(this.held, block);
    const count = this.#ready(signal.length);
    const outputs = new Float32Array(count);
    for (let m = 0; m < count; m++) {
      const position = this.numerator + m * down;
      const start = Math.floor(position / up);
      const filter = this.#filter(position - start * up);
      let sum = 0;
      for (let k = 0; k < taps; k++) sum += signal[start + k] * filter[k];
      outputs[m] = sum;
    }
    const numerator = this.numerator + count * down;
    const used = Math.min(Math.floor(numerator / up), signal.length);
    this.held = signal.slice(used);
    this.numerator = numerator - used * up;
    return outputs;
  }

  #filter(phase) {
    const { filters, taps } = this;
    if (this.phases === this.up) return filters.subarray(phase * taps, (phase + 1) * taps);
    const exact = phase * (this.phases / this.up);
    const below = Math.floor(exact);
    const weight = exact - below;
    this.mixed ??= new Float32Array(taps);
    for (let k = 0; k < taps; k++) {
      this.mixed[k] = (1 - weight) * filters[below * taps + k] + weight * filters[(below + 1) * taps + k];
    }
    return this.mixed;
  }

  /** Return the number of outputs whose windows lie within `samples` held samples. */
  #ready(samples) {
    const last = samples - 2 * this.reach - 1; // last possible start of a window
    if (last < 0) return 0;
    return Math.max(0, Math.floor((last * this.up + this.up - 1 - this.numerator) / this.down) + 1);
  }

  /** Return the number of outputs that the first `samples` input samples complete. */
  ready(samples) {
    if (this.same) return samples;
    const last = samples - this.reach - 1;
    return last < 0 ? 0 : Math.floor((last * this.up + this.up - 1) / this.down) + 1;
  }

  /** Return the number of input samples that complete the first `outputs` outputs (at least 1). */
  needed(outputs) {
    return this.same ? outputs : Math.floor(((outputs - 1) * this.down) / this.up) + this.reach + 1;
  }
}

/** Filters by phases, reach and rate, shared by all resamplers. */
const cache = new Map();

/** Return filters `[phases + 1, 2·reach + 1]` for outputs p/phases after the centre sample, of unit gain at 0 Hz. */
function filtersOf(phases, reach, lower) {
  const key = `${phases} ${reach} ${lower}`;
  if (cache.has(key)) return cache.get(key);
  const taps = 2 * reach + 1;
  const filters = new Float32Array((phases + 1) * taps);
  const row = new Float64Array(taps);
  const atZero = besselI0(BETA);
  for (let p = 0; p <= phases; p++) {
    let sum = 0;
    for (let k = 0; k < taps; k++) {
      const offset = k - reach - p / phases;
      const x = Math.abs(offset) * lower;
      const window = x <= HALF ? besselI0(BETA * Math.sqrt(Math.max(0, 1 - (x / HALF) ** 2))) / atZero : 0;
      row[k] = CUTOFF * lower * sinc(CUTOFF * lower * offset) * window;
      sum += row[k];
    }
    for (let k = 0; k < taps; k++) filters[p * taps + k] = row[k] / sum;
  }
  if (cache.size >= 16) cache.delete(cache.keys().next().value);
  cache.set(key, filters);
  return filters;
}

function sinc(x) {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

/** Modified Bessel function of the first kind and order 0, by its power series. */
function besselI0(x) {
  let term = 1;
  let sum = 1;
  for (let k = 1; term > 1e-17 * sum; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

function greatestCommonDivisor(a, b) {
  while (b) [a, b] = [b, a % b];
  return a;
}
