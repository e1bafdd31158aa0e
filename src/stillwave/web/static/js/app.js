/** Start the page. */

import { hasEngine, models } from "./api.js";
import { showChoices } from "./choices.js";
import { FileList } from "./files.js";
import { size } from "./format.js";
import { startKeys } from "./keys.js";
import { Microphone } from "./microphone.js";
import { reason } from "./problems.js";
import { beginSession } from "./session.js";
import { startTabs } from "./tabs.js";
import { fillTexts, t } from "./texts.js";
import { startTheme } from "./theme.js";

fillTexts(document);
startTheme();
startTabs();

/** What the page shows; for tests and the console. */
export const page = { files: null, microphone: null };

async function start() {
  const [service, engine] = await Promise.all([models(), hasEngine(), beginSession()]);
  showChoices(service, engine);
  if (service.limits?.max_bytes) {
    document.querySelector("#limits").textContent = t("limits", { size: size(service.limits.max_bytes) });
  }
  page.files = new FileList(service);
  page.microphone = new Microphone(page.files, engine);
  startKeys(page.files);
  document.body.classList.add("ready");
}

start().catch((error) => {
  const trouble = document.querySelector("#trouble");
  trouble.textContent = error.name === "TypeError" ? reason(error) : t("errorModels", { reason: reason(error) });
  trouble.hidden = false;
});
