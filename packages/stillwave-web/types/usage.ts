/** Compiled by `npm run types`: the types fit what the README shows. */

import { enhance, EnhancerWorker, LiveProcessor, Network, Stream } from "stillwave-web";

export async function usage(ort: object, model: ArrayBuffer, noisy: Float32Array, context: AudioContext, mic: MediaStream) {
  const network = await Network.open(ort, model);
  const [clean] = await enhance(network, [noisy], 48_000, { limitDb: 20, progress: (share) => console.log(share) });
  const stream = new Stream(network, { rate: 48_000, keepClean: true });
  const [block] = await stream.process([noisy.subarray(0, 480)]);
  const worker = await EnhancerWorker.open({ model, ort: "/vendor/ort.wasm.bundle.min.mjs", rate: 48_000 });
  const parts = [await worker.push([noisy]), await worker.end()];
  const source = context.createMediaStreamSource(mic);
  const live = await LiveProcessor.start(source, { model, ort: "/vendor/ort.wasm.bundle.min.mjs" });
  live.addEventListener("meter", ({ detail }) => console.log(detail.underruns, detail.after.rms));
  return [clean.length, block.length, parts.length, live.latency];
}
