"""Networks as C: equal to the checkpoint, safe with any input, and refused where C cannot be written."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from saved_networks import saved
from typer.testing import CliRunner

from stillwave import checkpoint
from stillwave.cli import build
from stillwave.errors import StillwaveError
from stillwave.exporting import signals
from stillwave.exporting.c_program import CProgram
from stillwave.exporting.c_source import c_source, identifier
from stillwave.exporting.export import ExportError, export
from stillwave.exporting.verify import DifferenceError, reference
from stillwave.models import BSRNN, kernels
from stillwave.schema import ModelConfig

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.usefixtures("short_speech"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler"),
]


def small(**changes: object) -> BSRNN:
    """A causal band-split network, its weights moved from where they start."""
    torch.manual_seed(1)
    config = {"name": "bsrnn", "channels": 8, "blocks": 1, "bands": 20, "causal": True, "norm": "frame"}
    model = BSRNN(ModelConfig.model_validate({**config, **changes})).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model


def compiled(model: BSRNN, stem: str = "small") -> CProgram:
    return CProgram(source(model, stem), stem)


@torch.inference_mode()
def source(model: BSRNN, stem: str = "small"):
    return c_source(model, checkpoint.Card(model=model.config), stem)


@pytest.fixture(scope="module")
def model() -> BSRNN:
    return small()


@pytest.fixture(scope="module")
def program(model) -> CProgram:
    return compiled(model)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"channels": 24, "bands": 28, "blocks": 2, "level_normalized": True, "compression": 0.3},
        {"channels": 64, "bands": 64, "compression": 1},
        {"channels": 16, "bands": 9},
        {"channels": 8, "bands": 8, "compression": 0.5, "level_normalized": True},
    ],
    ids=str,
)
def test_any_band_split_network_equals_its_checkpoint(changes) -> None:
    model = small(**changes)
    noisy = signals.speechlike(3, 1)
    wanted = reference(model, noisy)
    program = compiled(model)
    assert np.abs(wanted).max() > 1e-3
    for signal, estimate in zip(noisy, wanted, strict=True):
        assert program.enhance(signal[0]) == pytest.approx(estimate, abs=1e-5)


def test_the_output_is_one_block_late_and_states_are_independent(model, program) -> None:
    noisy = signals.speechlike(2, 1)[:, 0, : 20 * 256].reshape(2, 20, 256)
    states = program.state(), program.state()
    found = np.array([[program.process(states[i], noisy[i, t]) for i in range(2)] for t in range(20)])
    for i in range(2):
        wanted = reference(model, noisy[i].reshape(1, 1, -1))[0]
        assert not found[0, i].any()
        assert found[1:, i].ravel() == pytest.approx(wanted[:-256], abs=1e-5)


def test_a_copied_state_continues_and_zeros_begin_a_signal(program) -> None:
    noise = np.random.default_rng(0).standard_normal((6, 256)).astype(np.float32) / 10
    state = program.state()
    for block in noise:
        program.process(state, block)
    copied = state.copy()
    assert np.array_equal(program.process(state, noise[0]), program.process(copied, noise[0]))
    copied[:] = 0
    program.process(copied, noise[0])
    fresh = program.state()
    program.process(fresh, noise[0])
    assert np.array_equal(program.process(copied, noise[1]), program.process(fresh, noise[1]))


@pytest.mark.parametrize("fault", [np.nan, np.inf, -np.inf, 1e30, 1e-40])
def test_faulty_samples_are_silence(program, fault) -> None:
    noise = np.random.default_rng(0).standard_normal((8, 256)).astype(np.float32) / 10
    repaired, states = noise.copy(), (program.state(), program.state())
    noise[3, 7:9], repaired[3, 7:9] = fault, 0
    for broken, whole in zip(noise, repaired, strict=True):
        found = program.process(states[0], broken)
        assert np.isfinite(found).all()
        assert np.array_equal(found, program.process(states[1], whole))


def test_silence_stays_silence_also_after_sound(program) -> None:
    state, silence = program.state(), np.zeros(256, np.float32)
    assert not any(program.process(state, silence).any() for _ in range(3))
    program.process(state, np.full(256, 0.1, np.float32))
    assert program.process(state, silence).any()
    program.process(state, silence)
    assert not any(program.process(state, silence).any() for _ in range(3))


def test_a_network_that_is_not_finite_gives_silence_and_begins_again() -> None:
    model = small(level_normalized=True)
    with torch.no_grad():
        model.blocks[0].time_out.bias[:] = model.blocks[0].band_out.bias[:] = 3e38  # their sum is infinite
    program = compiled(model)
    state = program.state()
    for block in np.random.default_rng(0).standard_normal((4, 256)).astype(np.float32):
        assert not program.process(state, block).any()


def test_the_source_compiles_without_warnings_and_is_the_same_each_time(model, tmp_path) -> None:
    files = source(model, "my-denoiser.v2")
    assert files == source(model, "my-denoiser.v2")
    (tmp_path / "my-denoiser.v2.c").write_text(files.source)
    (tmp_path / "my-denoiser.v2.h").write_text(files.header)
    strict = ["cc", "-std=c11", "-Wall", "-Wextra", "-pedantic", "-Werror", "-O1", "-c", "my-denoiser.v2.c"]
    result = subprocess.run(strict, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "my_denoiser_v2_process(my_denoiser_v2_state *state" in files.header
    assert "denoiser_process" not in files.header.replace("my_denoiser_v2", "")
    assert not {line for line in files.source.splitlines() if len(line) > 140}


def test_the_program_in_the_documentation(model, tmp_path) -> None:
    page = (ROOT / "docs" / "how-to" / "export.md").read_text(encoding="utf-8")
    files, noisy = source(model, "denoiser"), signals.speechlike(1, 1)[0, 0, : 10 * 256]
    (tmp_path / "denoiser.c").write_text(files.source)
    (tmp_path / "denoiser.h").write_text(files.header)
    (tmp_path / "main.c").write_text(page.split("```c\n")[1].split("```")[0])
    command = ["cc", "-O1", "-Wall", "-Wextra", "-Werror", "main.c", "denoiser.c", "-lm", "-o", "denoise"]
    subprocess.run(command, cwd=tmp_path, check=True)
    given = noisy.astype("<f4").tobytes() + b"\0\0\0\0"  # an incomplete block ends the program
    result = subprocess.run([tmp_path / "denoise"], input=given, stdout=subprocess.PIPE, check=True)
    found = np.frombuffer(result.stdout, "<f4")
    assert not found[:256].any()
    assert found[256:] == pytest.approx(reference(model, noisy[None, None])[0, :-256], abs=1e-5)


def test_a_file_and_its_header_are_written(tmp_path) -> None:
    folder = saved(tmp_path / "network", "level_normalized")
    result = CliRunner().invoke(build(), ["export", str(folder), "-o", str(tmp_path / "c" / "small-one.c")])
    assert result.exit_code == 0
    assert "C source, float32" in result.stdout
    assert "1 state, " in result.stdout
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == ["small-one.c", "small-one.h"]
    assert '#include "small-one.h"' in (tmp_path / "c" / "small-one.c").read_text()
    report = export(folder, tmp_path / "c" / "small-one.c", overwrite=True)
    bytes_of_state = compiled(checkpoint.load(folder)[0]).state_bytes
    assert (report.kind, report.states) == ("c", {"state": [bytes_of_state // 4]})
    (tmp_path / "c" / "small-one.c").unlink()
    with pytest.raises(ExportError, match=r"small-one\.h: exists already"):
        export(folder, tmp_path / "c" / "small-one.c")


@pytest.mark.parametrize(
    ("kind", "name", "options", "message"),
    [
        ("dpdcrn", "a.c", {}, "a.c: C can be written for a causal 'bsrnn' network, not for a 'dpdcrn'"),
        ("whole", "a.c", {}, "not for a non-causal 'dpdcrn'"),
        ("bsrnn", "a.c", {"offline": True}, "leave out --offline"),
        ("bsrnn", "a.c", {"precision": "int8"}, "leave out --offline, --int8"),
        ("bsrnn", "2nd.c", {}, "begin its name with a letter"),
        ("bsrnn", "a.h", {}, r"cannot write '\.h'"),
    ],
)
def test_what_cannot_be_written_as_c_is_refused(tmp_path, kind, name, options, message) -> None:
    folder = saved(tmp_path / "network", kind)
    with pytest.raises(ExportError, match=message):
        export(folder, tmp_path / name, **options)
    assert [path.name for path in tmp_path.iterdir()] == ["network"]


def test_wrong_source_is_refused_and_nothing_is_written(tmp_path, monkeypatch) -> None:
    folder = saved(tmp_path / "network", "bsrnn")
    right = kernels.packed
    monkeypatch.setattr(kernels, "packed", lambda weight: right(1.01 * weight))
    with pytest.raises(DifferenceError, match="of full scale"):
        export(folder, tmp_path / "a.c")
    assert [path.name for path in tmp_path.iterdir()] == ["network"]


def test_without_a_compiler_nothing_is_written(tmp_path, monkeypatch) -> None:
    folder = saved(tmp_path / "network", "bsrnn")
    monkeypatch.setattr(kernels.shutil, "which", lambda name: None)
    with pytest.raises(ExportError, match=r"a\.c: cannot be compiled, .*install a C compiler"):
        export(folder, tmp_path / "a.c")
    assert [path.name for path in tmp_path.iterdir()] == ["network"]


def test_weights_that_are_not_finite_are_refused() -> None:
    model = small()
    with torch.no_grad():
        model.mask.bias[4] = torch.nan
    with pytest.raises(StillwaveError, match="not finite"):
        source(model)


def test_names_of_functions() -> None:
    assert identifier("bsrnn-xs") == "bsrnn_xs"
    assert identifier("Mein Netz.2") == "Mein_Netz_2"
    with pytest.raises(StillwaveError, match="letter"):
        identifier("_x")
