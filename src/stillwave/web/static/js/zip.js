/** Write a ZIP archive (stored, not compressed: audio hardly shrinks) of `Blob`s without copying them. */

const LARGEST = 0xffffffff;
const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let value = n;
  for (let k = 0; k < 8; k++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/** Return an archive of `{name, blob}` as a `Blob`. */
export async function zip(files) {
  const parts = [];
  const directory = [];
  let offset = 0;
  for (const { name, blob } of files) {
    const entry = { name: new TextEncoder().encode(name), crc: await crc32(blob), size: blob.size, offset };
    const header = localHeader(entry);
    parts.push(header, blob);
    directory.push(centralHeader(entry));
    offset += header.length + blob.size;
  }
  const size = directory.reduce((sum, header) => sum + header.length, 0);
  if (offset + size > LARGEST) throw new RangeError("a ZIP archive holds 4 GB at most; download the files one by one");
  return new Blob([...parts, ...directory, end(files.length, size, offset)], { type: "application/zip" });
}

/** Return names of which none occurs twice: "a.wav", "a (2).wav". */
export function uniqueNames(names) {
  const seen = new Map();
  return names.map((name) => {
    const times = (seen.get(name) ?? 0) + 1;
    seen.set(name, times);
    if (times === 1) return name;
    const dot = name.lastIndexOf(".");
    return `${name.slice(0, dot)} (${times})${name.slice(dot)}`;
  });
}

/** Return the CRC-32 of a `Blob`, read piece by piece. */
export async function crc32(blob) {
  let crc = -1;
  const reader = blob.stream().getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return (crc ^ -1) >>> 0;
    for (const byte of value) crc = TABLE[(crc ^ byte) & 255] ^ (crc >>> 8);
  }
}

function localHeader({ name, crc, size }) {
  return record(30, name, [
    [0, 4, 0x04034b50],
    [4, 2, 20],
    [6, 2, 0x0800], // names are UTF-8
    [12, 2, 0x21], // 1 January 1980: archives of the same files are equal
    [14, 4, crc],
    [18, 4, size],
    [22, 4, size],
    [26, 2, name.length],
  ]);
}

function centralHeader({ name, crc, size, offset }) {
  return record(46, name, [
    [0, 4, 0x02014b50],
    [4, 2, 20],
    [6, 2, 20],
    [8, 2, 0x0800],
    [14, 2, 0x21],
    [16, 4, crc],
    [20, 4, size],
    [24, 4, size],
    [28, 2, name.length],
    [42, 4, offset],
  ]);
}

function end(count, size, offset) {
  return record(22, new Uint8Array(0), [
    [0, 4, 0x06054b50],
    [8, 2, count],
    [10, 2, count],
    [12, 4, size],
    [16, 4, offset],
  ]);
}

function record(length, name, values) {
  const bytes = new Uint8Array(length + name.length);
  const view = new DataView(bytes.buffer);
  for (const [at, size, value] of values) {
    if (size === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
  }
  bytes.set(name, length);
  return bytes;
}
