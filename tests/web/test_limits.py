"""Limits, tokens, origins and names: each refusal is a problem of its own type."""

from __future__ import annotations

import numpy as np
import pytest
from web_client import noise, problem_of, served, wav

GOOD = wav(noise(1, 4_000))
TOKEN = "a-token-of-some-length"


@pytest.mark.parametrize(
    ("query", "type"),
    [
        ("limit_db=-1", "bad-option"),
        ("limit_db=nan", "bad-option"),
        ("rate=7", "bad-option"),
        ("rate=1e9", "bad-option"),
        ("format=exe", "bad-option"),
        ("model=../../etc/passwd", "bad-option"),
        ("model=nothing", "bad-option"),
        ("strength=3", "bad-option"),
        ("strength=-0.1", "bad-option"),
        ("strength=nan", "bad-option"),
        ("strength=0.5&limit_db=6", "bad-option"),
        ("keep_clean=perhaps", "bad-option"),
        ("original=1&format=mp3", "bad-option"),
    ],
)
def test_options_are_checked(client, query, type):
    response = client.post(f"/v1/enhance?{query}", content=GOOD)
    assert problem_of(response) == (400, type)
    detail = response.json()["detail"]
    assert query.partition("=")[0] in detail
    assert "\n" not in detail


@pytest.mark.parametrize(
    ("settings", "content", "expected"),
    [
        ({"max_bytes": 5_000}, GOOD, (413, "too-large")),
        ({"max_seconds": 0.2}, GOOD, (413, "too-long")),
        ({"max_seconds": 0.2}, wav(noise(1, 60_000), 16_000, "VORBIS", "OGG"), (413, "too-long")),
        ({"max_channels": 2}, wav(noise(3, 4_000)), (422, "refused")),
        ({}, wav(noise(1, 4_000), 2_000), (422, "refused")),
        ({}, wav(noise(1, 4_000), 384_000), (422, "refused")),
        ({}, b"", (422, "refused")),
    ],
)
def test_limits_of_a_file(settings, content, expected):
    with served(**settings) as client:
        assert problem_of(client.post("/v1/enhance", content=content)) == expected


def test_a_bomb_is_refused_by_its_samples_not_its_bytes():
    silence = wav(np.zeros((8, 1_000_000), np.float32), 48_000, "PCM_16", "FLAC")
    assert len(silence) < 200_000 < 8 * 2_000_000
    with served(max_seconds=10) as client:
        assert problem_of(client.post("/v1/enhance", content=silence)) == (413, "too-long")


def test_a_body_without_a_length_is_cut_off_at_the_limit():
    with served(max_bytes=50_000) as client:
        response = client.post("/v1/enhance", content=(b"x" * 10_000 for _ in range(100)))
        assert problem_of(response) == (413, "too-large")


def test_requests_beyond_the_limit_come_back_later():
    with served(max_requests=1) as client:
        service = client.app.state.service
        with service.pool.admission():
            response = client.post("/v1/enhance", content=GOOD)
        assert problem_of(response) == (429, "full")
        assert int(response.headers["retry-after"]) > 0
        assert client.post("/v1/enhance", content=GOOD).status_code == 200


@pytest.mark.parametrize(
    "form",
    [
        {"content": b"no form", "headers": {"content-type": "multipart/form-data; boundary=x"}},
        {"content": b"no form", "headers": {"content-type": "multipart/form-data"}},
        {"content": b"--x\r\n", "headers": {"content-type": "multipart/form-data; boundary=x"}},
        {"files": {"other": ("a.wav", GOOD)}},
        {"files": [("file", ("a.wav", GOOD)), ("file", ("b.wav", GOOD))]},
        {
            "content": b"--x\r\n" + b"A" * 9_000,
            "headers": {"content-type": "multipart/form-data; boundary=x"},
        },
    ],
)
def test_a_form_has_one_file(client, form):
    assert problem_of(client.post("/v1/enhance", **form)) == (400, "bad-request")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://localhost:9000"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"origin": "http://localhost:8000"}, 200),
        ({}, 200),
    ],
)
def test_only_the_own_page_may_post(client, headers, status):
    assert client.post("/v1/enhance", content=GOOD, headers=headers).status_code == status


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:8000", "[::2]", "a:b:c", ""])
def test_other_names_of_this_machine_are_refused(client, host):
    assert problem_of(client.get("/v1/models", headers={"host": host})) == (421, "host")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST:1"])
def test_names_of_loopback_are_accepted(client, host):
    assert client.get("/v1/models", headers={"host": host}).status_code == 200


def test_names_that_the_operator_allows():
    with served(allow_hosts=("speech.example",)) as client:
        assert client.get("/v1/models", headers={"host": "speech.example"}).status_code == 200
        assert client.get("/v1/models", headers={"host": "other.example"}).status_code == 421


def test_a_token_is_needed_by_header_cookie_or_once_in_the_address():
    with served(token=TOKEN) as client:
        assert problem_of(client.get("/v1/models")) == (401, "token")
        assert "Bearer" in client.get("/v1/models").headers["www-authenticate"]
        assert client.get("/v1/models", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
        assert (
            client.get("/v1/models", headers={"authorization": "Bearer wrong-token-of-length"}).status_code
            == 401
        )
        assert client.get("/healthz").status_code == client.get("/readyz").status_code == 200
        answer = client.get(f"/v1/models?token={TOKEN}&x=1", follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, "/v1/models?x=1")
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert client.get("/v1/models").status_code == 200  # with the cookie


def test_headers_forbid_other_sites(client):
    headers = client.get("/v1/models").headers
    assert "access-control-allow-origin" not in headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "unsafe-inline" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-opener-policy"] == "same-origin"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/v1/enhance", 405),
        ("DELETE", "/v1/models", 405),
        ("GET", "/static/../app.py", 404),
    ],
)
def test_other_addresses_are_problems(client, method, path, status):
    assert problem_of(client.request(method, path))[0] == status
