/**
 * Samples of an item, before and after, frame by frame: `[before of each channel, after of each channel]` as 32-bit floats.
 *
 * They are kept in the browser's private file storage, so memory does not grow with a recording. Where there is none (an
 * address that is not secure, an old browser), they are kept in memory, up to `MEMORY_LIMIT`.
 */

/** Folder of all sessions in the private file storage; a session removes the folders of those that have ended. */
export const FOLDER = "stillwave";
/** Greatest number of bytes of an item that is kept in memory. */
const MEMORY_LIMIT = 2 ** 30;
const PIECE = 2 ** 20;

/** Return a store in the file `name` of the session's folder, or in memory. */
export async function openStore(session, name) {
  try {
    const root = await navigator.storage.getDirectory();
    const folder = await (await root.getDirectoryHandle(FOLDER, { create: true })).getDirectoryHandle(session, {
      create: true,
    });
    const file = await folder.getFileHandle(name, { create: true });
    return new FileStore(folder, name, await file.createSyncAccessHandle());
  } catch {
    return new MemoryStore();
  }
}

class FileStore {
  constructor(folder, name, handle) {
    Object.assign(this, { folder, name, handle });
    this.length = 0;
    /** Names of files that were made of the samples. */
    this.outputs = [];
    handle.truncate(0);
  }

  /** Append values (`Float32Array`). */
  append(values) {
    const written = this.handle.write(values, { at: 4 * this.length });
    if (written !== 4 * values.length) throw new StorageFull();
    this.length += values.length;
  }

  /** Return `count` values from `start` on; beyond the end zeros. */
  read(start, count) {
    const values = new Float32Array(count);
    this.handle.read(values, { at: 4 * start });
    return values;
  }

  async remove() {
    this.handle.close();
    for (const name of [this.name, ...this.outputs]) await this.folder.removeEntry(name);
  }
}

class MemoryStore {
  constructor() {
    this.pieces = [];
    this.length = 0;
  }

  append(values) {
    if (4 * (this.length + values.length) > MEMORY_LIMIT) throw new StorageFull();
    for (let at = 0; at < values.length; ) {
      const offset = this.length % PIECE;
      if (offset === 0) this.pieces.push(new Float32Array(PIECE));
      const part = values.subarray(at, at + PIECE - offset);
      this.pieces.at(-1).set(part, offset);
      this.length += part.length;
      at += part.length;
    }
  }

  read(start, count) {
    const values = new Float32Array(count);
    for (let at = 0; at < count && start + at < this.length; ) {
      const offset = (start + at) % PIECE;
      const part = this.pieces[Math.floor((start + at) / PIECE)].subarray(offset, offset + count - at);
      values.set(part, at);
      at += part.length;
    }
    return values;
  }

  async remove() {
    this.pieces = [];
  }
}

/** The storage takes no more samples. */
export class StorageFull extends Error {
  constructor() {
    super("storageFull");
    this.name = "StorageFull";
  }
}

/** A file that is written piece by piece: on the disk where the store is, else a `Blob` of pieces. */
export class OutputFile {
  static async open(store) {
    if (!(store instanceof FileStore)) return new OutputFile(null, null);
    const name = `${store.name}-output-${store.outputs.length}`; // of its own: an earlier one may still be saved
    store.outputs.push(name);
    const file = await store.folder.getFileHandle(name, { create: true });
    const handle = await file.createSyncAccessHandle();
    handle.truncate(0);
    return new OutputFile(file, handle);
  }

  constructor(file, handle) {
    Object.assign(this, { file, handle });
    this.pieces = [];
    this.length = 0;
  }

  write(bytes) {
    if (this.handle) {
      if (this.handle.write(bytes, { at: this.length }) !== bytes.length) throw new StorageFull();
    } else this.pieces.push(new Blob([bytes]));
    this.length += bytes.length;
  }

  /** Close the file and return it as a `Blob`. */
  async finish(type) {
    if (!this.handle) return new Blob(this.pieces, { type });
    this.handle.close();
    const file = await this.file.getFile();
    return file.slice(0, file.size, type);
  }
}
