"""What can be probed: how targets are found, exported files, callables that compute in float32 alone."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stillwave import checkpoint
from stillwave.errors import CheckpointError, StillwaveError
from stillwave.exporting.export import export
from stillwave.models import PRESETS, build
from stillwave.profiling.probe import probe
from stillwave.profiling.targets import find, of_callable, of_denoiser

WINDOW = 510  # a window of 512 samples that is zero at its first one


def test_a_model_that_computes_in_float32_alone_is_probed_with_a_threshold() -> None:
    kernel = torch.ones(1, 1, 5)

    def conv(x: Tensor) -> Tensor:
        return nn.functional.conv1d(x[:, None], kernel, padding=2)[:, 0]

    found = probe(of_callable(conv, "conv"), 0.5)
    assert (found.precision, found.threshold) == ("float32", 1e-6)
    assert (found.past, found.future) == (2, 2)
    rounded = probe(of_callable(lambda x: x.float() * 2, "float"), 0.5)
    assert rounded.precision == "float32"


def test_invalid_models_are_refused() -> None:
    for called, message in (
        (lambda x: x[..., ::2], r"^model: .*4800 samples .*\[2400\]"),
        (lambda x: torch.zeros_like(x), "^model: .*depend"),
        (lambda x: "nothing", "returned str"),
        (lambda x: x @ x, r"^model: .*\[1, 16000\] \(RuntimeError: "),
    ):
        with pytest.raises(StillwaveError, match=message):
            probe(of_callable(called, "model"), 0.3, kinds=("noise",))


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("dpdcrn-xx", "dpdcrn-xx: .*'dpdcrn-xs' or 'dpdcrn-s'"),
        ("stillwave.nowhere:net", "no module"),
        ("stillwave.stft:Stff", "stillwave.stft:Stff: .*'Stff'.*'Stft'"),
        ("stillwave.schema:SAMPLE_RATE", "stillwave.schema:SAMPLE_RATE: .*callable"),
        (":net", "expected module:attribute"),
        ("stillwave.stft:", "expected module:attribute"),
    ],
)
def test_missing_targets_are_named(target: str, message: str) -> None:
    with pytest.raises(StillwaveError, match=message):
        find(target)
    assert issubclass(CheckpointError, StillwaveError)


def test_an_import_error_within_a_module_is_reported_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the one's name begins with the other's."""
    (tmp_path / "absent_net.py").write_text("import absent\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(StillwaveError, match=r"absent_net:net: .*'absent'"):
        find("absent_net:net")


def test_a_callable_is_found_by_its_name() -> None:
    subject = find("torch.nn:Identity", rate=8000)
    assert subject.sample_rate == 8000
    found = probe(subject, 0.3)
    assert (found.past, found.future) == (0, 0)


@pytest.mark.parametrize("offline", [False, True])
def test_an_exported_file_has_the_receptive_field_of_its_source(tmp_path: Path, offline: bool) -> None:
    """But for what a float32 file's threshold hides: the faint ends of the window."""
    torch.manual_seed(0)
    config = PRESETS["bsrnn-xs"]
    checkpoint.save(tmp_path / "net", build(config), checkpoint.Card(model=config))
    export(tmp_path / "net", tmp_path / "net.onnx", offline=offline)
    found = probe(find(str(tmp_path / "net.onnx")), 0.5, kinds=("noise", "sample"))
    assert (found.precision, found.threshold, found.how) == ("float32", 1e-6, "whole signals")
    assert 480 <= (found.future or 0) <= WINDOW
    assert found.frames_ahead == 0
    assert not found.keeps_state


def test_an_exported_file_equals_its_source(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = PRESETS["bsrnn-xs"]
    model = build(config).eval()
    checkpoint.save(tmp_path / "net", model, checkpoint.Card(model=config))
    export(tmp_path / "net", tmp_path / "net.onnx")
    noisy = 0.1 * np.random.default_rng(0).standard_normal((1, 3001))
    file = find(str(tmp_path / "net.onnx")).fresh()(noisy)
    np.testing.assert_allclose(file, of_denoiser(model).fresh()(noisy), atol=1e-5)


def test_an_int8_file_is_run_frame_by_frame(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = PRESETS["bsrnn-xs"]
    checkpoint.save(tmp_path / "net", build(config), checkpoint.Card(model=config))
    export(tmp_path / "net", tmp_path / "net.onnx", precision="int8")
    subject = find(str(tmp_path / "net.onnx"))
    assert subject.how == "frame by frame"
    found = probe(subject, 0.3, kinds=("noise",))
    assert found.frames_ahead == 0
    assert 0 < (found.future or 0) <= WINDOW
