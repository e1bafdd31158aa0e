"""`stillwave evaluate --recogniser` and `stillwave submission` as their users meet them."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from verbs import call

from stillwave.cli.evaluate import evaluate
from stillwave.cli.submission import submission

RATE = 16_000
HEARS = """
import sys, wave
frames = wave.open(sys.argv[1]).readframes(100)
print("one two" if frames[:2] == b"\\x00@" else "one")
"""


def save(path: Path, first: float, channels: int = 1) -> None:
    """One second; a first sample of 0.5 makes the program return two words, otherwise one."""
    samples = 0.1 * np.random.default_rng(0).standard_normal((RATE, channels))
    samples[0] = first
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, RATE, subtype="FLOAT")


@pytest.fixture
def folders(tmp_path):
    """clean/, noisy/ (all words), mine/ (half of them lost) and texts, of three recordings."""
    for index in range(3):
        for side, first in (("clean", 0.5), ("noisy", 0.5), ("mine", 0.1)):
            save(tmp_path / side / f"{index}.wav", first)
        (tmp_path / "clean" / f"{index}.txt").write_text("ONE TWO THREE FOUR\n")
    (tmp_path / "asr.py").write_text(HEARS)
    return tmp_path


def run(folder, *arguments, recogniser=True):
    sides = ("--clean", folder / "clean", "--enhanced", folder / "mine", "--noisy", folder / "noisy")
    line = f"cmd: '{sys.executable}' '{folder / 'asr.py'}' {{wav}}"
    hear = ("--recogniser", line) if recogniser else ()
    return call(evaluate, *sides, *hear, *arguments, "--jobs", 1)


def test_wer_is_reported_with_other_metrics_and_a_warning(folders, tmp_path):
    result = run(folders, "--metrics", "si_sdr", "--json", "--output", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["metrics"] == ["si_sdr", "wer"]
    assert found["means"]["mine"]["wer"]["interval"]["mean"] == 0.5
    assert found["words"]["corpus"]["mine"]["deletions"] == 3
    assert found["words"]["differences"]["mine"]["mean"] == 0.5
    assert "warning: mine: raises the WER: mean +50.00 [+50.00, +50.00]" in result.stderr
    with (tmp_path / "out" / "transcripts.csv").open() as file:
        assert [line["hypothesis"].strip() for line in csv.DictReader(file)] == ["one two", "one"] * 3


def test_texts_are_found_beside_the_references(folders):
    result = run(folders, "--metrics", "snr", "--references", "texts", "--json")
    corpus = json.loads(result.stdout)["words"]["corpus"]
    assert {system: c["rate"]["mean"] for system, c in corpus.items()} == {"noisy": 0.5, "mine": 0.75}


def test_texts_are_found_in_a_table(folders):
    for file in (folders / "clean").glob("*.txt"):
        file.unlink()
    (folders / "mixtures.csv").write_text("id,text\n0,one\n1,one two\n2,\n")
    result = run(folders, "--metrics", "snr", "--references", "texts", "--json")
    found = json.loads(result.stdout)
    assert found["words"]["corpus"]["noisy"]["insertions"] == 1
    assert found["means"]["noisy"]["wer"]["reasons"] == {"the reference text is not known": 1}


def test_an_unreadable_text_ends_an_evaluation_with_texts(folders):
    (folders / "clean" / "1.txt").write_bytes(b"\xff\xfe\xff")
    result = run(folders, "--metrics", "snr", "--references", "texts")
    assert result.exit_code == 2
    assert "1.txt: cannot be read as a UTF-8 text" in result.stderr
    assert run(folders, "--metrics", "snr").exit_code == 0
    (folders / "mixtures.csv").write_bytes(b"id,text\n0,\xff\n")
    result = run(folders, "--metrics", "snr", "--references", "texts")
    assert "mixtures.csv: cannot be read as a CSV file" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--recogniser", "nothing"), "there is no recogniser 'nothing'"),
        (("--references", "texts"), "needs --recogniser"),
        (("--references", "wrong"), "clean or texts"),
        (("--metrics", "wer"), "needs a recogniser"),
        (("--recogniser", "wav2vec2:absent"), "nothing is downloaded"),
    ],
)
def test_errors_are_reported_before_any_work(folders, arguments, words):
    result = run(folders, *arguments, recogniser=False)
    assert result.exit_code == 2
    assert words in result.stderr
    assert not result.stdout


def test_a_program_that_always_fails_scores_nothing(folders):
    (folders / "asr.py").write_text("import sys; sys.exit('no licence')")
    result = run(folders, "--metrics", "wer", "--json")
    assert result.exit_code == 2
    found = json.loads(result.stdout)
    assert found["means"]["mine"]["wer"]["interval"] is None
    assert found["words"]["corpus"]["mine"]["rate"] is None
    (reason,) = found["means"]["mine"]["wer"]["reasons"]
    assert "no licence" in reason


def test_a_submission(folders):
    for index in range(3):
        save(folders / "data" / f"{index}_A.wav", 0.1, channels=4)
    result = call(
        submission, folders / "mine", "--inputs", folders / "data", "--team", "us", "-o", folders / "out"
    )
    assert result.exit_code == 0, result.stderr
    assert result.stdout.strip() == str(folders / "out" / "us_audioonly.zip")
    assert sorted(p.name for p in (folders / "out/task1/1mic").iterdir()) == ["0.npy", "1.npy", "2.npy"]
    (folders / "mine" / "1.wav").unlink()
    result = call(
        submission, folders / "mine", "--inputs", folders / "data", "--team", "us", "-o", folders / "no"
    )
    assert result.exit_code == 2
    assert "the first is 1" in result.stderr


def test_none_means_no_recogniser(folders):
    result = run(folders, "--recogniser", "none", "--metrics", "snr", recogniser=False)
    assert result.exit_code == 0
    assert "WER" not in result.stdout
