/** Errors as one sentence that a user can act on. */

import { t } from "./texts.js";

const BY_NAME = {
  StorageFull: "errorStorage",
  QuotaExceededError: "errorStorage",
  EncodingError: "errorBroken",
  NotAllowedError: "errorDenied",
  NotFoundError: "errorNoMic",
  NotReadableError: "errorNoMic",
  OverconstrainedError: "errorNoMic",
};
const BY_TEXT = {
  noSound: "errorNoSound",
  brokenWav: "errorBroken",
  cutShort: "errorCutShort",
  notNumbers: "errorNotNumbers",
  secure: "errorSecure",
  empty: "errorEmpty",
};

/** Return the sentence for an error. Messages of the server and of the engine are sentences themselves. */
export function reason(error) {
  const { name, message } = error;
  if (name === "Problem" || name === "StillwaveError" || name === "Sentence") return sentence(message);
  if (name === "Texts") return t(BY_TEXT[message]);
  if (BY_NAME[name]) return t(BY_NAME[name]);
  if (name === "TypeError" && /fetch|network/i.test(message)) return t(/fetch/i.test(message) ? "errorReach" : "errorCut");
  return sentence(message);
}

/** Return an error whose message is the sentence of a text. */
export function sentenceError(key, values) {
  return Object.assign(new Error(t(key, values)), { name: "Sentence" });
}

function sentence(message) {
  const text = String(message).trim();
  const capital = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(capital) ? capital : `${capital}.`;
}
