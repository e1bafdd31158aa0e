/** Execute an exported network with ONNX Runtime Web. */

import { StillwaveError } from "./errors.js";
import { readMetadata } from "./metadata.js";

/** A causal network on spectra. It holds no state: states are passed in and returned. */
export class Network {
  constructor(ort, session, meta) {
    this.ort = ort;
    this.session = session;
    this.meta = meta;
    /** Sampling rate of the network in Hz. */
    this.sampleRate = meta.sampleRate;
    this.nFft = meta.nFft;
    this.hop = meta.hop;
    this.names = Object.keys(meta.states);
  }

  /**
   * Open a model.
   * @param {object} ort The module `onnxruntime-web` (`onnxruntime-web/wasm` is sufficient).
   * @param {ArrayBuffer | Uint8Array} model Bytes of a file that `stillwave export` wrote, or of a shipped model.
   */
  static async open(ort, model) {
    const bytes = model instanceof Uint8Array ? model : new Uint8Array(model);
    const meta = readMetadata(bytes);
    ort.env.wasm.numThreads = 1; // networks are small: more threads wait for each other
    let session;
    try {
      session = await ort.InferenceSession.create(bytes, {
        executionProviders: ["wasm"],
        executionMode: "sequential",
        graphOptimizationLevel: "all",
      });
    } catch (error) {
      throw new StillwaveError(`ONNX Runtime cannot open the model: ${firstLine(error)}`);
    }
    return new Network(ort, session, meta);
  }

  /** Return the initial state of `streams` streams: zeros. */
  begin(streams) {
    const zeros = (shape) => {
      const dims = [streams, ...shape];
      return new this.ort.Tensor("float32", new Float32Array(dims.reduce((a, b) => a * b)), dims);
    };
    return new Map(this.names.map((name) => [name, zeros(this.meta.states[name])]));
  }

  /**
   * Process the next frames.
   * @param {Float32Array} spectrum `[streams, 2, frames, bins]`: real parts, then imaginary parts.
   * @param {number} streams
   * @param {number} frames
   * @param {Map<string, object>} state State after the previous frames.
   */
  async step(spectrum, streams, frames, state) {
    const feeds = { spectrum: new this.ort.Tensor("float32", spectrum, [streams, 2, frames, this.hop + 1]) };
    for (const [name, value] of state) feeds[`state.${name}`] = value;
    let outputs;
    try {
      outputs = await this.session.run(feeds);
    } catch (error) {
      throw new StillwaveError(`the network failed: ${firstLine(error)}`);
    }
    const following = new Map(this.names.map((name) => [name, outputs[`next.${name}`]]));
    return { estimate: outputs.estimate.data, state: following };
  }

  /** Free the memory of the network. */
  async close() {
    await this.session.release();
  }
}

function firstLine(error) {
  return String(error?.message ?? error).split("\n")[0];
}
