import assert from "node:assert/strict";
import { test } from "node:test";

import { LoudnessMeter } from "../../../src/stillwave/web/static/item/loudness.js";
import { Pairs } from "../../../src/stillwave/web/static/item/sources.js";
import { Spectrogram } from "../../../src/stillwave/web/static/item/spectrogram.js";
import { crc32, uniqueNames, zip } from "../../../src/stillwave/web/static/js/zip.js";

/** Frames of one channel: before is a sine, after the same at a tenth. */
function frames(hz, rate, seconds, amplitude = 1) {
  const values = new Float32Array(2 * rate * seconds);
  for (let n = 0; n < values.length / 2; n++) {
    values[2 * n] = amplitude * Math.sin((2 * Math.PI * hz * n) / rate);
    values[2 * n + 1] = values[2 * n] / 10;
  }
  return values;
}

test("a sine of 997 Hz and full scale has −3.01 LUFS, a tenth of it 20 LU less", () => {
  const meter = new LoudnessMeter(48000, 1);
  meter.push(frames(997, 48000, 2));
  assert.ok(Math.abs(meter.loudness(1) + 3.01) < 0.01);
  assert.ok(Math.abs(meter.loudness(0) + 23.01) < 0.01);
  const half = 20 * Math.log10(0.55); // 0.5 · 1 + 0.5 · 0.1
  assert.ok(Math.abs(meter.loudness(0.5) - (half - 3.01)) < 0.01);
});

test("pauses do not lower the loudness, silence has none", () => {
  const meter = new LoudnessMeter(16000, 1);
  meter.push(frames(997, 16000, 2, 0.1));
  const loud = meter.loudness(1);
  meter.push(new Float32Array(2 * 16000 * 8));
  assert.ok(Math.abs(meter.loudness(1) - loud) < 1);
  const silent = new LoudnessMeter(16000, 1);
  silent.push(new Float32Array(64000));
  assert.equal(silent.loudness(1), null);
});

test("the spectrogram of a sine is brightest at its frequency, and 20 dB darker after", () => {
  const values = frames(1000, 16000, 1);
  const store = { read: (start, count) => values.slice(start, start + count) };
  const spectrogram = new Spectrogram(16000, 1, 100);
  const { before, after } = spectrogram.columns(store, { start: 0, step: 1600, count: 10, dry: 0 });
  const column = (levels, c) => Array.from({ length: 100 }, (_, row) => levels[row * 10 + c]);
  const brightest = column(before, 5).indexOf(255);
  const inMel = (hz) => Math.log1p(hz / 700);
  const expected = 100 * (1 - (inMel(1000) - inMel(60)) / (inMel(8000) - inMel(60)));
  assert.ok(Math.abs(brightest - expected) <= 2, `${brightest}, ${expected}`);
  assert.ok(Math.abs(255 - column(after, 5)[brightest] - (255 * 20) / 72) < 2);
});

test("samples and estimates are joined in order, whatever their blocks", () => {
  const pairs = new Pairs(1);
  pairs.wait([Float32Array.of(1, 2, 3)]);
  pairs.wait([Float32Array.of(4)]);
  assert.deepEqual([...pairs.join([Float32Array.of(10, 20)])], [1, 10, 2, 20]);
  pairs.wait([Float32Array.of(5, 6)]);
  assert.deepEqual([...pairs.join([Float32Array.of(30, 40, 50, 60)])], [3, 30, 4, 40, 5, 50, 6, 60]);
});

test("checksums and names of an archive", async () => {
  assert.equal(await crc32(new Blob(["123456789"])), 0xcbf43926);
  assert.deepEqual(uniqueNames(["a.wav", "b.wav", "a.wav"]), ["a.wav", "b.wav", "a (2).wav"]);
  const bytes = new Uint8Array(await (await zip([{ name: "ä.txt", blob: new Blob(["x"]) }])).arrayBuffer());
  assert.deepEqual([...bytes.slice(0, 4)], [0x50, 0x4b, 3, 4]);
  assert.equal(new DataView(bytes.buffer).getUint32(bytes.length - 22, true), 0x06054b50);
});
