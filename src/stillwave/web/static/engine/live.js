/** Enhance a live signal in the browser: an audio worklet, and a worker that runs the network. */

import { dryMixOf } from "./enhance.js";
import { EnhancerWorker } from "./enhancer-worker.js";
import { StillwaveError } from "./errors.js";

/** Samples that are sent to the worker at once. */
const BLOCK = 256;
/** Time for the worker beyond the delay of the network. */
const MARGIN_SECONDS = 0.02;
/** Duration of the ring buffer, rounded up to a power of two samples. */
const RING_SECONDS = 4;
/** The worker is too slow if this much input waits for it. */
const BACKLOG_SECONDS = 3;

/**
 * A live signal from a source node to `output`, `latencySamples` behind the microphone.
 *
 * Events: `meter` (20 a second: levels, underruns, delay), `load` (share of a core), `recording` (samples before and
 * after, aligned), `recorded`, `error`. The values are in `event.detail`.
 */
export class LiveProcessor extends EventTarget {
  /**
   * Start to enhance what `source` plays.
   * @param {AudioNode} source For example `context.createMediaStreamSource(stream)`.
   * @param {object} options As for `EnhancerWorker.open`, without rate, channels and port. `limitDb` can be changed
   *   later (`limit`); it does not apply to recordings, which hold what the network makes.
   */
  static async start(source, options) {
    const { context } = source;
    if (!context.audioWorklet) {
      throw new StillwaveError("live signals need a secure address (https, or localhost)");
    }
    await context.audioWorklet.addModule(new URL("./live-worklet.js", import.meta.url));
    const channel = new MessageChannel();
    const open = options.open ?? EnhancerWorker.open;
    const ring = sharedRing(context.sampleRate);
    const { limitDb, ...rest } = options;
    const dryMix = dryMixOf(limitDb);
    const worker = await open({ ...rest, rate: context.sampleRate, channels: 1, port: channel.port2, ring });
    return new LiveProcessor(source, worker, channel.port1, ring, dryMix);
  }

  constructor(source, worker, port, ring, dryMix = 0) {
    super();
    const { context } = source;
    Object.assign(this, { source, context, worker });
    /** Delay of the enhanced signal within the page, in samples; grows after underruns. */
    this.latencySamples = worker.delaySamples + BLOCK + Math.round(MARGIN_SECONDS * context.sampleRate);
    /** How often samples were not ready in time. */
    this.underruns = 0;
    this.node = new AudioWorkletNode(context, "stillwave-live", {
      numberOfInputs: 1,
      numberOfOutputs: 3,
      outputChannelCount: [1, 1, 1],
      processorOptions: { delay: this.latencySamples, block: BLOCK, ring, dryMix },
    });
    /** What is listened to; silent until its gain is 1. */
    this.output = new GainNode(context, { gain: 0 });
    this.before = new AnalyserNode(context, { fftSize: 2048, smoothingTimeConstant: 0 });
    this.after = new AnalyserNode(context, { fftSize: 2048, smoothingTimeConstant: 0 });
    this.node.connect(this.output, 0);
    this.node.connect(this.before, 1);
    this.node.connect(this.after, 2);
    this.node.port.onmessage = ({ data }) => this.#meter(data);
    for (const type of ["load", "recording", "recorded", "error"]) {
      worker.on(type, (message) => this.#emit(type, message));
    }
    this.node.port.postMessage({ port }, [port]);
    source.connect(this.node);
    this.output.connect(context.destination);
  }

  /** Latency in seconds: network, buffers, and the sound card's output as far as the browser reports it. */
  get latency() {
    const { sampleRate, baseLatency = 0, outputLatency = 0 } = this.context;
    return this.latencySamples / sampleRate + Math.max(baseLatency, outputLatency);
  }

  /** Listen to the signal before or after, through `output`. */
  listen(which) {
    this.node.port.postMessage({ listen: which });
  }

  /** Set the greatest reduction of noise in dB (null: no limit) from now on. */
  limit(limitDb) {
    this.node.port.postMessage({ dryMix: dryMixOf(limitDb) });
  }

  /** Set whether `output` is audible; use headphones, or the microphone picks it up again. */
  monitor(on) {
    this.output.gain.setTargetAtTime(on ? 1 : 0, this.context.currentTime, 0.01);
  }

  /** Start or end a recording, which arrives as `recording` events and ends with `recorded`. */
  record(on) {
    this.worker.worker.postMessage({ type: "record", on });
  }

  /** End, and free the worker. The context and the microphone stay open. */
  stop() {
    this.node.port.postMessage({ stop: true });
    this.source.disconnect(this.node);
    this.node.disconnect();
    this.output.disconnect();
    this.worker.close();
  }

  #meter(data) {
    this.latencySamples = data.delay;
    this.underruns = data.underruns;
    if (data.backlog > BACKLOG_SECONDS * this.context.sampleRate && !this.slow) {
      this.slow = true;
      this.#emit("error", { slow: true, message: "this computer is too slow for the model; choose a smaller one" });
    }
    this.#emit("meter", data);
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** Return shared memory for a counter and a ring of samples, or null where a page may not share memory. */
function sharedRing(rate) {
  if (!globalThis.crossOriginIsolated) return null;
  const size = 2 ** Math.ceil(Math.log2(RING_SECONDS * rate));
  return new SharedArrayBuffer(4 + 4 * size);
}
