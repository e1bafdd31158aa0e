"""Small sets in the published layouts, whole and with everything that can be wrong."""

import json

import numpy as np
import pytest
from l3das_clips import RATE, clip, field

from stillwave.audio import write
from stillwave.data.corpora import l3das23, scan_corpus
from stillwave.data.manifest import ManifestError
from stillwave.data.multichannel import load_noisy
from stillwave.data.pair_manifest import Pair, read_pair_manifest, write_pair_manifest
from stillwave.data.pair_sets import load_pair, read_pairs
from stillwave.data.scenes.ambisonics import convert


@pytest.fixture
def one(tmp_path):
    folder = tmp_path / "L3DAS23_Task1_dev"
    for name in ("84-121123-0001", "84-121123-0002", "174-50561-0003"):
        clip(folder, name)
    return folder


def test_a_complete_set_is_scanned(one):
    found = l3das23.scan_pairs(one)
    assert [pair.id for pair in found.pairs] == ["174-50561-0003", "84-121123-0001", "84-121123-0002"]
    assert (found.skipped, found.doubtful) == ([], [])
    first = found.pairs[0]
    assert (first.speaker, first.channels, first.seconds) == ("174", 8, 0.5)
    assert first.text == "WORDS 174-50561-0003"
    assert first.also == (one / "data/174-50561-0003_B.wav",)


def test_sets_below_a_folder_and_the_parts_of_2022(tmp_path):
    for part in (1, 2):
        name = f"L3DAS22_Task1_train360_{part}"
        clip(tmp_path / name / name, f"1-2-{part}")
    clip(tmp_path / "Task2/L3DAS22_Task2_train", "9-9-9")
    found = l3das23.scan_pairs(tmp_path)
    assert [pair.id for pair in found.pairs] == ["1-2-1", "1-2-2"]


def test_one_microphone_needs_no_b(one):
    for file in (one / "data").glob("*_B.wav"):
        file.unlink()
    found = l3das23.scan_pairs(one, microphones=1)
    assert [pair.channels for pair in found.pairs] == [4, 4, 4]
    with pytest.raises(ManifestError, match=r"L3DAS23_Task1_dev: .*\(microphone B missing\)"):
        l3das23.scan_pairs(one)


def spoil(one, name, how):
    clip(one, name)
    a, b, label = (one / file for file in (f"data/{name}_A.wav", f"data/{name}_B.wav", f"labels/{name}.wav"))
    good = field(1)
    if how == "NaN or infinite":
        good[2, 5] = np.nan
    quiet = field(1) * np.array([[1], [1], [0], [1]], np.float32)
    {
        "microphone B missing": b.unlink,
        "microphone A missing": a.unlink,
        "label missing": label.unlink,
        "other length": lambda: write(b, field(1, 7999), RATE),
        "other length of label": lambda: write(label, field(1, 7000)[0], RATE),
        "other rate": lambda: write(a, field(1), 32_000),
        "other channel count": lambda: write(a, field(1)[:3], RATE),
        "mono label": lambda: write(label, field(1), RATE),
        "silent channel": lambda: write(b, quiet, RATE),
        "silent label": lambda: write(label, np.zeros(8000, np.float32), RATE),
        "cut short": lambda: a.write_bytes(a.read_bytes()[:-4000]),
        "unreadable": lambda: b.write_bytes(b"RIFFnothing"),
        "empty": lambda: b.write_bytes(b""),
    }[how]()


@pytest.mark.parametrize(
    ("how", "reason", "detail"),
    [
        ("microphone B missing", "microphone B missing", ""),
        ("microphone A missing", "microphone A missing", ""),
        ("label missing", "label missing", ""),
        ("other length", "other length", "7999 samples, A has 8000"),
        ("other length of label", "other length", "7000 samples, A has 8000"),
        ("other rate", "other rate", "32000 Hz, expected 16000"),
        ("other channel count", "other channel count", "3, expected 4"),
        ("mono label", "other channel count", "4, expected 1"),
        ("silent channel", "silent channel", "2"),
        ("silent label", "silent channel", "all of it"),
        ("cut short", "cut short", ""),
        ("unreadable", "unreadable", ""),
        ("empty", "empty", ""),
    ],
)
def test_faulty_clips_are_skipped_with_a_reason(one, how, reason, detail):
    spoil(one, "1-2-bad", how)
    found = l3das23.scan_pairs(one)
    assert [pair.id for pair in found.pairs] == ["174-50561-0003", "84-121123-0001", "84-121123-0002"]
    (skipped,) = found.skipped
    assert (skipped.reason, "1-2-bad" in skipped.path.name) == (reason, True)
    assert detail in skipped.detail


@pytest.mark.parametrize("how", ["microphone B missing", "label missing", "other length", "other rate"])
def test_a_folder_used_without_a_scan_must_be_complete(one, how):
    spoil(one, "1-2-bad", how)
    with pytest.raises(ManifestError, match=rf"1-2-bad.*: {how}.*scan --corpus l3das23"):
        read_pairs(one)


def test_a_label_within_a_block_of_the_recording_is_cut(one):
    write(one / "labels/84-121123-0001.wav", field(1, 8100)[0], RATE)
    found = l3das23.scan_pairs(one)
    assert [pair.seconds for pair in found.pairs] == [0.5, 0.5, 0.5]
    assert load_pair(found.pairs[1], 8).clean.shape == (8000,)


def test_another_channel_order_is_doubtful(one):
    file = one / "data/84-121123-0001_A.wav"
    write(file, field(5)[::-1], RATE)
    found = l3das23.scan_pairs(one)
    assert len(found.pairs) == 3
    (doubt,) = found.doubtful
    assert (doubt.path, doubt.reason) == (file, "channel order")
    assert l3das23.scan_pairs(one, decode=False).doubtful == []


def test_fuma_is_converted_where_it_is_read(one, tmp_path):
    for file in (one / "data").glob("*.wav"):
        write(file, convert(field(7), "acn_sn3d", "fuma"), RATE, subtype="FLOAT")
    assert l3das23.scan_pairs(one).energy_ratio == pytest.approx(0.5, abs=0.02)
    found = l3das23.scan_pairs(one, convention="fuma")
    assert found.doubtful == []
    assert found.energy_ratio == pytest.approx(1, abs=0.02)
    np.testing.assert_allclose(load_noisy(found.pairs[0], 4), field(7), atol=1e-7)
    write_pair_manifest(tmp_path / "m.jsonl", found.pairs)
    assert read_pair_manifest(tmp_path / "m.jsonl")[0].convention == "fuma"


def test_folders_without_a_set_are_refused(tmp_path, one):
    with pytest.raises(ManifestError, match=r"absent: .*no such folder"):
        l3das23.scan_pairs(tmp_path / "absent")
    (tmp_path / "other").mkdir()
    with pytest.raises(ManifestError, match=r"other: .*L3DAS23_Task1_.*labels/NAME.wav"):
        l3das23.scan_pairs(tmp_path / "other")
    with pytest.raises(ManifestError, match="'l3das23' has pairs"):
        scan_corpus("l3das23", one)


def test_eight_four_and_one_channels_are_read(one):
    pair = read_pairs(one)[0]
    seed = sum(map(ord, f"{one.name}{pair.id}"))
    a, b = field(seed), field(seed + 1)
    np.testing.assert_array_equal(load_noisy(pair, 8), np.concatenate([a, b]))
    np.testing.assert_array_equal(load_noisy(pair, 4), a)
    np.testing.assert_array_equal(load_noisy(pair, 1), a[0])
    np.testing.assert_array_equal(load_noisy(pair, 8, 100, 50), np.concatenate([a, b])[:, 100:150])
    assert load_pair(pair).noisy.shape == (8000,)
    assert load_pair(pair, 8).noisy.shape == (8, 8000)


def test_manifests_are_read_back_and_faults_are_named(one, tmp_path):
    found = l3das23.scan_pairs(one).pairs
    manifest = one.parent / "m.jsonl"
    write_pair_manifest(manifest, found)
    assert '"noisy": "L3DAS23_Task1_dev/data/' in manifest.read_text()
    assert read_pair_manifest(manifest) == read_pairs(manifest) == found
    for line, sentence in (
        ("[1]", "line 2: .*JSON object"),
        ("{", "line 2: .*JSON"),
        ('{"id": "x", "noisy": "a"}', "line 2: key 'clean'"),
        ('{"id": "x", "noisy": "a", "clean": "b", "speker": ""}', "line 2: .*'speker'.*'speaker'"),
        ('{"id": "x", "noisy": "a", "clean": "b", "channels": 0}', "line 2: key 'channels': .*1, got 0"),
    ):
        bad = one.parent / "bad.jsonl"
        bad.write_text(manifest.read_text().splitlines()[0] + "\n" + line)
        with pytest.raises(ManifestError, match=sentence.replace("[", r"\[")):
            read_pair_manifest(bad)
    (one.parent / "bad.jsonl").write_text("\n")
    with pytest.raises(ManifestError, match=r"bad\.jsonl: .*no pairs"):
        read_pair_manifest(one.parent / "bad.jsonl")
    found[1].clean.unlink()
    with pytest.raises(ManifestError, match=r"m\.jsonl: .*84-121123-0001\.wav is missing"):
        read_pair_manifest(manifest)
    with pytest.raises(ManifestError, match=r"absent\.jsonl: .*No such file"):
        read_pair_manifest(tmp_path / "absent.jsonl")


def test_facts_of_simulated_clips(one):
    (one / "scenes").mkdir()
    (one / "scenes/84-121123-0001.json").write_text(json.dumps({"speaker": "me", "snr_db": -2.5}))
    pair = l3das23.scan_pairs(one).pairs[1]
    assert (pair.speaker, pair.snr_db) == ("me", -2.5)
    (one / "scenes/84-121123-0001.json").write_text("{")
    with pytest.raises(ManifestError, match="JSON"):
        l3das23.scan_pairs(one)


def test_the_command(one, run_verb, tmp_path):
    spoil(one, "1-2-bad", "label missing")
    out = run_verb("scan", one, "--corpus", "l3das23", "-o", tmp_path / "m.jsonl")
    assert "clips 3" in out
    assert "left out             label missing 1" in out
    assert "1-2-bad.wav" in out
    assert len(read_pair_manifest(tmp_path / "m.jsonl")) == 3
    report = json.loads(
        run_verb("scan", one, "--corpus", "l3das22", "-o", tmp_path / "m.jsonl", "--microphones", 1, "--json")
    )
    assert report["pairs"]["channels"] == 4
    assert report["doubtful"] == {}
    assert report["pairs"]["w_to_dipoles"] == pytest.approx(1, abs=0.02)
    assert "normalisation" not in report
    for file in (one / "data").glob("*.wav"):
        write(file, convert(field(7), "acn_sn3d", "fuma"), RATE, subtype="FLOAT")
    out = run_verb("scan", one, "--corpus", "l3das23", "-o", tmp_path / "m.jsonl")
    assert "FuMa has 0.5 (--convention fuma)" in out


def test_a_pair_shorter_than_stated_is_refused(one):
    pair = Pair(
        id="x", noisy=one / "labels/84-121123-0001.wav", clean=one / "labels/84-121123-0001.wav", channels=4
    )
    with pytest.raises(Exception, match="1 channels, expected 4"):
        load_noisy(pair, 4)
