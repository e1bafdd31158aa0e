/** Requests to the server, and the parts of the in-browser mode. */

const ROOT = new URL("../../", import.meta.url);
/** Where `make web-assets` puts ONNX Runtime Web. */
export const ORT = new URL("../vendor/ort.wasm.bundle.min.mjs", import.meta.url).href;

/** Return the models, limits and formats (`GET /v1/models`). */
export async function models() {
  const response = await fetch(new URL("v1/models", ROOT));
  if (!response.ok) throw await problem(response);
  return response.json();
}

/** Whether the in-browser mode is installed. */
export async function hasEngine() {
  const response = await fetch(ORT, { method: "HEAD" }).catch(() => null);
  return Boolean(response?.ok);
}

const modelFiles = new Map();

/** Return the bytes of a model's file; each is fetched once. */
export async function modelFile(name) {
  if (!modelFiles.has(name)) {
    const load = fetch(new URL(`v1/models/${encodeURIComponent(name)}/onnx`, ROOT)).then(async (response) => {
      if (!response.ok) throw await problem(response);
      return response.arrayBuffer();
    });
    modelFiles.set(name, load);
    load.catch(() => modelFiles.delete(name));
  }
  return modelFiles.get(name);
}

/** Return the address of `POST /v1/enhance` with its options; those without a value are left out. */
export function enhanceUrl(options) {
  return addressed("v1/enhance", options);
}

/** Return a WAV file in another format (`POST /v1/convert`). */
export async function convert(wav, format, name) {
  return posted(addressed("v1/convert", { format, name }), wav);
}

/** Return a file of another format that the server makes of the original: its container, pictures and metadata stay. */
export async function enhanceAgain(file, options) {
  return posted(enhanceUrl(options), file);
}

/** Return the address of the live stream. */
export function streamUrl() {
  const url = new URL("v1/stream", ROOT);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}

function addressed(path, options) {
  const url = new URL(path, ROOT);
  for (const [name, value] of Object.entries(options)) {
    if (value !== null && value !== undefined) url.searchParams.set(name, value);
  }
  return url.href;
}

async function posted(url, body) {
  const response = await fetch(url, { method: "POST", body });
  if (!response.ok) throw await problem(response);
  return response.blob();
}

async function problem(response) {
  const details = await response.json().catch(() => ({}));
  return new Error(details.detail ?? details.title ?? `HTTP ${response.status}`);
}
