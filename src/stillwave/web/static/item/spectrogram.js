/** Compute columns of the spectrograms of before and after from the stored samples. */

import { RealFft } from "../engine/fft.js";

const FRAME_SECONDS = 0.024;
/** Frames that are analysed for a column that is longer than a frame; of the rest, the column shows nothing. */
const FRAMES_PER_COLUMN = 3;
/** Range of levels below the loudest that is shown, in dB. */
const RANGE_DB = 72;
const LOWEST_HZ = 60;

/** Spectrograms with `rows` bands that are equally wide on a mel scale. */
export class Spectrogram {
  constructor(rate, channels, rows) {
    Object.assign(this, { rate, channels, rows });
    const size = 2 ** Math.max(7, Math.round(Math.log2(FRAME_SECONDS * rate)));
    this.size = size;
    this.fft = new RealFft(size);
    this.window = Float64Array.from({ length: size }, (_, n) => Math.sin((Math.PI * (n + 0.5)) / size) ** 2);
    this.before = { frame: new Float64Array(size), re: new Float64Array(size / 2 + 1), im: new Float64Array(size / 2 + 1) };
    this.after = { frame: new Float64Array(size), re: new Float64Array(size / 2 + 1), im: new Float64Array(size / 2 + 1) };
    this.edges = bandEdges(rate, size, rows);
    /** Greatest power of any column so far, which is shown brightest. */
    this.greatest = 1e-7;
  }

  /**
   * Return `{before, after}`: levels 0 … 255 `[rows, count]`, highest band first, of `count` columns that begin at the
   * frame `start` and are `step` frames long.
   */
  columns(store, { start, step, count, dry }) {
    const powers = { before: new Float32Array(this.rows * count), after: new Float32Array(this.rows * count) };
    const frames = Math.max(1, Math.min(FRAMES_PER_COLUMN, Math.round((2 * step) / this.size)));
    for (let column = 0; column < count; column++) {
      for (let k = 0; k < frames; k++) {
        const centre = start + (column + (k + 0.5) / frames) * step;
        this.#analyze(store, Math.round(centre - this.size / 2), dry);
        this.#collect(this.before, powers.before, column, count);
        this.#collect(this.after, powers.after, column, count);
      }
    }
    this.greatest = powers.before.reduce((a, b) => Math.max(a, b), this.greatest);
    return { before: this.#levels(powers.before), after: this.#levels(powers.after) };
  }

  /** Transform the frame that begins at `first`; channels are averaged, and the mix is added up before. */
  #analyze(store, first, dry) {
    const { channels, size, before, after, window } = this;
    const skipped = Math.max(0, -first);
    const width = 2 * channels;
    before.frame.fill(0);
    after.frame.fill(0);
    if (skipped < size) {
      const values = store.read((first + skipped) * width, (size - skipped) * width);
      for (let n = skipped, at = 0; n < size; n++, at += width) {
        let b = 0;
        let a = 0;
        for (let c = 0; c < channels; c++) {
          b += values[at + c];
          a += values[at + channels + c];
        }
        before.frame[n] = (b / channels) * window[n];
        after.frame[n] = ((dry * b + (1 - dry) * a) / channels) * window[n];
      }
    }
    this.fft.forward(before.frame, before.re, before.im);
    this.fft.forward(after.frame, after.re, after.im);
  }

  /** Keep the greatest power of each band. */
  #collect({ re, im }, powers, column, count) {
    const scale = 16 / this.size ** 2; // a sine of full scale has the power 1
    for (let row = 0; row < this.rows; row++) {
      const [low, high] = [this.edges[row], this.edges[row + 1]];
      let power = 0;
      if (high - low < 1) power = between(re, im, (low + high) / 2);
      else for (let k = Math.floor(low); k < high; k++) power = Math.max(power, re[k] * re[k] + im[k] * im[k]);
      const at = (this.rows - 1 - row) * count + column;
      powers[at] = Math.max(powers[at], power * scale);
    }
  }

  #levels(powers) {
    const top = 10 * Math.log10(this.greatest);
    return Uint8Array.from(powers, (power) => {
      const db = 10 * Math.log10(power + 1e-20) - top;
      return Math.max(0, Math.min(255, Math.round(255 * (1 + db / RANGE_DB))));
    });
  }
}

/** Return the power at a position between two bins. */
function between(re, im, position) {
  const k = Math.floor(position);
  const share = position - k;
  const power = (i) => re[i] * re[i] + im[i] * im[i];
  return (1 - share) * power(k) + share * power(Math.min(k + 1, re.length - 1));
}

/** Return the edges of the bands, in bins. */
function bandEdges(rate, size, rows) {
  return Float64Array.from({ length: rows + 1 }, (_, i) => (hertzAt(i / rows, rate) * size) / rate);
}

/** Return where a frequency lies in a spectrogram, from 0 (bottom) to 1 (top). */
export function heightOf(hz, rate) {
  return (inMel(hz) - inMel(LOWEST_HZ)) / (inMel(rate / 2) - inMel(LOWEST_HZ));
}

/** Return the frequency at a height, from 0 (bottom) to 1 (top). */
export function hertzAt(height, rate) {
  return inHz(inMel(LOWEST_HZ) + height * (inMel(rate / 2) - inMel(LOWEST_HZ)));
}

function inMel(hz) {
  return Math.log1p(hz / 700);
}

function inHz(mel) {
  return 700 * Math.expm1(mel);
}
