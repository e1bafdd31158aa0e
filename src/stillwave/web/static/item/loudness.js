/** Measure loudness (ITU-R BS.1770-4) of before, after and any mix of the two in one pass. */

const BLOCK_SECONDS = 0.1;
const ABSOLUTE_GATE = -70;
const RELATIVE_GATE = -10;

/** Collects the power of before, after and their product in blocks of 100 ms, all channels with weight 1. */
export class LoudnessMeter {
  constructor(rate, channels) {
    this.channels = channels;
    this.size = Math.round(BLOCK_SECONDS * rate);
    this.filters = Array.from({ length: 2 * channels }, () => kWeighting(rate));
    /** Sums of before², after² and before · after of each block. */
    this.blocks = [];
    this.sums = [0, 0, 0];
    this.count = 0;
  }

  /** Take interleaved values `[before of each channel, after of each channel]`. */
  push(values) {
    const { channels, filters, sums } = this;
    for (let at = 0; at < values.length; at += 2 * channels) {
      for (let c = 0; c < channels; c++) {
        const before = filters[c](values[at + c]);
        const after = filters[channels + c](values[at + channels + c]);
        sums[0] += before * before;
        sums[1] += after * after;
        sums[2] += before * after;
      }
      if (++this.count === this.size) {
        this.blocks.push(sums.map((sum) => sum / this.size));
        sums.fill(0);
        this.count = 0;
      }
    }
  }

  /** Return the loudness in LUFS of dry · before + (1 − dry) · after, or null for silence. */
  loudness(dry) {
    const wet = 1 - dry;
    const short = this.blocks.map(([b, a, ab]) => dry * dry * b + wet * wet * a + 2 * dry * wet * ab);
    if (!short.length) return null;
    // Gating blocks of 400 ms that overlap by 75 %; a shorter recording is one block.
    const width = Math.min(4, short.length);
    const powers = short.slice(width - 1).map((_, i) => mean(short.slice(i, i + width)));
    const absolute = powers.filter((power) => inLufs(power) > ABSOLUTE_GATE);
    if (!absolute.length) return null;
    const gate = inLufs(mean(absolute)) + RELATIVE_GATE;
    return inLufs(mean(absolute.filter((power) => inLufs(power) > gate)));
  }
}

function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function inLufs(power) {
  return -0.691 + 10 * Math.log10(power);
}

/** Return the K-weighting filter at `rate`: a high shelf and a high pass. */
function kWeighting(rate) {
  const shelf = biquad(highShelf(rate));
  const pass = biquad(highPass(rate));
  return (x) => pass(shelf(x));
}

function highShelf(rate) {
  const k = Math.tan((Math.PI * 1681.974450955533) / rate);
  const q = 0.7071752369554196;
  const high = 10 ** (3.999843853973347 / 20);
  const band = high ** 0.4996667741545416;
  const norm = 1 + k / q + k * k;
  return {
    b: [(high + (band * k) / q + k * k) / norm, (2 * (k * k - high)) / norm, (high - (band * k) / q + k * k) / norm],
    a: [(2 * (k * k - 1)) / norm, (1 - k / q + k * k) / norm],
  };
}

function highPass(rate) {
  const k = Math.tan((Math.PI * 38.13547087602444) / rate);
  const q = 0.5003270373238773;
  const norm = 1 + k / q + k * k;
  return { b: [1, -2, 1], a: [(2 * (k * k - 1)) / norm, (1 - k / q + k * k) / norm] };
}

function biquad({ b: [b0, b1, b2], a: [a1, a2] }) {
  let s1 = 0;
  let s2 = 0;
  return (x) => {
    const y = b0 * x + s1;
    s1 = b1 * x - a1 * y + s2;
    s2 = b2 * x - a2 * y;
    return y;
  };
}
