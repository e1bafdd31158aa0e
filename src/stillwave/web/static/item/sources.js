/** Where the samples of an item come from: the server, or a network in this browser. Both yield interleaved frames. */

import { EnhancerWorker } from "../engine/enhancer-worker.js";
import { WavReader } from "../engine/wav.js";

const READ_BYTES = 2 ** 20;
const BLOCK_SECONDS = 2;

/**
 * Send a file to the server and yield what returns, as it arrives.
 * @param {{url: string, file: Blob}} source
 * @param {(facts: object) => void} begin Called once with `{rate, channels, frames}`; `frames` is null if unknown.
 */
export async function* fromServer({ url, file }, signal, begin) {
  const response = await fetch(url, { method: "POST", body: file, signal });
  if (!response.ok) throw await problem(response);
  const duration = Number(response.headers.get("Stillwave-Duration"));
  const reader = new WavReader();
  const stream = response.body.getReader();
  let begun = false;
  for (;;) {
    const { done, value } = await stream.read();
    if (done) return;
    const values = reader.pushInterleaved(value);
    if (values === null) continue;
    if (!begun) {
      begun = true;
      const { rate, channels, frames } = reader.format;
      begin({ rate, channels: channels / 2, frames: frames ?? (duration ? Math.round(duration * rate) : null) });
    }
    if (values.length) yield values;
  }
}

/** Return the error that a response states (RFC 9457). */
async function problem(response) {
  const details = await response.json().catch(() => ({}));
  const error = new Error(details.detail ?? details.title ?? `HTTP ${response.status}`);
  error.name = "Problem";
  error.status = response.status;
  error.retryAfter = Number(response.headers.get("Retry-After")) || null;
  return error;
}

/**
 * Enhance a WAV file or decoded samples with a network in a worker.
 * @param {object} source Either `file` (a WAV file) or `decoded` (`{rate, rows}`), and `model`, `ort` and `keepClean` as for
 *   `EnhancerWorker.open`.
 */
export async function* fromBrowser({ file, decoded, model, ort, keepClean }, signal, begin) {
  const blocks = decoded ? decodedBlocks(decoded) : wavBlocks(file);
  const first = await blocks.next();
  const { rate, channels, frames } = first.value;
  const enhancer = await EnhancerWorker.open({ model, ort, rate, channels, keepClean });
  signal.addEventListener("abort", () => enhancer.close(), { once: true });
  begin({ rate, channels, frames });
  const pairs = new Pairs(channels);
  try {
    for await (const rows of blocks) {
      signal.throwIfAborted();
      if (!rows.every((row) => row.every(Number.isFinite))) throw textError("notNumbers");
      pairs.wait(rows);
      const values = pairs.join(await enhancer.push(rows));
      if (values.length) yield values;
    }
    const values = pairs.join(await enhancer.end());
    if (values.length) yield values;
  } finally {
    enhancer.close();
  }
}

/** Joins samples with their estimates, which arrive later, to interleaved frames. */
export class Pairs {
  constructor(channels) {
    this.channels = channels;
    this.waiting = [];
    this.offset = 0;
  }

  /** Keep the samples of a block (one array a channel) until their estimates arrive. */
  wait(rows) {
    this.waiting.push(rows);
  }

  /** Return the frames of the estimates that have arrived. */
  join(after) {
    const { channels } = this;
    const count = after[0].length;
    const values = new Float32Array(2 * channels * count);
    for (let n = 0; n < count; n++) {
      const rows = this.waiting[0];
      for (let c = 0; c < channels; c++) {
        values[2 * channels * n + c] = rows[c][this.offset];
        values[2 * channels * n + channels + c] = after[c][n];
      }
      if (++this.offset === rows[0].length) {
        this.waiting.shift();
        this.offset = 0;
      }
    }
    return values;
  }
}

/** Yield the format, then blocks of one array a channel. */
async function* decodedBlocks({ rate, rows }) {
  const frames = rows[0].length;
  yield { rate, channels: rows.length, frames };
  for (let at = 0; at < frames; at += BLOCK_SECONDS * rate) {
    yield rows.map((row) => row.slice(at, at + BLOCK_SECONDS * rate));
  }
}

/** As `decodedBlocks`, reading a WAV file piece by piece. */
async function* wavBlocks(file) {
  const reader = new WavReader();
  let begun = false;
  for (let at = 0; at < file.size; at += READ_BYTES) {
    const bytes = new Uint8Array(await file.slice(at, at + READ_BYTES).arrayBuffer());
    const rows = reader.push(bytes);
    if (rows === null) continue;
    if (!begun) {
      begun = true;
      const { rate, channels, bits, frames } = reader.format;
      if (reader.end > file.size) throw textError("cutShort");
      const most = Math.floor(file.size / ((channels * bits) / 8));
      yield { rate, channels, frames: Math.min(frames ?? most, most) };
    }
    if (rows[0].length) yield rows;
  }
  if (!begun) throw textError("brokenWav");
}

/** Return an error whose sentence the page has (`js/problems.js`). */
function textError(message) {
  return Object.assign(new Error(message), { name: "Texts" });
}
