/** What several tests need: models, signals, and ONNX Runtime Web. */

import { readFile } from "node:fs/promises";
import * as ort from "onnxruntime-web/wasm";

import { Network } from "../../../src/stillwave/web/static/engine/network.js";

const MODELS = new URL("../../../src/stillwave/pretrained/shipped/", import.meta.url);

export async function modelBytes(name) {
  return new Uint8Array(await readFile(new URL(`${name}.onnx`, MODELS)));
}

export async function network(name = "bsrnn-xs") {
  return Network.open(ort, await modelBytes(name));
}

/** Return reproducible noise (a linear congruential generator) of an amplitude. */
export function noise(length, amplitude = 0.1, seed = 1) {
  let state = seed;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return amplitude * (state / 2 ** 31 - 1);
  });
}

export function greatestDifference(a, b) {
  return a.reduce((most, value, n) => Math.max(most, Math.abs(value - b[n])), 0);
}
