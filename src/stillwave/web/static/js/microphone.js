/** The tab of the microphone: live before and after, meters, latency, monitoring and recording. */

import { LiveProcessor } from "../engine/live.js";
import { announce } from "./announce.js";
import { modelFile, ORT } from "./api.js";
import { clock } from "./format.js";
import { LivePicture } from "./live-picture.js";
import { Meter } from "./meter.js";
import { NoiseSlider } from "./noise-slider.js";
import { reason } from "./problems.js";
import { Recording } from "./recording.js";
import { openServerStream } from "./server-stream.js";
import { settings } from "./settings.js";
import { showTab } from "./tabs.js";
import { t } from "./texts.js";

/** Processing of the browser that would change the recording is switched off. */
const PLAIN = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
const SHOW_MS = 250;

export class Microphone {
  /**
   * @param {import("./files.js").FileList} files Receives recordings.
   * @param {boolean} engine Whether the in-browser mode is installed; else the server enhances.
   */
  constructor(files, engine) {
    Object.assign(this, { files, engine });
    this.panel = document.querySelector("#panel-microphone");
    this.find = (selector) => this.panel.querySelector(selector);
    this.meters = { before: new Meter(this.find(".meter.before"), "before"), after: new Meter(this.find(".meter.after"), "after") };
    this.live = null;
    this.recording = null;
    this.count = 0;
    this.find("#mic-start").onclick = () => (this.live ? this.stop() : this.start());
    this.find("#mic-record").onclick = async () => {
      await this.record();
      this.#settings(); // what was changed during the recording
    };
    this.find("#mic-monitor").onchange = () => this.live?.monitor(this.find("#mic-monitor").checked);
    for (const radio of this.panel.querySelectorAll('[name="mic-version"]')) {
      radio.onchange = () => this.hear(radio.value);
    }
    this.slider = new NoiseSlider(this.find(".noise-box"), () => this.live?.limit(this.slider.limitDb));
    this.find("#mic-device").onchange = () => this.live && this.#restart();
    settings.addEventListener("change", () => this.#settings());
    this.#devices();
    this.#state();
  }

  /** Where the network runs. */
  get place() {
    return this.engine ? "browser" : "server";
  }

  /** Open the microphone; `record` also records from the first sample on. */
  async start(record = false) {
    if (this.live || this.starting) return;
    this.starting = true;
    this.#fail("");
    this.#state();
    try {
      if (!navigator.mediaDevices) throw Object.assign(new Error("secure"), { name: "Texts" });
      const deviceId = this.find("#mic-device").value;
      const audio = { ...PLAIN, ...(deviceId && { deviceId: { exact: deviceId } }) };
      this.stream = await navigator.mediaDevices.getUserMedia({ audio });
      this.context = new AudioContext({ latencyHint: "interactive" });
      await this.context.resume();
      const source = new MediaStreamAudioSourceNode(this.context, { mediaStream: this.stream });
      const options = { model: null, ort: ORT, record, modelName: settings.model, keepClean: settings.keepClean };
      options.limitDb = this.slider.limitDb;
      if (this.engine) options.model = await modelFile(settings.model);
      else options.open = openServerStream;
      const live = await LiveProcessor.start(source, options);
      if (record) this.#beginRecording();
      this.#begin(live);
    } catch (error) {
      this.#release();
      this.#fail(reason(error));
    }
    this.starting = false;
    this.#state();
  }

  #begin(live) {
    this.live = live;
    this.model = settings.model;
    this.keepClean = settings.keepClean;
    live.addEventListener("meter", ({ detail }) => this.#meter(detail));
    // The load of the server is not that of this computer.
    if (this.place === "browser") live.addEventListener("load", ({ detail }) => (this.load = detail.load));
    live.addEventListener("recording", ({ detail }) => this.#samples(detail));
    live.addEventListener("recorded", () => this.#recorded());
    live.addEventListener("error", ({ detail }) => this.#error(detail));
    live.listen(this.panel.dataset.heard ?? "after");
    live.monitor(this.find("#mic-monitor").checked);
    this.picture = new LivePicture(this.find(".live-display"), live);
    this.shown = 0;
    this.load = null;
    announce(t("micOn"));
    this.#devices();
  }

  /** Close the microphone; a recording is completed first. */
  async stop() {
    if (this.recording) await this.record();
    this.live?.stop();
    this.#release();
    announce(t("micOff"));
    this.#state();
  }

  #release() {
    this.picture?.stop();
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.context?.close();
    this.live = this.stream = this.context = this.picture = null;
    for (const meter of Object.values(this.meters)) meter.show(null);
  }

  async #restart() {
    await this.stop();
    await this.start();
  }

  /** Start to record (and open the microphone, if it is off), or end the recording. */
  async record() {
    if (!this.recording) {
      if (!this.live) return this.start(true);
      this.#beginRecording();
      this.live.record(true);
      return this.#state();
    }
    const ended = new Promise((resolve) => this.live.addEventListener("recorded", resolve, { once: true }));
    this.live.record(false);
    return ended;
  }

  #beginRecording() {
    this.count += 1;
    const name = t("micRecordingName", { number: this.count });
    this.recording = new Recording({ name, model: settings.model, where: "live", keepClean: settings.keepClean });
    this.recorded = 0;
    this.writer = this.recording.live(this.context.sampleRate);
  }

  #samples({ before, after }) {
    if (!this.recording || before.length === 0) return;
    const values = new Float32Array(2 * before.length);
    for (let n = 0; n < before.length; n++) {
      values[2 * n] = before[n];
      values[2 * n + 1] = after[n];
    }
    this.recorded += before.length;
    this.writer.append(values);
  }

  #recorded() {
    const { recording } = this;
    recording.noise = this.slider.value; // where its own slider begins
    this.recording = null;
    for (const { element } of this.files.views) element.classList.add("closed");
    this.files.show(recording);
    this.writer.finish();
    showTab(document.querySelector("#tab-files"), true);
    this.#state();
  }

  /** Switch what is listened to. */
  hear(version) {
    this.panel.dataset.heard = version;
    this.live?.listen(version);
  }

  #meter(detail) {
    this.meters.before.show(detail.before);
    this.meters.after.show(detail.after);
    if (performance.now() - this.shown < SHOW_MS || !this.live) return;
    this.shown = performance.now();
    this.find("#mic-latency").textContent = t("milliseconds", { value: Math.round(1000 * this.live.latency) });
    this.find("#mic-underruns").textContent = String(detail.underruns);
    this.find("#mic-load").textContent = this.load === null ? "–" : t("percent", { value: Math.round(100 * this.load) });
    this.#clock();
  }

  #clock() {
    const seconds = this.recording && this.context ? this.recorded / this.context.sampleRate : 0;
    this.find("#mic-time").textContent = this.recording ? t("micRecording", { time: clock(seconds) }) : "";
  }

  #error({ slow, message, name }) {
    const text = slow ? t(this.place === "browser" ? "errorSlow" : "errorSlowServer", { model: this.model }) : reason({ name: name ?? "Sentence", message });
    if (this.recording) this.#recorded();
    this.live?.stop();
    this.#release();
    this.#fail(text);
    this.#state();
  }

  #fail(text) {
    const trouble = this.find("#mic-trouble");
    trouble.textContent = text;
    trouble.hidden = !text;
  }

  #settings() {
    this.find("#mic-model").textContent = settings.model ?? "";
    const changed = settings.model !== this.model || settings.keepClean !== this.keepClean;
    if (this.live && changed && !this.recording) this.#restart();
  }

  #state() {
    const { live, starting, recording } = this;
    this.panel.classList.toggle("on", Boolean(live));
    this.panel.classList.toggle("is-recording", Boolean(recording));
    const start = this.find("#mic-start");
    start.textContent = t(starting ? "micStarting" : live ? "micStop" : "micStart");
    start.disabled = Boolean(starting);
    this.panel.querySelector(".live-hint").textContent = t(starting ? "micHintStarting" : "micHint");
    const record = this.find("#mic-record");
    record.querySelector("span").textContent = t(recording ? "micRecordStop" : "micRecord");
    record.disabled = Boolean(starting);
    this.find("#mic-place").textContent = t(this.place === "browser" ? "micInBrowser" : "micOnServer");
    this.find("#mic-model").textContent = settings.model ?? "";
    this.#clock();
  }

  /** List the microphones; browsers name them once the page may use one. */
  async #devices() {
    const select = this.find("#mic-device");
    const devices = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
    const named = devices.filter(({ kind, label, deviceId }) => kind === "audioinput" && label && deviceId !== "default");
    const chosen = select.value;
    const options = [new Option(t("micDefault"), ""), ...named.map(({ label, deviceId }) => new Option(label, deviceId))];
    select.replaceChildren(...options);
    if (options.some(({ value }) => value === chosen)) select.value = chosen;
  }
}
