"""The binding itself, in this process: what `speak_in_process` does in its own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stillwave.data.demo import espeak
from stillwave.data.demo.espeak import Espeak, Voice
from stillwave.errors import MissingExtraError, StillwaveError

needs_espeak = pytest.mark.skipif(not espeak.available(), reason="needs the demo extra")
TEXT = "Seven wooden boxes."


@needs_espeak
def test_speech_is_float_within_full_scale_at_espeaks_own_rate() -> None:
    speaker = Espeak()
    assert speaker.sample_rate == 22050
    assert speaker.version.count(".") >= 1
    samples = speaker.speak(TEXT, Voice("en-us", "m1"))
    assert samples.dtype == np.float32
    assert 0.05 < np.abs(samples).max() < 1
    assert 0.5 < len(samples) / speaker.sample_rate < 5


@needs_espeak
def test_more_words_last_longer_and_buffers_are_cleared() -> None:
    speaker, voice = Espeak(), Voice("en", "f1")
    long = speaker.speak(f"{TEXT} {TEXT} {TEXT}", voice)
    short = speaker.speak(TEXT, voice)
    assert len(long) > 2 * len(short)


@needs_espeak
def test_data_in_a_folder_with_a_long_name_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import espeakng_loader

    data = tmp_path / ("x" * 160) / "espeak-ng-data"
    data.parent.mkdir()
    data.symlink_to(espeakng_loader.get_data_path(), target_is_directory=True)
    monkeypatch.setattr(espeakng_loader, "get_data_path", lambda: str(data))
    assert len(Espeak().speak(TEXT, Voice("en", "m1"))) > 0


@needs_espeak
def test_an_unknown_voice_and_an_empty_text_are_refused() -> None:
    speaker = Espeak()
    with pytest.raises(StillwaveError, match=r"'tlh\+m1'"):
        speaker.speak(TEXT, Voice("tlh", "m1"))
    with pytest.raises(StillwaveError, match=r"'' with voice 'en\+m1'"):
        speaker.speak("", Voice("en", "m1"))


@needs_espeak
def test_data_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import espeakng_loader

    monkeypatch.setattr(espeakng_loader, "get_data_path", lambda: str(tmp_path / "none"))
    with pytest.raises(StillwaveError, match=r"none: .*espeakng-loader"):
        Espeak()


@needs_espeak
def test_a_process_writes_files(tmp_path: Path) -> None:
    voice = Voice("en", "m1", pitch=40, intonation=50, words_per_minute=180)
    assert espeak.speak_in_process(voice, [(TEXT, tmp_path / "a.wav")], 16000) == Espeak().version
    assert soundfile.info(tmp_path / "a.wav").samplerate == 16000


def test_the_exit_code_of_a_process_without_a_message_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    died = subprocess.CompletedProcess([], -11, stdout="", stderr="")
    monkeypatch.setattr(espeak, "available", lambda: True)
    monkeypatch.setattr(espeak.subprocess, "run", lambda *_, **__: died)
    with pytest.raises(StillwaveError, match=r"'en\+m1': .*code -11"):
        espeak.speak_in_process(Voice("en", "m1"), [], 16000)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "espeakng_loader", None)
    with pytest.raises(MissingExtraError) as caught:
        Espeak()
    assert caught.value.extra == "demo"
