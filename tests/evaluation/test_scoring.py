"""Scoring files: what each fault becomes, and that the number of processes changes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from voices import RATE, noisy, voice

from stillwave.cores import cores
from stillwave.errors import StillwaveError
from stillwave.evaluation import Item, mean_score, score_pairs, summarise
from stillwave.evaluation.scoring import score_file

QUICK = ("si_sdr", "snr")


def save(path: Path, samples, rate=RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.asarray(samples).T, rate, subtype="FLOAT")
    return path


@pytest.fixture
def items(tmp_path):
    found = []
    for index in range(3):
        clean = voice(1.2, index)
        found.append(
            Item(
                id=str(index),
                clean=save(tmp_path / "clean" / f"{index}.wav", clean),
                estimates={
                    "a": save(tmp_path / "a" / f"{index}.wav", noisy(clean, 5, index)),
                    "b": save(tmp_path / "b" / f"{index}.wav", -noisy(clean, 15, index)),
                },
                snr_db=5.0 * index,
            )
        )
    return found


def test_processes_do_not_change_the_scores(items):
    keys = ("pesq_wb", "estoi", "si_sdr", "cbak")
    alone, together = (score_pairs(items, keys, jobs, quiet=True) for jobs in (1, 2))
    assert alone == together
    assert [(row.id, row.system) for row in alone.rows] == [(i, s) for i in "012" for s in "ab"]
    assert all(entry.value is not None for row in alone.rows for entry in row.scores.values())
    assert [row.inverted for row in alone.rows] == [False, True] * 3


def one_fault(item, keys=QUICK):
    row = score_file(item, "a", keys)
    assert all(entry.value is None for entry in row.scores.values())
    (reason,) = {entry.reason for entry in row.scores.values()}
    return reason


def test_faults_of_files(tmp_path):
    good = save(tmp_path / "good.wav", voice(1))
    bad = tmp_path / "bad.wav"
    bad.write_text("no audio")
    stereo = save(tmp_path / "stereo.wav", np.stack([voice(1)] * 2))
    nan = save(tmp_path / "nan.wav", np.full(RATE, np.nan, np.float32))
    empty = save(tmp_path / "empty.wav", np.zeros(0, np.float32))
    absent = tmp_path / "absent.wav"

    assert one_fault(Item("x", good, {"a": stereo})) == "the estimate has 2 channels; mono is required"
    assert one_fault(Item("x", stereo, {"a": good})) == "the reference has 2 channels; mono is required"
    for path, word in ((bad, "decoded"), (nan, "NaN"), (empty, "no samples"), (absent, "no such file")):
        assert word in one_fault(Item("x", good, {"a": path}))
        assert one_fault(Item("x", good, {"a": path})).startswith("the estimate")
        assert one_fault(Item("x", path, {"a": good})).startswith("the reference")
    assert one_fault(Item("x", None, {"a": good})) == "there is no clean file of this name"
    assert one_fault(Item("x", good, {}, problems={"a": "not enhanced"})) == "not enhanced"
    assert one_fault(Item("x", good, {})) == "there is no file"


def test_missing_scores_are_counted_and_not_averaged(items, tmp_path):
    silent = save(tmp_path / "silent.wav", np.zeros(voice(1.2).shape, np.float32))
    short = save(tmp_path / "short.wav", voice(1))
    faulty = [
        *items,
        Item("silent", items[0].clean, {"a": silent, "b": items[0].estimates["b"]}),
        Item("short", items[0].clean, {"a": short}),
    ]
    sound = summarise(score_pairs(items, QUICK, 1, quiet=True)).means
    found = summarise(score_pairs(faulty, QUICK, 1, quiet=True))
    cell = found.means["a"]["si_sdr"]
    assert found.recordings == 5
    assert cell.interval == sound["a"]["si_sdr"].interval
    assert (cell.interval.count, cell.failed) == (3, 2)
    assert set(cell.reasons) == {
        "the estimate is silent",
        "lengths differ: 19200 samples of reference, 16000 of estimate",
    }
    assert found.means["b"]["si_sdr"].interval.count == 4
    assert found.means["b"]["si_sdr"].reasons == {"there is no file": 1}


def test_equal_reasons_are_counted_together(tmp_path):
    items = []
    for index in range(4):
        bad = tmp_path / f"{index}.wav"
        bad.write_text("no audio")
        items.append(Item(str(index), save(tmp_path / "c" / f"{index}.wav", voice(1)), {"a": bad}))
    cell = summarise(score_pairs(items, ("snr",), 1, quiet=True)).means["a"]["snr"]
    assert cell.interval is None
    assert list(cell.reasons.values()) == [4]


def test_other_rates_are_resampled_to_16_khz(tmp_path):
    t = np.arange(48_000) / 48_000
    tone, other = (np.sin(2 * np.pi * hz * t) for hz in (440, 1_000))
    clean = save(tmp_path / "c.wav", 0.5 * tone, 48_000)
    estimate = save(tmp_path / "e.wav", 0.5 * tone + 0.05 * other, 48_000)
    row = score_file(Item("x", clean, {"a": estimate}), "a", ("si_sdr",))
    assert row.scores["si_sdr"].value == pytest.approx(20, abs=0.1)


def test_rates_that_differ_are_a_reason(tmp_path):
    clean = save(tmp_path / "c.wav", np.repeat(voice(1), 3), 48_000)
    reason = one_fault(Item("x", clean, {"a": save(tmp_path / "e.wav", voice(1))}))
    assert reason == "sampling rates differ: 48000 Hz of reference, 16000 Hz of estimate"


def test_a_missing_file_changes_no_other_system(items):
    first = Item(
        "first", items[0].clean, {"b": items[0].estimates["b"]}, problems={"noisy": "gone", "a": "gone"}
    )
    rest = [Item(i.id, i.clean, {"noisy": i.estimates["b"], **i.estimates}) for i in items]
    assert score_pairs([first, *rest], ("snr",), 1, quiet=True).systems == ("noisy", "a", "b")


def test_nothing_to_score():
    with pytest.raises(StillwaveError, match="nothing to score"):
        score_pairs([])


def test_mean_score_counts_missing_values():
    clean = voice(0.5)
    mean, without = mean_score("snr", [clean, clean, clean], [noisy(clean, 10), clean, noisy(clean, 20)])
    assert mean == pytest.approx(15, abs=1e-3)
    assert without == 1
    mean, without = mean_score("snr", [clean], [clean])
    assert np.isnan(mean)
    assert without == 1


def test_cores_are_at_least_one():
    assert cores() >= 1


def die(*_):
    import os

    os._exit(9)


def test_a_killed_worker_is_reported(items, monkeypatch):
    monkeypatch.setattr("stillwave.evaluation.scoring.score_file", die)
    with pytest.raises(StillwaveError, match="fewer jobs"):
        score_pairs(items, QUICK, 2, quiet=True)
