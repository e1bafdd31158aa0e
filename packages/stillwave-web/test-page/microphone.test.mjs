import assert from "node:assert/strict";
import { test } from "node:test";

import { download, open, setNoise, status } from "./support.mjs";

/** Record a few seconds from the fake microphone and store before and after. */
async function record(t, where, keepClean = false) {
  const page = await open(t, { path: "#microphone" });
  if (keepClean) {
    await page.locator("#settings summary").click();
    await page.getByRole("switch", { name: "Keep clean sound" }).check();
  }
  const name = `mic-${where}${keepClean ? "-kept" : ""}`;
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
  await page.waitForFunction(() => {
    const recording = document.querySelector("#panel-microphone.is-recording");
    return !recording || recording.querySelector(".meter.before .scale").ariaValueNow > -60;
  });
  await clickWhile(page, "is-recording", '[name="mic-version"][value="before"]');
  await clickWhile(page, "is-recording", "#mic-record");
  const card = await status(page, "Recording 1", "done");
  await card.locator(".format").selectOption("wav32");
  await download(page, card.locator(".download"), `${name}-after.wav`);
  await setNoise(card, 0);
  await download(page, card.locator(".download"), `${name}-before.wav`);
  t.diagnostic(`${name}: latency ${numbers[0]}, underruns ${numbers[1]}, load ${numbers[2]}`);
  await clickWhile(page, "on", "#mic-start");
  await page.waitForFunction(() => !document.querySelector("#panel-microphone").classList.contains("on"));
  const trouble = await page.locator("#mic-trouble").textContent();
  if (trouble) t.diagnostic(trouble);
}

/** Click an element of the panel while it has a class: a busy machine may end the recording at any time, and keeps it. */
async function clickWhile(page, state, selector) {
  await page.evaluate((within) => document.querySelector(within)?.click(), `#panel-microphone.${state} ${selector}`);
}

test("record from the microphone in the browser", (t) => record(t, "browser"));
test("record from the microphone through the server", (t) => record(t, "server"));
test("keep clean sound from the microphone in the browser", (t) => record(t, "browser", true));
test("keep clean sound from the microphone through the server", (t) => record(t, "server", true));

test("leave noise in live sound, not in its recording", async (t) => {
  const page = await open(t, { path: "#microphone" });
  const panel = page.locator("#panel-microphone");
  await page.locator("#mic-start").click();
  await page.waitForSelector("#panel-microphone.on");
  await setNoise(panel, 0);
  assert.equal(await page.locator("#panel-microphone .words").innerText(), "All: the recording as it was");
  await page.waitForFunction(difference, { than: 1e-4, less: true });
  await setNoise(panel, -41);
  await page.waitForFunction(difference, { than: 1e-3, less: false });
  await setNoise(panel, -12);
  await clickWhile(page, "on", "#mic-record");
  await page.waitForFunction(() => Number(document.querySelector("#mic-time").textContent.split(":")[1]) >= 2);
  await clickWhile(page, "is-recording", "#mic-record");
  const card = await status(page, "Recording 1", "done");
  assert.equal(await card.locator(".noise").inputValue(), "-12");
  assert.match(await card.locator(".words").innerText(), /at most 12 dB/);
});

/** Return whether what is shown as after differs from before by less or more than a share of its level. */
async function difference({ than, less }) {
  const { page } = await import(new URL("static/js/app.js", location.href).href);
  const [before, after] = ["before", "after"].map((which) => {
    const samples = new Float32Array(2048);
    page.microphone.live[which].getFloatTimeDomainData(samples);
    return samples;
  });
  const rms = (values) => Math.hypot(...values) / Math.sqrt(values.length);
  const level = rms(before);
  const ratio = rms(before.map((value, n) => value - after[n])) / level;
  return level > 1e-3 && (less ? ratio < than : ratio > than);
}
