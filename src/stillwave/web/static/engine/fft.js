/** Real discrete Fourier transforms of a power-of-two length, computed in double precision. */

import { StillwaveError } from "./errors.js";

/** Transform real signals of length `n` to `n / 2 + 1` bins and back, as `numpy.fft.rfft` and `irfft`. */
export class RealFft {
  /** @param {number} n Length: a power of two of at least 4. */
  constructor(n) {
    if (n < 4 || (n & (n - 1)) !== 0) {
      throw new StillwaveError(`the length of a transform must be a power of two of at least 4, got ${n}`);
    }
    this.n = n;
    this.bins = n / 2 + 1;
    const half = n / 2;
    this.half = half;
    this.re = new Float64Array(half);
    this.im = new Float64Array(half);
    this.cos = Float64Array.from({ length: half }, (_, k) => Math.cos((2 * Math.PI * k) / n));
    this.sin = Float64Array.from({ length: half }, (_, k) => Math.sin((2 * Math.PI * k) / n));
    this.order = bitReversal(half);
  }

  /**
   * Write the bins of `input` to `re` and `im`.
   * @param {Float32Array | Float64Array} input `n` samples.
   * @param {Float32Array | Float64Array} re `n / 2 + 1` real parts.
   * @param {Float32Array | Float64Array} im `n / 2 + 1` imaginary parts.
   */
  forward(input, re, im) {
    const { half, order, cos, sin } = this;
    // Even samples are the real parts, odd samples the imaginary parts of a complex signal of half the length.
    for (let i = 0; i < half; i++) {
      const j = order[i];
      this.re[i] = input[2 * j];
      this.im[i] = input[2 * j + 1];
    }
    this.#complex(-1);
    const a = this.re;
    const b = this.im;
    re[0] = a[0] + b[0];
    im[0] = 0;
    re[half] = a[0] - b[0];
    im[half] = 0;
    for (let k = 1; k < half; k++) {
      const m = half - k;
      const evenRe = (a[k] + a[m]) / 2;
      const evenIm = (b[k] - b[m]) / 2;
      const oddRe = (b[k] + b[m]) / 2;
      const oddIm = (a[m] - a[k]) / 2;
      re[k] = evenRe + cos[k] * oddRe + sin[k] * oddIm;
      im[k] = evenIm + cos[k] * oddIm - sin[k] * oddRe;
    }
  }

  /**
   * Write the real signal of the bins `re`, `im` to `output`; imaginary parts of the first and last bin are ignored.
   * @param {Float32Array | Float64Array} re `n / 2 + 1` real parts.
   * @param {Float32Array | Float64Array} im `n / 2 + 1` imaginary parts.
   * @param {Float32Array | Float64Array} output `n` samples.
   */
  inverse(re, im, output) {
    const { half, order, cos, sin } = this;
    const a = this.re;
    const b = this.im;
    for (let i = 0; i < half; i++) {
      const k = order[i];
      const m = half - k;
      const imK = k === 0 ? 0 : im[k];
      const imM = m === half ? 0 : im[m];
      const evenRe = (re[k] + re[m]) / 2;
      const evenIm = (imK - imM) / 2;
      const diffRe = (re[k] - re[m]) / 2;
      const diffIm = (imK + imM) / 2;
      const oddRe = diffRe * cos[k] - diffIm * sin[k];
      const oddIm = diffRe * sin[k] + diffIm * cos[k];
      a[i] = evenRe - oddIm;
      b[i] = evenIm + oddRe;
    }
    this.#complex(1);
    for (let i = 0; i < half; i++) {
      output[2 * i] = a[i] / half;
      output[2 * i + 1] = b[i] / half;
    }
  }

  /** Transform `this.re`, `this.im`, which are in bit-reversed order, in place. */
  #complex(sign) {
    const { half, re, im, cos, sin } = this;
    for (let size = 2; size <= half; size *= 2) {
      const step = (2 * half) / size;
      const middle = size / 2;
      for (let start = 0; start < half; start += size) {
        for (let k = 0; k < middle; k++) {
          const c = cos[k * step];
          const s = sign * sin[k * step];
          const i = start + k;
          const j = i + middle;
          const tRe = re[j] * c - im[j] * s;
          const tIm = re[j] * s + im[j] * c;
          re[j] = re[i] - tRe;
          im[j] = im[i] - tIm;
          re[i] += tRe;
          im[i] += tIm;
        }
      }
    }
  }
}

function bitReversal(n) {
  const order = new Uint32Array(n);
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    order[i] = j;
  }
  return order;
}
