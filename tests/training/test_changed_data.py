"""A run that is resumed with other recordings than it began with."""

import json

import numpy as np
import pytest
import soundfile
from toy import toy_recipe

from stillwave.data.manifest import read_manifest, write_manifest
from stillwave.data.scan import load
from stillwave.errors import StillwaveError
from stillwave.training import run, run_log, train


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    """Manifests of four speakers and of four noises."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for kind, level in (("speech", 0.2), ("noise", 0.1)):
        for number in range(4):
            place = tmp_path / kind / f"{kind}{number}"
            place.mkdir(parents=True)
            for take in range(2):
                soundfile.write(
                    place / f"{kind}{number}-{take}.wav",
                    level * rng.standard_normal(4000).clip(-3, 3) / 3,
                    16_000,
                )
    for kind in ("speech", "noise"):
        found = [recording.model_copy(update={"speaker": ""}) for recording in load(kind)]
        held = [recording for recording in found if f"{kind}0" in str(recording.path)]
        write_manifest(f"{kind}-development.jsonl", held, kind)
        write_manifest(f"{kind}.jsonl", [recording for recording in found if recording not in held], kind)
    return tmp_path


def go(folder, steps, **options):
    settings = [
        "data.train={speech: speech.jsonl, noise: noise.jsonl}",
        "data.development={speech: speech-development.jsonl, noise: noise-development.jsonl}",
        *("data.development_items=2", "data.mixing.babble=0", f"data.cache={folder}-cache"),
        *("optimiser.final=1", "train.checkpoint_every=1", f"train.steps={steps}"),
    ]
    return train(toy_recipe(*settings), folder, quiet=True, **options)


def drop(manifest):
    write_manifest(manifest, read_manifest(manifest)[:-2], "speech")


def test_a_changed_manifest_is_refused_and_named(corpus, capsys):
    folder = corpus / "run"
    go(folder, 1)
    lists = json.loads((folder / run.DATA).read_text())["lists"]
    assert set(lists) == {"data.train.speech", "data.train.noise", "data.train.rooms", "data.development"}
    assert lists["data.train.noise"]["recordings"] == 6
    go(folder, 2)
    drop("speech.jsonl")
    with pytest.raises(StillwaveError, match=r"data\.train\.speech .*\(6 recordings then, 4 now\)"):
        go(folder, 3)
    capsys.readouterr()
    go(folder, 3, allow_changed_data=True)
    assert "the new list applies from step 2 on" in capsys.readouterr().err
    assert json.loads((folder / run.DATA).read_text())["changed_at"] == [2]
    go(folder, 4)
    assert json.loads((folder / run.DATA).read_text())["changed_at"] == [2]


def test_a_corpus_can_be_moved(corpus, monkeypatch):
    go(corpus / "run", 1)
    moved = corpus.parent / (corpus.name + "-moved")
    corpus.rename(moved)
    monkeypatch.chdir(moved)
    go(moved / "run", 2)


def test_a_recording_deleted_between_sessions_is_replaced(corpus):
    folder = corpus / "run"
    go(folder, 1)
    gone = [recording.path for recording in read_manifest("noise.jsonl")][:3]
    for path in gone:
        path.unlink()
    go(folder, 8)
    found = [event["file"] for event in run_log.read(folder) if event["kind"] == "bad_file"]
    assert found
    assert set(found) <= {str(path) for path in gone}


def test_a_recording_missing_at_the_start_is_refused(corpus):
    next((corpus / "speech" / "speech1").iterdir()).unlink()
    with pytest.raises(StillwaveError, match=r"speech\.jsonl: 1 of 6 .*1-0\.wav"):
        go(corpus / "run", 1)
    write_manifest("speech.jsonl", read_manifest("speech.jsonl", must_exist=False)[2:], "speech")
    go(corpus / "run", 1)


def contents(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_refused_start_changes_nothing(corpus):
    """Neither a longer run whose manifest changed, nor another recipe's start in a folder that holds no checkpoint."""
    folder, failed = corpus / "run", corpus / "failed"
    go(folder, 1)
    failed.mkdir()
    (failed / run.RECIPE).write_text("seed: 1\n")
    (failed / run.LOG).write_text("{}\n")
    drop("speech.jsonl")
    before = contents(folder)
    with pytest.raises(StillwaveError, match=r"run: data\.train\.speech .*--allow-changed-data"):
        go(folder, 3, extend=True)
    assert contents(folder) == before
    (corpus / "noise.jsonl").unlink()
    before = contents(failed)
    with pytest.raises(StillwaveError, match=r"noise\.jsonl: .*no such manifest"):
        go(failed, 1)
    assert {path: data for path, data in contents(failed).items() if path.name != ".lock"} == before


def test_recordings_that_are_listed_twice_are_counted_once(corpus, capsys):
    """By a relative and an absolute path, and by a link."""
    first, second, *_ = read_manifest("speech.jsonl")
    lines = (corpus / "speech.jsonl").read_text().splitlines()
    link = corpus / "link.wav"
    link.symlink_to(second.path)
    lines += [
        first.model_dump_json(exclude_defaults=True),
        lines[1].replace("speech/speech1/speech1-1.wav", "link.wav"),
    ]
    (corpus / "speech.jsonl").write_text("\n".join(lines))
    go(corpus / "run", 1)
    message = capsys.readouterr().err
    assert message.count("entries repeat a recording") == 1
    assert "data.train.speech: 2 of 8 entries repeat a recording" in message
