import assert from "node:assert/strict";
import { test } from "node:test";

import { download, open, setNoise, status } from "./support.mjs";

/** Record a few seconds from the fake microphone and store before and after. */
async function record(t, where) {
  const page = await open(t, { path: "#microphone" });
  if (where === "server") {
    await page.evaluate(async () => {
      const { page: app } = await import(new URL("static/js/app.js", location.href).href);
      app.microphone.engine = false;
    });
  }
  await page.locator("#mic-record").click();
  await page.waitForSelector("#panel-microphone.on");
  await page.waitForFunction(() => {
    const seconds = Number(document.querySelector("#mic-time").textContent.split(":")[1]);
    return seconds >= 4 || !document.querySelector("#mic-trouble").hidden;
  });
  const numbers = await page.locator(".numbers dd").allInnerTexts();
  assert.match(numbers[0], /^\d+ ms$/);
  assert.match(numbers[1], /^\d+$/);
  const trouble = await page.locator("#mic-trouble").textContent();
  if (trouble) t.diagnostic(trouble); // a busy machine: what was enhanced until then is kept
  else {
    await page.waitForFunction(() => document.querySelector(".meter.before .scale").ariaValueNow > -60);
    await page.locator('#panel-microphone label:has-text("Before")').click();
    await page.locator("#mic-record").click();
  }
  const card = await status(page, "Recording 1", "done");
  await card.locator(".format").selectOption("wav32");
  await download(page, card.locator(".download"), `mic-${where}-after.wav`);
  await setNoise(card, 0);
  await download(page, card.locator(".download"), `mic-${where}-before.wav`);
  t.diagnostic(`${where}: latency ${numbers[0]}, underruns ${numbers[1]}, load ${numbers[2]}`);
  if (trouble) return;
  await page.locator("#tab-microphone").click();
  await page.locator("#mic-start").click();
  await page.waitForFunction(() => !document.querySelector("#panel-microphone").classList.contains("on"));
}

test("record from the microphone in the browser", (t) => record(t, "browser"));
test("record from the microphone through the server", (t) => record(t, "server"));
