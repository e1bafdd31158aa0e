import json

import numpy as np
import pytest
import soundfile

from stillwave.audio import write
from stillwave.data.checks import check
from stillwave.data.manifest import ManifestError, Recording, write_manifest
from stillwave.data.mixing import Mixer
from stillwave.data.pair_sets import write_mixtures
from stillwave.data.summary import measure, spread, summarise
from stillwave.schema import MixingConfig

RATE = 16_000


def tone(hertz, amplitude=0.5, seconds=1.0, rate=RATE):
    return (amplitude * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def test_a_tone_by_hand(tmp_path):
    write(tmp_path / "a.wav", np.concatenate([tone(1000), np.zeros(RATE, np.float32)]), RATE)
    found = measure(tmp_path / "a.wav")
    assert found.seconds == 2
    assert found.peak_dbfs == pytest.approx(-6.02, abs=0.01)
    assert found.level_dbfs == pytest.approx(-12.04, abs=0.01)
    assert found.silent == pytest.approx(0.5, abs=0.02)
    assert found.clipped == 0


@pytest.mark.parametrize("edge", [3500, 6000])
def test_the_bandwidth_is_the_highest_frequency_with_energy(tmp_path, edge):
    from stillwave.data.effects import band_limit

    noise = np.random.default_rng(0).standard_normal(4 * RATE).astype(np.float32) * 0.05
    soundfile.write(tmp_path / "a.wav", band_limit(noise, edge, RATE), RATE, subtype="FLOAT")
    assert measure(tmp_path / "a.wav").bandwidth_hz == pytest.approx(edge, rel=0.03)


def test_clipping_is_counted(tmp_path):
    write(tmp_path / "a.wav", np.clip(tone(100, 2.0), -1, 1), RATE)
    assert measure(tmp_path / "a.wav").clipped == pytest.approx(2 / 3, abs=0.01)  # |2 sin| ≥ 1


def test_spread():
    assert spread([1.0, 2.0, 3.0])["median"] == 2.0


def test_a_manifests_summary(tmp_path, world):
    write_manifest(tmp_path / "m.jsonl", world["speech"])
    found = summarise(tmp_path / "m.jsonl")
    assert (found["recordings"], found["speakers"], found["with_text"]) == (24, 6, 24)
    assert found["rates"] == {"16000": 24}
    assert found["seconds"]["max"] == pytest.approx(2.1)
    json.dumps(found, allow_nan=False)


def test_a_pairs_summary_measures_the_snr(tmp_path, world, store):
    config = MixingConfig(babble=0, reverberation=0, clipping=0, band_limit=0)
    write_mixtures(Mixer(world["speech"], world["noise"], (), config, None, 1, store), 4, tmp_path / "set")
    found = summarise(tmp_path / "set")
    assert found["pairs"] == 4
    assert found["snr_db_measured"]["median"] == pytest.approx(found["snr_db_stated"]["median"], abs=0.05)


def test_unreadable_files_are_listed(tmp_path, world):
    write(tmp_path / "a.wav", tone(500), RATE)
    broken = world["noise"][0].model_copy(update={"path": tmp_path / "a.wav"})
    write_manifest(tmp_path / "m.jsonl", [broken, world["noise"][1]])
    (tmp_path / "a.wav").write_bytes((tmp_path / "a.wav").read_bytes()[:2000])
    found = summarise(tmp_path / "m.jsonl")
    assert len(found["unreadable"]) == 1
    assert "cut short" in found["unreadable"][0]
    write_manifest(tmp_path / "m.jsonl", [broken])
    with pytest.raises(ManifestError, match=r"a\.wav: cut short"):
        summarise(tmp_path / "m.jsonl")


def test_check_finds_faults(tmp_path):
    write(tmp_path / "a.wav", tone(500), RATE)
    (tmp_path / "copy.wav").write_bytes((tmp_path / "a.wav").read_bytes())
    write(tmp_path / "stereo.wav", np.stack([tone(500), tone(600)]), 8000)

    def entry(name):
        return Recording(path=tmp_path / name, sample_rate=RATE, channels=1, seconds=1.0, speaker="s")

    report = check(
        [entry("a.wav"), entry("a.wav"), entry("copy.wav"), entry("stereo.wav"), entry("gone.wav")]
    )
    faults = [(fault["path"].rsplit("/", 1)[1], fault["fault"]) for fault in report["faults"]]
    assert ("a.wav", "is listed more than once") in faults
    assert any(name == "copy.wav" and "is the same file as" in fault for name, fault in faults)
    assert any(name == "gone.wav" and "no such file" in fault for name, fault in faults)
    (stereo,) = [fault for name, fault in faults if name == "stereo.wav"]
    for message in ("8000 Hz, the manifest says 16000", "2 channels", "2.000 s"):
        assert message in stereo
    assert check([entry("a.wav")])["faults"] == []
