import json

import pytest

from stillwave.data.manifest import ManifestError, Recording, hours, read_manifest, write_manifest


def line(**changes):
    return {"path": "a.wav", "sample_rate": 16000, "channels": 1, "seconds": 2.0, **changes}


def write_lines(path, *lines):
    path.write_text("".join(json.dumps(item) + "\n" for item in lines), encoding="utf-8")
    return path


def test_what_is_written_is_read_back(tmp_path, world):
    path = world["folder"] / "all.jsonl"
    write_manifest(path, world["speech"])
    assert read_manifest(path) == world["speech"]
    assert hours(world["speech"]) == pytest.approx(6 * (0.6 + 1.1 + 1.6 + 2.1) / 3600)


def test_paths_below_the_manifest_are_relative_and_others_absolute(tmp_path):
    inside = Recording(**line(path=tmp_path / "sub" / "a.wav"))
    outside = Recording(**line(path="/elsewhere/b.wav"))
    write_manifest(tmp_path / "m.jsonl", [inside, outside])
    rows = [json.loads(row) for row in (tmp_path / "m.jsonl").read_text().splitlines()]
    assert [row["path"] for row in rows] == ["sub/a.wav", "/elsewhere/b.wav"]
    assert read_manifest(tmp_path / "m.jsonl", must_exist=False) == [inside, outside]


def test_a_moved_folder_keeps_its_manifest(tmp_path, world):
    import shutil

    (tmp_path / "one").mkdir()
    shutil.copy(world["noise"][0].path, tmp_path / "one" / "n.wav")
    write_manifest(
        tmp_path / "one" / "m.jsonl", [world["noise"][0].model_copy(update={"path": tmp_path / "one/n.wav"})]
    )
    (tmp_path / "one").rename(tmp_path / "two")
    assert read_manifest(tmp_path / "two" / "m.jsonl")[0].path == tmp_path / "two" / "n.wav"


def test_recordings_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        Recording(**line()).speaker = "x"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sampel_rate": 1}, "'sampel_rate'.*'sample_rate'"),
        ({"seconds": 0}, "key 'seconds'"),
        ({"sample_rate": "fast"}, "key 'sample_rate'"),
        ({"channels": 0}, "key 'channels'"),
    ],
)
def test_a_bad_line_is_named_with_its_key(tmp_path, changes, message):
    path = write_lines(tmp_path / "m.jsonl", line(), line(**changes))
    with pytest.raises(ManifestError, match=message) as caught:
        read_manifest(path, must_exist=False)
    assert f"{path}, line 2" in str(caught.value)


def test_missing_keys_broken_json_and_other_json_are_named(tmp_path):
    path = tmp_path / "m.jsonl"
    for text, message in (
        ('{"path": "a"}', "'sample_rate' is missing"),
        ("{", "not JSON"),
        ("[1]", "JSON object"),
    ):
        path.write_text(text + "\n")
        with pytest.raises(ManifestError, match=message):
            read_manifest(path)


def test_empty_absent_and_binary_manifests_are_refused(tmp_path):
    (tmp_path / "empty.jsonl").write_text("\n\n")
    (tmp_path / "binary.jsonl").write_bytes(b"\xff\xfe\x00RIFF")
    for name, message in (("empty", "no recordings"), ("binary", "UTF-8"), ("absent", "No such file")):
        with pytest.raises(ManifestError, match=message):
            read_manifest(tmp_path / f"{name}.jsonl")


def test_missing_files_are_counted_and_one_is_named(tmp_path):
    path = write_lines(tmp_path / "m.jsonl", line(), line(path="b.wav"))
    with pytest.raises(ManifestError, match=r"2 of 2 .*a\.wav"):
        read_manifest(path)
    assert len(read_manifest(path, must_exist=False)) == 2


def test_a_manifest_with_bom_and_crlf_is_read(tmp_path):
    line = '{"path": "a.wav", "sample_rate": 16000, "channels": 1, "seconds": 1.0, "kind": "speech"}\r\n'
    (tmp_path / "speech.jsonl").write_bytes(b"\xef\xbb\xbf" + line.encode())
    assert [recording.path for recording in read_manifest(tmp_path / "speech.jsonl", must_exist=False)] == [
        tmp_path / "a.wav"
    ]
