/** The slider for the noise to leave: of a recording's card, and of the microphone. */

import { t } from "./texts.js";

/** Value of the slider that leaves no noise; above it, dB. */
const NONE = -41;

export class NoiseSlider {
  /**
   * @param {Element} box Contains the elements `.noise` (the slider), `.amount` and `.words`.
   * @param {() => void} change Called when the slider has been moved.
   */
  constructor(box, change) {
    this.input = box.querySelector(".noise");
    this.amount = box.querySelector(".amount");
    this.words = box.querySelector(".words");
    this.input.oninput = () => {
      this.#show();
      change();
    };
    this.#show();
  }

  /** Amplitude of before in what is played as after, 0 … 1. */
  get dry() {
    const value = Number(this.input.value);
    return value <= NONE ? 0 : 10 ** (value / 20);
  }

  /** Greatest reduction of noise in dB; null: no limit. */
  get limitDb() {
    return this.dry === 0 ? null : -Number(this.input.value);
  }

  /** Position of the slider, as text. */
  get value() {
    return this.input.value;
  }

  set value(value) {
    this.input.value = value;
    this.#show();
  }

  #show() {
    const { input, dry } = this;
    const db = -Number(input.value);
    const name = dry === 0 ? "None" : db === 0 ? "All" : "";
    const values = { db, strength: (1 - dry).toFixed(2) };
    this.words.textContent = input.ariaValueText = t(`noise${name || "Db"}`, values);
    this.amount.textContent = t(`noiseShort${name}`, values);
    input.style.setProperty("--share", (Number(input.value) - NONE) / -NONE);
  }
}
