/** Save the mix that is heard, in the formats that the server can write. */

import { convert, enhanceAgain } from "./api.js";
import { stemAndSuffix } from "./format.js";
import { t } from "./texts.js";

/** Formats that are made in the browser, without a request. */
const LOCAL = { wav: { float: false }, wav32: { float: true } };
const NAMES = { flac: "FLAC", mp3: "MP3", ogg: "Ogg Vorbis", opus: "Opus" };

/** Return the choices for a recording: `[value, words]`. */
export function formatChoices(recording, serverFormats) {
  const choices = [["wav", t("formatWav")]];
  if (!recording || recording.where !== "browser") {
    const named = serverFormats.filter((format) => NAMES[format]);
    choices.push(...named.map((format) => [format, NAMES[format]]));
  }
  choices.push(["wav32", t("formatWavFloat")]);
  const suffix = recording?.file && stemAndSuffix(recording.name)[1];
  if (suffix && recording.where === "server") {
    choices.push(["same", t("formatSame", { suffix })]);
  }
  return choices;
}

/** Make the file of a recording with the amplitude `dry` of before in it: `{name, blob}`. */
export async function makeFile(recording, { format, dry }) {
  const [stem, suffix] = stemAndSuffix(recording.name);
  const name = (ending) => `${stem}-enhanced.${ending}`;
  if (format === "same") {
    const limit = dry > 0 ? (-20 * Math.log10(dry)).toFixed(6) : null;
    const { model, keepClean, name: file } = recording;
    const options = { model, keep_clean: keepClean, limit_db: limit, format: "same", name: file };
    return { name: name(suffix), blob: await enhanceAgain(recording.file, options) };
  }
  if (LOCAL[format]) return { name: name("wav"), blob: await wav(recording, dry, LOCAL[format].float) };
  const blob = await convert(await wav(recording, dry, true), format, name("wav"));
  return { name: name(format), blob };
}

function wav(recording, dry, float) {
  return recording.client.request("export", { dry, float });
}

/** Let the browser save a file. */
export function save({ name, blob }) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}
