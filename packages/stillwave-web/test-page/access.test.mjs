import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { join } from "node:path";
import { test } from "node:test";
import { readFile } from "node:fs/promises";

import { choose, open, OUT, status } from "./support.mjs";

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const SCREENS = [
  { name: "wide-light", width: 1280, height: 900, colorScheme: "light" },
  { name: "phone-dark", width: 390, height: 844, colorScheme: "dark" },
];

/** Check a state with axe-core, that nothing is wider than the screen, and keep a picture of it. */
async function check(page, name) {
  await page.waitForTimeout(400);
  await page.screenshot({ path: join(OUT, `${name}.png`), fullPage: true });
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 160)).join(" | ")}`);
  assert.deepEqual(found, [], name);
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(overflow <= 0, `${name}: ${overflow} px wider than the screen`);
}

for (const { name, ...screen } of SCREENS) {
  test(`every state is accessible and fits the screen: ${name}`, async (t) => {
    const page = await open(t, screen);
    await check(page, `${name}-empty`);
    await page.locator("#settings summary").click();
    await check(page, `${name}-settings`);
    await page.locator("#settings summary").click();
    await choose(page, "talk.wav", "long.wav", "broken.mp3");
    await status(page, "talk.wav", "done");
    await page.waitForFunction(() => document.querySelector('[data-status="failed"]'));
    await check(page, `${name}-done`);
    await page.locator("#tab-microphone").click();
    await check(page, `${name}-microphone`);
    await page.locator("#mic-start").click();
    await page.waitForSelector("#panel-microphone.on");
    await page.waitForTimeout(2000);
    await check(page, `${name}-microphone-on`);
  });
}

test("the keyboard reaches everything, in order", async (t) => {
  const page = await open(t);
  const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.className);
  const order = [];
  for (let i = 0; i < 5; i++) {
    await page.keyboard.press("Tab");
    order.push(await focused());
  }
  assert.deepEqual(order, ["skip", "tab-files", "theme", "choose", ""]);
  await page.locator("#tab-files").focus();
  await page.keyboard.press("ArrowRight");
  assert.equal(await focused(), "tab-microphone");
  assert.ok(await page.locator("#panel-microphone").isVisible());
});

test("a server that does not answer is named", async (t) => {
  const page = await open(t);
  await page.route("**/v1/enhance*", (route) => route.abort());
  await choose(page, "talk.wav");
  await page.waitForFunction(() => document.querySelector('[data-status="failed"]'));
  assert.match(await page.locator(".sentence").innerText(), /does not answer/);
});

test("without ONNX Runtime Web the page says so, and the microphone uses the server", async (t) => {
  const page = await open(t, { hide: "**/static/vendor/**" });
  await page.locator("#settings summary").click();
  const choice = page.locator(".choice", { hasText: "In this browser" });
  assert.match(await choice.innerText(), /is not installed/);
  assert.ok(await choice.locator("input").isDisabled());
  await page.locator("#tab-microphone").click();
  assert.equal(await page.locator("#mic-place").innerText(), "on the server");
});
