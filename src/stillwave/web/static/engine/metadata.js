/** Read the metadata of a file that `stillwave export` wrote, without a protobuf library. */

import { StillwaveError } from "./errors.js";

/** Key in `metadata_props` of the ONNX file. */
const KEY = "stillwave";
const FORMAT = 1;
/** Field of `ModelProto` with the metadata, and wire types of protobuf. */
const METADATA_PROPS = 14;
const [VARINT, FIXED64, BYTES, FIXED32] = [0, 1, 2, 5];

/**
 * Return the facts about a streaming network.
 * @param {Uint8Array} file Bytes of the `.onnx` file.
 */
export function readMetadata(file) {
  let text;
  try {
    text = properties(file).get(KEY);
  } catch {
    throw new StillwaveError("the model is damaged or not an ONNX file; give a file that `stillwave export` wrote");
  }
  if (text === undefined) {
    throw new StillwaveError("the model was not written by `stillwave export`: its metadata have no key 'stillwave'");
  }
  const raw = JSON.parse(text);
  if (raw.format !== FORMAT) {
    throw new StillwaveError(`the model has format ${raw.format}, this version reads format ${FORMAT}`);
  }
  if (raw.kind !== "stream" || raw.lookahead_frames !== 0) {
    throw new StillwaveError("the model cannot stream; export a causal network without --offline");
  }
  if (raw.microphones !== 1) {
    throw new StillwaveError(`the model takes ${raw.microphones} microphones; only models for one run in a browser`);
  }
  return {
    sampleRate: raw.sample_rate,
    nFft: raw.stft.n_fft,
    hop: raw.stft.hop,
    states: raw.states,
    precision: raw.precision,
    card: raw.card ?? {},
  };
}

/** Return the entries of `metadata_props`. */
function properties(file) {
  const found = new Map();
  for (const { field, bytes } of fields(file)) {
    if (field !== METADATA_PROPS) continue;
    const entry = [...fields(bytes)];
    const text = (wanted) => new TextDecoder().decode(entry.find(({ field: f }) => f === wanted)?.bytes);
    found.set(text(1), text(2));
  }
  return found;
}

/** Yield the fields of a protobuf message; `bytes` is empty for numbers. */
function* fields(message) {
  let at = 0;
  const varint = () => {
    let value = 0;
    let scale = 1;
    for (;;) {
      if (at >= message.length) throw new RangeError("the message ends within a number");
      const byte = message[at++];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
      scale *= 128;
    }
  };
  while (at < message.length) {
    const tag = varint();
    const type = tag % 8;
    let bytes = message.subarray(0, 0);
    if (type === VARINT) varint();
    else if (type === FIXED64) at += 8;
    else if (type === FIXED32) at += 4;
    else if (type === BYTES) {
      const length = varint();
      if (at + length > message.length) throw new RangeError("the message ends within a field");
      bytes = message.subarray(at, at + length);
      at += length;
    } else throw new RangeError(`unknown wire type ${type}`);
    yield { field: Math.floor(tag / 8), bytes };
  }
}
