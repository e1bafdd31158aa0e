import assert from "node:assert/strict";
import { test } from "node:test";

import { StreamingResampler } from "../../../src/stillwave/web/static/engine/resampler.js";
import { greatestDifference, noise } from "./support.mjs";

const sine = (hz, rate, length) => Float32Array.from({ length }, (_, n) => Math.sin((2 * Math.PI * hz * n) / rate));
const RATES = [
  [48000, 16000],
  [16000, 48000],
  [44100, 16000],
  [8000, 16000],
  [11127, 16000],
];

for (const [from, to] of RATES) {
  test(`a sine at ${from} Hz is the same sine, in time, at ${to} Hz`, () => {
    const resampler = new StreamingResampler(from, to);
    const y = resampler.push(sine(1000, from, from / 2));
    const expected = sine(1000, to, y.length);
    const skip = Math.ceil((resampler.reach * to) / from) + 1;
    assert.ok(y.length > to / 2 - 2 * skip);
    assert.ok(greatestDifference(y.slice(skip), expected.slice(skip)) < 2e-4);
  });

  test(`blocks of any size from ${from} to ${to} Hz give the same samples`, () => {
    const x = noise(6000);
    const whole = new StreamingResampler(from, to).push(x);
    const resampler = new StreamingResampler(from, to);
    const parts = [];
    for (let at = 0, size = 1; at < x.length; at += size, size = (size * 5) % 487) {
      parts.push(...resampler.push(x.slice(at, at + size)));
    }
    assert.equal(parts.length, whole.length);
    assert.ok(greatestDifference(parts, whole) < 1e-7);
    assert.equal(resampler.ready(x.length), whole.length);
    assert.ok(resampler.needed(whole.length) <= x.length && resampler.needed(whole.length + 1) > x.length);
  });
}

test("what lies above the lower Nyquist frequency is removed", () => {
  const y = new StreamingResampler(48000, 16000).push(sine(10000, 48000, 24000));
  assert.ok(y.slice(100).reduce((most, value) => Math.max(most, Math.abs(value)), 0) < 1e-4);
});
