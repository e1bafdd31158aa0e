import csv

import numpy as np
import pytest
import soundfile

from stillwave.audio import write
from stillwave.data import effects
from stillwave.data.manifest import ManifestError
from stillwave.data.mixing import Mixer
from stillwave.data.pair_sets import WRITTEN, load_pair, pair_folders, read_pairs, write_mixtures
from stillwave.schema import MixingConfig

RATE = 16_000
TONE = (0.3 * np.sin(np.arange(RATE) / 7)).astype(np.float32)


@pytest.fixture
def mixer(world, store):
    config = MixingConfig(clipping=0, band_limit=0, reverberation=0.5, babble=0.2)
    noise = [r.model_copy(update={"label": f"class {i}"}) for i, r in enumerate(world["noise"])]
    return Mixer(world["speech"], noise, world["rooms"], config, None, 3, store)


def test_what_is_written_is_read_back(tmp_path, mixer):
    write_mixtures(mixer, 5, tmp_path / "set")
    pairs = read_pairs(tmp_path / "set")
    assert [pair.id for pair in pairs] == ["000", "001", "002", "003", "004"]
    for index, pair in enumerate(pairs):
        mixture, read = mixer(0, index), load_pair(pair)
        np.testing.assert_allclose(read.noisy, mixture.noisy, atol=2**-23)
        np.testing.assert_allclose(read.clean, mixture.clean, atol=2**-23)
        assert pair.snr_db == pytest.approx(mixture.facts.snr_db, abs=0.01)
        assert (pair.text, pair.speaker) == (mixture.facts.text, mixture.facts.speaker)
        assert bool(pair.rir) == (mixture.facts.room is not None)
        assert pair.seconds == pytest.approx(len(mixture.noisy) / RATE, abs=1e-3)
        assert read.facts.level_dbfs == pytest.approx(mixture.facts.level_dbfs, abs=0.01)
    assert soundfile.info(pairs[0].noisy).subtype == "PCM_24"
    with (tmp_path / "set/mixtures.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert tuple(rows[0]) == WRITTEN
    classes = [row["noise_class"] for row in rows]
    assert classes == ["+".join(mixer(0, index).facts.noise_classes) for index in range(5)]
    assert all(classes)


def test_an_interrupted_write_keeps_the_old_set(tmp_path, mixer, monkeypatch):
    write_mixtures(mixer, 1, tmp_path / "set")
    before = (tmp_path / "set/mixtures.csv").read_text()

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("stillwave.audio.write", stop)
    with pytest.raises(KeyboardInterrupt):
        write_mixtures(mixer, 3, tmp_path / "set")
    assert (tmp_path / "set/mixtures.csv").read_text() == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".set")] == []


def listed(folder, rows, header="id,snr_db"):
    for side in ("noisy", "clean"):
        write(folder / side / "a.wav", TONE, RATE)
    (folder / "mixtures.csv").write_text("\n".join([header, *rows]) + "\n")
    return folder


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        (["a,loud"], "id,snr_db", "line 2: column 'snr_db' is 'loud'"),
        (["a,1", "b,1"], "id,snr_db", r"line 3: .*noisy/b\.flac"),
        (["a"], "name", r"mixtures\.csv: .*column id"),
        ([], "id", r"mixtures\.csv: .*no mixtures"),
    ],
)
def test_faults_in_the_list_are_named(tmp_path, rows, header, message):
    with pytest.raises(ManifestError, match=message):
        read_pairs(listed(tmp_path / "set", rows, header))


def test_columns_may_be_few_and_empty(tmp_path):
    (pair,) = read_pairs(listed(tmp_path / "set", ["a,"]))
    assert (pair.id, pair.snr_db, pair.speaker) == ("a", None, "")
    assert np.isnan(load_pair(pair).facts.snr_db)


def test_folders_pair_by_name_without_suffix(tmp_path):
    write(tmp_path / "noisy/x/a.wav", TONE, RATE)
    write(tmp_path / "clean/x/a.flac", TONE, RATE)
    (pair,) = read_pairs(tmp_path)
    assert pair.id == "x/a"
    write(tmp_path / "noisy/b.wav", TONE, RATE)
    pairs, alone = pair_folders(tmp_path / "noisy", tmp_path / "clean")
    assert [p.id for p in pairs] == ["x/a"]
    assert [path.name for path in alone] == ["b.wav"]
    with pytest.raises(ManifestError, match="no counterpart"):
        read_pairs(tmp_path)


def test_two_files_of_one_name_are_refused(tmp_path):
    for name in ("noisy/a.wav", "noisy/a.flac", "clean/a.wav"):
        write(tmp_path / name, TONE, RATE)
    with pytest.raises(ManifestError, match="same name"):
        read_pairs(tmp_path)


def test_a_folder_without_pairs_is_refused(tmp_path):
    with pytest.raises(ManifestError, match=r"absent: .*no such folder"):
        read_pairs(tmp_path / "absent")
    with pytest.raises(ManifestError, match=r"noisy/ and clean/.*mixtures\.csv"):
        read_pairs(tmp_path)
    (tmp_path / "noisy").mkdir()
    (tmp_path / "clean").mkdir()
    with pytest.raises(ManifestError, match=r"clean: .*no recordings"):
        read_pairs(tmp_path)
    with pytest.raises(ManifestError, match=r"noisy2: .*no such folder"):
        pair_folders(tmp_path / "noisy2", tmp_path / "clean")


def test_a_pair_of_other_rate_and_length(tmp_path):
    write(tmp_path / "noisy/a.wav", np.stack([TONE, -TONE]), 8_000)
    write(tmp_path / "clean/a.wav", np.concatenate([TONE, TONE]), RATE)
    (pair,) = read_pairs(tmp_path)
    mixture = load_pair(pair)
    assert len(mixture.noisy) == len(mixture.clean) == 2 * RATE
    assert effects.level(mixture.noisy) == pytest.approx(0.045, rel=0.02)
    write(tmp_path / "clean/a.wav", TONE, RATE)
    with pytest.raises(ManifestError, match=r"lasts 2\.000 s and .* 1\.000 s"):
        load_pair(pair)
