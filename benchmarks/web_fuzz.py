"""Random requests and messages to `stillwave web`: none may give a 500, a traceback or a leak.

    python benchmarks/web_fuzz.py --requests 10000

Starts a service, sends requests that are wrong in random ways (damaged recordings and forms, options, headers,
WebSocket messages, cut connections), and ends with an error if a status is 500, a traceback reaches the client or the
log, the service ends, or file descriptors or temporary files are left.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import soundfile

from web_clients import TEXT, frame, upgrade  # type: ignore[import-not-found]

AT_ONCE = 8
WORDS = (
    "",
    "0",
    "-1",
    "nan",
    "inf",
    "1e309",
    "%00",
    "..%2f..%2fetc%2fpasswd",
    "wav",
    "bsrnn-xs",
    "é",
    "a" * 5_000,
)
OPTIONS = ("model", "limit_db", "rate", "format", "original", "name", "token", "strength", "é")
PATHS = (
    *("/v1/enhance",) * 12, "/v1/convert?format=flac", "/v1/models", "/v1/models/%2e%2e/onnx", "/",
    "/static/..%2f..%2fapp.py", "/openapi.json", "/v1/stream", "/metrics", "//", "/\xff",
)  # fmt: skip
FORMATS = (
    ("WAV", "PCM_16"), ("WAV", "FLOAT"), ("FLAC", "PCM_24"), ("OGG", "VORBIS"), ("MP3", None), ("AIFF", None),
    ("CAF", None), ("W64", None),
)  # fmt: skip
METHODS = (*("POST",) * 16, "GET", "PUT", "HEAD", "OPTIONS", "TRACE", "BREW")


def recordings() -> list[bytes]:
    """Return short recordings in several formats."""
    samples = 0.1 * np.random.default_rng(0).standard_normal((2_000, 2))
    found = []
    for form, subtype in FORMATS:
        file = io.BytesIO()
        soundfile.write(file, samples, 16_000, subtype, format=form)
        found.append(file.getvalue())
    return found


class Fuzzer:
    """Makes requests from a seed."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.recordings = recordings()

    def damaged(self) -> bytes:
        """Return a recording with random faults, or random bytes."""
        rng = self.rng
        data = bytearray(rng.choice(self.recordings))
        for _ in range(rng.choice((0, 1, 3, 30))):
            data[rng.randrange(len(data) if rng.random() < 0.3 else 60)] = rng.randrange(256)
        if rng.random() < 0.2:
            del data[rng.randrange(len(data)) :]
        return rng.randbytes(rng.randrange(3_000)) if rng.random() < 0.1 else bytes(data)

    def http(self) -> bytes:
        """Return a request."""
        rng = self.rng
        query = "&".join(
            f"{rng.choice(OPTIONS)}={rng.choice(WORDS)}" for _ in range(rng.choice((0, 0, 0, 1, 2)))
        )
        body, headers = (
            self.damaged(),
            ["Host: " + rng.choice((*("localhost",) * 18, "evil", ""))],
        )
        if rng.random() < 0.3:
            body = self._form(body)
            headers.append(
                "Content-Type: multipart/form-data; boundary=" + rng.choice(("x", "x", "x", "", "y" * 90))
            )
        length = rng.choice((len(body),) * 20 + (0, -1, 10**12))
        headers.append(f"Content-Length: {length}")
        for name in (
            "Origin",
            "Cookie",
            "Authorization",
            "Content-Disposition",
            "If-None-Match",
            "Range",
            "Expect",
        ):
            if rng.random() < 0.02:
                headers.append(f"{name}: {rng.choice((*WORDS[:-1], 'bytes=0-1', '100-continue', '=;=,'))}")
        path = rng.choice(PATHS)
        query = ("&" if "?" in path else "?") + query if query else ""
        line = f"{rng.choice(METHODS)} {path}{query} HTTP/1.1"
        data = "\r\n".join((line, *headers, "Connection: close", "", "")).encode("latin-1") + body
        return data[: rng.randrange(len(data))] if rng.random() < 0.05 else data

    def _form(self, body: bytes) -> bytes:
        rng = self.rng
        name = rng.choice(("file", "file", "other", "é", 'a"; x="'))
        head = f'--x\r\nContent-Disposition: form-data; name="{name}"; filename="{rng.choice(WORDS)}"\r\n\r\n'
        form = head.encode() + body + rng.choice((b"\r\n--x--\r\n", b"\r\n--x--\r\n", b"\r\n--x", b""))
        return form if rng.random() < 0.9 else form[rng.randrange(len(form)) :]

    def messages(self) -> list[bytes]:
        """Return frames for a WebSocket."""
        rng = self.rng
        rate = rng.choice((16_000, 48_000, 44_100, 0, -1, "x"))
        greeting: dict[str, object] = {"format": rng.choice(("s16le", "f32le", "", 1)), "rate": rate}
        if rng.random() < 0.4:
            key = rng.choice(("channels", "model", "limit_db", "sequence", "x"))
            greeting[key] = rng.choice((1, 2, 99, None, "bsrnn-xs", True, [], 1e300))
        found = [frame(TEXT, json.dumps(greeting).encode())]
        for _ in range(rng.randrange(6)):
            size = rng.choice((0, 1, 2, 320, 640, 4_097, 64_000))
            found.append(frame(rng.choice((2, 2, 2, 2, 1, 0, 3, 8, 9)), rng.randbytes(size)))
        found.append(frame(TEXT, b'{"type": "flush"}'))
        if rng.random() < 0.3:
            rng.shuffle(found)
        return found if rng.random() < 0.8 else [part[: rng.randrange(1, len(part) + 1)] for part in found]


async def request(address: tuple[str, int], fuzzer: Fuzzer, seen: Counter[str]) -> None:
    """Send one request and note its answer."""
    reader, writer = await asyncio.open_connection(*address)
    socket = fuzzer.rng.random() < 0.3
    try:
        writer.write(upgrade("localhost") if socket else fuzzer.http())
        if socket:
            await reader.readuntil(b"\r\n\r\n")
            for part in fuzzer.messages():
                writer.write(part)
            seen["websocket"] += 1
        if fuzzer.rng.random() < 0.1:  # leave
            seen["left"] += 1
            return
        answer = await asyncio.wait_for(reader.read(), 3)
    except (OSError, asyncio.IncompleteReadError):
        seen["cut"] += 1
        return
    except asyncio.TimeoutError:
        seen["open"] += 1  # the rest of a cut request is waited for
        return
    finally:
        writer.transport.abort()
    if not socket:
        seen[answer[9:12].decode("latin-1")] += 1
    if b"Traceback" in answer or b" 500 " in answer[:20] or b"problem:internal" in answer:
        seen["FAULT"] += 1
        print(answer[:500])


async def fuzz(address: tuple[str, int], options: argparse.Namespace) -> Counter[str]:
    """Send all requests."""
    seen: Counter[str] = Counter()
    fuzzer = Fuzzer(options.seed)
    left = options.requests

    async def client() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await request(address, fuzzer, seen)

    await asyncio.gather(*(client() for _ in range(AT_ONCE)))
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, open(Path(folder) / "log", "w+") as log:  # noqa: PTH123
        command = [sys.executable, "-m", "stillwave", "web", "--no-open", "--port", "0", "-m", "bsrnn-xs"]
        command += ["--max-bytes", "100000", "--max-streams", "20"]
        process = subprocess.Popen(command, stderr=log, env={**os.environ, "TMPDIR": folder})
        try:
            sys.exit(_fuzzed(process, Path(folder), options))
        finally:
            process.kill()
            process.wait()


def _fuzzed(process: subprocess.Popen[bytes], folder: Path, options: argparse.Namespace) -> str | None:
    """Return what was wrong, or None."""
    address = ("127.0.0.1", _port(folder / "log"))
    asyncio.run(_ready(address))
    descriptors = Path(f"/proc/{process.pid}/fd")
    before, begun = len(list(descriptors.iterdir())), time.monotonic()
    seen = asyncio.run(fuzz(address, options))
    print(f"{options.requests} requests in {time.monotonic() - begun:.0f} s: {dict(sorted(seen.items()))}")
    for _ in range(400):  # streams whose client is gone end within the time for idle ones
        after = len(list(descriptors.iterdir()))
        temporary = list(folder.glob("stillwave-web-*/process-*/request-*"))
        if after <= before + 1 and not temporary:
            break
        time.sleep(0.2)
    print(f"file descriptors: {before} before, {after} after; temporary folders: {len(temporary)}")
    logged = (folder / "log").read_text(errors="replace")
    wrong = (
        seen["FAULT"]
        or "Traceback" in logged
        or process.poll() is not None
        or after > before + 1
        or temporary
    )
    return f"FAULT\n{logged[-3_000:]}" if wrong else None


def _port(log: Path) -> int:
    for _ in range(600):
        if found := re.search(r":(\d+)/", log.read_text()):
            return int(found[1])
        time.sleep(0.1)
    raise SystemExit("the service did not start")


async def _ready(address: tuple[str, int]) -> None:
    while True:
        try:
            (await asyncio.open_connection(*address))[1].close()
            return
        except OSError:
            await asyncio.sleep(0.2)


if __name__ == "__main__":
    main()
