/**
 * The worker that runs a network: files by messages, live signals by a port of the audio worklet.
 *
 * In: `open`, `push` (a block), `end` (no more blocks), `record` (true or false).
 * Out: `ready`, `samples`, `ended`, `recorded`, `load`, `error`. `live-link.js` handles the port.
 */

import { delayOf, dryMixOf, withoutFaults } from "./enhance.js";
import { LiveLink } from "./live-link.js";
import { Network } from "./network.js";
import { StreamingPipeline } from "./pipeline.js";

const TAIL_SECONDS = 0.1;
/** How long the network is run at most before live samples arrive, and the share of real time that is fast enough. */
const WARM_UP_SECONDS = 3;
const FAST_ENOUGH = 0.35;
/** Seconds of sound whose time is measured together. */
const MEASURED_SECONDS = 0.25;

let pipeline = null;
let link = null;
let rate = 0;
let received = 0;
let returned = 0;
/** Messages are handled one after the other, in their order. */
let queue = Promise.resolve();

const handlers = {
  async open({ ort: url, wasmPaths, model, rate: wanted, channels, limitDb, keepClean, port, ring, record }) {
    const ort = await import(url);
    if (wasmPaths) ort.env.wasm.wasmPaths = wasmPaths;
    const network = await Network.open(ort, model);
    rate = wanted;
    const make = () => new StreamingPipeline(network, channels, rate, rate, dryMixOf(limitDb), keepClean);
    if (port) await warmUp(make());
    pipeline = make();
    const delaySamples = delayOf(network.sampleRate, rate, network.hop);
    if (port) {
      const enhance = async (block) => (await pipeline.push([withoutFaults(block)]))[0];
      link = new LiveLink(port, rate, enhance, post, ring);
      if (record) link.record(true);
    }
    post({ type: "ready", delaySamples, sampleRate: network.sampleRate });
  },

  async push({ block }) {
    received += block[0].length;
    const samples = await pipeline.push(block.map(withoutFaults));
    returned += samples[0].length;
    post({ type: "samples", samples });
  },

  /** Return the rest, so that in all as many samples are returned as were received. */
  async end() {
    const silence = new Float32Array(Math.round(TAIL_SECONDS * rate));
    while (returned < received) {
      const left = received - returned;
      const samples = (await pipeline.push(pipeline.up.map(() => silence))).map((row) => row.slice(0, left));
      returned += samples[0].length;
      post({ type: "samples", samples });
    }
    post({ type: "ended", restarts: pipeline.restarts });
  },

  record({ on }) {
    link.record(on);
  },
};

/** Run the network before the first sample arrives, until the browser has compiled it well. */
async function warmUp(pipeline) {
  const block = Float32Array.from({ length: Math.round(rate / 100) }, () => 0.01 * (Math.random() - 0.5));
  const end = performance.now() + 1000 * WARM_UP_SECONDS;
  for (let took = Infinity; took > FAST_ENOUGH * MEASURED_SECONDS && performance.now() < end; ) {
    const start = performance.now();
    for (let n = 0; n < MEASURED_SECONDS * rate; n += block.length) await pipeline.push([block]);
    took = (performance.now() - start) / 1000;
  }
}

function post(message) {
  const rows = [message.samples, message.before, message.after].flat().filter(Boolean);
  postMessage(message, [...new Set(rows.map((row) => row.buffer))]);
}

self.onmessage = ({ data }) => {
  queue = queue
    .then(() => handlers[data.type](data))
    .catch((error) => postMessage({ type: "error", name: error.name, message: error.message }));
};
