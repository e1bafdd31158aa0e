import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { audio, choose, download, inViews, open, setNoise, status, untilViews } from "./support.mjs";

test("drop, listen, switch, leave noise, download", async (t) => {
  const page = await open(t);
  await drop(page, "talk.wav");
  const card = await status(page, "talk.wav", "done");
  assert.match(await card.locator(".facts").innerText(), /6\.0 s · mono · 16 kHz/);

  await card.locator(".play").click();
  await page.waitForFunction(() => document.querySelector(".recording").classList.contains("playing"));
  await page.waitForFunction(() => !document.querySelector(".clock").textContent.startsWith("0:00"));
  const positions = await inViews(page, async ([view]) => {
    const { player } = view;
    const before = player.position;
    view.hear("before");
    const after = player.position;
    return { before, after, gains: player.gains, sources: player.sources.size };
  });
  assert.ok(Math.abs(positions.after - positions.before) < 1600, "switching keeps the moment");
  assert.equal(positions.gains.after, 0);
  assert.ok(positions.gains.before > 0 && positions.sources >= 2, "both versions are scheduled");

  await card.locator(".plot").click({ position: { x: 900, y: 50 } });
  const share = await inViews(page, ([view]) => view.player.position / view.player.facts.frames);
  assert.ok(share > 0.6 && share < 1, `a click jumps: ${share}`);
  await page.keyboard.press("b");
  assert.equal(await card.getAttribute("data-heard"), "after");

  await setNoise(card, -6);
  await untilViews(page, ([{ player }]) => player.match.before < 1 || player.match.after < 1);
  const gains = await inViews(page, ([view]) => ({ ...view.player.gains, match: view.player.match.after }));
  assert.ok(Math.abs(gains.before / gains.match - 10 ** (-6 / 20)) < 1e-9, "the slider is heard at once");
  assert.ok(Math.abs(gains.before / gains.match + gains.after / gains.match - 1) < 1e-9);
  assert.match(await card.locator(".words").innerText(), /at most 6 dB/);

  for (const [format, name] of [["wav32", "mix.wav"], ["wav", "mix-16.wav"], ["flac", "mix.flac"], ["same", "same.wav"]]) {
    await card.locator(".format").selectOption(format);
    const suggested = await download(page, card.locator(".download"), name);
    assert.equal(suggested, `talk-enhanced.${name.split(".")[1]}`);
  }
});

test("the same loudness is that of the quieter version", async (t) => {
  const page = await open(t);
  await choose(page, "talk.wav");
  const card = await status(page, "talk.wav", "done");
  await untilViews(page, ([{ player }]) => {
    const { before, after } = player.match;
    return Math.max(before, after) === 1 && Math.min(before, after) < 1;
  });
  await card.locator(".match").click();
  await untilViews(page, ([{ player }]) => player.match.before === 1 && player.match.after === 1);
});

test("zoom in, move and show all", async (t) => {
  const page = await open(t);
  await choose(page, "talk.wav");
  const card = await status(page, "talk.wav", "done");
  const shown = () => inViews(page, ([view]) => [view.view.view.start, view.view.view.length]);
  await card.locator(".zoom-in").click();
  assert.deepEqual((await shown())[1], 48000);
  await card.locator(".plot").focus();
  await page.keyboard.press("Shift+ArrowRight");
  assert.ok((await shown())[0] > 0);
  await page.keyboard.press("0");
  assert.deepEqual(await shown(), [0, 96000]);
  await untilViews(page, ([{ view }]) => view.drawn === view.next[0].width);
  const colours = await card.locator("canvas.before").evaluate((canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return new Set(new Uint32Array(data.buffer)).size;
  });
  assert.ok(colours > 50, `${colours} colours`);
});

test("cancel in the middle frees the place for the next", async (t) => {
  const page = await open(t);
  await choose(page, "long.wav", "talk.wav");
  const card = await status(page, "long.wav", "working");
  await card.locator(".cancel").click();
  await page.waitForFunction(() => document.querySelectorAll(".recording").length === 1);
  await status(page, "talk.wav", "done");
  const files = () =>
    page.evaluate(async () => {
      const root = await navigator.storage.getDirectory();
      const names = [];
      for await (const [, session] of (await root.getDirectoryHandle("stillwave")).entries()) {
        for await (const name of session.keys()) names.push(name);
      }
      return names;
    });
  while ((await files()).length > 1) await page.waitForTimeout(100); // its samples are deleted
});

test("two files and a broken one; the archive holds the two", async (t) => {
  const page = await open(t);
  await choose(page, "talk.wav", "stereo.flac", "broken.mp3", "empty.wav");
  await status(page, "talk.wav", "done");
  await status(page, "stereo.flac", "done");
  const failures = page.locator('.recording[data-status="failed"] .sentence');
  await page.waitForFunction(() => document.querySelectorAll('[data-status="failed"]').length === 2);
  for (const sentence of await failures.allInnerTexts()) assert.match(sentence, /^[A-Z].{10,}\.$/);
  await download(page, page.locator("#all"), "all.zip");
});

test("another model enhances again", async (t) => {
  const page = await open(t);
  await choose(page, "talk.wav");
  const card = await status(page, "talk.wav", "done");
  const used = await inViews(page, ([view]) => view.recording.model);
  await page.locator("#settings summary").click();
  await page.locator(`#models .choice:not(:has-text("${used}"))`).last().click();
  await card.locator(".again").click();
  await page.waitForFunction((old) => !document.querySelector(".recording .facts").textContent.includes(old), used);
  await status(page, "talk.wav", "done");
  assert.notEqual(await inViews(page, ([view]) => view.recording.model), used);
});

test("clean sound is kept on request, on the server and in this browser", async (t) => {
  const page = await open(t);
  await choose(page, "clean.wav");
  const card = await status(page, "clean.wav", "done");
  assert.doesNotMatch(await card.locator(".facts").innerText(), /clean sound kept/);
  assert.ok(await card.locator(".again").isHidden());

  await page.locator("#settings summary").click();
  await page.getByRole("switch", { name: "Keep clean sound" }).check();
  assert.match(await page.locator("#chosen").innerText(), /clean sound kept/);
  await again(page, card, /, clean sound kept$/);
  await card.locator(".format").selectOption("wav32");
  await download(page, card.locator(".download"), "kept-server.wav");
  await setNoise(card, -12);
  assert.match(await card.locator(".words").innerText(), /at most 12 dB \(strength 0\.75\)/);
  await card.locator(".format").selectOption("same");
  await download(page, card.locator(".download"), "kept-same.wav");

  await page.locator(".choice", { hasText: "In this browser" }).click();
  await again(page, card, /, clean sound kept$/);
  await setNoise(card, -41);
  await card.locator(".format").selectOption("wav32");
  await download(page, card.locator(".download"), "kept-browser.wav");

  await page.reload();
  await page.waitForSelector("body.ready");
  assert.ok(await page.locator("#keep-clean").isChecked(), "the choice is remembered");
});

/** Enhance a recording again with the settings that are chosen now. */
async function again(page, card, words) {
  assert.match(await card.locator(".again").innerText(), words);
  await card.locator(".again").click();
  await status(page, await card.locator(".name").innerText(), "done");
  assert.match(await card.locator(".facts").innerText(), /clean sound kept/);
}

test("in this browser, nothing is sent", async (t) => {
  const page = await open(t);
  const sent = [];
  page.on("request", (request) => request.method() !== "GET" && request.method() !== "HEAD" && sent.push(request.url()));
  await page.locator("#settings summary").click();
  await page.locator(".choice", { hasText: "In this browser" }).click();
  await choose(page, "talk48.wav", "stereo.flac");
  for (const name of ["talk48.wav", "stereo.flac"]) {
    const card = await status(page, name, "done");
    if (!(await card.locator(".format").isVisible())) await card.locator(".toggle").click();
    await card.locator(".format").selectOption("wav32");
    await download(page, card.locator(".download"), `browser-${name.replace("flac", "wav")}`);
  }
  assert.deepEqual(sent, []);
});

for (const place of ["On this computer", "In this browser"]) {
  test(`what the command refuses is refused with a sentence: ${place}`, async (t) => {
    const page = await open(t);
    await page.locator("#settings summary").click();
    await page.locator(".choice", { hasText: place }).click();
    const words = {
      "nan.wav": /NaN or infinite/,
      "cut.wav": /cut short/i,
      "cut.flac": /cut short/i,
      "text.wav": /decoded|damaged/,
      "silent.wav": null,
      "short.wav": null,
    };
    await choose(page, ...Object.keys(words));
    for (const [name, expected] of Object.entries(words)) {
      if (!expected) await status(page, name, "done");
      else assert.match(await failure(page, name), expected, name);
    }
  });
}

/** Wait until a recording has failed and return its sentence. */
async function failure(page, name) {
  const card = page.locator(".recording", { has: page.locator(".name", { hasText: name }) });
  await card.locator(".sentence").waitFor();
  const sentence = await card.locator(".sentence").innerText();
  assert.match(sentence, /^[^\n]{10,}\.$/, name);
  assert.ok(await card.locator(".display").isHidden(), name);
  return sentence;
}

/** Drop a file from the desktop on the page. */
async function drop(page, name) {
  const bytes = [...(await readFile(audio(name)))];
  const transfer = await page.evaluateHandle(([values, file]) => {
    const data = new DataTransfer();
    data.items.add(new File([new Uint8Array(values)], file));
    return data;
  }, [bytes, name]);
  for (const type of ["dragenter", "dragover", "drop"]) await page.dispatchEvent("#drop", type, { dataTransfer: transfer });
}
