/** Enhance in a worker, so that the page stays responsive. */

import { StillwaveError } from "./errors.js";

/**
 * A network in a worker of its own. Blocks go in, samples come out, in all as many; output sample i is the estimate of
 * input sample i. `close` ends the worker and frees its memory.
 */
export class EnhancerWorker {
  /**
   * Start a worker and open a model in it.
   * @param {object} options
   * @param {ArrayBuffer | Uint8Array} options.model Bytes of the `.onnx` file.
   * @param {string} options.ort Address of `ort.wasm.bundle.min.mjs` of onnxruntime-web; its `.wasm` lies beside it.
   * @param {number} options.rate Sampling rate of input and output in Hz.
   * @param {number} [options.channels] Number of channels.
   * @param {number | null} [options.limitDb] Greatest reduction of noise in dB.
   * @param {boolean} [options.keepClean] Leave clean sound as it is.
   * @param {Worker} [options.worker] Worker to use instead of `worker.js` beside this file.
   * @param {MessagePort} [options.port] Port of an audio worklet, for live signals.
   * @param {SharedArrayBuffer} [options.ring] Ring buffer of the worklet.
   * @param {boolean} [options.record] Record from the first live sample on.
   */
  static async open(options) {
    const { model, ort, rate, channels = 1, limitDb = null, worker = makeWorker(), port } = options;
    const { keepClean = false, wasmPaths, record, ring } = options;
    const opened = new EnhancerWorker(worker);
    const signal = { rate, channels, limitDb, keepClean };
    const message = { type: "open", model, ort: absolute(ort), wasmPaths, ...signal, port, ring, record };
    try {
      const ready = await opened.request(message, "ready", port ? [port] : []);
      return Object.assign(opened, {
        rate,
        channels,
        delaySamples: ready.delaySamples,
        sampleRate: ready.sampleRate,
      });
    } catch (error) {
      opened.close();
      throw error;
    }
  }

  constructor(worker) {
    this.worker = worker;
    /** Requests whose answer has not arrived, in order. */
    this.pending = [];
    this.rest = [];
    this.listeners = new Map();
    worker.onmessage = ({ data }) => this.#receive(data);
    worker.onerror = (event) => {
      event.preventDefault?.();
      this.#fail(new StillwaveError(`the worker could not be started: ${event.message ?? "its script did not load"}`));
    };
  }

  /** Enhance the next block (one array a channel) and return the samples that are complete. */
  async push(block) {
    return (await this.request({ type: "push", block }, "samples")).samples;
  }

  /** Return the rest of the samples. The worker takes no more blocks afterwards. */
  async end() {
    this.rest = Array.from({ length: this.channels }, () => []);
    await this.request({ type: "end" }, "ended");
    return this.rest.map((parts) => {
      const row = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
      let at = 0;
      for (const part of parts) {
        row.set(part, at);
        at += part.length;
      }
      return row;
    });
  }

  /** End the worker; requests without an answer are refused. */
  close() {
    this.worker.terminate();
    this.#fail(new DOMException("the worker was closed", "AbortError"));
  }

  /** Call `listener` with each message of a type that is no answer to a request. */
  on(type, listener) {
    this.listeners.set(type, listener);
  }

  request(message, answer, transfer = []) {
    return new Promise((resolve, reject) => {
      this.pending.push({ answer, resolve, reject });
      this.worker.postMessage(message, transfer);
    });
  }

  #receive(data) {
    if (data.type === "error") {
      this.#fail(new StillwaveError(data.message));
      this.listeners.get("error")?.(data);
    } else if (this.pending[0]?.answer === data.type) {
      this.pending.shift().resolve(data);
    } else if (data.type === "samples") {
      data.samples.forEach((row, c) => this.rest[c].push(row));
    } else {
      this.listeners.get(data.type)?.(data);
    }
  }

  #fail(error) {
    for (const { reject } of this.pending.splice(0)) reject(error);
  }
}

function makeWorker() {
  return new Worker(new URL("./worker.js", import.meta.url), { type: "module", name: "stillwave" });
}

function absolute(address) {
  return new URL(address, self.location?.href).href;
}
