"""POST /v1/enhance gives the bytes of `stillwave enhance`."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from voices import noisy, voice
from web_client import MODEL, noise, problem_of, samples_of, wav

import stillwave
from stillwave.audio import resample
from stillwave.audio.ffmpeg import found as ffmpeg_found


def by_file(tmp_path, content: bytes, name: str, suffix: str, **options) -> bytes:
    """What `stillwave enhance` writes."""
    source, target = tmp_path / name, tmp_path / f"target{suffix}"
    source.write_bytes(content)
    stillwave.load(MODEL).enhance_file(source, target, **options)
    return target.read_bytes()


CASES = {
    "mono.wav": wav(noise(1, 12_345)),
    "odd24.wav": wav(noise(1, 9_999), 44_100, "PCM_24"),
    "float.wav": wav(noise(2, 8_001), 48_000, "FLOAT"),
    "double.wav": wav(noise(1, 5_000), 22_050, "DOUBLE"),
    "eight.wav": wav(noise(1, 5_001), 8_000, "PCM_U8"),
    "wide.wav": wav(noise(6, 4_000), 48_000, "PCM_32"),
    "a.flac": wav(noise(2, 9_000), 48_000, "PCM_24", "FLAC"),
    "a.ogg": wav(noise(1, 30_000), 44_100, "VORBIS", "OGG"),
    "a.mp3": wav(noise(1, 30_000), 44_100, "MPEG_LAYER_III", "MP3"),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("format", ["wav", "flac", "same"])
def test_the_bytes_are_those_of_the_command(client, tmp_path, name, format):
    content = CASES[name]
    suffix = "." + (name.rpartition(".")[2] if format == "same" else format)
    response = client.post("/v1/enhance", params={"format": format, "name": name}, content=content)
    assert response.status_code == 200, response.text
    assert response.content == by_file(tmp_path, content, name, suffix)
    assert int(response.headers["content-length"]) == len(response.content)


@pytest.mark.parametrize(("limit", "rate"), [(12.0, None), (None, 24_000), (6.0, 8_000)])
def test_options_are_those_of_the_command(client, tmp_path, limit, rate):
    content = wav(noise(2, 9_000), 48_000)
    options = {"limit_db": limit, "rate": rate, "model": "bsrnn-xs-int8"}
    params = {name: value for name, value in options.items() if value is not None}
    response = client.post("/v1/enhance", params=params, content=content)
    source, target = tmp_path / "a.wav", tmp_path / "b.wav"
    source.write_bytes(content)
    stillwave.load("bsrnn-xs-int8").enhance_file(source, target, limit_db=limit, rate=rate)
    assert response.content == target.read_bytes()
    assert response.headers["stillwave-rate"] == str(rate or 48_000)


def test_clean_recordings_are_kept_on_request(client, tmp_path):
    source, target = tmp_path / "a.wav", tmp_path / "b.wav"
    source.write_bytes(wav(voice(1)[None], 16_000))
    usual = client.post("/v1/enhance", content=source.read_bytes())
    response = client.post("/v1/enhance", params={"keep_clean": 1}, content=source.read_bytes())
    stillwave.load(MODEL, keep_clean=True).enhance_file(source, target)
    assert response.content == target.read_bytes() != usual.content


@pytest.mark.parametrize("limit", [None, 12.0])
def test_clean_sound_is_kept_as_in_python(client, limit):
    """With the input first, as the page asks for it, in stereo at 48 kHz: noisy and clean passages."""
    clean = resample(voice(3)[None], 16_000, 48_000)[0]
    mixed = np.stack([np.concatenate([clean, noisy(clean, 15)]), np.concatenate([noisy(clean, 15), clean])])
    params = {"keep_clean": 1, "original": 1} | ({} if limit is None else {"limit_db": limit})
    response = client.post("/v1/enhance", params=params, content=wav(mixed, 48_000, "FLOAT"))
    found = samples_of(response.content)[2:]
    expected = stillwave.load(MODEL, keep_clean=True).enhance(mixed, 48_000, limit_db=limit)
    assert np.abs(found - expected).max() < 1e-6  # blocks differ, and so does rounding
    usual = stillwave.load(MODEL).enhance(mixed, 48_000, limit_db=limit)
    assert np.abs(found - usual).max() > 1e-3


@pytest.mark.parametrize(("strength", "limit"), [(0.75, 20 * np.log10(4)), (1, None), (0, 0.0)])
def test_a_strength_is_a_limit(client, strength, limit):
    samples = noise(1, 9_000)
    response = client.post(
        "/v1/enhance", params={"strength": strength}, content=wav(samples, 16_000, "FLOAT")
    )
    expected = stillwave.load(MODEL).enhance(samples, 16_000, limit_db=limit)
    assert np.abs(samples_of(response.content) - expected).max() < 1e-6


def test_metadata_is_kept(client, tmp_path):
    path = tmp_path / "tagged.wav"
    with soundfile.SoundFile(path, "w", 16_000, 1, "PCM_16") as file:
        file.title, file.artist = "A title", "An artist"
        file.write(noise(1, 5_001)[0])
    content = path.read_bytes()
    assert client.post("/v1/enhance", content=content).content == by_file(tmp_path, content, "a.wav", ".wav")


def test_headers_state_what_comes(client):
    response = client.post("/v1/enhance", content=wav(noise(2, 24_000), 48_000))
    facts = {
        name: response.headers[f"stillwave-{name}"] for name in ("model", "rate", "channels", "duration")
    }
    assert facts == {"model": MODEL, "rate": "48000", "channels": "2", "duration": "0.500000"}


def test_the_original_comes_first_and_aligned(client):
    samples = noise(2, 24_000)
    response = client.post("/v1/enhance?original=1", content=wav(samples, 48_000, "FLOAT"))
    both = samples_of(response.content)
    assert np.array_equal(both[:2], samples)
    assert np.array_equal(both[2:], stillwave.load(MODEL).enhance(samples, 48_000))


def test_the_original_at_another_rate(client):
    samples = noise(1, 24_000)
    content = wav(samples, 48_000, "FLOAT")
    both = samples_of(client.post("/v1/enhance?original=1&rate=16000", content=content).content)
    assert both.shape == (2, 8_000)
    assert np.abs(both[0] - resample(samples, 48_000, 16_000)[0]).max() < 1e-5


def test_a_form_and_a_body_are_the_same(client):
    content = wav(noise(1, 7_000))
    form = client.post("/v1/enhance", files={"file": ("talk.wav", content, "audio/wav")})
    assert form.content == client.post("/v1/enhance", content=content).content
    assert 'filename="talk-enhanced.wav"' in form.headers["content-disposition"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("../../etc/passwd.wav", "passwd-enhanced.wav"),
        ("C:\\Users\\me\\söng.wav", "s_ng-enhanced.wav"),
        ("a\r\nX-Evil: 1.wav", "X-Evil_ 1-enhanced.wav"),
        ("..", "enhanced.wav"),
    ],
)
def test_names_lose_their_folders(client, given, expected):
    response = client.post("/v1/enhance", params={"name": given}, content=wav(noise(1, 4_000)))
    assert expected in response.headers["content-disposition"]
    assert "x-evil" not in response.headers


@pytest.mark.parametrize("format", ["flac", "mp3", "ogg", "opus"])
def test_convert_keeps_the_samples(client, format):
    content = wav(noise(2, 24_000), 48_000)
    samples = samples_of(content)
    response = client.post("/v1/convert", params={"format": format, "name": "mix.wav"}, content=content)
    assert response.status_code == 200
    found = samples_of(response.content)
    assert found.shape == samples.shape
    if format == "flac":
        assert np.array_equal(found, samples)
    assert f"mix.{format}" in response.headers["content-disposition"]


def test_convert_resamples_to_what_the_format_supports(client):
    response = client.post("/v1/convert?format=opus", content=wav(noise(1, 44_100), 44_100))
    assert response.headers["stillwave-rate"] == "48000"
    assert samples_of(response.content).shape == (1, 48_000)


@pytest.mark.skipif(ffmpeg_found() is None, reason="needs ffmpeg")
def test_a_video_keeps_its_picture(client, tmp_path):
    import subprocess

    sound, video = tmp_path / "sound.wav", tmp_path / "talk.mp4"
    sound.write_bytes(wav(noise(1, 48_000), 48_000))
    picture = ["-f", "lavfi", "-i", "testsrc=size=64x48:rate=5:duration=1"]
    subprocess.run(["ffmpeg", "-v", "error", *picture, "-i", sound, "-c:v", "mpeg4", video], check=True)
    content = video.read_bytes()
    response = client.post("/v1/enhance?format=same&name=talk.mp4", content=content)
    assert response.status_code == 200, response.text
    assert response.content == by_file(tmp_path, content, "in.mp4", ".mp4")


def test_faults_of_a_recording_are_problems_without_paths(client):
    cases = {
        "not-audio": b"this is no recording at all, not in any format",
        "refused": wav(noise(1, 4_000))[:3_000],
    }
    for type, content in cases.items():
        response = client.post("/v1/enhance?name=secret-name.wav", content=content)
        assert problem_of(response) == ({"not-audio": 415, "refused": 422}[type], type)
        assert "/tmp" not in response.text
        assert "secret-name" not in response.text


def test_a_fault_in_the_middle_is_found_before_the_answer_begins(client):
    samples = noise(1, 300_000)
    samples[0, 250_000] = np.nan
    assert problem_of(client.post("/v1/enhance", content=wav(samples, 16_000, "FLOAT"))) == (422, "refused")
