/** Scrolling spectrograms of a live signal, before and after. */

import { hertzAt } from "../item/spectrogram.js";
import { PALETTE } from "./palette.js";

const ROWS = 160;
/** Columns that are drawn in a second. */
const COLUMNS_PER_SECOND = 60;
const RANGE_DB = 65;
const LOUDEST_DB = -32;

export class LivePicture {
  /**
   * @param {HTMLElement} root Element with two canvases.
   * @param {import("../engine/live.js").LiveProcessor} live
   */
  constructor(root, live) {
    const rate = live.context.sampleRate;
    this.sides = ["before", "after"].map((version) => {
      const canvas = root.querySelector(`canvas.${version}`);
      canvas.width = Math.max(200, Math.min(900, canvas.clientWidth));
      canvas.height = ROWS;
      const context = canvas.getContext("2d", { alpha: false });
      context.fillStyle = "rgb(7 16 24)";
      context.fillRect(0, 0, canvas.width, canvas.height);
      const analyser = live[version];
      return { canvas, context, analyser, bins: new Float32Array(analyser.frequencyBinCount) };
    });
    this.column = new ImageData(1, ROWS);
    this.bins = binsOfRows(rate, this.sides[0].analyser);
    this.drawn = performance.now();
    this.frame = requestAnimationFrame(() => this.#draw());
  }

  stop() {
    cancelAnimationFrame(this.frame);
  }

  #draw() {
    this.frame = requestAnimationFrame(() => this.#draw());
    const passed = performance.now() - this.drawn;
    const count = Math.min(20, Math.floor((passed / 1000) * COLUMNS_PER_SECOND));
    if (count === 0) return;
    this.drawn += passed > 1000 ? passed : (1000 * count) / COLUMNS_PER_SECOND;
    for (const side of this.sides) this.#scroll(side, count);
  }

  #scroll({ canvas, context, analyser, bins }, count) {
    analyser.getFloatFrequencyData(bins);
    const pixels = new Uint32Array(this.column.data.buffer);
    for (let row = 0; row < ROWS; row++) {
      const [low, high] = this.bins[row];
      let db = -200;
      for (let k = low; k <= high; k++) db = Math.max(db, bins[k]);
      const level = 255 * (1 + (db - LOUDEST_DB) / RANGE_DB);
      pixels[ROWS - 1 - row] = PALETTE[Math.max(0, Math.min(255, Math.round(level) || 0))];
    }
    context.drawImage(canvas, -count, 0);
    for (let i = 1; i <= count; i++) context.putImageData(this.column, canvas.width - i, 0);
  }
}

/** Return the first and last bin of each row, lowest first, equally spaced on a mel scale. */
function binsOfRows(rate, { fftSize }) {
  const edge = (row) => (hertzAt(row / ROWS, rate) * fftSize) / rate;
  return Array.from({ length: ROWS }, (_, row) => {
    const low = Math.round(edge(row));
    return [low, Math.max(low, Math.min(fftSize / 2 - 1, Math.round(edge(row + 1)) - 1))];
  });
}
