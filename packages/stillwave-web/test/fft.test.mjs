import assert from "node:assert/strict";
import { test } from "node:test";

import { RealFft } from "../../../src/stillwave/web/static/engine/fft.js";
import { FrameAnalyzer, Framer, OverlapAdder } from "../../../src/stillwave/web/static/engine/stft.js";
import { greatestDifference, noise } from "./support.mjs";

for (const n of [4, 8, 64, 512]) {
  test(`the transform of ${n} samples equals its definition`, () => {
    const x = noise(n, 1);
    const fft = new RealFft(n);
    const [re, im] = [new Float64Array(n / 2 + 1), new Float64Array(n / 2 + 1)];
    fft.forward(x, re, im);
    for (let k = 0; k <= n / 2; k++) {
      let [a, b] = [0, 0];
      x.forEach((value, i) => {
        a += value * Math.cos((2 * Math.PI * k * i) / n);
        b -= value * Math.sin((2 * Math.PI * k * i) / n);
      });
      assert.ok(Math.abs(re[k] - a) < 1e-10 && Math.abs(im[k] - b) < 1e-10, `bin ${k}`);
    }
    const y = new Float64Array(n);
    fft.inverse(re, im, y);
    assert.ok(greatestDifference(x, y) < 1e-12);
  });
}

test("other lengths are refused", () => {
  assert.throws(() => new RealFft(320), /power of two/);
});

test("overlap-add of the spectra of blocks of any size returns the signal", () => {
  const x = noise(3000);
  const [framer, analyzer, adder] = [new Framer(64), new FrameAnalyzer(128), new OverlapAdder(128)];
  const y = [];
  for (let at = 0, size = 1; at < x.length; at += size, size = (size * 7) % 301) {
    const { signal, count } = framer.push(x.slice(at, at + size));
    const [re, im] = [new Float32Array(count * 65), new Float32Array(count * 65)];
    for (let t = 0; t < count; t++) {
      const range = [t * 65, (t + 1) * 65];
      analyzer.analyze(signal.subarray(t * 64, t * 64 + 128), re.subarray(...range), im.subarray(...range));
    }
    y.push(...adder.push(re, im, count));
  }
  assert.ok(y.length > x.length - 2 * 128);
  assert.ok(greatestDifference(y, x) < 1e-6);
});
