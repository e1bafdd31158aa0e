import assert from "node:assert/strict";
import { before, test } from "node:test";

import { enhance, enhanceBlocks, Stream } from "../../../src/stillwave/web/static/engine/enhance.js";
import { readMetadata } from "../../../src/stillwave/web/static/engine/metadata.js";
import { Network } from "../../../src/stillwave/web/static/engine/network.js";
import { greatestDifference, modelBytes, network, noise } from "./support.mjs";

let model;
before(async () => (model = await network()));

test("the metadata of a shipped model are read from its file", async () => {
  const meta = readMetadata(await modelBytes("bsrnn-m"));
  assert.deepEqual([meta.sampleRate, meta.nFft, meta.hop, meta.precision], [16000, 512, 256, "float32"]);
  assert.ok(Object.keys(meta.states).length > 0);
});

test("a file that is no model is refused with one sentence", async () => {
  await assert.rejects(Network.open({}, new TextEncoder().encode("<html>")), { name: "StillwaveError", message: /ONNX/ });
  assert.throws(() => readMetadata(new Uint8Array(0)), { name: "StillwaveError" });
});

for (const rate of [16000, 44100]) {
  test(`a stream in blocks of any size equals the whole signal at ${rate} Hz`, async () => {
    const x = noise(rate);
    const [whole] = await enhance(model, [x], rate);
    assert.equal(whole.length, x.length);
    const stream = new Stream(model, { rate });
    const y = [];
    for (let at = 0, size = 1; at < x.length; at += size, size = (size * 13) % 4099) {
      const [block] = await stream.process([x.slice(at, at + size)]);
      assert.equal(block.length, Math.min(size, x.length - at));
      y.push(...block);
    }
    y.push(...(await stream.flush())[0]);
    assert.equal(y.length, x.length + stream.delaySamples);
    assert.ok(y.slice(0, stream.delaySamples).every((value) => value === 0));
    assert.ok(greatestDifference(y.slice(stream.delaySamples), whole) < 1e-5);
  });
}

test("channels are enhanced separately", async () => {
  const [a, b] = [noise(8000, 0.1, 1), noise(8000, 0.2, 2)];
  const both = await enhance(model, [a, b], 16000);
  const alone = [await enhance(model, [a], 16000), await enhance(model, [b], 16000)];
  both.forEach((row, c) => assert.ok(greatestDifference(row, alone[c][0]) < 1e-5));
});

test("limitDb mixes the input into the output", async () => {
  const x = noise(8000);
  const [wet] = await enhance(model, [x], 16000);
  const [half] = await enhance(model, [x], 16000, { limitDb: 20 * Math.log10(2) });
  assert.ok(greatestDifference(half, x.map((value, n) => (value + wet[n]) / 2)) < 1e-6);
  const [dry] = await enhance(model, [x], 16000, { limitDb: 0 });
  assert.ok(greatestDifference(dry, x) < 1e-6);
});

test("keepClean returns what is clean, and a stream gives what a recording gives", async () => {
  const x = Float32Array.from({ length: 48000 }, (_, n) => {
    const syllables = Math.max(0, Math.sin((2 * Math.PI * 3 * n) / 16000)) ** 2;
    let voice = 0;
    for (let k = 1; k < 20; k++) voice += Math.sin((2 * Math.PI * 140 * k * n) / 16000) / k;
    return 0.05 * voice * syllables;
  });
  const [usual] = await enhance(model, [x], 16000);
  const [kept] = await enhance(model, [x], 16000, { keepClean: true });
  const error = (y) => y.reduce((sum, value, n) => sum + (value - x[n]) ** 2, 0);
  assert.ok(error(kept) < 0.5 * error(usual));
  const stream = new Stream(model, { keepClean: true });
  const y = [];
  for (let at = 0; at < x.length; at += 480) y.push(...(await stream.process([x.slice(at, at + 480)]))[0]);
  y.push(...(await stream.flush())[0]);
  assert.ok(greatestDifference(y.slice(stream.delaySamples), kept) < 1e-5);
});

test("digital silence gives digital silence, and faults do not spread", async () => {
  const [silent] = await enhance(model, [new Float32Array(4000)], 16000);
  assert.ok(silent.every((value) => value === 0));
  const x = noise(16000);
  const faulty = x.slice();
  faulty.set([NaN, Infinity, 1e30], 100);
  const repaired = x.slice();
  repaired.fill(0, 100, 103);
  const [a] = await enhance(model, [faulty], 16000);
  const [b] = await enhance(model, [repaired], 16000);
  assert.equal(greatestDifference(a, b), 0);
});

test("an invalid estimate silences its frames and resets the state", async () => {
  let calls = 0;
  const failing = Object.create(model, {
    step: {
      async value(...args) {
        const result = await model.step(...args);
        if (++calls === 2) result.estimate.fill(NaN);
        return result;
      },
    },
  });
  const x = noise(16000);
  const parts = [];
  const blocks = [0, 1, 2, 3].map((i) => [x.slice(4000 * i, 4000 * (i + 1))]);
  for await (const [block] of enhanceBlocks(failing, blocks, 16000, 1)) parts.push(...block);
  assert.equal(parts.length, x.length);
  assert.ok(parts.every(Number.isFinite));
});

test("what is wrong with an argument is said in one sentence", async () => {
  await assert.rejects(enhance(model, [new Float32Array(9)], 12.5), /whole number of Hz/);
  await assert.rejects(enhance(model, new Float32Array(9), 16000), /one Float32Array for each channel/);
  await assert.rejects(enhance(model, [new Float32Array(9)], 16000, { limitDb: -1 }), /0 dB or more/);
});
