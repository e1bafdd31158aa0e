/** Serve the folder of the package (`npx http-server`) after `npm install && npm run build`, and open `/example/`. */

import * as ort from "../node_modules/onnxruntime-web/dist/ort.wasm.bundle.min.mjs";
import { encodeWav, enhance, Network } from "../dist/index.js";

const [model, recording, status, player] = ["model", "recording", "status", "player"].map((id) => document.getElementById(id));

recording.onchange = model.onchange = async () => {
  if (!model.files[0] || !recording.files[0]) return;
  try {
    const network = await Network.open(ort, await model.files[0].arrayBuffer());
    const decoded = await new AudioContext().decodeAudioData(await recording.files[0].arrayBuffer());
    const channels = Array.from({ length: decoded.numberOfChannels }, (_, c) => decoded.getChannelData(c));
    const progress = (share) => (status.textContent = `${Math.round(100 * share)} %`);
    const clean = await enhance(network, channels, decoded.sampleRate, { progress });
    player.src = URL.createObjectURL(new Blob([encodeWav(clean, decoded.sampleRate)], { type: "audio/wav" }));
  } catch (error) {
    status.textContent = error.message;
  }
};
