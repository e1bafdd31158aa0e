/** The page's side of an item's worker. */

import { SESSION } from "./session.js";

/** Time for a worker to delete its samples before it is ended. */
const REMOVE_MS = 10000;

let count = 0;

/** Sends commands and requests to the worker of one item; events as in `item/worker.js`. */
export class ItemClient extends EventTarget {
  constructor() {
    super();
    this.name = `item-${++count}`;
    this.requests = new Map();
    this.worker = new Worker(new URL("../item/worker.js", import.meta.url), { type: "module", name: this.name });
    this.worker.onmessage = ({ data }) => this.#receive(data);
    this.worker.onerror = (event) => this.#receive({ type: "failed", message: event.message ?? "worker" });
  }

  /** Fetch or compute the samples of a source (`item/worker.js`). */
  start(source, transfer = []) {
    this.worker.postMessage({ type: "start", source, session: SESSION, name: this.name }, transfer);
  }

  /** Add frames of a live recording. */
  append(values) {
    this.worker.postMessage({ type: "append", values }, [values.buffer]);
  }

  /** End a live recording. */
  finish() {
    this.worker.postMessage({ type: "finish" });
  }

  read(start, frames) {
    return this.request("read", { start, count: frames });
  }

  /** Send a request and return its value. */
  request(type, values = {}) {
    const id = ++count;
    return new Promise((resolve, reject) => {
      this.requests.set(id, { resolve, reject });
      this.worker.postMessage({ type, id, ...values });
    });
  }

  /** Stop the work, delete the samples and end the worker. */
  async remove() {
    this.worker.postMessage({ type: "cancel" });
    await Promise.race([this.request("remove"), new Promise((done) => setTimeout(done, REMOVE_MS))]).catch(() => {});
    this.worker.terminate();
  }

  #receive({ id, value, error, ...event }) {
    if (id === undefined) {
      this.dispatchEvent(new CustomEvent(event.type, { detail: event }));
      return;
    }
    const { resolve, reject } = this.requests.get(id);
    this.requests.delete(id);
    if (error) reject(Object.assign(new Error(error.message), { name: error.name }));
    else resolve(value);
  }
}
