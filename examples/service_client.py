"""Enhance a file, or raw PCM from stdin to stdout, with a running `stillwave web`.

python service_client.py noisy.wav clean.wav
arecord -q -t raw -f S16_LE -r 16000 | python service_client.py | aplay -q -t raw -f S16_LE -r 16000
"""

import json
import shutil
import sys
import threading
import urllib.request
from pathlib import Path

from websockets.sync.client import connect

SERVER = "127.0.0.1:8000"


def enhance(source, target, options="format=wav"):
    request = urllib.request.Request(f"http://{SERVER}/v1/enhance?{options}", Path(source).read_bytes())
    with urllib.request.urlopen(request) as answer, Path(target).open("wb") as file:
        shutil.copyfileobj(answer, file)  # arrives as it is made


def stream(blocks, rate=16_000):
    with connect(f"ws://{SERVER}/v1/stream") as socket:
        socket.send(json.dumps({"format": "s16le", "rate": rate}))
        socket.recv()  # ready, with the delay

        def send():
            for block in blocks:
                socket.send(block)
            socket.send('{"type": "flush"}')

        threading.Thread(target=send, daemon=True).start()
        yield from (answer for answer in socket if isinstance(answer, bytes))


if __name__ == "__main__":
    if len(sys.argv) == 3:
        enhance(*sys.argv[1:])
    else:
        for samples in stream(iter(lambda: sys.stdin.buffer.read(640), b"")):
            sys.stdout.buffer.write(samples)
            sys.stdout.buffer.flush()
