/** The card of a recording: progress, then the player, spectrograms, slider and downloads. */

import { announce } from "./announce.js";
import { formatChoices, makeFile, save } from "./downloads.js";
import { clock, duration } from "./format.js";
import { NoiseSlider } from "./noise-slider.js";
import { Player } from "./player.js";
import { reason } from "./problems.js";
import { change, settings } from "./settings.js";
import { SpectrogramView } from "./spectrogram-view.js";
import { fillTexts, t } from "./texts.js";

const template = document.querySelector("#recording");
let count = 0;

export class RecordingView {
  /**
   * @param {import("./recording.js").Recording} recording
   * @param {{formats: string[], remove: () => void, retry: () => void}} list What the list of recordings does.
   */
  constructor(recording, list) {
    Object.assign(this, { recording, list });
    this.element = template.content.firstElementChild.cloneNode(true);
    fillTexts(this.element);
    const find = (selector) => this.element.querySelector(selector);
    this.parts = new Proxy({}, { get: (_, name) => find(`.${name}`) });
    this.#identify();
    this.slider = new NoiseSlider(find(".noise-box"), () => this.player && this.#noise());
    if (recording.noise) this.slider.value = recording.noise;
    find(".name").textContent = recording.name;
    find(".remove").ariaLabel = t("remove", { name: recording.name });
    find(".remove").onclick = list.remove;
    find(".cancel").onclick = list.remove;
    find(".retry").onclick = list.retry;
    find(".again").onclick = () => list.again(chosen());
    find(".toggle").onclick = () => this.expand(this.element.classList.contains("closed"));
    recording.addEventListener("change", () => this.update());
    recording.addEventListener("begin", () => this.#begin());
    recording.addEventListener("progress", () => this.view?.grow(recording.available, recording.facts.frames));
    recording.addEventListener("done", () => this.#done());
    this.onSettings = () => this.update();
    settings.addEventListener("change", this.onSettings);
    this.update();
    if (recording.facts) this.#begin(); // a recording of the microphone has begun before it is shown
    if (recording.status === "done") this.#done();
  }

  /** Give the parts of this card names of their own, for labels. */
  #identify() {
    count += 1;
    for (const element of this.element.querySelectorAll("[id]")) element.id += count;
    for (const element of this.element.querySelectorAll("[for]")) element.htmlFor += count;
    for (const element of this.element.querySelectorAll("[name]")) element.name += count;
    for (const attribute of ["aria-describedby", "aria-labelledby"]) {
      for (const element of this.element.querySelectorAll(`[${attribute}]`)) {
        element.setAttribute(attribute, element.getAttribute(attribute) + count);
      }
    }
    this.element.setAttribute("aria-labelledby", `name${count}`);
  }

  /** Amplitude of before in what is heard as after. */
  get dry() {
    return this.slider.dry;
  }

  update() {
    const { recording, parts, element } = this;
    element.dataset.status = recording.status;
    const working = ["waiting", "sending", "reading", "working"].includes(recording.status);
    parts.progress.hidden = !working;
    parts.bar.hidden = recording.status === "waiting";
    parts.failure.hidden = recording.status !== "failed";
    if (working) this.#progress();
    if (recording.status === "failed" && parts.sentence.textContent !== recording.error) {
      parts.sentence.textContent = recording.error;
      announce(`${recording.name}: ${recording.error}`);
      this.close(); // what was shown until the fault
    }
    parts.facts.textContent = this.#facts();
    this.#offerAgain();
  }

  /** Offer to enhance again if other settings are chosen than were used. */
  #offerAgain() {
    const { recording, parts } = this;
    const values = chosen();
    const other = Object.keys(values).some((name) => values[name] !== recording[name]);
    parts.again.hidden = !other || !recording.file || recording.status !== "done";
    const { model, keepClean } = values;
    parts.again.textContent = t(keepClean ? "againKeepClean" : "again", { model });
  }

  #progress() {
    const { recording, parts } = this;
    const { share, status, left } = recording;
    if (share === null || status !== "working") parts.bar.removeAttribute("value");
    else parts.bar.value = share;
    if (recording.retryIn) parts.stage.textContent = t("waitingServer", { seconds: recording.retryIn });
    else if (status !== "working") parts.stage.textContent = t(status);
    else if (share !== null) parts.stage.textContent = t("working", { percent: Math.floor(100 * share) });
    else parts.stage.textContent = t("workingOf", { time: clock(recording.available / recording.facts.rate) });
    parts.left.textContent = left && status === "working" ? t("left", { time: duration(left) }) : "";
  }

  #facts() {
    const { recording } = this;
    if (!recording.facts?.frames) return "";
    const { rate, channels, frames } = recording.facts;
    const words = { 1: t("mono"), 2: t("stereo") }[channels] ?? t("channels", { count: channels });
    const facts = [t("facts", { duration: duration(frames / rate), channels: words, rate: rate / 1000 })];
    if (recording.status === "done" && recording.file) {
      const speed = frames / rate / recording.seconds;
      const values = { model: recording.model, time: duration(recording.seconds), speed: speed.toFixed(speed < 10 ? 1 : 0) };
      facts.push(t(speed >= 1.05 ? "took" : "tookSlow", values));
      if (recording.keepClean) facts.push(t("keptClean"));
    }
    return facts.join(" · ");
  }

  #begin() {
    const { recording, parts } = this;
    this.close();
    parts.display.hidden = false;
    const columns = (range) => recording.client.request("columns", range);
    this.view = new SpectrogramView(parts.display, columns, recording.facts, recording.rows);
    parts.plot.ariaLabel = `${t("position")}: ${recording.name}`;
    parts.plot.ariaDisabled = "true";
  }

  #done() {
    const { recording, parts } = this;
    announce(t(recording.file ? "done" : "micRecorded", { name: recording.name }));
    parts.controls.hidden = false;
    parts.plot.ariaDisabled = "false";
    this.view.grow(recording.available, recording.facts.frames);
    this.player = new Player((start, frames) => recording.client.read(start, frames), recording.facts);
    this.player.addEventListener("state", () => this.#state());
    this.view.addEventListener("seek", ({ detail }) => this.#seek(detail));
    parts.play.onclick = () => this.toggle();
    for (const radio of this.element.querySelectorAll(".versions input")) {
      radio.onchange = () => this.hear(radio.value);
    }
    parts.match.onchange = () => this.#match();
    parts.download.onclick = () => this.#download();
    parts.format.onchange = () => change({ format: parts.format.value });
    const choices = formatChoices(recording, this.list.formats).map(([value, words]) => new Option(words, value));
    parts.format.replaceChildren(...choices);
    if (choices.some(({ value }) => value === settings.format)) parts.format.value = settings.format;
    this.#noise();
    this.#seek(0);
  }

  /** Start or pause. */
  async toggle() {
    const { player, parts } = this;
    parts.trouble.textContent = "";
    if (player.playing) return player.pause();
    return player.play().catch((error) => {
      parts.trouble.textContent = reason(error);
      announce(parts.trouble.textContent);
    });
  }

  /** Switch between before and after. */
  hear(version) {
    this.element.querySelector(`.versions input[value=${version}]`).checked = true;
    this.element.dataset.heard = version;
    this.player.set({ heard: version });
  }

  /** Show or hide all but the name. */
  expand(open) {
    this.element.classList.toggle("closed", !open);
    this.parts.toggle.ariaExpanded = String(open);
    if (open) this.view?.redraw();
  }

  #state() {
    const { parts, player } = this;
    this.element.classList.toggle("playing", player.playing);
    parts.play.ariaLabel = t(player.playing ? "pause" : "play");
    if (player.playing) requestAnimationFrame(() => this.#tick());
    else this.#show();
  }

  #tick() {
    this.#show();
    if (this.player.playing) requestAnimationFrame(() => this.#tick());
  }

  #show() {
    const { player, view, parts } = this;
    view.moveTo(player.position, player.playing);
    const { rate, frames } = player.facts;
    parts.clock.textContent = `${clock(player.position / rate)} / ${clock(frames / rate)}`;
  }

  #seek(frame) {
    this.player.seek(frame);
    this.#show();
  }

  #noise() {
    const { dry } = this;
    this.player.set({ dry });
    clearTimeout(this.later);
    this.later = setTimeout(() => {
      this.view.mix(dry);
      this.#match();
    }, 120);
  }

  /** Make before and after equally loud by lowering the louder one. */
  async #match() {
    const { parts, recording, player, dry } = this;
    let match = { before: 1, after: 1 };
    if (parts.match.checked) {
      const { before, after } = await recording.client.request("loudness", { dry });
      if (before !== null && after !== null) {
        const target = Math.min(before, after);
        match = { before: 10 ** ((target - before) / 20), after: 10 ** ((target - after) / 20) };
      }
    }
    player.set({ match });
  }

  async #download() {
    const { parts } = this;
    parts.download.disabled = true;
    parts.download.textContent = t("preparing");
    parts.trouble.textContent = "";
    try {
      const file = await makeFile(this.recording, { format: parts.format.value, dry: this.dry });
      save(file);
      announce(t("ready", { name: file.name }));
    } catch (error) {
      parts.trouble.textContent = t("errorExport", { reason: reason(error) });
      announce(parts.trouble.textContent);
    }
    parts.download.disabled = false;
    parts.download.textContent = t("download");
  }

  /** Free what the card holds, for another run or for its end. */
  close() {
    clearTimeout(this.later);
    this.player?.close();
    this.view?.close();
    this.player = this.view = undefined;
    this.parts.controls.hidden = true;
    this.parts.display.hidden = true;
  }

  remove() {
    this.close();
    settings.removeEventListener("change", this.onSettings);
    this.element.remove();
  }
}

/** Return the settings that new recordings use. */
function chosen() {
  const { model, where, keepClean } = settings;
  return { model, where, keepClean };
}
