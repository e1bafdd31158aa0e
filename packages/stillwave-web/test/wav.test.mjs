import assert from "node:assert/strict";
import { test } from "node:test";

import { encodeWav, WavReader } from "../../../src/stillwave/web/static/engine/wav.js";
import { greatestDifference, noise } from "./support.mjs";

function read(bytes, size) {
  const reader = new WavReader();
  const rows = [];
  for (let at = 0; at < bytes.length; at += size) {
    const part = reader.push(bytes.subarray(at, at + size));
    part?.forEach((row, c) => (rows[c] ??= []).push(...row));
  }
  return { format: reader.format, rows };
}

for (const size of [1, 7, 1000000]) {
  test(`what is written is read again in pieces of ${size} bytes`, () => {
    const channels = [noise(301, 0.9, 1), noise(301, 0.9, 2)];
    const exact = read(encodeWav(channels, 22050, { float: true }), size);
    assert.deepEqual(exact.format, { channels: 2, rate: 22050, bits: 32, float: true, frames: 301 });
    exact.rows.forEach((row, c) => assert.deepEqual(row, [...channels[c]]));
    const rounded = read(encodeWav(channels, 22050), size);
    assert.equal(rounded.format.bits, 16);
    rounded.rows.forEach((row, c) => assert.ok(greatestDifference(row, channels[c]) <= 0.5 / 32768 + 1e-9));
  });
}

test("integers clip at full scale", () => {
  assert.deepEqual(read(encodeWav([Float32Array.of(2, -2, 1, -1)], 8000), 99).rows, [[32767 / 32768, -1, 32767 / 32768, -1]]);
});

test("24-bit samples are signed", () => {
  const bytes = encodeWav([new Float32Array(3)], 8000);
  const wide = new Uint8Array(44 + 9);
  wide.set(bytes.subarray(0, 44));
  const view = new DataView(wide.buffer);
  view.setUint16(32, 3, true);
  view.setUint16(34, 24, true);
  view.setUint32(40, 9, true);
  wide.set([0, 0, 0x80, 0xff, 0xff, 0xff, 0, 0, 0x40], 44);
  assert.deepEqual(read(wide, 5).rows, [[-1, -1 / 2 ** 23, 0.5]]);
});

test("a stream of unknown length is read to its end", () => {
  const bytes = encodeWav([noise(50)], 8000, { float: true });
  new DataView(bytes.buffer).setUint32(40, 0xffffffff, true);
  const { format, rows } = read(bytes, 11);
  assert.equal(format.frames, null);
  assert.equal(rows[0].length, 50);
});

test("other files are refused with one sentence", () => {
  assert.throws(() => new WavReader().push(new TextEncoder().encode("ID3 this is an mp3 file")), /not a WAV file/);
  const compressed = encodeWav([new Float32Array(3)], 8000);
  compressed[20] = 2;
  assert.throws(() => new WavReader().push(compressed), /compressed/);
});

test("the end of the samples is known unless the header was written before their number", () => {
  const bytes = encodeWav([noise(301)], 16000);
  const endOf = (size) => {
    const reader = new WavReader();
    if (size !== undefined) new DataView(bytes.buffer).setUint32(40, size, true);
    reader.push(bytes.slice(0, 300));
    return reader.end;
  };
  assert.equal(endOf(), bytes.length);
  assert.deepEqual([0, 0x7ffff000, 0xffffffff].map(endOf), [null, null, null]);
});
