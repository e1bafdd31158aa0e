/**
 * Keep the band above that of the network, as the Python package (`stillwave.inference.upper_band`).
 *
 * The output is down(e − g·x) + g·d, with the estimate e and the input x at the rate of the network, the input d at the
 * rate of the output, and the gain g of each frame in the uppermost third of the network's band.
 */

const LOWEST = 5 / 8;
const HIGHEST = 15 / 16;

/** Return whether input and output reach above the band of a network at `modelRate` Hz. */
export function hasUpperBand(modelRate, rateIn, rateOut) {
  return Math.min(rateIn, rateOut) > modelRate;
}

/** The gains of one signal: taken from its spectra, and returned as a factor of each output sample. */
export class UpperBand {
  /**
   * @param {number} hop Distance of two frames, in samples of the network.
   * @param {number} modelRate Rate of the network in Hz.
   * @param {number} rateOut Rate of the output in Hz.
   */
  constructor(hop, modelRate, rateOut) {
    const common = greatestCommonDivisor(modelRate, rateOut * hop);
    this.bins = hop + 1;
    this.step = modelRate / common;
    this.frame = (rateOut * hop) / common;
    /** Gains of the frames that later samples need. */
    this.gains = [];
    /** Time of the next sample after the middle of the first of these frames. */
    this.position = 0;
  }

  /**
   * Subtract gain × input from the estimate of `count` frames, in place, and keep the gains.
   * @param {Float32Array} re Real parts of the estimate `[count, bins]`.
   * @param {Float32Array} im Imaginary parts.
   * @param {Float32Array} noisyRe Real parts of the input.
   * @param {Float32Array} noisyIm Imaginary parts.
   * @param {number} count
   */
  separate(re, im, noisyRe, noisyIm, count) {
    for (let t = 0; t < count; t++) {
      const start = t * this.bins;
      const gain = this.#gain(re, im, noisyRe, noisyIm, start);
      this.gains.push(gain);
      for (let i = start; i < start + this.bins; i++) {
        re[i] -= gain * noisyRe[i];
        im[i] -= gain * noisyIm[i];
      }
    }
  }

  #gain(re, im, noisyRe, noisyIm, start) {
    let before = 0;
    let after = 0;
    for (let i = start + this.#edge(LOWEST); i < start + this.#edge(HIGHEST); i++) {
      before += noisyRe[i] ** 2 + noisyIm[i] ** 2;
      after += re[i] ** 2 + im[i] ** 2;
    }
    return before > 0 ? Math.fround(Math.sqrt(Math.min(1, after / before))) : 0;
  }

  #edge(share) {
    return Math.round(share * (this.bins - 1));
  }

  /**
   * Add gain × `dry` to the next samples `wet`, in place.
   * @param {Float32Array} wet
   * @param {Float32Array} dry At least as many samples.
   */
  add(wet, dry) {
    let { position } = this;
    for (let n = 0; n < wet.length; n++, position += this.step) {
      const frame = Math.floor(position / this.frame);
      const rising = Math.sin((0.5 * Math.PI * (position % this.frame)) / this.frame) ** 2;
      const before = this.gains[frame];
      wet[n] += (before + rising * (this.gains[frame + 1] - before)) * dry[n];
    }
    this.gains.splice(0, Math.floor(position / this.frame));
    this.position = position % this.frame;
  }
}

function greatestCommonDivisor(a, b) {
  while (b) [a, b] = [b, a % b];
  return a;
}
