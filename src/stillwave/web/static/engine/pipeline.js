/**
 * The steps of streaming inference: resample, frame, network, overlap-add, resample, upper band, dry mix.
 *
 * The output equals that of the Python package (`stillwave.inference.pipeline`) to 1e-4 of full scale.
 */

import { KeepClean } from "./keep-clean.js";
import { StreamingResampler } from "./resampler.js";
import { FrameAnalyzer, Framer, joined, OverlapAdder } from "./stft.js";
import { hasUpperBand, UpperBand } from "./upper-band.js";

/** Greatest number of frames per call of the network, which bounds memory. */
const FRAMES_AT_ONCE = 64;
/** Greatest valid magnitude of an estimated spectrum. */
const GREATEST = 1e20;

/**
 * Enhance parallel signals from `rateIn` to `rateOut`, aligned with the input.
 *
 * A frame of digital silence gives silence. If an estimate is not finite, its frames are silenced and the state of its
 * stream is reset.
 */
export class StreamingPipeline {
  /**
   * @param {import("./network.js").Network} network
   * @param {number} streams Number of parallel signals.
   * @param {number} rateIn Rate of the input in Hz.
   * @param {number} rateOut Rate of the output in Hz.
   * @param {number} dryMix Amplitude factor, 0 … 1, of the dry signal in the output.
   * @param {boolean} keepClean Leave clean sound as it is.
   */
  constructor(network, streams, rateIn, rateOut = rateIn, dryMix = 0, keepClean = false) {
    const each = (make) => Array.from({ length: streams }, make);
    this.network = network;
    this.streams = streams;
    this.dryMix = dryMix;
    /** How often the state of a stream was reset because of an invalid estimate. */
    this.restarts = 0;
    this.up = each(() => new StreamingResampler(rateIn, network.sampleRate));
    this.framers = each(() => new Framer(network.hop));
    this.analyzer = new FrameAnalyzer(network.nFft);
    this.adders = each(() => new OverlapAdder(network.nFft));
    this.down = each(() => new StreamingResampler(network.sampleRate, rateOut));
    this.dry = each(() => new StreamingResampler(rateIn, rateOut));
    this.kept = each(() => new Float32Array(0));
    const upper = hasUpperBand(network.sampleRate, rateIn, rateOut);
    /** One a stream, or null where the network processes all of the input's band. */
    this.upper = upper ? each(() => new UpperBand(network.hop, network.sampleRate, rateOut)) : null;
    this.clean = keepClean ? each(() => new KeepClean(network.hop, network.sampleRate)) : null;
    this.state = network.begin(streams);
  }

  /**
   * Process the next samples and return those that are complete. Calls must not overlap.
   * @param {Float32Array[]} block One array a signal, all of one length.
   * @returns {Promise<Float32Array[]>}
   */
  async push(block) {
    const framed = block.map((row, s) => this.framers[s].push(this.up[s].push(row)));
    const parts = Array.from({ length: this.streams }, () => []);
    for (let first = 0; first < framed[0].count; first += FRAMES_AT_ONCE) {
      const count = Math.min(FRAMES_AT_ONCE, framed[0].count - first);
      (await this.#estimate(framed, first, count)).forEach((samples, s) => parts[s].push(samples));
    }
    return block.map((row, s) => {
      const wet = this.down[s].push(parts[s].reduce(joined, new Float32Array(0)));
      return this.upper || this.dryMix ? this.#mixed(wet, row, s) : wet;
    });
  }

  #mixed(wet, row, s) {
    const dry = joined(this.kept[s], this.dry[s].push(row));
    this.kept[s] = dry.slice(wet.length);
    this.upper?.[s].add(wet, dry);
    return !this.dryMix ? wet : wet.map((value, n) => value + this.dryMix * (dry[n] - value));
  }

  /** Return the samples of each stream that frames first … first + count − 1 complete. */
  async #estimate(framed, first, count) {
    const { hop, nFft } = this.network;
    const size = count * (hop + 1);
    const spectrum = new Float32Array(this.streams * 2 * size);
    const active = framed.map(({ signal }, s) => {
      const [re, im] = parts(spectrum, s, size);
      return Array.from({ length: count }, (_, t) => {
        const start = (first + t) * hop;
        const range = [t * (hop + 1), (t + 1) * (hop + 1)];
        return this.analyzer.analyze(signal.subarray(start, start + nFft), re.subarray(...range), im.subarray(...range));
      });
    });
    const { estimate, state } = await this.network.step(spectrum, this.streams, count, this.state);
    this.state = state;
    return this.adders.map((adder, s) => {
      const [re, im] = parts(estimate, s, size);
      const noisy = parts(spectrum, s, size);
      this.clean?.[s].mix(re, im, ...noisy, count);
      this.#silence(re, im, active[s], s);
      this.upper?.[s].separate(re, im, ...noisy, count);
      return adder.push(re, im, count);
    });
  }

  /** Silence invalid frames, after which the state is reset, and frames of digital silence. */
  #silence(re, im, active, s) {
    const bins = this.network.hop + 1;
    let valid = true;
    active.forEach((isActive, t) => {
      let finite = true;
      for (let i = t * bins; finite && i < (t + 1) * bins; i++) {
        finite = Math.abs(re[i]) <= GREATEST && Math.abs(im[i]) <= GREATEST; // false for NaN
      }
      valid &&= finite;
      if (!finite || !isActive) {
        re.fill(0, t * bins, (t + 1) * bins);
        im.fill(0, t * bins, (t + 1) * bins);
      }
    });
    if (valid) return;
    this.restarts += 1;
    this.clean?.[s].reset();
    for (const tensor of this.state.values()) {
      const each = tensor.data.length / this.streams;
      tensor.data.fill(0, s * each, (s + 1) * each);
    }
  }
}

/** Return views of the real and imaginary parts of stream `s` in `[streams, 2, size]`. */
function parts(spectrum, s, size) {
  const start = 2 * s * size;
  return [spectrum.subarray(start, start + size), spectrum.subarray(start + size, start + 2 * size)];
}
