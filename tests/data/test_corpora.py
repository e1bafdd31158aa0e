"""Tiny trees in the corpora's own layouts."""

import numpy as np
import pytest

from stillwave.audio import write
from stillwave.data.corpora import CORPORA, find, folders, scan_corpus, voicebank
from stillwave.data.manifest import ManifestError
from stillwave.data.pair_sets import read_pairs
from stillwave.data.split import source_of, split

TONE = (0.3 * np.sin(np.arange(4800) / 7)).astype(np.float32)


def tree(folder, *names, rate=16_000):
    for name in names:
        write(folder / name, TONE, rate)
    return folder


@pytest.fixture
def dns(tmp_path):
    noisy = (
        "clnsp1_train_69005_1_snr15_tl-21_fileid_158",
        "clnsp263_uOZZEV1IcDI-copy_machine_426874_7_snr3_tl-31_fileid_29",
    )
    sets = [f"test_set/synthetic/{kind}" for kind in ("no_reverb", "with_reverb")]
    return tree(
        tmp_path / "datasets",
        "clean/book_00000_chp_0009_reader_06709_11.wav",
        "clean/book_00000_chp_0009_reader_06709_15.wav",
        "clean/read_speech/book_00002_chp_0005_reader_11980_10.wav",
        "noise/--9VR_F7CtY.wav",
        "noise/traffic_248091_3.wav",
        "noise/traffic_248091_4.wav",
        "noise/air_conditioner_151977_1.wav",
        "impulse_responses/SLR28/RVB2014_type1_rir_largeroom1_far_angla.wav",
        *(f"{one}/noisy/{name}.wav" for one in sets for name in noisy),
        *(f"{one}/clean/clean_fileid_{n}.wav" for one in sets for n in (29, 158)),
        "README.wav",
    )


def test_dns_training_folders_by_kind(dns):
    found = scan_corpus("dns2020", dns)
    assert {kind: len(part.recordings) for kind, part in found.items()} == {
        "speech": 3,
        "noise": 4,
        "rooms": 1,
    }
    assert [r.speaker for r in found["speech"].recordings] == ["06709", "06709", "11980"]
    noises = {r.path.stem: (r.label, r.source) for r in found["noise"].recordings}
    assert noises["traffic_248091_3"] == ("traffic", "traffic_248091")
    assert noises["air_conditioner_151977_1"] == ("air_conditioner", "air_conditioner_151977")
    assert noises["--9VR_F7CtY"] == ("", "")
    assert found["speech"].reasons() == {"test set": 8, "neither speech, noise nor room": 1}


def test_segments_of_one_dns_noise_stay_together(dns):
    noise = scan_corpus("dns2020", dns)["noise"].recordings
    for seed in range(5):
        train, held = split(noise, 0.3, seed)
        assert {source_of(r) for r in train}.isdisjoint({source_of(r) for r in held})


@pytest.mark.parametrize("kind", ["no_reverb", "with_reverb"])
def test_dns_test_sets_pair_by_file_id(dns, kind):
    pairs = read_pairs(dns / "test_set/synthetic" / kind)
    assert [(p.id, p.clean.name, p.snr_db, p.noise) for p in pairs] == [
        ("29", "clean_fileid_29.wav", 3.0, "uOZZEV1IcDI-copy_machine_426874_7"),
        ("158", "clean_fileid_158.wav", 15.0, "train_69005_1"),
    ]
    assert all(p.noisy.name.endswith(f"fileid_{p.id}.wav") for p in pairs)


def test_a_missing_dns_reference_is_an_error(dns):
    (dns / "test_set/synthetic/no_reverb/clean/clean_fileid_29.wav").unlink()
    with pytest.raises(ManifestError, match=r"fileid_29\.wav: no counterpart of the same name"):
        read_pairs(dns / "test_set/synthetic/no_reverb")


@pytest.fixture
def vctk(tmp_path):
    root = tree(
        tmp_path / "VoiceBank-DEMAND",
        *(
            f"{side}_trainset_28spk_wav/{name}.wav"
            for side in ("clean", "noisy")
            for name in ("p226_001", "p287_002")
        ),
        *(
            f"{side}_testset_wav/{name}.wav"
            for side in ("clean", "noisy")
            for name in ("p232_001", "p257_003")
        ),
        rate=48_000,
    )
    (root / "log_testset.txt").write_text("p232_001 bus 17.5\np257_003 cafe 2.5\n\n")
    (root / "testset_txt").mkdir()
    (root / "testset_txt" / "p232_001.txt").write_text("Please call Stella.\n")
    return root


def test_voicebank_gives_its_clean_training_half(vctk):
    found = scan_corpus("voicebank", vctk)
    assert list(found) == ["speech"]
    assert [(r.speaker, r.sample_rate) for r in found["speech"].recordings] == [
        ("p226", 48_000),
        ("p287", 48_000),
    ]
    assert found["speech"].reasons() == {
        "test set": 4, "noisy half of a pair": 2, "not audio": 2,
    }  # fmt: skip


def test_voicebank_test_set_with_its_log_and_texts(vctk):
    one, other = read_pairs(vctk)
    assert (one.id, one.speaker, one.noise, one.snr_db, one.text) == (
        "p232_001", "p232", "bus", 17.5, "Please call Stella.",
    )  # fmt: skip
    assert (other.speaker, other.snr_db, other.text) == ("p257", 2.5, "")


def test_voicebank_without_a_log(tmp_path):
    assert voicebank.read_log(tmp_path / "none.txt") == {}
    assert voicebank.speaker_of("other") == ""


def test_plain_folders_name_speakers_by_folder_or_pattern(tmp_path):
    root = tree(tmp_path / "plain", "anna/day1/a.wav", "ben/b.wav", "c.wav")
    assert [r.speaker for r in scan_corpus("folders", root)["speech"].recordings] == ["anna", "ben", ""]
    by_name = scan_corpus("folders", root, pattern=r"/?([abc])\.wav$")["speech"].recordings
    assert [r.speaker for r in by_name] == ["a", "b", "c"]
    noise = scan_corpus("folders", root, kind="noise")["noise"].recordings
    assert [(r.label, r.speaker) for r in noise] == [("anna", ""), ("ben", ""), ("", "")]


@pytest.mark.parametrize(("pattern", "message"), [("(", r"'\('.*unterminated"), ("a", "'a'.*group")])
def test_bad_patterns_are_refused(pattern, message):
    with pytest.raises(ManifestError, match=message):
        folders.speaker_from(pattern)


def test_unknown_corpora_and_other_layouts_are_refused(tmp_path):
    root = tree(tmp_path / "plain", "a/b.wav")
    with pytest.raises(ManifestError, match=r"'voicbank'.*'voicebank'"):
        find("voicbank")
    with pytest.raises(ManifestError, match=r"plain: .*dns2020.*clean/, noise/"):
        scan_corpus("dns2020", root)
    with pytest.raises(ManifestError, match=r"'voicebank'.*pattern"):
        scan_corpus("voicebank", root, pattern="(a)")
    assert all(corpus.LAYOUT for corpus in CORPORA.values())


def test_folders_in_paths_of_a_csv_file_are_not_speakers(tmp_path):
    import soundfile

    from stillwave.data.corpora import scan_corpus

    (tmp_path / "noise").mkdir()
    soundfile.write(tmp_path / "noise" / "a.wav", [0.1, -0.1] * 4000, 16_000)
    (tmp_path / "noise.csv").write_text("file,class\nnoise/a.wav,Rain\n")
    (found,) = scan_corpus("folders", tmp_path / "noise.csv")["speech"].recordings
    assert (found.speaker, found.label) == ("", "Rain")
