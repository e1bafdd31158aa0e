import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { test } from "node:test";

const STATIC = new URL("../../../src/stillwave/web/static/", import.meta.url);
const texts = await readFile(new URL("js/texts.js", STATIC), "utf8");
const keys = [...texts.matchAll(/^ {2}(\w+): "/gm)].map(([, key]) => key);
const page = await readFile(new URL("index.html", STATIC), "utf8");
const names = await readdir(new URL("js/", STATIC));
const scripts = (await Promise.all(names.map((name) => readFile(new URL(`js/${name}`, STATIC), "utf8")))).join("\n");

test("every text of the page exists", () => {
  const used = [...page.matchAll(/data-(?:text|label|tip)="(\w+)"/g)].map(([, key]) => key);
  used.push(...[...scripts.matchAll(/\bt\("(\w+)"/g)].map(([, key]) => key));
  assert.ok(used.length > 80);
  assert.deepEqual(used.filter((key) => !keys.includes(key)), []);
});

test("every text is used", () => {
  const others = scripts.replace(texts, "");
  assert.deepEqual(keys.filter((key) => !page.includes(`"${key}"`) && !new RegExp(`"${key}"|: ${key}\\b`).test(others)), []);
});

test("the page has no inline script or style, and loads nothing from outside", () => {
  assert.doesNotMatch(page, /<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=/);
  assert.doesNotMatch(page, /(?:src|href)="(?:https?:)?\/\//);
  assert.doesNotMatch(scripts, /https?:\/\/(?!localhost)/);
});
