/** Open the page of a running `stillwave web` in Chromium. `tests/web/test_page.py` starts both and sets the environment. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { after } from "node:test";
import { chromium } from "playwright-core";

export const { STILLWAVE_PAGE: PAGE, STILLWAVE_AUDIO: AUDIO, STILLWAVE_OUT: OUT } = process.env;
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const SECONDS = 1000;
/** Time for what is done within a moment on an idle machine. */
export const PATIENCE = 120 * SECONDS;

const ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--autoplay-policy=no-user-gesture-required",
  "--use-fake-ui-for-media-stream",
  "--use-fake-device-for-media-stream",
  `--use-file-for-fake-audio-capture=${join(AUDIO, "microphone.wav")}%noloop`,
];

const browser = await chromium.launch({ executablePath: CHROMIUM, args: ARGUMENTS });
after(() => browser.close());

/** Return the path of a recording made for the tests. */
export const audio = (name) => join(AUDIO, name);

/** Open the page; faults in its scripts and violations of its content security policy fail the test. */
export async function open(t, { path = "", width = 1280, height = 900, colorScheme = "light", hide } = {}) {
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme,
    acceptDownloads: true,
    permissions: ["microphone"],
  });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const faults = [];
  page.on("pageerror", (error) => faults.push(error.stack ?? error.message));
  page.on("console", (message) => {
    if (message.type() === "error" && !/status of 4\d\d/.test(message.text())) faults.push(message.text());
  });
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (!["blob:", "data:"].includes(url.protocol) && url.host !== new URL(PAGE).host) faults.push(`outside: ${url}`);
  });
  t.after(async () => {
    await context.close();
    assert.deepEqual(faults, []);
  });
  if (hide) await page.route(hide, (route) => route.fulfill({ status: 404 }));
  await page.goto(PAGE + path);
  await page.waitForSelector("body.ready");
  return page;
}

/** Choose files, as the dialog would. */
export async function choose(page, ...names) {
  await page.setInputFiles("#input", names.map(audio));
}

/** Wait until the card of a recording has a status. */
export async function status(page, name, wanted) {
  const card = page.locator(".recording", { hasText: name });
  await page.waitForFunction(
    ([text, states]) => {
      const cards = [...document.querySelectorAll(".recording")];
      const found = cards.find((card) => card.querySelector(".name").textContent === text);
      return states.includes(found?.dataset.status);
    },
    [name, [wanted, "failed"]],
  );
  assert.equal(await card.getAttribute("data-status"), wanted, await card.innerText());
  return card;
}

/** Call a function in the page with the views of all recordings (`js/recording-view.js`). */
export async function inViews(page, call) {
  const views = await page.evaluateHandle(async () => {
    const { page: app } = await import(new URL("static/js/app.js", location.href).href);
    return app.files.views;
  });
  return views.evaluate(call);
}

/** Wait until `call` of the views is true. */
export async function untilViews(page, call) {
  for (const start = Date.now(); !(await inViews(page, call)); ) {
    assert.ok(Date.now() - start < PATIENCE, `${call}`);
    await page.waitForTimeout(50);
  }
}

/** Click a button that downloads and store the file in OUT. */
export async function download(page, button, name) {
  const [file] = await Promise.all([page.waitForEvent("download"), button.click()]);
  await file.saveAs(join(OUT, name));
  return file.suggestedFilename();
}

/** Set the slider of a card to dB, -41 for no noise. */
export async function setNoise(card, db) {
  await card.locator(".noise").evaluate((slider, value) => {
    slider.value = value;
    slider.dispatchEvent(new Event("input", { bubbles: true }));
  }, db);
}
