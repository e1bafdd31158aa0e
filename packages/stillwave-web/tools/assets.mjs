/**
 * Copy ONNX Runtime Web, as `npm ci` installed it, to the page's `static/vendor`, with its licence and a list of hashes.
 *
 * The files must have the hashes in `assets.json`; `--write` records those that are there, after an update.
 */

import { createHash } from "node:crypto";
import { copyFile, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const SOURCE = here("../node_modules/onnxruntime-web/");
const TARGET = here("../../../src/stillwave/web/static/vendor/");
const LIST = here("assets.json");
const FILES = ["ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"];

const sha256 = async (file) => createHash("sha256").update(await readFile(file)).digest("hex");
const { version, license } = JSON.parse(await readFile(`${SOURCE}package.json`, "utf8"));
const found = Object.fromEntries(await Promise.all(FILES.map(async (name) => [name, await sha256(`${SOURCE}dist/${name}`)])));

if (process.argv.includes("--write")) {
  await writeFile(LIST, `${JSON.stringify({ "onnxruntime-web": version, sha256: found }, null, 2)}\n`);
}
const expected = JSON.parse(await readFile(LIST, "utf8"));
const wrong = FILES.filter((name) => expected.sha256[name] !== found[name]);
if (wrong.length) {
  console.error(`${wrong.join(", ")}: not the recorded SHA-256; run \`npm ci\`, or \`npm run assets -- --write\` after an update`);
  process.exit(1);
}
await rm(TARGET, { recursive: true, force: true });
await mkdir(TARGET, { recursive: true });
for (const name of FILES) await copyFile(`${SOURCE}dist/${name}`, TARGET + name);
await copyFile(here("../licences/onnxruntime-web.txt"), `${TARGET}LICENSE.txt`);
console.log(`ONNX Runtime Web ${version} (${license}) in ${TARGET}`);
