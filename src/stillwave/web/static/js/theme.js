/** Colours: as the system, light or dark. */

import { change, settings } from "./settings.js";
import { t } from "./texts.js";

const ORDER = ["auto", "light", "dark"];
const WORDS = { auto: "themeAuto", light: "themeLight", dark: "themeDark" };

/** Make the button for the colours work. */
export function startTheme() {
  const button = document.querySelector("#theme");
  const show = () => {
    document.documentElement.dataset.theme = settings.theme;
    button.ariaLabel = button.title = t(WORDS[settings.theme]);
  };
  button.onclick = () => {
    change({ theme: ORDER[(ORDER.indexOf(settings.theme) + 1) % ORDER.length] });
    show();
  };
  show();
}
