"""The WebSocket /v1/stream: any blocks give the offline result, and every fault ends one stream alone."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from starlette.testclient import WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect
from voices import voice
from web_client import MODEL, noise, served

import stillwave

STREAM = "ws://localhost:8000/v1/stream"
FLUSH = json.dumps({"type": "flush"})


def greeting(**options) -> str:
    return json.dumps({"format": "f32le", "rate": 16_000, **options})


def blocks_of(data: bytes, width: int, seed: int) -> list[bytes]:
    """The bytes in blocks of 1 to 5,000 samples, some of which are empty."""
    rng, found, start = np.random.default_rng(seed), [], 0
    while start < len(data):
        size = int(rng.choice([0, 1, rng.integers(1, 5_000)])) * width
        found.append(data[start : start + size])
        start += size
    return found


def exchanged(client, data: bytes, width: int, **options) -> tuple[dict, bytes, dict]:
    """The first message, the PCM and the last message of a stream."""
    numbered, parts = options.get("sequence", False), []
    with client.websocket_connect(STREAM) as socket:
        socket.send_text(greeting(**options))
        ready = socket.receive_json()
        for number, block in enumerate(blocks_of(data, width, 1)):
            socket.send_bytes(struct.pack("<I", number) + block if numbered else block)
        socket.send_text(FLUSH)
        while "bytes" in (message := socket.receive()) and message["bytes"] is not None:
            part = message["bytes"]
            if numbered:
                assert struct.unpack("<I", part[:4]) == (len(parts),)
                part = part[4:]
            parts.append(part)
        done = json.loads(message["text"])
        assert socket.receive()["code"] == 1000
    return ready, b"".join(parts), done


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("sequence", [False, True])
def test_odd_blocks_are_the_whole(client, rate, sequence):
    samples = noise(1, rate)
    ready, data, done = exchanged(client, samples.astype("<f4").tobytes(), 4, rate=rate, sequence=sequence)
    found = np.frombuffer(data, "<f4")
    expected = stillwave.load(MODEL).enhance(samples, rate)[0]
    assert np.abs(found - expected).max() < 1e-5
    assert done == {"type": "done", "samples_in": rate, "samples_out": rate}
    assert (ready["type"], ready["model"], ready["rate"]) == ("ready", MODEL, rate)
    assert ready["delay_samples"] == stillwave.load(MODEL).open(rate).delay_samples


def test_channels_models_and_limits(client):
    samples = noise(2, 20_000)
    options = {"channels": 2, "model": "bsrnn-xs-int8", "limit_db": 6.0}
    _, data, _ = exchanged(client, samples.T.astype("<f4").tobytes(), 8, **options)
    expected = stillwave.load("bsrnn-xs-int8").enhance(samples, 16_000, limit_db=6.0)
    assert np.abs(np.frombuffer(data, "<f4").reshape(-1, 2).T - expected).max() < 1e-5


def test_a_strength_is_a_limit(client):
    samples = noise(1, 20_000)
    _, data, _ = exchanged(client, samples.astype("<f4").tobytes(), 4, strength=0.75)
    expected = stillwave.load(MODEL).enhance(samples, 16_000, limit_db=20 * np.log10(4))
    assert np.abs(np.frombuffer(data, "<f4") - expected[0]).max() < 1e-5


def test_clean_signals_are_kept_on_request(client):
    samples = voice(1)
    _, data, _ = exchanged(client, samples.astype("<f4").tobytes(), 4, keep_clean=True)
    expected = stillwave.load(MODEL, keep_clean=True).enhance(samples, 16_000)
    assert np.abs(np.frombuffer(data, "<f4") - expected).max() < 1e-5
    assert np.abs(stillwave.load(MODEL).enhance(samples, 16_000) - expected).max() > 1e-3


def test_integers_are_rounded_and_clipped(client):
    samples = noise(1, 16_000)
    integers = np.rint(samples * 32_767).astype("<i2")
    _, data, _ = exchanged(client, integers.tobytes(), 2, format="s16le")
    expected = stillwave.load(MODEL).enhance(integers.astype(np.float32) / 32_768, 16_000)[0]
    assert np.abs(np.frombuffer(data, "<i2") / 32_768 - expected).max() < 1.1 / 32_768


@pytest.mark.parametrize("samples", [0, 1, 255, 256, 257])
def test_short_signals_have_their_length(client, samples):
    data = np.ones(samples, "<f4").tobytes()
    _, answer, done = exchanged(client, data, 4)
    assert len(answer) == len(data)
    assert done["samples_out"] == samples


def test_nan_and_infinity_become_silence(client):
    samples = noise(1, 8_000)
    samples[0, 100:200], samples[0, 300] = np.nan, np.inf
    _, data, _ = exchanged(client, samples.astype("<f4").tobytes(), 4)
    assert np.isfinite(np.frombuffer(data, "<f4")).all()


@pytest.mark.parametrize(
    ("first", "second", "code", "type"),
    [
        ("no json", None, 1008, "bad-request"),
        ("[" * 100_000, None, 1008, "bad-request"),
        ("[]", None, 1008, "bad-option"),
        (b"\0\0", None, 1008, "bad-request"),
        (greeting(rate=10), None, 1008, "bad-option"),
        (greeting(channels=9), None, 1008, "bad-option"),
        (greeting(model="../x"), None, 1008, "bad-option"),
        (greeting(other=1), None, 1008, "bad-option"),
        (greeting(limit_db=-1), None, 1008, "bad-option"),
        (greeting(strength=1.5), None, 1008, "bad-option"),
        (greeting(strength=0.5, limit_db=6), None, 1008, "bad-option"),
        (greeting(keep_clean="perhaps"), None, 1008, "bad-option"),
        (greeting(), b"\0\0\0", 1008, "bad-request"),
        (greeting(), "no flush", 1008, "bad-request"),
        (greeting(sequence=True), b"\0\0", 1008, "bad-request"),
        (greeting(sequence=True), struct.pack("<I", 1) + b"\0" * 4, 1008, "bad-request"),
    ],
)
def test_faults_are_named_before_the_close(client, first, second, code, type):
    with client.websocket_connect(STREAM) as socket:
        for message in (first, second):
            if isinstance(message, bytes):
                socket.send_bytes(message)
            elif message is not None:
                socket.send_text(message)
        found = []
        while (message := socket.receive())["type"] == "websocket.send":
            found.append(message)
        error = json.loads(found[-1]["text"])
        assert error["type"] == "error"
        assert error["problem"]["type"] == f"urn:stillwave:problem:{type}"
        assert message["code"] == code
    assert not client.app.state.service.streams.admission.streams


def test_nothing_may_follow_flush(client):
    with client.websocket_connect(STREAM) as socket:
        socket.send_text(greeting())
        socket.send_bytes(b"\0" * 40_000)
        socket.send_text(FLUSH)
        socket.send_bytes(b"\0" * 4)
        while (message := socket.receive())["type"] == "websocket.send":
            pass
        assert message["code"] in (1000, 1008)  # the end may come first


def test_one_stream_too_many_is_refused_and_the_others_go_on():
    with served(max_streams=2) as client:
        with client.websocket_connect(STREAM) as one, client.websocket_connect(STREAM) as two:
            for socket in (one, two):
                socket.send_text(greeting())
                assert socket.receive_json()["type"] == "ready"
            with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect(STREAM):
                pass
            assert refused.value.status_code == 429
            assert int(refused.value.headers["retry-after"]) > 0
            assert refused.value.json()["type"] == "urn:stillwave:problem:full"
            for socket in (one, two):
                socket.send_bytes(np.zeros(5_000, "<f4").tobytes())
                assert len(socket.receive_bytes()) % 4 == 0
        ready, _, _ = exchanged(client, b"", 4)
        assert ready["type"] == "ready"


def test_a_stream_that_does_not_fit_after_its_greeting_is_told_when_to_come_back():
    with (
        served(max_streams=1) as client,
        client.websocket_connect(STREAM) as late,
        client.websocket_connect(STREAM) as first,
    ):
        first.send_text(greeting())
        assert first.receive_json()["type"] == "ready"
        late.send_text(greeting())
        assert late.receive_json()["problem"]["type"] == "urn:stillwave:problem:full"
        closed = late.receive()
        assert closed["code"] == 1013
        assert "retry after" in closed["reason"]


def test_an_idle_stream_is_closed():
    with served(idle_seconds=0.4) as client, client.websocket_connect(STREAM) as socket:
        socket.send_text(greeting())
        assert socket.receive_json()["type"] == "ready"
        assert socket.receive_json()["problem"]["type"] == "urn:stillwave:problem:slow"
        assert socket.receive()["code"] == 1001


def test_draining_flushes_open_streams():
    with served() as client, client.websocket_connect(STREAM) as socket:
        socket.send_text(greeting())
        assert socket.receive_json()["type"] == "ready"
        socket.send_bytes(np.zeros(4_000, "<f4").tobytes())
        got = len(socket.receive_bytes())
        client.portal.call(client.app.state.service.draining.set)
        while (message := socket.receive()).get("bytes"):
            got += len(message["bytes"])
        assert json.loads(message["text"])["samples_out"] == got // 4 == 4_000
        assert socket.receive()["code"] == 1012


@pytest.mark.parametrize("headers", [{"origin": "http://evil.example"}, {"host": "evil.example"}])
def test_other_sites_cannot_open_a_stream(client, headers):
    with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect(STREAM, headers=headers):
        pass
    assert refused.value.status_code in (403, 421)


def test_a_stream_needs_the_token():
    with served(token="a-token-of-some-length") as client:
        with pytest.raises((WebSocketDenialResponse, WebSocketDisconnect)), client.websocket_connect(STREAM):
            pass
        headers = {"authorization": "Bearer a-token-of-some-length"}
        with client.websocket_connect(STREAM, headers=headers) as socket:
            socket.send_text(greeting())
            assert socket.receive_json()["type"] == "ready"
