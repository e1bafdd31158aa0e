/** Two spectrograms, one above the other: click to jump, zoom, and follow the position. */

import { heightOf } from "../item/spectrogram.js";
import { clock } from "./format.js";
import { PALETTE } from "./palette.js";
import { t } from "./texts.js";
import { Viewport } from "./viewport.js";

const VERSIONS = ["before", "after"];
const MOST_COLUMNS = 1200;
/** Columns that are computed at once, so that the first appear soon and a change does not wait long. */
const BATCH = 160;
const FREQUENCIES = [500, 1000, 2000, 4000, 8000, 16000];
const ZOOM = 2;
const SEEK_SECONDS = 5;

/** Shows the spectrograms of an item. Events: `seek` (detail: frame). */
export class SpectrogramView extends EventTarget {
  /**
   * @param {HTMLElement} root Element with `.plot`, two canvases, `.playhead`, `.times` and the zoom buttons.
   * @param {(range: object) => Promise<{before: Uint8Array, after: Uint8Array}>} columns
   * @param {{rate: number, frames: number}} facts
   */
  constructor(root, columns, facts, rows) {
    super();
    Object.assign(this, { root, columns, rows });
    this.plot = root.querySelector(".plot");
    this.canvases = VERSIONS.map((version) => root.querySelector(`canvas.${version}`));
    this.playhead = root.querySelector(".playhead");
    this.view = new Viewport(facts.rate, facts.frames ?? 30 * facts.rate);
    this.total = facts.frames;
    /** Frames that are there. */
    this.available = 0;
    this.position = 0;
    this.dry = 0;
    this.images = null;
    this.drawn = 0;
    this.run = 0;
    this.#listen();
    this.#labels();
    this.observer = new ResizeObserver(() => this.redraw());
    this.observer.observe(this.plot);
  }

  close() {
    this.run += 1;
    this.observer.disconnect();
  }

  /** Take notice of frames that have arrived; `total` once their number is known. */
  grow(available, total = this.total) {
    const grown = total ?? this.view.frames * (available > this.view.frames ? 2 : 1);
    this.available = available;
    this.total = total;
    if (grown !== this.view.frames) {
      const all = !this.view.zoomed;
      this.view.frames = grown;
      if (all) this.view.all();
      this.redraw();
    } else this.#draw();
  }

  /** Set the share of before in the picture of after. */
  mix(dry) {
    if (dry === this.dry) return;
    this.dry = dry;
    this.redraw();
  }

  /** Move the playhead to a frame; the picture follows while `playing`. */
  moveTo(frame, playing = false) {
    this.position = frame;
    if (playing && this.view.zoomed && this.view.follow(frame)) this.redraw();
    const share = (frame - this.view.start) / this.view.length;
    this.playhead.hidden = !(share >= 0 && share <= 1);
    this.playhead.style.setProperty("--at", share);
    const seconds = frame / this.view.rate;
    this.plot.ariaValueNow = String(Math.round(seconds));
    this.plot.ariaValueText = t("positionOf", { position: clock(seconds), total: clock(this.view.frames / this.view.rate) });
  }

  /** Compute all columns again. */
  redraw() {
    const width = this.plot.clientWidth;
    if (!width) return;
    this.run += 1;
    const count = Math.min(MOST_COLUMNS, Math.ceil(width * Math.min(2, devicePixelRatio)));
    this.next = VERSIONS.map(() => new ImageData(count, this.rows));
    this.next.forEach((image) => new Uint32Array(image.data.buffer).fill(PALETTE[0]));
    this.drawn = 0;
    this.root.classList.toggle("zoomed", this.view.zoomed);
    this.plot.ariaValueMax = String(Math.round(this.view.frames / this.view.rate));
    this.#ruler();
    this.moveTo(this.position);
    this.working = false;
    this.#draw();
  }

  /** Request the columns whose frames are there and that are not drawn. */
  async #draw() {
    if (this.working || !this.next) return;
    this.working = true;
    const { run, view, next } = this;
    const total = next[0].width;
    const step = view.length / total;
    for (;;) {
      const complete = this.available >= (this.total ?? Infinity) ? total : (this.available - view.start) / step - 1;
      const count = Math.min(BATCH, Math.floor(Math.min(total, complete)) - this.drawn);
      if (count <= 0) break;
      const start = view.start + this.drawn * step;
      const levels = await this.columns({ start, step, count, dry: this.dry });
      if (run !== this.run) return;
      VERSIONS.forEach((version, i) => this.#paint(next[i], levels[version], count));
      this.drawn += count;
      this.#show(next, this.drawn);
    }
    this.working = false;
  }

  #paint(image, levels, count) {
    const pixels = new Uint32Array(image.data.buffer);
    for (let row = 0; row < this.rows; row++) {
      for (let column = 0; column < count; column++) {
        pixels[row * image.width + this.drawn + column] = PALETTE[levels[row * count + column]];
      }
    }
  }

  /** Put what is computed on the canvases. Older pictures stay to the right of it until they are replaced. */
  #show(images, drawn) {
    images.forEach((image, i) => {
      const canvas = this.canvases[i];
      if (canvas.width !== image.width || canvas.height !== image.height) {
        canvas.width = image.width;
        canvas.height = image.height;
      }
      const context = canvas.getContext("2d");
      const stale = this.available < (this.total ?? Infinity);
      if (stale) context.putImageData(image, 0, 0);
      else context.putImageData(image, 0, 0, 0, 0, drawn, image.height);
    });
  }

  #listen() {
    const { plot, view } = this;
    const frameAt = ({ clientX }) => {
      const box = plot.getBoundingClientRect();
      return view.start + ((clientX - box.left) / box.width) * view.length;
    };
    plot.addEventListener("click", (event) => this.#seek(frameAt(event)));
    plot.addEventListener(
      "wheel",
      (event) => {
        if (event.ctrlKey || event.altKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
          if (!view.zoomed && !event.ctrlKey) return;
        } else if (!this.root.matches(":focus-within") && !view.zoomed) return;
        event.preventDefault();
        if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) view.move((event.deltaX / plot.clientWidth) * view.length);
        else view.zoom(2 ** (-event.deltaY / 300), frameAt(event));
        this.redraw();
      },
      { passive: false },
    );
    plot.addEventListener("keydown", (event) => this.#key(event));
    this.root.querySelector(".zoom-in").onclick = () => this.#zoom(ZOOM);
    this.root.querySelector(".zoom-out").onclick = () => this.#zoom(1 / ZOOM);
    this.root.querySelector(".zoom-all").onclick = () => {
      view.all();
      this.redraw();
    };
  }

  #key(event) {
    const { view } = this;
    const step = event.shiftKey ? 0 : Math.min(SEEK_SECONDS, view.length / view.rate / 20) * view.rate;
    const actions = {
      ArrowRight: () => (event.shiftKey ? view.move(view.length / 8) : this.#seek(this.position + step)),
      ArrowLeft: () => (event.shiftKey ? view.move(-view.length / 8) : this.#seek(this.position - step)),
      Home: () => this.#seek(0),
      End: () => this.#seek(view.frames - 1),
      "+": () => view.zoom(ZOOM, this.position),
      "=": () => view.zoom(ZOOM, this.position),
      "-": () => view.zoom(1 / ZOOM, this.position),
      0: () => view.all(),
    };
    if (!actions[event.key]) return;
    event.preventDefault();
    actions[event.key]();
    if (!["Home", "End"].includes(event.key) && !(event.key.startsWith("Arrow") && !event.shiftKey)) this.redraw();
  }

  #zoom(factor) {
    const { view } = this;
    const shown = this.position >= view.start && this.position < view.start + view.length;
    view.zoom(factor, shown ? this.position : undefined);
    this.redraw();
  }

  #seek(frame) {
    const inside = Math.max(0, Math.min(frame, this.view.frames - 1));
    if (this.view.follow(inside)) this.redraw();
    this.dispatchEvent(new CustomEvent("seek", { detail: inside }));
  }

  #ruler() {
    const { view } = this;
    const { step, times } = view.marks(Math.max(3, this.plot.clientWidth / 110));
    const digits = step < 0.1 ? 2 : step < 1 ? 1 : 0;
    const elements = times.map((seconds) => {
      const mark = document.createElement("span");
      mark.textContent = clock(seconds + 1e-6, digits);
      mark.style.setProperty("--at", (seconds * view.rate - view.start) / view.length);
      return mark;
    });
    this.root.querySelector(".times").replaceChildren(...elements);
  }

  #labels() {
    for (const scale of this.root.querySelectorAll(".hertz")) {
      const shown = FREQUENCIES.filter((hz) => heightOf(hz, this.view.rate) < 0.94);
      scale.replaceChildren(
        ...shown.map((hz) => {
          const mark = document.createElement("span");
          mark.textContent = hz >= 1000 ? `${hz / 1000}k` : String(hz);
          mark.style.setProperty("--height", heightOf(hz, this.view.rate));
          return mark;
        }),
      );
    }
  }
}
