/** The choice of the model, of where it runs, and of what happens to clean sound. */

import { change, settings } from "./settings.js";
import { t } from "./texts.js";

/**
 * Fill the choices.
 * @param {{models: object[]}} service What `GET /v1/models` states.
 * @param {boolean} engine Whether the in-browser mode is installed.
 */
export function showChoices(service, engine) {
  const names = service.models.map(({ name }) => name);
  const preferred = service.models.find((model) => model.default) ?? service.models[0];
  if (!names.includes(settings.model)) change({ model: preferred?.name ?? null });
  if (!engine && settings.where === "browser") change({ where: "server" });
  const ordered = [...service.models].sort((a, b) => Number(b.default) - Number(a.default));
  const models = document.querySelector("#models");
  models.replaceChildren(...ordered.map((model) => choice("model", model.name, titleOf(model), lineOf(model))));
  const places = [
    choice("where", "server", serverName(), t("whereServerLine")),
    choice("where", "browser", t("whereBrowser"), engine ? t("whereBrowserLine") : t("browserMissing"), !engine),
  ];
  document.querySelector("#places").replaceChildren(...places);
  const keepClean = document.querySelector("#keep-clean");
  keepClean.checked = settings.keepClean;
  keepClean.onchange = () => change({ keepClean: keepClean.checked });
  const update = () => summarize();
  settings.addEventListener("change", update);
  update();
}

function isLocal() {
  return ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
}

function serverName() {
  return t(isLocal() ? "whereLocal" : "whereServer");
}

function titleOf(model) {
  return model.default ? `${model.name} · ${t("modelDefault")}` : model.name;
}

/** Return cost and delay in words. */
function lineOf(model) {
  return t("modelLine", { summary: model.summary, cost: cost(model), delay: Math.round(model.delay_ms) });
}

function cost(model) {
  const factor = model.real_time_factor;
  if (factor) return t("costShare", { share: factor < 0.01 ? t("costTiny") : `${Math.round(100 * factor)} %` });
  return t("costMacs", { millions: Math.round(model.mmac_per_second) });
}

function choice(name, value, title, line, disabled = false) {
  const label = document.createElement("label");
  label.className = "choice";
  const input = Object.assign(document.createElement("input"), { type: "radio", name, value, disabled });
  input.checked = settings[name] === value;
  input.onchange = () => change({ [name]: value });
  const head = Object.assign(document.createElement("span"), { className: "choice-title", textContent: title });
  const text = Object.assign(document.createElement("span"), { className: "choice-line", textContent: line });
  label.append(input, head, text);
  return label;
}

/** Show in one line what is chosen. */
function summarize() {
  const place = settings.where === "browser" ? t("whereBrowser") : serverName();
  const chosen = [settings.model, place, ...(settings.keepClean ? [t("keptClean")] : [])];
  document.querySelector("#chosen").textContent = chosen.join(" · ");
  const key = settings.where === "browser" ? "privateBrowser" : isLocal() ? "privateLocal" : "privateServer";
  document.querySelector("#limits").hidden = settings.where === "browser";
  document.querySelector("#privacy").textContent = t(key, { host: location.host });
}
