/** Read WAV data as its bytes arrive, and write WAV files. */

import { StillwaveError } from "./errors.js";

const PCM = 1;
const FLOAT = 3;
const EXTENSIBLE = 0xfffe;
/** Size in a header that was written before the size was known. */
const UNKNOWN = 0xffffffff;
/** The smallest size that programs write to a pipe for an unknown one (SoX). */
const STREAMED = 0x7ffff000;
/** A header with more metadata than this is refused. */
const LONGEST_HEADER = 2 ** 24;

/** Parse a WAV file (8 … 32 bit integers, 32 or 64 bit floats, RF64, streams of unknown length) piece by piece. */
export class WavReader {
  constructor() {
    /** Facts of the header, `{rate, channels, bits, float, frames}`, or null before it is complete. */
    this.format = null;
    /** Offset of the end of the samples by the header; null if it does not state one. */
    this.end = null;
    this.held = new Uint8Array(0);
    this.left = Infinity;
  }

  /**
   * Return the samples that the bytes complete, one array a channel, or null while the header is incomplete.
   * @param {Uint8Array} bytes
   * @returns {Float32Array[] | null}
   */
  push(bytes) {
    const values = this.pushInterleaved(bytes);
    return values && split(values, this.format.channels);
  }

  /** As `push`, with all channels in one array, frame by frame. */
  pushInterleaved(bytes) {
    let data = this.held.length ? joinedBytes(this.held, bytes) : bytes;
    if (this.format === null) {
      const start = this.#header(data);
      if (start === null) {
        this.held = data.slice();
        if (data.length > LONGEST_HEADER) throw new StillwaveError("the WAV header is longer than 16 MB");
        return null;
      }
      data = data.subarray(start);
    }
    const { channels, bits } = this.format;
    const frame = (channels * bits) / 8;
    const count = Math.floor(Math.min(data.length, this.left) / frame);
    this.left -= count * frame;
    this.held = this.left >= frame ? data.slice(count * frame) : new Uint8Array(0);
    return this.#samples(data.subarray(0, count * frame), count);
  }

  /** Set `format` and return where the samples begin, or null if more bytes are needed. */
  #header(data) {
    if (data.length < 12) return null;
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    const name = (at) => String.fromCharCode(...data.subarray(at, at + 4));
    if (!["RIFF", "RF64"].includes(name(0)) || name(8) !== "WAVE") throw new StillwaveError("this is not a WAV file");
    let format = null;
    let long = null;
    for (let at = 12; at + 8 <= data.length; ) {
      const size = view.getUint32(at + 4, true);
      if (name(at) === "data") {
        if (format === null) throw new StillwaveError("the WAV file has no format before its samples");
        this.left = size === UNKNOWN ? (long ?? Infinity) : size || Infinity;
        const frame = (format.channels * format.bits) / 8;
        const stated = this.left < STREAMED || (name(0) === "RF64" && this.left < Infinity);
        if (stated) this.end = at + 8 + this.left;
        this.format = { ...format, frames: this.left === Infinity ? null : Math.floor(this.left / frame) };
        return at + 8;
      }
      if (at + 8 + size > data.length) return null;
      if (name(at) === "fmt ") format = formatOf(view, at + 8, size);
      if (name(at) === "ds64") long = Number(view.getBigUint64(at + 16, true));
      at += 8 + size + (size % 2);
    }
    return null;
  }

  #samples(data, count) {
    const { channels, bits, float } = this.format;
    if (float && bits === 32) return new Float32Array(data.slice().buffer);
    const values = new Float32Array(count * channels);
    const read = reader(new DataView(data.buffer, data.byteOffset, data.byteLength), bits, float);
    for (let i = 0; i < values.length; i++) values[i] = read((i * bits) / 8);
    return values;
  }
}

/** Return one array a channel of samples that are interleaved. */
export function split(values, channels) {
  const count = values.length / channels;
  return Array.from({ length: channels }, (_, c) => {
    const row = new Float32Array(count);
    for (let n = 0, at = c; n < count; n++, at += channels) row[n] = values[at];
    return row;
  });
}

function formatOf(view, at, size) {
  let code = view.getUint16(at, true);
  const format = {
    channels: view.getUint16(at + 2, true),
    rate: view.getUint32(at + 4, true),
    bits: view.getUint16(at + 14, true),
  };
  if (code === EXTENSIBLE && size >= 26) code = view.getUint16(at + 24, true);
  const sizes = { [PCM]: [8, 16, 24, 32], [FLOAT]: [32, 64] }[code];
  if (!sizes?.includes(format.bits) || !format.channels || !format.rate) {
    throw new StillwaveError("this WAV file is compressed; only samples of 8 … 32 bits and floats can be read");
  }
  return { ...format, float: code === FLOAT };
}

function reader(view, bits, float) {
  if (float) return bits === 32 ? (at) => view.getFloat32(at, true) : (at) => view.getFloat64(at, true);
  if (bits === 8) return (at) => (view.getUint8(at) - 128) / 128;
  if (bits === 16) return (at) => view.getInt16(at, true) / 2 ** 15;
  if (bits === 24) return (at) => ((view.getInt8(at + 2) << 16) | view.getUint16(at, true)) / 2 ** 23;
  return (at) => view.getInt32(at, true) / 2 ** 31;
}

/**
 * Return the header of a WAV file with `frames` samples a channel.
 * @param {{rate: number, channels: number, frames: number, float?: boolean}} facts 32-bit floats or 16-bit integers.
 */
export function wavHeader({ rate, channels, frames, float = false }) {
  const size = float ? 4 : 2;
  const bytes = frames * channels * size;
  if (bytes > UNKNOWN - 64) throw new StillwaveError("a WAV file holds 4 GB at most; save it as FLAC or in 16 bits");
  const view = new DataView(new ArrayBuffer(44));
  const text = (at, word) => [...word].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + bytes, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, float ? FLOAT : PCM, true);
  view.setUint16(22, channels, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, rate * channels * size, true);
  view.setUint16(32, channels * size, true);
  view.setUint16(34, 8 * size, true);
  text(36, "data");
  view.setUint32(40, bytes, true);
  return new Uint8Array(view.buffer);
}

/** Return samples as bytes of a WAV file, interleaved; integers are rounded to the nearest step and clip at full scale. */
export function wavSamples(rows, float = false) {
  const channels = rows.length;
  const count = rows[0].length;
  const values = float ? new Float32Array(count * channels) : new Int16Array(count * channels);
  rows.forEach((row, c) => {
    for (let n = 0; n < count; n++) {
      values[n * channels + c] = float ? row[n] : Math.max(-32768, Math.min(32767, Math.round(row[n] * 32768)));
    }
  });
  return new Uint8Array(values.buffer);
}

/**
 * Return a complete WAV file.
 * @param {Float32Array[]} rows One array a channel.
 * @param {number} rate Sampling rate in Hz.
 * @param {{float?: boolean}} options 32-bit floats instead of 16-bit integers.
 */
export function encodeWav(rows, rate, { float = false } = {}) {
  const header = wavHeader({ rate, channels: rows.length, frames: rows[0].length, float });
  return joinedBytes(header, wavSamples(rows, float));
}

function joinedBytes(a, b) {
  const sum = new Uint8Array(a.length + b.length);
  sum.set(a);
  sum.set(b, a.length);
  return sum;
}
