/** The folder of this page in the browser's private file storage, which is removed when the page has ended. */

import { FOLDER } from "../item/store.js";

/** Name of this page's folder. */
export const SESSION = `session-${Math.random().toString(36).slice(2)}`;

/** Hold a lock while the page is open, and remove the folders of pages that hold none. */
export async function beginSession() {
  if (!navigator.locks || !navigator.storage?.getDirectory) return;
  const held = Promise.withResolvers?.() ?? deferred();
  navigator.locks.request(SESSION, () => {
    held.resolve();
    return new Promise(() => {});
  });
  await held.promise;
  try {
    const root = await navigator.storage.getDirectory();
    const folder = await root.getDirectoryHandle(FOLDER, { create: true });
    const alive = new Set((await navigator.locks.query()).held.map(({ name }) => name));
    for await (const name of folder.keys()) {
      if (!alive.has(name)) await folder.removeEntry(name, { recursive: true });
    }
  } catch {
    // No storage in a private window: samples are kept in memory.
  }
}

function deferred() {
  const parts = {};
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return parts;
}
