/**
 * Leave clean sound as it is, as the Python package (`stillwave.inference.keep_clean`).
 *
 * The output is (1 − w)·E + w·X with the estimate E and the input X, and w rising from 0 to 1 while the level of the
 * speech is 20 to 30 dB above the level of what is removed.
 */

const NOISY_DB = 20;
const CLEAN_DB = 30;
/** Time constants in seconds: of what is removed, of the speech, and of its decrease before the first speech and in pauses. */
const [RISE, FALL, SPEECH, START, PAUSE] = [0.1, 1, 1.5, 1.5, 10];
/** Level of the speech before there is any, in dBFS, and its weight in frames. */
const START_DB = -26;
const START_FRAMES = 20;
/** Least power of a frame with speech, relative to the level of the speech. */
const ACTIVE = 10 ** -1.5;
/** Greatest factor on the estimate before it is compared. */
const GREATEST = 10 ** (1 / 20);

/** The levels of one signal, and the mix of its spectra. */
export class KeepClean {
  /**
   * @param {number} hop Distance of two frames in samples.
   * @param {number} sampleRate Rate of the network in Hz.
   */
  constructor(hop, sampleRate) {
    this.bins = hop + 1;
    this.start = hop ** 2 * 10 ** (START_DB / 10);
    this.decays = [RISE, FALL, SPEECH, START, PAUSE].map((seconds) => Math.exp(-hop / sampleRate / seconds));
    this.reset();
  }

  /** Begin a new signal. */
  reset() {
    /** Sum and weight of the level of the speech. */
    this.total = this.start * START_FRAMES;
    this.weight = START_FRAMES;
    this.begun = false;
    /** Mean and level of what is removed. */
    this.mean = 0;
    this.level = 0;
  }

  /**
   * Mix the input into the estimate of `count` frames, in place.
   * @param {Float32Array} re Real parts of the estimate `[count, bins]`.
   * @param {Float32Array} im Imaginary parts.
   * @param {Float32Array} noisyRe Real parts of the input.
   * @param {Float32Array} noisyIm Imaginary parts.
   * @param {number} count
   */
  mix(re, im, noisyRe, noisyIm, count) {
    for (let t = 0; t < count; t++) {
      const range = [t * this.bins, (t + 1) * this.bins];
      const frame = [re, im, noisyRe, noisyIm].map((part) => part.subarray(...range));
      const w = this.#share(...powers(...frame));
      if (w > 0) mixFrame(w, ...frame);
    }
  }

  /** Advance by a frame and return the share of the input. */
  #share(kept, removed) {
    const [rise, fall, speech, start, pause] = this.decays;
    if (kept * this.weight >= ACTIVE * this.total) {
      this.total = speech * this.total + kept;
      this.weight = speech * this.weight + 1;
      this.begun = true;
    } else {
      this.total *= this.begun ? pause : start;
    }
    this.mean = rise * this.mean + (1 - rise) * removed;
    this.level = Math.max(this.mean, fall * this.level + (1 - fall) * this.mean);
    if (!(this.total > 0)) return 0;
    if (this.level <= 0) return 1;
    const ratio = 10 * Math.log10(this.total / this.weight / this.level);
    return Math.min(1, Math.max(0, (ratio - NOISY_DB) / (CLEAN_DB - NOISY_DB)));
  }
}

/** Return the power of the estimate of a frame, and of what is removed from the input. */
function powers(re, im, noisyRe, noisyIm) {
  let kept = 0;
  let common = 0;
  for (let i = 0; i < re.length; i++) {
    kept += re[i] * re[i] + im[i] * im[i];
    common += noisyRe[i] * re[i] + noisyIm[i] * im[i];
  }
  const factor = kept > 0 ? Math.min(GREATEST, Math.max(1, common / kept)) : 1;
  let removed = 0;
  for (let i = 0; i < re.length; i++) {
    removed += (noisyRe[i] - factor * re[i]) ** 2 + (noisyIm[i] - factor * im[i]) ** 2;
  }
  return [kept, removed];
}

function mixFrame(w, re, im, noisyRe, noisyIm) {
  for (let i = 0; i < re.length; i++) {
    re[i] = (1 - w) * re[i] + w * noisyRe[i];
    im[i] = (1 - w) * im[i] + w * noisyIm[i];
  }
}
