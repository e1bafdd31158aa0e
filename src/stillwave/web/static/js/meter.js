/** A level meter: RMS as a bar, the recent peak as a line. */

import { decibels } from "./format.js";
import { t } from "./texts.js";

const LOWEST_DB = -60;
/** How fast the bar and the peak fall, in dB for each report (20 a second). */
const FALL = { bar: 1.5, peak: 0.6 };
/** Screen readers are given a level every two seconds. */
const SPOKEN_MS = 2000;

export class Meter {
  constructor(element, version) {
    Object.assign(this, { element, version });
    this.bar = LOWEST_DB;
    this.peak = LOWEST_DB;
    this.spoken = 0;
    this.number = element.querySelector(".number");
    this.scale = element.querySelector('[role="meter"]');
  }

  /** Show a level `{rms, peak}`; null for none. */
  show(level) {
    const rms = level ? decibels(level.rms) : LOWEST_DB;
    const peak = level ? decibels(level.peak) : LOWEST_DB;
    this.bar = level ? Math.max(rms, this.bar - FALL.bar) : LOWEST_DB;
    this.peak = level ? Math.max(peak, this.peak - FALL.peak) : LOWEST_DB;
    this.element.style.setProperty("--level", share(this.bar));
    this.element.style.setProperty("--peak", share(this.peak));
    this.element.classList.toggle("clipping", peak >= -0.1);
    if (level && performance.now() - this.spoken < SPOKEN_MS / 8) return;
    this.number.textContent = level && rms > -99 ? t("decibels", { value: String(Math.round(rms)).replace("-", "−") }) : t("silent");
    if (level && performance.now() - this.spoken < SPOKEN_MS) return;
    this.spoken = performance.now();
    this.scale.ariaValueNow = String(Math.round(Math.max(LOWEST_DB, rms)));
    this.scale.ariaValueText = this.number.textContent;
  }
}

function share(db) {
  return Math.max(0, Math.min(1, 1 - db / LOWEST_DB));
}
