/**
 * The worker of one item: fetches or computes its samples, keeps them, and answers what the page asks of them.
 *
 * In: `start`, `append` (a live recording), `finish`, `cancel`, and requests with an `id`: `read`, `columns`,
 * `loudness`, `export`, `remove`. Out: `begin`, `progress`, `done`, `failed`, and answers with the request's `id`.
 */

import { wavHeader, wavSamples } from "../engine/wav.js";
import { LoudnessMeter } from "./loudness.js";
import { fromBrowser, fromServer } from "./sources.js";
import { Spectrogram } from "./spectrogram.js";
import { openStore, OutputFile } from "./store.js";

const PROGRESS_MS = 100;
/** Frames that are mixed at once for an export. */
const EXPORT_FRAMES = 2 ** 16;
const ROWS = 160;

const abort = new AbortController();
let store = null;
let facts = null;
let meter = null;
let spectrogram = null;
let reported = 0;

const commands = {
  async start({ source, session, name }) {
    store = await openStore(session, name);
    if (source.kind === "live") return begin(source);
    const blocks = (source.kind === "server" ? fromServer : fromBrowser)(source, abort.signal, begin);
    for await (const values of blocks) add(values);
    return finish();
  },
  append({ values }) {
    add(values);
  },
  finish,
  cancel() {
    abort.abort();
  },
};

const requests = {
  read({ start, count }) {
    const width = 2 * facts.channels;
    return store.read(start * width, count * width);
  },
  columns(range) {
    return spectrogram.columns(store, range);
  },
  loudness({ dry }) {
    return { before: meter.loudness(1), after: meter.loudness(dry) };
  },
  export: exportMix,
  remove() {
    return store?.remove();
  },
};

function begin(found) {
  facts = { rate: found.rate, channels: found.channels, frames: found.frames };
  meter = new LoudnessMeter(facts.rate, facts.channels);
  spectrogram = new Spectrogram(facts.rate, facts.channels, ROWS);
  postMessage({ type: "begin", facts, rows: ROWS });
}

function add(values) {
  store.append(values);
  meter.push(values);
  if (performance.now() - reported > PROGRESS_MS) {
    reported = performance.now();
    postMessage({ type: "progress", frames: frames() });
  }
}

function finish() {
  if (facts === null || frames() === 0) throw Object.assign(new Error("noSound"), { name: "Texts" });
  facts.frames = frames();
  postMessage({ type: "done", frames: facts.frames });
}

function frames() {
  return store.length / (2 * facts.channels);
}

/** Write dry · before + (1 − dry) · after as a WAV file and return it as a `Blob`. */
async function exportMix({ dry, float }) {
  const { rate, channels } = facts;
  const output = await OutputFile.open(store);
  output.write(wavHeader({ rate, channels, frames: facts.frames, float }));
  for (let at = 0; at < facts.frames; at += EXPORT_FRAMES) {
    const count = Math.min(EXPORT_FRAMES, facts.frames - at);
    const values = requests.read({ start: at, count });
    output.write(wavSamples(mixed(values, channels, dry), float));
  }
  return output.finish("audio/wav");
}

function mixed(values, channels, dry) {
  const count = values.length / (2 * channels);
  return Array.from({ length: channels }, (_, c) => {
    const row = new Float32Array(count);
    for (let n = 0, at = c; n < count; n++, at += 2 * channels) {
      row[n] = values[at + channels] + dry * (values[at] - values[at + channels]);
    }
    return row;
  });
}

function failed(error) {
  if (abort.signal.aborted) return;
  const { name, message, status, retryAfter } = error;
  postMessage({ type: "failed", name, message, status, retryAfter });
}

self.onmessage = async ({ data }) => {
  if (data.id === undefined) {
    try {
      await commands[data.type](data);
    } catch (error) {
      failed(error);
    }
    return;
  }
  try {
    postMessage({ id: data.id, value: await requests[data.type](data) });
  } catch (error) {
    postMessage({ id: data.id, error: { name: error.name, message: error.message } });
  }
};
