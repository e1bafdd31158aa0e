/** Speech enhancement in the browser: everything that the package exports. */

export { delayOf, enhance, enhanceBlocks, Stream } from "./enhance.js";
export { EnhancerWorker } from "./enhancer-worker.js";
export { StillwaveError } from "./errors.js";
export { LiveProcessor } from "./live.js";
export { readMetadata } from "./metadata.js";
export { Network } from "./network.js";
export { StreamingResampler } from "./resampler.js";
export { encodeWav, WavReader } from "./wav.js";
