/** Numbers, times and sizes as text. */

import { t } from "./texts.js";

/** Return a position such as 1:05 or 1:01:05.3. */
export function clock(seconds, digits = 0) {
  const total = Math.max(0, digits ? Math.floor(seconds * 10 ** digits) / 10 ** digits : Math.floor(seconds));
  const h = Math.floor(total / 3600);
  const m = Math.floor(total / 60) % 60;
  const s = (total % 60).toFixed(digits).padStart(digits ? 3 + digits : 2, "0");
  return h ? `${h}:${String(m).padStart(2, "0")}:${s}` : `${m}:${s}`;
}

/** Return a duration in words: 12 s, 3 min 5 s. */
export function duration(seconds) {
  if (seconds >= 3600) return t("hours", { h: Math.floor(seconds / 3600), m: Math.round(seconds / 60) % 60 });
  if (seconds >= 60) return t("minutes", { m: Math.floor(seconds / 60), s: Math.floor(seconds % 60) });
  return t("seconds", { s: seconds < 10 ? seconds.toFixed(1) : Math.round(seconds) });
}

/** Return a number of bytes: 640 kB, 1.2 GB. */
export function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  for (; value >= 1000 && unit < units.length - 1; unit++) value /= 1000;
  return `${value >= 10 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** Return an amplitude in dB below full scale, at least −100. */
export function decibels(amplitude) {
  return Math.max(-100, 20 * Math.log10(amplitude + 1e-12));
}

/** Split a file name: "talk.mp3" to ["talk", "mp3"]. */
export function stemAndSuffix(name) {
  const dot = name.lastIndexOf(".");
  return dot > 0 ? [name.slice(0, dot), name.slice(dot + 1).toLowerCase()] : [name, ""];
}
