/**
 * The link between an audio worklet and what enhances its blocks: a network in this worker, or a server.
 *
 * Blocks arrive on `port` as `Float32Array`s. The enhanced samples return on it, aligned with the input by their count:
 * sample i of all that were returned belongs to sample i of all that were received.
 */

import { joined } from "./stft.js";

const LOAD_SECONDS = 1;

/** Enhance the blocks of a port in order, measure the load, and record. */
export class LiveLink {
  /**
   * @param {MessagePort} port Port of the worklet.
   * @param {number} rate Sampling rate in Hz.
   * @param {(block: Float32Array) => Promise<Float32Array>} push Enhance a block; return the samples that are complete.
   * @param {(message: object) => void} post Send a message to the page.
   * @param {SharedArrayBuffer} [memory] Ring buffer of the worklet (`live-worklet.js`); else samples are messages.
   */
  constructor(port, rate, push, post, memory) {
    Object.assign(this, { port, rate, push, post });
    this.ring = memory ? { counter: new Int32Array(memory, 0, 1), samples: new Float32Array(memory, 4) } : null;
    /** Input whose estimate is not complete. */
    this.waiting = new Float32Array(0);
    this.received = 0;
    this.returned = 0;
    /** Input sample after the last that is recorded; 0 while nothing is recorded. */
    this.until = 0;
    this.busy = { milliseconds: 0, samples: 0 };
    let queue = Promise.resolve();
    port.onmessage = ({ data }) => {
      queue = queue.then(() => this.#enhance(data)).catch((error) => post({ type: "error", message: error.message }));
    };
  }

  /** Start to record with the next sample, or end with the last one that was received. */
  record(on) {
    this.until = on ? Infinity : this.received;
    if (!on && this.returned >= this.until) this.#recorded();
  }

  async #enhance(block) {
    this.received += block.length;
    this.waiting = joined(this.waiting, block);
    const start = performance.now();
    const samples = await this.push(block);
    this.#measure(performance.now() - start, block.length);
    this.take(samples);
  }

  /** Return enhanced samples to the worklet, and to the page if they are recorded. */
  take(samples) {
    const first = this.returned;
    this.returned += samples.length;
    const before = this.waiting.slice(0, samples.length);
    this.waiting = this.waiting.slice(samples.length);
    if (this.until > first) {
      const count = Math.min(samples.length, this.until - first);
      this.post({ type: "recording", before: before.slice(0, count), after: samples.slice(0, count) });
      if (this.returned >= this.until) this.#recorded();
    }
    if (this.ring) this.#write(samples, first);
    else this.port.postMessage(samples, [samples.buffer]);
  }

  #write(samples, first) {
    const ring = this.ring.samples;
    for (let n = 0; n < samples.length; n++) ring[(first + n) & (ring.length - 1)] = samples[n];
    Atomics.store(this.ring.counter, 0, (first + samples.length) | 0);
  }

  #recorded() {
    this.until = 0;
    this.post({ type: "recorded" });
  }

  #measure(milliseconds, samples) {
    const { busy } = this;
    busy.milliseconds += milliseconds;
    busy.samples += samples;
    const seconds = busy.samples / this.rate;
    if (seconds < LOAD_SECONDS) return;
    this.post({ type: "load", load: busy.milliseconds / 1000 / seconds });
    this.busy = { milliseconds: 0, samples: 0 };
  }
}
