"""Signals for the verification of exported files: recordings of several files, read as in training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from stillwave import audio, checkpoint
from stillwave.data.pair_manifest import Pair, write_pair_manifest
from stillwave.data.scenes.ambisonics import convert
from stillwave.errors import AudioError
from stillwave.exporting import signals
from stillwave.exporting.export import export
from stillwave.models import build
from stillwave.schema import ModelConfig

CONFIG = {"name": "dpdcrn", "channels": 8, "causal": True, "norm": "frame", "depth": 1, "microphones": 8}


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    """A voice in W of two microphones of four channels, each with noise of its own."""
    voice = 0.2 * signals.speechlike(1, seconds=1.5)[0, 0]
    heard = 0.01 * np.random.default_rng(0).standard_normal((8, len(voice)), np.float32)
    heard[[0, 4]] += voice
    for name, samples in (("a", heard[:4]), ("b", heard[4:]), ("clean", voice[None])):
        audio.write(tmp_path / f"{name}.wav", samples, 16_000, subtype="FLOAT")
    a, b, clean = (tmp_path / f"{name}.wav" for name in ("a", "b", "clean"))
    return Pair(id="1", noisy=a, also=(b,), clean=clean, channels=8)


def test_a_pair_is_read_from_all_its_files_in_one_convention(pair: Pair) -> None:
    files = np.concatenate([audio.read(file)[0] for file in (pair.noisy, *pair.also)])
    assert np.array_equal(signals.shared_signals(pair, 8), files)
    assert np.array_equal(signals.shared_signals(pair, 4), files[:4])
    assert np.array_equal(signals.shared_signals(pair, 1), files[:1])
    other = pair.model_copy(update={"convention": "fuma"})
    assert np.array_equal(signals.shared_signals(other, 8), convert(files, "fuma", "acn_sn3d"))
    both = signals.recorded([pair, pair.model_copy(update={"id": "2"})], 8, longest=0.5)
    assert np.array_equal(both, np.stack([files[:, :8000]] * 2))


def test_a_single_file_has_the_channels_that_it_has(pair: Pair) -> None:
    assert np.array_equal(signals.shared_signals(pair.noisy, 2), audio.read(pair.noisy)[0][:2])
    with pytest.raises(AudioError, match=r"a\.wav: .*4 channel\(s\).* 8 microphones"):
        signals.shared_signals(pair.noisy, 8)


def test_a_network_of_two_ambisonic_microphones_is_compared_on_its_own_corpus(
    pair: Pair, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model = build(ModelConfig.model_validate(CONFIG))
    checkpoint.save(tmp_path / "net", model, checkpoint.Card(model=model.config))
    write_pair_manifest(tmp_path / "pairs.jsonl", [pair])
    report = export(tmp_path / "net", tmp_path / "net.onnx", precision="float16", on=tmp_path / "pairs.jsonl")
    assert report.signals.startswith("1 recordings of ")
    assert {loss.recordings for loss in report.losses.values()} == {1}
