/** An error that a user can put right; its message is one sentence. */
export class StillwaveError extends Error {
  /** @param {string} message */
  constructor(message) {
    super(message);
    this.name = "StillwaveError";
  }
}
