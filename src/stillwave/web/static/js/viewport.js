/** Which part of a recording is shown, in frames. */

/** Shortest part that is shown, in seconds. */
const SHORTEST_SECONDS = 0.25;

export class Viewport {
  constructor(rate, frames) {
    Object.assign(this, { rate, frames });
    this.start = 0;
    this.length = frames;
  }

  get zoomed() {
    return this.length < this.frames;
  }

  /** Show `factor` times less around the frame `centre`, which stays where it is. */
  zoom(factor, centre = this.start + this.length / 2) {
    const shortest = Math.min(this.frames, SHORTEST_SECONDS * this.rate);
    const length = Math.max(shortest, Math.min(this.frames, this.length / factor));
    const share = (centre - this.start) / this.length;
    this.length = length;
    this.move(centre - share * length - this.start);
  }

  /** Move by a number of frames. */
  move(frames) {
    this.start = Math.max(0, Math.min(this.frames - this.length, this.start + frames));
  }

  /** Show everything. */
  all() {
    this.start = 0;
    this.length = this.frames;
  }

  /** Move so that the frame is shown; return whether that was necessary. */
  follow(frame) {
    if (frame >= this.start && frame < this.start + this.length) return false;
    const before = this.start;
    this.move(frame - this.start - 0.1 * this.length);
    return this.start !== before;
  }

  /** Return times for marks, about `count` of them, at a round distance: `{step, times}`, in seconds. */
  marks(count) {
    const seconds = this.length / this.rate / count;
    const steps = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];
    const step = steps.find((value) => value >= seconds) ?? 7200;
    const first = Math.ceil(this.start / this.rate / step);
    const last = Math.floor((this.start + this.length) / this.rate / step);
    return { step, times: Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => (first + i) * step) };
  }
}
