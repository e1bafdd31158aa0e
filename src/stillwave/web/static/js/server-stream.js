/** The live stream of the server (`WS /v1/stream`) in place of a network in the browser. */

import { EnhancerWorker } from "../engine/enhancer-worker.js";
import { streamUrl } from "./api.js";

/** Open a stream: as `EnhancerWorker.open`, with `modelName` in place of the model's bytes. */
export async function openServerStream({ rate, port, ring, modelName, keepClean, record }) {
  const worker = new Worker(new URL("./server-stream-worker.js", import.meta.url), { type: "module" });
  const stream = new EnhancerWorker(worker);
  const message = { type: "open", url: streamUrl(), rate, model: modelName, keepClean, port, ring, record };
  try {
    const { delaySamples } = await stream.request(message, "ready", [port]);
    return Object.assign(stream, { rate, channels: 1, delaySamples });
  } catch (error) {
    stream.close();
    throw error;
  }
}
