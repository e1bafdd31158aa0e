/** Colours of spectrograms: from night blue through teal to a warm white, equally spaced in lightness. */

const STOPS = [
  [0, 7, 16, 24],
  [0.25, 10, 44, 62],
  [0.5, 13, 104, 112],
  [0.72, 66, 174, 148],
  [0.88, 190, 222, 158],
  [1, 255, 247, 220],
];

/** Colour of each level 0 … 255 as one number of `Uint32Array` pixels (little endian). */
export const PALETTE = Uint32Array.from({ length: 256 }, (_, level) => {
  const share = level / 255;
  const i = Math.max(1, STOPS.findIndex(([at]) => at >= share));
  const [from, to] = [STOPS[i - 1], STOPS[i]];
  const part = (share - from[0]) / (to[0] - from[0]);
  const [r, g, b] = [1, 2, 3].map((c) => Math.round(from[c] + part * (to[c] - from[c])));
  return (255 << 24) | (b << 16) | (g << 8) | r;
});
