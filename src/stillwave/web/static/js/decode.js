/** Decode files in the browser, for the mode in which no recording leaves the page. */

import { sentenceError } from "./problems.js";

/** Browsers decode a file as a whole: the greatest number of bytes of two channels of samples, 23 minutes at 48 kHz. */
const MOST_BYTES = 2 ** 29;
/** Rate of files whose own cannot be read from their first bytes. */
const USUAL_RATE = 48000;

/** Whether a file is a WAV file, which is read piece by piece. */
export async function isWav(file) {
  const head = await ascii(file, 12);
  return /^(RIFF|RF64)[^]{4}WAVE/.test(head);
}

/** Return the samples of a file: `{rate, rows}`. */
export async function decode(file) {
  const rate = (await ownRate(file)) ?? USUAL_RATE;
  const seconds = await durationOf(file);
  const most = MOST_BYTES / (2 * 4 * rate);
  if (seconds > most) throw sentenceError("errorTooLong", { minutes: Math.floor(most / 60) });
  const context = new OfflineAudioContext(1, 1, rate);
  const buffer = await context.decodeAudioData(await file.arrayBuffer());
  if (buffer.length < (await flacFrames(file))) throw sentenceError("errorCutShort");
  const rows = Array.from({ length: buffer.numberOfChannels }, (_, c) => buffer.getChannelData(c).slice());
  return { rate, rows };
}

/** Return the sampling rate that FLAC, MP3, Vorbis and Opus state in their first bytes, or null. */
async function ownRate(file) {
  const head = new Uint8Array(await file.slice(0, 65536).arrayBuffer());
  const text = (at, count) => String.fromCharCode(...head.subarray(at, at + count));
  if (text(0, 4) === "fLaC") return (head[18] << 12) | (head[19] << 4) | (head[20] >> 4);
  if (text(0, 4) === "OggS") {
    const start = 27 + head[26];
    return text(start, 7) === "\x01vorbis" ? new DataView(head.buffer).getUint32(start + 12, true) : USUAL_RATE;
  }
  const skipped = text(0, 3) === "ID3" ? 10 + ((head[6] << 21) | (head[7] << 14) | (head[8] << 7) | head[9]) : 0;
  const [first, second, third] = head.subarray(skipped, skipped + 3);
  if (first !== 0xff || (second & 0xe6) !== 0xe2) return null;
  const version = (second >> 3) & 3; // 3: MPEG 1, 2: MPEG 2, 0: MPEG 2.5
  const base = [44100, 48000, 32000][(third >> 2) & 3];
  return base && version !== 1 ? base / { 3: 1, 2: 2, 0: 4 }[version] : null;
}

/** Return the number of frames that a FLAC file states; 0 for other formats or an unknown number. */
async function flacFrames(file) {
  const head = new Uint8Array(await file.slice(0, 26).arrayBuffer());
  if (head.length < 26 || String.fromCharCode(...head.subarray(0, 4)) !== "fLaC") return 0;
  return (head[21] & 15) * 2 ** 32 + new DataView(head.buffer).getUint32(22);
}

/** Return the duration that the browser finds in a file, or 0. */
function durationOf(file) {
  return new Promise((resolve) => {
    const media = document.createElement("audio");
    const url = URL.createObjectURL(file);
    const end = (seconds) => {
      URL.revokeObjectURL(url);
      media.removeAttribute("src");
      resolve(Number.isFinite(seconds) ? seconds : 0);
    };
    media.preload = "metadata";
    media.onloadedmetadata = () => end(media.duration);
    media.onerror = () => end(0);
    media.src = url;
  });
}

async function ascii(file, count) {
  return String.fromCharCode(...new Uint8Array(await file.slice(0, count).arrayBuffer()));
}
