/** Model, place of computation and treatment of clean sound that the user has chosen; remembered by the browser. */

const KEY = "stillwave";

/** What new recordings and the microphone use. */
export const settings = Object.assign(
  new EventTarget(),
  { model: null, where: "server", keepClean: false, format: "wav", theme: "auto" },
  stored(),
);

/** Change settings, remember them, and dispatch `change`. */
export function change(values) {
  Object.assign(settings, values);
  const { model, where, keepClean, format, theme } = settings;
  try {
    localStorage.setItem(KEY, JSON.stringify({ model, where, keepClean, format, theme }));
  } catch {
    // Storage is switched off: the settings last as long as the page.
  }
  settings.dispatchEvent(new Event("change"));
}

function stored() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? {};
  } catch {
    return {};
  }
}
