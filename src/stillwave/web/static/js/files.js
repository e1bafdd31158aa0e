/** The tab of files: choose or drop, a queue, the list of recordings, and all of them as an archive. */

import { announce } from "./announce.js";
import { makeFile, save } from "./downloads.js";
import { size } from "./format.js";
import { reason, sentenceError } from "./problems.js";
import { Recording } from "./recording.js";
import { RecordingView } from "./recording-view.js";
import { settings } from "./settings.js";
import { t } from "./texts.js";
import { uniqueNames, zip } from "./zip.js";

/** Recordings that are enhanced at the same time. */
const AT_ONCE = { server: 2, browser: 1 };

/** The list of recordings. */
export class FileList {
  /** @param {{limits: object, formats: string[]}} service What `GET /v1/models` states. */
  constructor(service) {
    this.service = service;
    this.views = [];
    this.list = document.querySelector("#recordings");
    this.section = document.querySelector("#recordings-section");
    this.body = document.body;
    this.#listen();
  }

  /** Add files and start to enhance them. */
  add(files) {
    const first = this.views.length === 0 && files.length === 1;
    for (const file of files) {
      const { model, where, keepClean } = settings;
      const recording = new Recording({ file, name: file.name, model, where, keepClean });
      this.show(recording, first || this.views.length === 0);
      this.#check(recording);
    }
    this.#next();
  }

  /** Show the card of a recording. */
  show(recording, open = true) {
    const view = new RecordingView(recording, {
      formats: this.service.formats,
      remove: () => this.remove(view),
      retry: () => this.#restart(view, {}),
      again: (values) => this.#restart(view, values),
    });
    this.views.push(view);
    this.list.append(view.element);
    view.expand(open);
    recording.addEventListener("done", () => this.#finished(view));
    this.#changed();
    return view;
  }

  async remove(view) {
    const at = this.views.indexOf(view);
    this.views.splice(at, 1);
    view.remove();
    this.#changed();
    (this.views[at] ?? this.views[at - 1])?.parts.toggle.focus();
    if (!this.views.length) document.querySelector("#choose").focus();
    await view.recording.remove();
    this.#next();
  }

  #check(recording) {
    const { max_bytes: limit } = this.service.limits ?? {};
    const { file, where } = recording;
    if (file.size === 0) recording.fail(sentenceError("errorEmpty"));
    else if (where === "server" && limit && file.size > limit) {
      recording.fail(sentenceError("errorSize", { size: size(file.size), limit: size(limit) }));
    }
  }

  async #restart(view, values) {
    view.close();
    await view.recording.again(values);
    this.#next();
  }

  /** Run recordings that wait, as many at a time as the place allows. */
  #next() {
    const active = this.views.filter(({ recording }) => ["sending", "reading", "working"].includes(recording.status));
    for (const { recording } of this.views) {
      if (recording.status !== "waiting" || recording.retryIn || recording.running) continue;
      const same = active.filter(({ recording: other }) => other.where === recording.where);
      if (same.length >= AT_ONCE[recording.where]) continue;
      active.push({ recording });
      recording.running = true;
      recording.run().then(() => {
        recording.running = false;
        this.#next();
      });
    }
    this.#changed();
  }

  /** Open the first recording that can be heard, if none that can be heard is open. */
  #finished(view) {
    const heard = this.views.filter(({ recording }) => recording.status === "done");
    if (heard.every(({ element }) => element.classList.contains("closed"))) view.expand(true);
    this.#changed();
  }

  #changed() {
    const done = this.views.filter(({ recording }) => recording.status === "done");
    this.section.hidden = this.views.length === 0;
    this.body.classList.toggle("has-recordings", this.views.length > 0);
    document.querySelector("#all").hidden = done.length < 2;
  }

  async #archive(button) {
    const done = this.views.filter(({ recording }) => recording.status === "done");
    button.disabled = true;
    const files = [];
    try {
      for (const view of done) {
        button.textContent = t("preparingAll", { done: files.length, total: done.length });
        const format = view.parts.format.value;
        files.push(await makeFile(view.recording, { format, dry: view.dry }));
      }
      const names = uniqueNames(files.map(({ name }) => name));
      const blob = await zip(files.map((file, i) => ({ ...file, name: names[i] })));
      save({ name: "stillwave.zip", blob });
      announce(t("ready", { name: "stillwave.zip" }));
    } catch (error) {
      announce((document.querySelector("#list-trouble").textContent = t("errorExport", { reason: reason(error) })));
    }
    button.disabled = false;
    button.textContent = t("downloadAll");
  }

  #listen() {
    const input = document.querySelector("#input");
    document.querySelector("#choose").onclick = () => input.click();
    input.onchange = () => {
      this.add([...input.files]);
      input.value = "";
    };
    document.querySelector("#all").onclick = ({ currentTarget }) => this.#archive(currentTarget);
    let depth = 0;
    const dragged = (event) => event.dataTransfer?.types.includes("Files");
    const mark = () => this.body.classList.toggle("dropping", depth > 0);
    addEventListener("dragenter", (event) => {
      if (dragged(event)) depth += 1;
      mark();
    });
    addEventListener("dragleave", (event) => {
      if (dragged(event)) depth = Math.max(0, depth - 1);
      mark();
    });
    addEventListener("dragover", (event) => dragged(event) && event.preventDefault());
    addEventListener("drop", (event) => {
      if (!dragged(event)) return;
      event.preventDefault();
      depth = 0;
      mark();
      this.body.dispatchEvent(new CustomEvent("files"));
      this.add([...event.dataTransfer.files]);
    });
  }
}
