"""Programs as denoisers: what they return, and how they fail."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from external_denoisers import program

from stillwave.external import ExternalError, calibrate
from stillwave.external.command import CommandDenoiser

SAMPLES = 0.1 * np.random.default_rng(0).standard_normal((1, 1_600)).astype(np.float32)


def test_a_program_is_calibrated_at_its_rate(tmp_path):
    found = calibrate(CommandDenoiser(program(tmp_path), 48_000))
    assert (found.rate, found.delay) == (48_000, 137)
    assert found.gain == pytest.approx(0.5, abs=1e-3)


def test_samples_beyond_full_scale_are_not_clipped(tmp_path):
    loud = 30 * SAMPLES
    found = CommandDenoiser(program(tmp_path, "copy"), 16_000).enhance(loud)
    assert np.abs(found - loud).max() < 2 * np.abs(loud).max() / 32_768


def test_an_output_of_another_rate_is_resampled(tmp_path):
    denoiser = CommandDenoiser(program(tmp_path, "slow_rate"), 16_000)
    assert denoiser.enhance(SAMPLES).shape == SAMPLES.shape
    assert calibrate(denoiser).delay == 0


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("crash", "ended with exit code 1: no memory left for in.wav"),
        ("nothing", "wrote no file"),
        ("text", r"cannot be read \(\{out\}"),
        ("short", "returned 1597 samples for 1600"),
        ("stereo", "returned 2 channels"),
        ("nan", "NaN"),
    ],
)
def test_a_failure_is_one_sentence(tmp_path, mode, words):
    with pytest.raises(ExternalError, match=words) as failed:
        CommandDenoiser(program(tmp_path, mode), 16_000).enhance(SAMPLES)
    assert "\n" not in str(failed.value)
    assert f"tool.py {mode}" in str(failed.value)


def test_a_program_that_hangs_is_ended(tmp_path):
    with pytest.raises(ExternalError, match="exceeded 2 s"):
        CommandDenoiser(program(tmp_path, "hang"), 16_000, timeout=2).enhance(SAMPLES)


@pytest.mark.skipif(sys.platform == "win32", reason="has no sh")
def test_the_processes_that_a_program_starts_are_ended_too(tmp_path):
    line = "sh -c 'sleep 600 & cat {in} > {out}; wait'"
    with pytest.raises(ExternalError, match="exceeded 1 s"):
        CommandDenoiser(line, 16_000, timeout=1).enhance(SAMPLES)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("tool {in}", "write {out}"),
        ("nosuchprogram {in} {out}", "there is no program 'nosuchprogram'"),
        ("tool '{in} {out}", "cannot be split into words"),
        ("", "write {in}"),
    ],
)
def test_a_wrong_command_line_is_refused(line, words):
    with pytest.raises(ExternalError, match=words):
        CommandDenoiser(line, 16_000)


def test_no_shell_reads_the_line(tmp_path):
    with pytest.raises(ExternalError, match="exit code"):
        CommandDenoiser(
            f"{sys.executable} -c 'import sys; sys.exit(3)' {{in}} {{out}} ; true", 16_000
        ).enhance(SAMPLES)


def test_the_identity_covers_line_rate_and_script(tmp_path):
    line = program(tmp_path)
    one = CommandDenoiser(line, 16_000).identity
    assert CommandDenoiser(line, 16_000).identity == one
    assert CommandDenoiser(line, 48_000).identity != one
    assert CommandDenoiser(line.replace(" late ", " copy "), 16_000).identity != one
    (tmp_path / "tool.py").write_text("other")
    assert CommandDenoiser(line, 16_000).identity != one
