/** Speech enhancement in the browser. Samples are 32-bit floats with full scale ±1, one array a channel. */

/** An error that a user can put right; its message is one sentence. */
export class StillwaveError extends Error {}

/** Facts about a model, from the metadata of its file. */
export interface Metadata {
  sampleRate: number;
  nFft: number;
  hop: number;
  states: Record<string, number[]>;
  precision: string;
  card: Record<string, unknown>;
}

export interface EnhanceOptions {
  /** Greatest reduction of noise in dB; null (the default) sets no limit, 0 returns the input. */
  limitDb?: number | null;
  /** Leave clean sound as it is; by default false. */
  keepClean?: boolean;
}

/** A causal network, executed by ONNX Runtime Web in the calling thread. */
export class Network {
  readonly sampleRate: number;
  readonly nFft: number;
  readonly hop: number;
  readonly meta: Metadata;
  /**
   * Open a model.
   * @param ort The module `onnxruntime-web` or `onnxruntime-web/wasm`.
   * @param model Bytes of an `.onnx` file of stillwave.
   */
  static open(ort: object, model: ArrayBuffer | Uint8Array): Promise<Network>;
  /** Free the memory of the network. */
  close(): Promise<void>;
}

/** Return the facts about a model without opening it. */
export function readMetadata(file: Uint8Array): Metadata;

/** Enhance a recording; the result has its length and alignment. */
export function enhance(
  network: Network,
  channels: Float32Array[],
  rate: number,
  options?: EnhanceOptions & { signal?: AbortSignal; progress?: (share: number) => void },
): Promise<Float32Array[]>;

/** Enhance a recording that is given as blocks, in constant memory. */
export function enhanceBlocks(
  network: Network,
  blocks: Iterable<Float32Array[]> | AsyncIterable<Float32Array[]>,
  rate: number,
  channels: number,
  options?: EnhanceOptions,
): AsyncGenerator<Float32Array[], void, void>;

/** Enhance a live signal block by block: as many samples out as in, `delaySamples` behind the input. */
export class Stream {
  constructor(network: Network, options?: EnhanceOptions & { rate?: number; channels?: number });
  readonly rate: number;
  readonly channels: number;
  readonly delaySamples: number;
  /** Enhance the next block. Calls must not overlap. */
  process(block: Float32Array[]): Promise<Float32Array[]>;
  /** Return the last `delaySamples` samples and start a new signal. */
  flush(): Promise<Float32Array[]>;
  reset(): void;
}

/** Return the delay of a stream in samples at `rate`. */
export function delayOf(modelRate: number, rate: number, hop: number): number;

export interface WorkerOptions extends EnhanceOptions {
  /** Bytes of the `.onnx` file. */
  model: ArrayBuffer | Uint8Array;
  /** Address of `ort.wasm.bundle.min.mjs` of onnxruntime-web; `ort-wasm-simd-threaded.{wasm,mjs}` lie beside it. */
  ort: string | URL;
  /** Address of the folder with the `.wasm`, if it is another. */
  wasmPaths?: string;
  /** Worker to use; by default `worker.js` of this package. */
  worker?: Worker;
}

/** A network in a worker of its own. */
export class EnhancerWorker {
  static open(options: WorkerOptions & { rate: number; channels?: number }): Promise<EnhancerWorker>;
  readonly rate: number;
  readonly channels: number;
  readonly sampleRate: number;
  readonly delaySamples: number;
  /** Enhance the next block and return the samples that are complete, aligned with the input by their count. */
  push(block: Float32Array[]): Promise<Float32Array[]>;
  /** Return the rest of the samples. */
  end(): Promise<Float32Array[]>;
  /** End the worker. */
  close(): void;
}

export interface Level {
  rms: number;
  peak: number;
}

export interface LiveEvents {
  /** 20 a second. `delay` and `backlog` are in samples. */
  meter: CustomEvent<{ before: Level; after: Level; underruns: number; delay: number; backlog: number }>;
  /** Once a second: the share of a core that the network uses. */
  load: CustomEvent<{ load: number }>;
  /** Samples of a recording, before and after, aligned. */
  recording: CustomEvent<{ before: Float32Array; after: Float32Array }>;
  recorded: CustomEvent;
  error: CustomEvent<{ message: string; slow?: boolean }>;
}

/** A live signal from a node of the Web Audio API through a network in a worker. */
export class LiveProcessor extends EventTarget {
  static start(source: AudioNode, options: WorkerOptions & { record?: boolean }): Promise<LiveProcessor>;
  /** What is listened to; connected to the context's destination, silent until `monitor(true)`. */
  readonly output: GainNode;
  readonly before: AnalyserNode;
  readonly after: AnalyserNode;
  readonly node: AudioWorkletNode;
  readonly latencySamples: number;
  /** Latency in seconds, with the sound card's output as far as the browser reports it. */
  readonly latency: number;
  /** How often samples were not ready in time. */
  readonly underruns: number;
  /** Set the greatest reduction of noise in dB (null: no limit) of what is played and measured; not of recordings. */
  limit(limitDb: number | null): void;
  listen(which: "before" | "after"): void;
  monitor(on: boolean): void;
  record(on: boolean): void;
  stop(): void;
  addEventListener<K extends keyof LiveEvents>(type: K, listener: (event: LiveEvents[K]) => void): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject | null): void;
}

/** Resample one signal in blocks, aligned. */
export class StreamingResampler {
  constructor(rateIn: number, rateOut: number);
  push(block: Float32Array): Float32Array;
}

/** Parse a WAV file piece by piece. */
export class WavReader {
  readonly format: { rate: number; channels: number; bits: number; float: boolean; frames: number | null } | null;
  push(bytes: Uint8Array): Float32Array[] | null;
}

/** Return a WAV file with 16-bit integers or 32-bit floats. */
export function encodeWav(rows: Float32Array[], rate: number, options?: { float?: boolean }): Uint8Array;
