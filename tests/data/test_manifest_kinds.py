"""What a folder or a manifest holds: guessed for a scan, checked before training."""

from __future__ import annotations

import json

import pytest

from stillwave.data.manifest import ManifestError, check_kind, guess, read_manifest, write_manifest
from stillwave.data.sources import build_mixer
from stillwave.schema import DataConfig, Sources


@pytest.mark.parametrize(
    ("folder", "output", "kind"),
    [
        ("my/speech", "a.jsonl", "speech"),
        ("my/noise", "a.jsonl", "noise"),
        ("/data/MUSAN/noise/free-sound", "a.jsonl", "noise"),
        ("ESC-50/audio", "noise-train.jsonl", "noise"),
        ("DNS/clean_fullband", "a.jsonl", "speech"),
        ("measured/RIRs", "a.jsonl", "rooms"),
        ("recordings", "a.jsonl", None),
        ("noisy", "a.jsonl", None),
        ("speech_in_noise", "a.jsonl", None),
        ("my/speech", "noise.jsonl", None),
    ],
)
def test_the_kind_follows_from_the_name_of_a_folder(folder, output, kind):
    assert guess(folder, output) == kind


def test_a_scan_without_a_kind_uses_the_name_and_prints_it(world, run_verb, tmp_path):
    manifest = tmp_path / "m.jsonl"
    report = json.loads(run_verb("scan", world["folder"] / "noise", "-o", manifest, "--json"))
    assert report["noise"]["recordings"] == 4
    assert {recording.kind for recording in read_manifest(manifest)} == {"noise"}
    assert {recording.speaker for recording in read_manifest(manifest)} == {""}


def test_a_scan_of_an_unknown_kind_asks_for_it(world, run_verb, tmp_path):
    place = tmp_path / "recordings"
    place.symlink_to(world["folder"] / "noise")
    message = run_verb("scan", place, "-o", tmp_path / "m.jsonl", code=2)
    assert "--kind noise" in message
    assert not (tmp_path / "m.jsonl").exists()
    run_verb("scan", place, "-o", tmp_path / "m.jsonl", "--kind", "noise")


def mixer_of(folder, **sources):
    data = DataConfig(train=Sources(**sources), development=str(folder), segment_seconds=0.5)
    return build_mixer(data, base=folder)


def test_training_refuses_a_manifest_of_another_kind(world, tmp_path):
    write_manifest(tmp_path / "speech.jsonl", world["speech"], "speech")
    write_manifest(tmp_path / "noise.jsonl", world["noise"], "noise")
    write_manifest(tmp_path / "wrong.jsonl", world["noise"], "speech")
    mixer_of(tmp_path, speech="speech.jsonl", noise="noise.jsonl")
    with pytest.raises(ManifestError, match=r"wrong.jsonl: lists speech .* expected noise"):
        mixer_of(tmp_path, speech="speech.jsonl", noise="wrong.jsonl")
    with pytest.raises(ManifestError, match=r"noise.jsonl: lists noise .* expected speech"):
        mixer_of(tmp_path, speech="noise.jsonl", noise="noise.jsonl")
    with pytest.raises(ManifestError, match=r"expected rooms"):
        mixer_of(tmp_path, speech="speech.jsonl", noise="noise.jsonl", rooms="noise.jsonl")


def test_a_manifest_without_a_kind_is_speech_if_it_has_speakers(world, tmp_path):
    """What earlier versions wrote of a folder of noise that was scanned as speech."""
    as_speech = [recording.model_copy(update={"speaker": "street"}) for recording in world["noise"]]
    with pytest.raises(ManifestError, match=r"noise\.jsonl: .*n0\.wav.*--kind noise"):
        check_kind(as_speech, "noise", "noise.jsonl")
    check_kind(world["noise"], "noise", "noise.jsonl")
    check_kind(world["speech"], "speech", "speech.jsonl")
