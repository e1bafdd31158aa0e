"""What is paired with what, from folders and from checkpoints."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from voices import RATE, noisy, voice

from stillwave import checkpoint, pretrained
from stillwave.data.manifest import ManifestError
from stillwave.errors import CheckpointError, StillwaveError
from stillwave.evaluation import score_pairs, scoring
from stillwave.evaluation.inputs import from_checkpoints, from_folders, labels_of, named, with_estimates
from stillwave.models import build
from stillwave.reports.score_report import scores_csv
from stillwave.schema import ModelConfig


def files(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(os.fsencode(path), voice(0.5), RATE)
    return folder


def test_folders_are_paired_by_name_whatever_the_suffix(tmp_path):
    clean = files(tmp_path / "clean", "a.wav", "deep/b.wav")
    mine = files(tmp_path / "mine", "a.flac", "deep/b.wav")
    items = from_folders(clean, {"mine": mine})
    assert [item.id for item in items] == ["a", "deep/b"]
    assert items[0].clean == clean / "a.wav"
    assert items[0].estimates == {"mine": mine / "a.flac"}
    assert not items[0].problems


def test_unpaired_files_are_counted(tmp_path):
    clean = files(tmp_path / "clean", "a.wav", "only-clean.wav")
    mine = files(tmp_path / "mine", "a.wav", "only-mine.wav")
    noisy_folder = files(tmp_path / "noisy", "a.wav", "only-clean.wav")
    items = {item.id: item for item in from_folders(clean, {"mine": mine}, noisy_folder)}
    assert set(items) == {"a", "only-clean", "only-mine"}
    scores = score_pairs(list(items.values()), ("snr",), 1, quiet=True)
    reasons = {(row.id, row.system): row.scores["snr"].reason for row in scores.rows}
    assert "no file of this name" in reasons["only-clean", "mine"]
    assert "no clean file" in reasons["only-mine", "mine"]
    assert "no file of this name" in reasons["only-mine", "noisy"]
    assert scores.systems == ("noisy", "mine")


def test_dns_challenge_names_are_paired_by_file_id(tmp_path):
    clean = files(tmp_path / "clean", "clean_fileid_1.wav", "clean_fileid_12.wav")
    mine = files(tmp_path / "mine", "x_snr5_fileid_12.wav", "y_snr0_tl-20_fileid_1.wav")
    items = from_folders(clean, {"mine": mine})
    pairs = {(i.clean.name, i.estimates["mine"].name) for i in items}
    assert pairs == {
        ("clean_fileid_1.wav", "y_snr0_tl-20_fileid_1.wav"),
        ("clean_fileid_12.wav", "x_snr5_fileid_12.wav"),
    }


def test_invalid_folders_are_refused(tmp_path):
    clean = files(tmp_path / "clean", "a.wav")
    with pytest.raises(StillwaveError, match=r"--enhanced .*'noisy'.*--noisy.*NAME=DIR"):
        from_folders(clean, {"noisy": clean}, clean)
    with pytest.raises(ManifestError, match=r"absent: .*no such folder"):
        from_folders(clean, {"mine": tmp_path / "absent"})
    (tmp_path / "empty").mkdir()
    with pytest.raises(ManifestError, match="no recordings"):
        from_folders(tmp_path / "empty", {"mine": clean})


def test_names_of_systems(tmp_path):
    assert named(["mine=a/b", "runs/x"]) == {"mine": Path("a/b"), "x": Path("runs/x")}
    for values, word in (
        (["a=1", "a=2"], "twice"),
        (["=path"], "is not a valid name"),
        (["a/b=path"], "plain name"),
        ([".hidden=path"], "plain name"),
    ):
        with pytest.raises(StillwaveError, match=word):
            named(values)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    network = build(ModelConfig(channels=8, blocks=1))
    folder = tmp_path_factory.mktemp("model") / "tiny"
    checkpoint.save(folder, network, checkpoint.Card(model=network.config))
    return folder


@pytest.fixture
def mixtures(tmp_path) -> Path:
    folder = tmp_path / "test"
    for side in ("noisy", "clean"):
        (folder / side).mkdir(parents=True)
    for index, snr_db in enumerate((0, 10)):
        clean = voice(1, index)
        soundfile.write(folder / "clean" / f"{index}.wav", clean, RATE, subtype="FLOAT")
        soundfile.write(folder / "noisy" / f"{index}.wav", noisy(clean, snr_db), RATE, subtype="FLOAT")
    (folder / "mixtures.csv").write_text("id,snr_db\n0,0\n1,\n")
    return folder


def test_checkpoints_enhance_the_pairs(mixtures, model, tmp_path):
    items = from_checkpoints(mixtures, {"tiny": model}, tmp_path / "work", "cpu", quiet=True)
    assert [item.snr_db for item in items] == [0, None]
    for item in items:
        estimate, rate = soundfile.read(item.estimates["tiny"])
        assert rate == RATE
        assert len(estimate) == RATE
        assert np.abs(estimate).max() > 0
    assert items[0].estimates["tiny"] == tmp_path / "work" / "tiny" / "0.wav"


def test_any_number_of_jobs_gives_the_same_bytes(mixtures, tmp_path):
    found = []
    for jobs in (1, 3):
        place = tmp_path / str(jobs)
        items = from_checkpoints(mixtures, {"m": pretrained.default()}, place, "cpu", quiet=True, jobs=jobs)
        found.append([(item.id, item.estimates["m"].read_bytes()) for item in items])
    assert found[0] == found[1]
    assert [name for name, _ in found[0]] == ["0", "1"]


def test_files_that_cannot_be_enhanced_are_counted(mixtures, model, tmp_path):
    (mixtures / "noisy" / "1.wav").write_text("no audio")
    items = from_checkpoints(mixtures, {"tiny": model}, tmp_path / "work", "cpu", quiet=True)
    scores = score_pairs(items, ("si_sdr",), 1, quiet=True)
    found = {(row.id, row.system): row.scores["si_sdr"] for row in scores.rows}
    assert found["0", "tiny"].value is not None
    assert found["1", "tiny"].value is None
    assert found["1", "tiny"].reason.startswith("not enhanced")


def test_a_checkpoint_cannot_be_named_noisy(mixtures, model, tmp_path):
    with pytest.raises(StillwaveError, match="noisy"):
        from_checkpoints(mixtures, {"noisy": model}, tmp_path / "work")


def test_shipped_models_are_scored_by_name(mixtures, tmp_path):
    models = named([pretrained.default(), f"small={pretrained.default()}{pretrained.INT8}"])
    items = from_checkpoints(mixtures, models, tmp_path / "work", "cpu", quiet=True)
    whole, small = (soundfile.read(items[0].estimates[name])[0] for name in (pretrained.default(), "small"))
    assert 0 < np.square(whole - small).sum() < 0.1 * np.square(whole).sum()
    with pytest.raises(CheckpointError, match=r"nothing-like-it: .*models: bsrnn-m"):
        from_checkpoints(mixtures, named(["nothing-like-it"]), tmp_path / "work", "cpu", quiet=True)


def test_odd_names_and_linked_folders_are_scored(tmp_path, model):
    odd = os.fsdecode(b"caf\xe9")
    for side in ("clean", "noisy"):
        files(tmp_path / "set" / side, "a.wav", f"{odd}.wav")
        files(tmp_path / "elsewhere" / side, "b.wav")
        (tmp_path / "set" / side / "linked").symlink_to(tmp_path / "elsewhere" / side)
    items = from_folders(tmp_path / "set" / "clean", {"mine": tmp_path / "set" / "noisy"})
    assert [item.id for item in items] == ["a", r"caf\udce9", "linked/b"]
    scores = score_pairs(items, ("stoi",), 1, quiet=True)
    scores_csv(scores).encode()
    assert all(row.scores["stoi"].value for row in scores.rows)
    enhanced = from_checkpoints(tmp_path / "set", {"tiny": model}, tmp_path / "work", "cpu", quiet=True)
    assert len(enhanced) == 3
    assert all(item.estimates["tiny"].is_file() for item in enhanced)


def test_an_error_in_one_file_affects_only_that_file(tmp_path, monkeypatch):
    clean = files(tmp_path / "clean", "a.wav", "b.wav")
    read = scoring.read

    def fail(path):
        if path.name == "a.wav":
            raise MemoryError
        return read(path)

    monkeypatch.setattr(scoring, "read", fail)
    scores = score_pairs(from_folders(clean, {"mine": clean}), ("stoi",), 1, quiet=True)
    assert [row.scores["stoi"].reason for row in scores.rows] == ["MemoryError", None]


def test_a_folder_called_noisy_is_scored_where_no_other_is(tmp_path):
    clean = files(tmp_path / "clean", "clean_fileid_1.wav")
    folder = files(tmp_path / "noisy", "x_snr5_fileid_1.wav")
    (item,) = from_folders(clean, named([str(folder)]))
    assert (item.estimates, item.snr_db) == ({"noisy": folder / "x_snr5_fileid_1.wav"}, 5)


def test_estimates_of_other_programs_are_scored_beside_models(mixtures, tmp_path):
    items = from_checkpoints(mixtures, {}, tmp_path / "work", "cpu", quiet=True)
    soundfile.write(tmp_path / "0.flac", np.zeros(RATE), RATE)
    found = with_estimates(items, {"other": tmp_path})
    assert found[0].estimates["other"] == tmp_path / "0.flac"
    assert found[1].problems["other"] == f"{tmp_path} contains no file of this name"
    with pytest.raises(StillwaveError, match="'other'"):
        with_estimates(found, {"other": tmp_path})


def test_labels_are_columns_of_the_list_of_mixtures(mixtures):
    (mixtures / "mixtures.csv").write_text("id,snr_db,language,rir\n0,0,fr,hall.wav\n1,,,\n")
    assert labels_of(mixtures, ["language", "reverberant"]) == {
        "language": {"0": "fr", "1": ""},
        "reverberant": {"0": "yes", "1": "no"},
    }
    with pytest.raises(StillwaveError, match=r"--by langauge: .*mixtures\.csv .*'language'"):
        labels_of(mixtures, ["langauge"])
    (mixtures / "mixtures.csv").unlink()
    with pytest.raises(StillwaveError, match=r"mixtures\.csv: .*No such file"):
        labels_of(mixtures, ["language"])
