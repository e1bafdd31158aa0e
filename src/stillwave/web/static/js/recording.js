/** A recording and its way from a file to before and after. */

import { enhanceUrl, modelFile, ORT } from "./api.js";
import { decode, isWav } from "./decode.js";
import { ItemClient } from "./item-client.js";
import { reason } from "./problems.js";

/** Times that a busy server is asked again. */
const TRIES = 20;
const RETRY_SECONDS = 3;

/**
 * Status: waiting, sending, working, done, failed. Events: `change` (any of it), `begin` (facts are there), `progress`,
 * `done`.
 */
export class Recording extends EventTarget {
  /**
   * @param {{file?: File, name: string, model: string, where: "server" | "browser" | "live", keepClean: boolean}} options
   */
  constructor({ file = null, name, model, where, keepClean }) {
    super();
    Object.assign(this, { file, name, model, where, keepClean });
    this.#reset();
  }

  #reset() {
    this.status = "waiting";
    this.facts = null;
    this.available = 0;
    this.error = null;
    this.retryIn = 0;
    this.client = null;
  }

  /** Share that is finished, 0 … 1, or null if the length is not known. */
  get share() {
    return this.facts?.frames ? Math.min(1, this.available / this.facts.frames) : null;
  }

  /** Estimated seconds until the end, or null. */
  get left() {
    const passed = (performance.now() - this.began) / 1000;
    return this.share > 0.02 && passed > 1 ? (passed / this.share) * (1 - this.share) : null;
  }

  /** Enhance with other settings from the beginning on. */
  async again(settings) {
    const { client } = this;
    this.#reset();
    Object.assign(this, settings);
    this.#changed();
    await client?.remove();
  }

  /** Enhance; resolves when it has ended, whatever the result. */
  async run() {
    for (let tries = 1; ; tries++) {
      const error = await this.#attempt();
      if (!error || this.status === "removed") return;
      if (error.status !== 429 || tries === TRIES) {
        this.fail(error);
        return;
      }
      await this.#wait(error.retryAfter ?? RETRY_SECONDS);
    }
  }

  async #attempt() {
    this.status = this.where === "server" ? "sending" : "reading";
    this.began = performance.now();
    this.#changed();
    const client = this.#listen(new ItemClient());
    const ended = new Promise((resolve) => {
      client.addEventListener("done", () => resolve(null));
      client.addEventListener("failed", ({ detail }) => resolve(detail));
      this.addEventListener("removed", () => resolve(null), { once: true });
    });
    try {
      client.start(...(await this.#source()));
    } catch (error) {
      return error;
    }
    return ended;
  }

  async #source() {
    if (this.where === "server") {
      const options = { model: this.model, keep_clean: this.keepClean, format: "wav", original: 1, name: this.name };
      return [{ kind: "server", url: enhanceUrl(options), file: this.file }];
    }
    const source = { kind: "browser", ort: ORT, model: await modelFile(this.model), keepClean: this.keepClean };
    if (await isWav(this.file)) return [{ ...source, file: this.file }];
    const decoded = await decode(this.file);
    return [{ ...source, decoded }, decoded.rows.map((row) => row.buffer)];
  }

  /** Begin a live recording; `append` and `finish` complete it. */
  live(rate) {
    const client = this.#listen(new ItemClient());
    client.start({ kind: "live", rate, channels: 1, frames: null });
    this.began = performance.now();
    const begun = new Promise((resolve) => client.addEventListener("begin", resolve, { once: true }));
    let queue = begun;
    return {
      append: (values) => (queue = queue.then(() => client.append(values))),
      finish: () => (queue = queue.then(() => client.finish())),
    };
  }

  #listen(client) {
    this.client = client;
    client.addEventListener("begin", ({ detail }) => {
      this.status = "working";
      this.facts = detail.facts;
      this.rows = detail.rows;
      this.began = performance.now();
      this.#changed("begin");
    });
    client.addEventListener("progress", ({ detail }) => {
      this.available = detail.frames;
      this.#changed("progress");
    });
    client.addEventListener("done", ({ detail }) => {
      this.status = "done";
      this.available = detail.frames;
      this.facts.frames = detail.frames;
      this.seconds = (performance.now() - this.began) / 1000;
      this.#changed("done");
    });
    return client;
  }

  async #wait(seconds) {
    this.client.remove();
    this.status = "waiting";
    for (this.retryIn = seconds; this.retryIn > 0 && this.status !== "removed"; this.retryIn--) {
      this.#changed();
      await new Promise((done) => setTimeout(done, 1000));
    }
    this.retryIn = 0;
  }

  fail(error) {
    this.status = "failed";
    this.error = reason(error);
    this.#changed();
  }

  /** Stop the work and free the samples. */
  async remove() {
    this.status = "removed";
    this.dispatchEvent(new Event("removed"));
    await this.client?.remove();
  }

  #changed(type) {
    if (this.status === "removed") return;
    if (type) this.dispatchEvent(new Event(type));
    this.dispatchEvent(new Event("change"));
  }
}
