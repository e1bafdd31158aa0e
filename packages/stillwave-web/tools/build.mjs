/** Copy the engine, whose one place is the Python package, into `dist/`. */

import { cp, mkdir, rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

await rm(here("../dist"), { recursive: true, force: true });
await mkdir(here("../dist"));
await cp(here("../../../src/stillwave/web/static/engine"), here("../dist"), { recursive: true });
await cp(here("../../../LICENSE"), here("../LICENSE"));
