"""`stillwave evaluate`: stdout, errors and output files."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from verbs import call

from stillwave import checkpoint
from stillwave.cli.evaluate import evaluate
from stillwave.models import build
from stillwave.schema import ModelConfig

RATE = 16_000


def recording(seed: int, snr_db: float | None = None) -> np.ndarray:
    """Noise with syllables, or that in other noise of an exact SNR."""
    rng = np.random.default_rng([3, seed])
    clean = 0.1 * rng.standard_normal(RATE) * (0.1 + np.abs(np.sin(9 * np.arange(RATE) / RATE)))
    if snr_db is None:
        return clean
    extra = rng.standard_normal(RATE)
    return clean + extra * np.sqrt((clean**2).sum() / (extra**2).sum() / 10 ** (snr_db / 10))


def save(path: Path, samples: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, RATE, subtype="FLOAT")


@pytest.fixture
def folders(tmp_path) -> Path:
    """clean/, noisy/ (5 dB), mine/ (15 dB) and mixtures.csv."""
    for index in range(3):
        for side, snr_db in (("clean", None), ("noisy", 5), ("mine", 15)):
            save(tmp_path / side / f"{index}.wav", recording(index, snr_db))
    (tmp_path / "mixtures.csv").write_text("id,snr_db\n0,5\n1,5\n2,0\n")
    return tmp_path


def run(*arguments):
    return call(evaluate, *arguments, "--jobs", 1)


def sides(folder: Path):
    return "--clean", folder / "clean", "--enhanced", folder / "mine", "--noisy", folder / "noisy"


def test_json_is_the_only_output_on_stdout(folders):
    result = run(*sides(folders), "--metrics", "snr, si_sdr,", "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["systems"] == ["noisy", "mine"]
    assert found["metrics"] == ["snr", "si_sdr"]
    assert found["means"]["noisy"]["snr"]["interval"]["mean"] == pytest.approx(5, abs=1e-3)
    assert found["means"]["mine"]["snr"]["interval"]["count"] == 3
    assert found["differences"]["mine"]["snr"]["mean"] == pytest.approx(10, abs=1e-3)


def test_stdout_that_is_not_a_terminal_gets_markdown(folders):
    result = run(*sides(folders), "--metrics", "snr")
    assert result.exit_code == 0
    assert "| noisy | 5.00 [5.00, 5.00] |" in result.stdout
    assert "| mine | 15.00 [15.00, 15.00] |" in result.stdout


def test_a_terminal_gets_a_row_per_metric(folders, capsys, monkeypatch):
    save(folders / "mine" / "2.wav", -recording(2, 15))
    save(folders / "mine" / "1.wav", recording(1)[:-1])
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    evaluate(
        enhanced=[f"[mine]={folders / 'mine'}"],
        clean=folders / "clean",
        noisy=folders / "noisy",
        metrics="snr,si_sdr",
        jobs=1,
        quiet=True,
    )
    shown = capsys.readouterr().out
    lines = shown.splitlines()
    assert any("noisy" in line and "[mine]" in line for line in lines)
    assert any("SNR dB" in line and "5.00 [5.00, 5.00]" in line for line in lines)
    assert any("SI-SDR dB" in line for line in lines)
    assert "[mine]: 1 of 3 estimates have inverted polarity" in shown
    assert "lengths differ" in shown


def test_content_of_the_output_folder(folders):
    out = folders / "scores"
    result = run(*sides(folders), "--metrics", "snr", "--output", out)
    assert result.exit_code == 0, result.stderr
    assert {path.name for path in out.iterdir()} >= {
        "scores.csv",
        "summary.json",
        "summary.md",
        "summary.tex",
    }
    with (out / "scores.csv").open() as handle:
        assert len(list(csv.DictReader(handle))) == 6


def test_a_checkpoint_end_to_end(folders, tmp_path):
    torch.manual_seed(0)
    network = build(ModelConfig(channels=8, blocks=1))
    checkpoint.save(tmp_path / "model", network, checkpoint.Card(model=network.config))
    for side in ("clean", "noisy"):
        (folders / side / "2.wav").unlink()
    (folders / "mixtures.csv").write_text("id,snr_db\n0,5\n1,0\n")
    result = run(
        f"tiny={tmp_path / 'model'}", "--on", folders, "--metrics", "si_sdr,stoi",
        "--device", "cpu", "--output", tmp_path / "out", "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["systems"] == ["noisy", "tiny"]
    assert found["means"]["tiny"]["si_sdr"]["interval"]["count"] == 2
    assert list(found["by_snr"]) == ["0 dB", "5 dB"]
    estimate, _ = soundfile.read(tmp_path / "out" / "audio" / "tiny" / "0.wav")
    assert len(estimate) == RATE


def test_only_the_noisy_files(folders):
    result = run("--on", folders, "--metrics", "snr", "--json")
    assert json.loads(result.stdout)["systems"] == ["noisy"]


def test_estimates_beside_the_mixtures_by_a_column(folders):
    (folders / "mixtures.csv").write_text("id,snr_db,language\n0,5,fr\n1,5,fr\n2,5,de\n")
    arguments = ["--on", folders, "--enhanced", folders / "mine", "--metrics", "snr", "--by", "language"]
    found = json.loads(run(*arguments, "--json").stdout)
    assert found["systems"] == ["noisy", "mine"]
    assert found["by"]["language"]["fr (2)"]["mine"]["snr"]["interval"]["mean"] == pytest.approx(15, abs=1e-3)
    assert "## By language" in run(*arguments).stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--metrics", "pesq_bw"], "did you mean 'pesq_"),
        (["--baseline", "mien"], "did you mean 'mine'"),
        (["--baseline", "zzz"], "known: mine, noisy"),
        (["--on", "."], "--on: has the clean and noisy recordings"),
        (["--by", "language"], "--by: needs --on"),
        (["model"], "models need --on"),
    ],
)
def test_invalid_arguments_are_reported_before_scoring(folders, monkeypatch, arguments, words):
    monkeypatch.setattr("stillwave.evaluation.score_pairs", lambda *_: pytest.fail("scored"))
    result = run(*arguments[:0], *sides(folders), *arguments)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())
    assert result.stdout == ""


def test_an_evaluation_without_input_is_refused(folders):
    result = run("--clean", folders / "clean")
    assert result.exit_code == 2
    assert "give models with --on DIR" in result.stderr


def test_an_invalid_output_folder_is_reported_first(folders, monkeypatch):
    monkeypatch.setattr("stillwave.evaluation.score_pairs", lambda *_: pytest.fail("scored"))
    (folders / "file").write_text("")
    result = run(*sides(folders), "--output", folders / "file")
    assert result.exit_code == 2
    assert "file" in result.stderr


def test_without_scores_the_command_fails_with_reasons(folders):
    for index in range(3):
        save(folders / "mine" / f"{index}.wav", np.zeros(RATE))
    result = run("--clean", folders / "clean", "--enhanced", folders / "mine", "--metrics", "snr")
    assert result.exit_code == 2
    assert "the estimate is silent" in result.stdout
    assert "no recording could be scored" in result.stderr


def test_ctrl_c_ends_cleanly(folders, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("stillwave.evaluation.scoring.score_file", interrupt)
    result = run(*sides(folders), "--metrics", "snr", "--json")
    assert result.exit_code == 130
    assert "interrupted" in result.stderr
    assert result.stdout == ""


def test_a_folder_named_noisy_is_the_input(folders):
    result = run("--clean", folders / "clean", "--enhanced", folders / "noisy", "--metrics", "snr", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["systems"] == ["noisy"]
    result = run(*sides(folders), "--enhanced", folders / "noisy", "--metrics", "snr")
    assert result.exit_code == 2
    assert "write NAME=DIR" in " ".join(result.stderr.split())
