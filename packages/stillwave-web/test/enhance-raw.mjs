/**
 * Enhance raw samples with the engine of the browser, for a comparison with Python (`tests/web/test_browser_engine.py`).
 *
 * Lines on stdin: JSON with `model`, `input`, `output` (files), `rate`, `channels`, `limitDb`, `keepClean`. Samples are 32-bit floats, one
 * channel after the other.
 */

import { readFile, writeFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import * as ort from "onnxruntime-web/wasm";

import { enhance } from "../../../src/stillwave/web/static/engine/enhance.js";
import { Network } from "../../../src/stillwave/web/static/engine/network.js";

const networks = new Map();

for await (const line of createInterface({ input: process.stdin })) {
  const { model, input, output, rate, channels, limitDb, keepClean } = JSON.parse(line);
  if (!networks.has(model)) networks.set(model, await Network.open(ort, await readFile(model)));
  const all = new Float32Array(new Uint8Array(await readFile(input)).buffer);
  const length = all.length / channels;
  const rows = Array.from({ length: channels }, (_, c) => all.slice(c * length, (c + 1) * length));
  const enhanced = await enhance(networks.get(model), rows, rate, { limitDb, keepClean });
  await writeFile(output, Buffer.concat(enhanced.map((row) => new Uint8Array(row.buffer))));
}
