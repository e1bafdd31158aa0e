import os

import numpy as np
import pytest
import soundfile

from stillwave.audio import write
from stillwave.data import scan as scanning
from stillwave.data.manifest import ManifestError
from stillwave.data.scan import load, scan

RATE = 16_000
TONE = 0.3 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE).astype(np.float32)


@pytest.fixture
def mess(tmp_path):
    """One good recording and one of everything that can be wrong."""
    folder = tmp_path / "mess"
    write(folder / "good.wav", TONE, RATE)
    write(folder / "silent.wav", np.zeros(RATE, np.float32), RATE)
    write(folder / "short.wav", TONE[:1], RATE)
    nan = TONE.copy()
    nan[500] = np.nan
    soundfile.write(folder / "nan.wav", nan, RATE, subtype="FLOAT")
    whole = (folder / "good.wav").read_bytes()
    (folder / "truncated.wav").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.wav").write_bytes(b"")
    (folder / "text.wav").write_text("this is no recording at all")
    (folder / "notes.txt").write_text("hello")
    return folder


def test_every_skipped_file_has_a_reason(mess):
    found = scan(mess)
    assert [recording.path.name for recording in found.recordings] == ["good.wav"]
    reasons = {item.path.name: item.reason for item in found.skipped}
    assert reasons == {
        "silent.wav": "silent",
        "short.wav": "too short",
        "nan.wav": "NaN or infinite",
        "truncated.wav": "cut short",
        "empty.wav": "empty",
        "text.wav": "unreadable",
        "notes.txt": "not audio",
    }
    assert sum(found.reasons().values()) == 7


def test_hidden_files_are_skipped(tmp_path):
    for name in ("a.wav", "._a.wav", ".b.wav", ".trash/c.wav"):
        write(tmp_path / name, TONE, RATE)
    found = scan(tmp_path)
    assert [recording.path for recording in found.recordings] == [tmp_path / "a.wav"]
    assert found.reasons() == {"hidden file": 2, "hidden folder": 1}


def test_files_with_huge_values_are_skipped(tmp_path):
    write(tmp_path / "a.wav", TONE, RATE)
    for name, value in (("b", 1e300), ("c", 1e36)):
        samples = TONE.astype(np.float64)
        samples[500] = value
        soundfile.write(tmp_path / f"{name}.wav", samples, RATE, subtype="DOUBLE")
    found = scan(tmp_path)
    assert [recording.path.name for recording in found.recordings] == ["a.wav"]
    assert [(item.reason, item.detail) for item in found.skipped] == [
        ("beyond any audio", "values up to 3.4e+38"),
        ("beyond any audio", "values up to 1e+36"),
    ]


def test_headers_only_does_not_decode(mess):
    names = {recording.path.name for recording in scan(mess, decode=False).recordings}
    assert {"good.wav", "silent.wav", "nan.wav"} <= names


def test_the_number_of_threads_does_not_change_the_result(mess):
    assert scan(mess, jobs=1) == scan(mess, jobs=4)


def test_rates_and_channels_of_any_kind_are_read(tmp_path):
    write(tmp_path / "a.wav", np.tile(TONE, (8, 6)), 96_000, subtype="PCM_24")
    recording = scan(tmp_path).recordings[0]
    assert (recording.sample_rate, recording.channels, recording.seconds) == (96_000, 8, 1.0)


def test_a_csv_file_beside_a_folder_is_understood(tmp_path):
    write(tmp_path / "speech/a.flac", TONE, RATE)
    write(tmp_path / "speech/b.flac", TONE, RATE)
    (tmp_path / "speech.csv").write_text(
        "file,speaker,age,text\nspeech/a.flac,0007,9,HELLO THERE\nspeech/gone.flac,0008,9,BYE\n"
    )
    found = scan(tmp_path / "speech")
    assert [(r.speaker, r.text) for r in found.recordings] == [("0007", "HELLO THERE"), ("", "")]
    assert [(s.path.name, s.reason) for s in found.skipped] == [("gone.flac", "listed but not there")]


def test_a_csv_file_can_be_scanned_itself(tmp_path):
    write(tmp_path / "n/a.flac", TONE, RATE)
    write(tmp_path / "n/unlisted.flac", TONE, RATE)
    (tmp_path / "noise.csv").write_text("file,class,licence\nn/a.flac,Rain,CC0\n")
    for found in (scan(tmp_path / "noise.csv").recordings, load(tmp_path / "noise.csv")):
        assert [(r.path.name, r.label, r.licence) for r in found] == [("a.flac", "Rain", "CC0")]


def test_columns_of_a_csv_file_are_named(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / f"n/{name}.flac", TONE, RATE)
    table = tmp_path / "noise.csv"
    table.write_text("file,class,original,source\nn/a.flac,Rain,storm.ogg,corpus\nn/b.flac,Rain,,corpus\n")
    first, second = scan(table).recordings
    assert (first.label, first.source) == ("Rain", ""), "a table's `source` may be the corpus: never guessed"
    first, second = scan(table, columns={"source": "original", "label": "source"}).recordings
    assert (first.label, first.source, second.source) == ("corpus", "storm.ogg", "")
    with pytest.raises(ManifestError, match=r"noise\.csv: .*'orginal'.*'original'"):
        scan(table, columns={"source": "orginal"})
    with pytest.raises(ManifestError, match=r"'sorce'.*'source'"):
        scan(table, columns={"sorce": "original"})
    with pytest.raises(ManifestError, match="n: is a folder"):
        scan(tmp_path / "n", columns={"source": "original"})


def test_a_csv_file_without_files_is_refused_when_asked_for_and_ignored_beside(tmp_path):
    write(tmp_path / "n/a.flac", TONE, RATE)
    (tmp_path / "n.csv").write_text("x,y\n1,2\n")
    with pytest.raises(ManifestError, match=r"'file'.*: x, y"):
        scan(tmp_path / "n.csv")
    assert len(scan(tmp_path / "n").recordings) == 1


def test_a_folder_without_usable_files_is_an_error(tmp_path, mess):
    (mess / "good.wav").unlink()
    with pytest.raises(ManifestError, match="1 silent"):
        scan(mess)
    (tmp_path / "bare").mkdir()
    with pytest.raises(ManifestError, match=r"bare: .*\(it is empty\)"):
        scan(tmp_path / "bare")
    with pytest.raises(ManifestError, match="no such"):
        scan(tmp_path / "absent")
    with pytest.raises(ManifestError, match="no such"):
        load(tmp_path / "absent")
    with pytest.raises(ManifestError, match=r"notes\.txt: .*CSV"):
        scan(mess / "notes.txt")


def test_load_accepts_a_folder_and_counts_skipped_files(mess, capsys):
    assert [recording.path.name for recording in load(mess)] == ["good.wav"]
    assert "1 recordings; skipped:" in capsys.readouterr().err


def test_a_name_that_is_not_utf_8_is_skipped_with_its_reason(tmp_path):
    write(tmp_path / "good.wav", TONE, RATE)
    write(tmp_path / os.fsdecode(b"caf\xe9.wav"), TONE, RATE)
    found = scan(tmp_path)
    assert [recording.path.name for recording in found.recordings] == ["good.wav"]
    assert found.reasons() == {"name is not UTF-8": 1}


def test_an_error_in_one_file_affects_only_that_file(tmp_path, monkeypatch):
    for name in ("a.wav", "b.wav"):
        write(tmp_path / name, TONE, RATE)
    opened = scanning.open_reader

    def fail(path, **options):
        if path.name == "a.wav":
            raise MemoryError
        return opened(path, **options)

    monkeypatch.setattr(scanning, "open_reader", fail)
    found = scan(tmp_path)
    assert [recording.path.name for recording in found.recordings] == ["b.wav"]
    assert [(item.path.name, *item[1:]) for item in found.skipped] == [("a.wav", "unreadable", "MemoryError")]


def test_linked_folders_are_followed_and_no_file_is_listed_twice(tmp_path):
    write(tmp_path / "in" / "z.wav", TONE, RATE)
    write(tmp_path / "elsewhere" / "y.wav", TONE, RATE)
    (tmp_path / "in" / "a").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "c.wav").symlink_to(tmp_path / "in" / "z.wav")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    found = scan(tmp_path / "in")
    names = [str(recording.path.relative_to(tmp_path / "in")) for recording in found.recordings]
    assert names == ["a/y.wav", "z.wav"]
    assert {str(item.path.relative_to(tmp_path / "in")): item.reason for item in found.skipped} == {
        "b/y.wav": "link to a file that is listed",
        "c.wav": "link to a file that is listed",
        "loop": "links to a folder that it lies in",
    }
