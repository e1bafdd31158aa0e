"""`stillwave web` as a process: disconnects, slow clients, signals, kill -9, several workers."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from web_client import noise, running, wav
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

GREETING = json.dumps({"format": "f32le", "rate": 16_000})
LONG = wav(noise(1, 4_000_000))  # four minutes, some seconds of work


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("STILLWAVE_WEB_STALL_SECONDS", "2")
    with running(tmp_path_factory.mktemp("tmp"), "--jobs", "1", "--max-streams", "4") as found:
        yield found
    patch.undo()


def eventually(condition: Callable[[], bool], seconds: float = 30) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def open_socket(port: int) -> socket.socket:
    found = socket.create_connection(("127.0.0.1", port))
    found.settimeout(60)
    return found


def head(length: int, path: str = "/v1/enhance") -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n".encode()


def gauge(server, name: str) -> float:
    text = urllib.request.urlopen(f"{server.address}metrics").read().decode()
    return float(text.partition(f"\nstillwave_{name} ")[2].partition("\n")[0])


def test_a_request_is_answered_and_leaves_nothing(server):
    request = urllib.request.Request(f"{server.address}v1/enhance", wav(noise(1, 9_000)))
    with urllib.request.urlopen(request) as response:
        assert len(response.read()) == 44 + 18_000
    assert eventually(lambda: not server.temporary())
    assert server.folder.stat().st_mode & 0o777 == 0o700 or list(server.folder.glob("stillwave-web-*"))
    (root,) = server.folder.glob("stillwave-web-*")
    assert root.stat().st_mode & 0o777 == 0o700


def test_a_client_that_leaves_ends_its_work(server):
    with open_socket(server.port) as client:
        client.sendall(head(len(LONG)) + LONG)
        assert client.recv(15) == b"HTTP/1.1 200 OK"
        assert server.temporary()
    assert eventually(lambda: not server.temporary() and gauge(server, "recordings") == 0)


def test_a_client_that_leaves_during_the_upload(server):
    with open_socket(server.port) as client:
        client.sendall(head(len(LONG)) + LONG[:100_000])
        assert eventually(lambda: bool(server.temporary()))
    assert eventually(lambda: not server.temporary())


def test_headers_must_come_in_time(server):
    with open_socket(server.port) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: local")
        assert client.recv(1_000) == b""


def test_a_stream_outlives_the_time_for_headers(server):
    with connect(f"ws://localhost:{server.port}/v1/stream") as stream:
        stream.send(GREETING)
        for _ in range(8):
            stream.send(bytes(40))
            time.sleep(0.5)
        stream.send(json.dumps({"type": "flush"}))
        got = [stream.recv(timeout=30) for _ in range(3)]
        assert json.loads(got[-1])["samples_out"] == 80


def test_a_slow_upload_is_cut_off(server):
    with open_socket(server.port) as client:
        client.sendall(head(1_000_000) + b"RIFF")
        assert b"408" in client.recv(1_000)
    assert eventually(lambda: not server.temporary())


def test_a_reader_that_takes_nothing_is_cut_off_and_does_not_hold_a_thread(server):
    with open_socket(server.port) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.sendall(head(len(LONG), "/v1/enhance?format=wav&original=1") + LONG)
        client.recv(15)
        request = urllib.request.Request(f"{server.address}v1/enhance", wav(noise(1, 9_000)))
        with urllib.request.urlopen(request, timeout=60) as response:
            assert response.status == 200
        assert eventually(lambda: not server.temporary(), 60)


def test_a_stream_that_stalls_floods_or_leaves_harms_no_other(server):
    url = f"ws://localhost:{server.port}/v1/stream"
    block = np.zeros(16_000, "<f4").tobytes()
    with connect(url) as leaving:
        leaving.send(GREETING)
        leaving.send(block)
        leaving.socket.close()
    with open_socket(server.port) as raw, connect(url) as good:  # the first sends without end, reads nothing
        raw.sendall(
            b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        )
        raw.sendall(b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
        raw.recv(1_000)
        raw.sendall(b"\x81" + bytes([0x80 | len(GREETING)]) + bytes(4) + GREETING.encode())
        raw.setblocking(False)
        frame, sent = b"\x82\xff" + (64_000).to_bytes(8, "big") + bytes(4) + block, 0
        for _ in range(400):
            try:
                sent += raw.send(frame)
            except BlockingIOError:
                break
        assert sent < 400 * len(frame)  # back-pressure reaches the sender
        good.send(GREETING)
        good.send(block)
        got = 0
        good.recv()
        while got < 16_000 - 511:
            got += len(good.recv(timeout=30)) // 4
        good.send(json.dumps({"type": "flush"}))
        with pytest.raises(ConnectionClosed):
            while True:
                last = good.recv(timeout=30)
    assert json.loads(last)["samples_out"] == 16_000
    assert eventually(lambda: gauge(server, "streams") == 0)


def test_sigterm_finishes_what_is_in_progress(tmp_path):
    with running(tmp_path, "--jobs", "1", "--max-streams", "2") as found:
        with open_socket(found.port) as client, connect(f"ws://localhost:{found.port}/v1/stream") as stream:
            stream.send(GREETING)
            stream.recv()
            stream.send(np.zeros(4_000, "<f4").tobytes())
            content = wav(noise(1, 400_000))
            client.sendall(head(len(content)) + content)
            start = client.recv(15)
            found.process.send_signal(signal.SIGTERM)
            got = len(start)
            while piece := client.recv(2**16):
                got += len(piece)
            assert got > 800_000
            with pytest.raises(ConnectionClosed) as closed:
                while True:
                    last = stream.recv(timeout=30)
            assert json.loads(last)["samples_out"] == 4_000
            assert closed.value.rcvd.code == 1012
        found.process.wait(30)
        assert not list(found.folder.glob("stillwave-web-*/process-*"))


def test_kill_leaves_files_that_the_next_start_removes(tmp_path):
    with running(tmp_path, "--jobs", "1", "--max-streams", "1") as found:
        with open_socket(found.port) as client:
            client.sendall(head(len(LONG)) + LONG)
            client.recv(15)
            found.process.kill()
            found.process.wait()
        left = found.temporary()
        assert left
    with running(tmp_path, "--jobs", "1", "--max-streams", "1"):
        assert not [path for path in left if path.exists()]
        assert len(list(tmp_path.glob("stillwave-web-*/process-*"))) == 1


@pytest.mark.slow
def test_two_workers_share_the_port_and_their_counters(tmp_path):
    with running(tmp_path, "--workers", "2", "--max-streams", "1") as found:
        for _ in range(6):
            request = urllib.request.Request(f"{found.address}v1/enhance", wav(noise(1, 4_000)))
            with urllib.request.urlopen(request) as response:
                assert response.status == 200
        assert eventually(lambda: gauge(found, 'requests_total{route="/v1/enhance",status="200"}') == 6)
        found.process.send_signal(signal.SIGTERM)
        found.process.wait(30)
        assert not list(tmp_path.glob("stillwave-web-*/process-*"))


def test_other_machines_need_a_token(tmp_path):
    with running(tmp_path, "--host", "0.0.0.0", "--max-streams", "1") as found:
        address, _, token = found.address.partition("?token=")
        assert len(token) >= 16
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"{address}v1/models")
        request = urllib.request.Request(f"{address}v1/models", headers={"Authorization": f"Bearer {token}"})
        assert urllib.request.urlopen(request).status == 200


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--token", "short"], "at least 16 characters"),
        (["--model", "no-such-model"], "no-such-model"),
        (["--host", "256.1.1.1"], "cannot be used"),
    ],
)
def test_faults_of_the_operator_are_one_sentence(options: list[str], text: str, tmp_path: Path):
    command = [sys.executable, "-m", "stillwave", "web", "--no-open", "--port", "0", *options]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 2
    assert text in " ".join(ended.stderr.split())
    assert "Traceback" not in ended.stderr
