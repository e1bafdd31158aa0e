import assert from "node:assert/strict";
import { test } from "node:test";

import { Viewport } from "../../../src/stillwave/web/static/js/viewport.js";

test("zooming keeps the centre, and stays within the recording", () => {
  const view = new Viewport(1000, 60000);
  view.zoom(4, 30000);
  assert.deepEqual([view.start, view.length], [22500, 15000]);
  view.zoom(2, 22500);
  assert.deepEqual([view.start, view.length], [22500, 7500]);
  view.move(1e9);
  assert.equal(view.start, 52500);
  view.zoom(1e9);
  assert.equal(view.length, 250);
  view.zoom(1e-9);
  assert.deepEqual([view.start, view.length, view.zoomed], [0, 60000, false]);
});

test("the view follows a frame that is not shown", () => {
  const view = new Viewport(1000, 60000);
  view.zoom(6, 0);
  assert.equal(view.follow(5000), false);
  assert.equal(view.follow(20000), true);
  assert.ok(view.start <= 20000 && view.start + view.length > 20000);
  assert.equal(view.follow(59999), true);
  assert.equal(view.start, 50000);
});

test("marks are round times within the view", () => {
  const view = new Viewport(1000, 60000);
  assert.deepEqual(view.marks(6), { step: 10, times: [0, 10, 20, 30, 40, 50, 60] });
  view.zoom(30, 30000);
  assert.equal(view.marks(6).step, 0.5);
});
