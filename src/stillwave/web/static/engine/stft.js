/**
 * The STFT of the Python package (`stillwave.inference.streaming_stft`) for signals in blocks of any size.
 *
 * Frame t holds the samples (t − 1)·hop … (t + 1)·hop − 1, with silence before the first. With frame t, the samples
 * (t − 1)·hop … t·hop − 1 of the estimate are complete.
 */

import { RealFft } from "./fft.js";

/** Return w(n) = sin(πn / nFft), the square root of the periodic Hann window. */
export function sqrtHann(nFft) {
  return Float32Array.from({ length: nFft }, (_, n) => Math.sin((Math.PI * n) / nFft));
}

/** Return `a` followed by `b`. */
export function joined(a, b) {
  if (a.length === 0) return b;
  const sum = new Float32Array(a.length + b.length);
  sum.set(a);
  sum.set(b, a.length);
  return sum;
}

/** Collect blocks of any size of one signal into overlapping frames. */
export class Framer {
  /** @param {number} hop Distance of two frames; a frame has twice that length. */
  constructor(hop) {
    this.hop = hop;
    /** Last samples of the signal: one hop and an incomplete one. */
    this.held = new Float32Array(hop);
  }

  /**
   * Return the frames that `block` completes: frame t is `signal.subarray(t·hop, t·hop + 2·hop)`.
   * @param {Float32Array} block
   */
  push(block) {
    const signal = joined(this.held, block);
    const count = Math.floor(signal.length / this.hop) - 1;
    this.held = signal.slice(count * this.hop);
    return { signal, count };
  }
}

/** Window and transform frames. */
export class FrameAnalyzer {
  /** @param {number} nFft Length of a frame. */
  constructor(nFft) {
    this.fft = new RealFft(nFft);
    this.window = sqrtHann(nFft);
    this.frame = new Float32Array(nFft);
  }

  /** Write the spectrum of `frame` to `re` and `im`; return whether any sample of the frame is not zero. */
  analyze(frame, re, im) {
    let active = false;
    for (let n = 0; n < frame.length; n++) {
      if (frame[n] !== 0) active = true;
      this.frame[n] = frame[n] * this.window[n];
    }
    this.fft.forward(this.frame, re, im);
    return active;
  }
}

/** Synthesise the samples of one signal from consecutive spectra. */
export class OverlapAdder {
  /** @param {number} nFft Length of a frame. */
  constructor(nFft) {
    this.hop = nFft / 2;
    this.fft = new RealFft(nFft);
    this.window = sqrtHann(nFft);
    this.frame = new Float32Array(nFft);
    /** Second half of the last frame; null before the first. */
    this.held = null;
  }

  /**
   * Return the samples that `count` spectra complete: count·hop, and one hop less at the first call.
   * @param {Float32Array} re Real parts `[count, nFft / 2 + 1]`.
   * @param {Float32Array} im Imaginary parts.
   * @param {number} count
   */
  push(re, im, count) {
    const { hop, frame, window } = this;
    const bins = hop + 1;
    const first = this.held === null ? 1 : 0;
    const samples = new Float32Array(Math.max(0, count - first) * hop);
    for (let t = 0; t < count; t++) {
      this.fft.inverse(re.subarray(t * bins, (t + 1) * bins), im.subarray(t * bins, (t + 1) * bins), frame);
      for (let n = 0; n < 2 * hop; n++) frame[n] *= window[n];
      const start = (t - first) * hop;
      if (start >= 0) {
        for (let n = 0; n < hop; n++) samples[start + n] = frame[n] + this.held[n];
      }
      this.held ??= new Float32Array(hop);
      this.held.set(frame.subarray(hop));
    }
    return samples;
  }
}
