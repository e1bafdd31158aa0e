"""Clips, blind comparisons, and the files of listening tests."""

from __future__ import annotations

import base64
import csv
import json
import re
from collections import Counter

import numpy as np
import pytest
import yaml
from voices import RATE, voice

from stillwave.arena import blind, listening_tests
from stillwave.arena.clips import Clip, choose
from stillwave.arena.recordings import recordings, with_outputs
from stillwave.audio import read
from stillwave.errors import StillwaveError


def clip(name: str, systems=("a", "b", "c"), clean: bool = True) -> Clip:
    names = [*(["clean"] if clean else []), "noisy", *systems]
    versions = {n: np.full(800, 0.01 * (i + 1), np.float32) for i, n in enumerate(names)}
    return Clip(name, name, "", RATE, versions, dict.fromkeys(names, 0.0))


def test_clips_are_spread_over_the_snr_and_equally_loud(place):
    items = recordings(place / "mixtures")
    items = with_outputs(items, "mine", {item.id: item.estimates["noisy"] for item in items})
    first, last = choose(items, ("noisy", "mine"), 2)
    assert (first.id, last.id) == ("0", "2")  # 0 dB and 10 dB
    assert list(first.versions) == ["clean", "noisy", "mine"]
    assert first.systems == ["mine"]
    speech = voice(1.0, 0)
    for samples in first.versions.values():
        assert samples @ speech == pytest.approx(speech @ speech, rel=1e-3)


def test_a_recording_that_a_system_lacks_is_no_clip(place):
    items = recordings(place / "mixtures")
    items = with_outputs(items, "mine", {"0": "failed", "1": items[1].estimates["noisy"], "2": "failed"})
    assert [found.id for found in choose(items, ("noisy", "mine"), 3)] == ["1"]
    assert choose([], ("noisy",), 3) == []


def test_comparisons_cover_all_pairs_and_are_balanced():
    clips = [clip(str(n)) for n in range(40)]
    found = blind.trials(clips, 120, 0)
    pairs = Counter(frozenset((trial.a, trial.b)) for trial in found)
    assert set(pairs.values()) == {40}
    assert len({(trial.recording, frozenset((trial.a, trial.b))) for trial in found}) == 120
    assert 40 < sum(trial.x == "a" for trial in found) < 80
    assert 40 < sum(trial.a < trial.b for trial in found) < 80
    assert found == blind.trials(clips, 120, 0) != blind.trials(clips, 120, 1)


def test_one_system_cannot_be_compared():
    with pytest.raises(StillwaveError, match="two or more systems"):
        blind.trials([clip("0", ("a",))], 3, 0)


def test_the_blind_page_has_no_names_and_x_is_a_or_b(tmp_path):
    clips = [clip(str(n), ("secret-one", "secret-two")) for n in range(3)]
    page = blind.write(tmp_path, clips, 3, 0).read_text(encoding="utf-8")
    assert "secret" not in page
    key = json.loads(base64.b64decode(re.search(r'atob\("([^"]+)"\)', page)[1]))
    for number, trial in enumerate(key):
        a, b, x = (read(tmp_path / f"blind/{number:02d}-{letter}.wav")[0] for letter in "abx")
        assert np.array_equal(x, a if trial["x"] == "a" else b)
        assert not np.array_equal(a, b)
        assert {trial["a"], trial["b"]} == {"secret-one", "secret-two"}


def test_webmushra_configuration(tmp_path):
    file = listening_tests.write_webmushra(tmp_path, [clip("0"), clip("1")])
    config = yaml.safe_load(file.read_text(encoding="utf-8"))
    welcome, trials, finish = config["pages"]
    assert (welcome["type"], finish["type"], finish["writeResults"]) == ("generic", "finish", True)
    assert trials[0] == "random"
    page = trials[1]
    assert page["type"] == "mushra"
    assert page["createAnchor35"] is True
    assert list(page["stimuli"]) == ["noisy", "a", "b", "c"]
    for path in (page["reference"], *page["stimuli"].values()):
        assert read(tmp_path / path)[1] == RATE


def test_webmushra_without_a_reference_is_a_rating(tmp_path):
    file = listening_tests.write_webmushra(tmp_path, [clip("0", clean=False)])
    page = yaml.safe_load(file.read_text(encoding="utf-8"))["pages"][1][1]
    assert page["type"] == "likert_multi_stimulus"
    assert [entry["label"] for entry in page["response"]] == ["Excellent", "Good", "Fair", "Poor", "Bad"]


def test_p835_lists_every_version_under_a_neutral_name(tmp_path):
    page = listening_tests.write_p835(tmp_path, [clip("0"), clip("1")], 0).read_text(encoding="utf-8")
    with (tmp_path / "key.csv").open(newline="", encoding="utf-8") as handle:
        key = list(csv.DictReader(handle))
    assert {(row["recording"], row["system"]) for row in key} == {
        (n, s) for n in "01" for s in ("noisy", "a", "b", "c")
    }
    assert [row["clip"] for row in key] == [f"clips/{n:03d}.wav" for n in range(8)]
    listed = (tmp_path / "rating_clips.csv").read_text().split()
    assert listed == ["rating_clips", *(row["clip"] for row in key)]
    levels = {"noisy": 0.02, "a": 0.03, "b": 0.04, "c": 0.05}
    for row in key:
        samples, _ = read(tmp_path / row["clip"])
        assert samples.mean() == pytest.approx(levels[row["system"]], abs=1e-4)
        assert row["clip"] in page
    assert "Noticeable but not intrusive" in page
