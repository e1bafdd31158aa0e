/** "Try it in your browser" of the page Listen: a recording through a model in a worker. Nothing leaves the page. */

const ROOT = new URL("../", import.meta.url);
const ORT = new URL("engine/vendor/ort.wasm.bundle.min.mjs", ROOT).href;
const MODELS = ["bsrnn-m", "bsrnn-xs"];
const BLOCK_SECONDS = 1;

/** Return an element with properties and children. */
function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** Enhance decoded audio and return the samples. */
async function enhanced(engine, buffer, model, progress) {
  const response = await fetch(new URL(`engine/models/${model}.onnx`, ROOT));
  const rows = Array.from({ length: buffer.numberOfChannels }, (_, c) => buffer.getChannelData(c));
  const rate = buffer.sampleRate;
  const options = { model: await response.arrayBuffer(), ort: ORT, rate, channels: rows.length };
  const worker = await engine.EnhancerWorker.open(options);
  const output = rows.map(() => new Float32Array(buffer.length));
  let at = 0;
  const take = (samples) => {
    samples.forEach((row, c) => output[c].set(row, at));
    at += samples[0].length;
    progress(at / buffer.length);
  };
  try {
    const size = BLOCK_SECONDS * rate;
    for (let n = 0; n < buffer.length; n += size) take(await worker.push(rows.map((row) => row.slice(n, n + size))));
    take(await worker.end());
  } finally {
    worker.close();
  }
  return output;
}

/** Show the form in place of the note. */
async function start(place) {
  const found = await fetch(ORT, { method: "HEAD" }).catch(() => null);
  if (!found?.ok) return;
  const engine = await import(new URL("engine/index.js", ROOT).href);
  const file = element("input", { type: "file", accept: "audio/*,video/*" });
  const model = element("select", {}, ...MODELS.map((name) => new Option(name, name)));
  const status = element("p", { role: "status" });
  const players = element("div");
  const run = async () => {
    if (!file.files[0]) return;
    players.replaceChildren();
    status.textContent = "Reading …";
    try {
      const context = new OfflineAudioContext(1, 1, 48000);
      const buffer = await context.decodeAudioData(await file.files[0].arrayBuffer());
      const rows = await enhanced(engine, buffer, model.value, (share) => {
        status.textContent = `Enhancing: ${Math.round(100 * share)} %`;
      });
      const wav = new Blob([engine.encodeWav(rows, buffer.sampleRate)], { type: "audio/wav" });
      status.textContent = "Before, and after:";
      for (const sound of [file.files[0], wav]) {
        players.append(element("audio", { controls: true, src: URL.createObjectURL(sound) }));
      }
    } catch (error) {
      status.textContent =
        error.name === "EncodingError" ? "Your browser cannot decode this file." : `This did not work: ${error.message}`;
    }
  };
  file.onchange = model.onchange = run;
  const form = element("p", {}, element("label", {}, "Recording ", file), " ", element("label", {}, "Model ", model));
  place.replaceChildren(form, status, players);
}

const place = document.querySelector("#try");
if (place) start(place);
