"""`stillwave enhance` on folders and lists of files: skipped, failed and interrupted batches."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from enhance_command import recording

from stillwave import audio


def test_a_folder_with_good_and_bad_files(tmp_path, run_enhance):
    recording(tmp_path / "in" / "deep" / "a.wav")
    recording(tmp_path / "in" / "z.mp3")
    (tmp_path / "in" / "bad.wav").write_text("no audio")
    (tmp_path / "in" / "notes.txt").write_text("notes")
    result = run_enhance(tmp_path / "in", "-o", tmp_path / "out", "--json")
    assert result.exit_code == 1
    rows = {Path(row["source"]).name: row for row in json.loads(result.stdout)}
    assert rows["notes.txt"]["skipped"] == "not an audio format: '.txt'"
    assert "cannot be decoded" in rows["bad.wav"]["error"]
    assert rows["a.wav"]["target"] == str(tmp_path / "out" / "deep" / "a.wav")
    assert rows["z.mp3"]["subtype"] == "MPEG_LAYER_III"
    assert "2 enhanced, 1 failed, 1 skipped" in result.stderr
    assert str(tmp_path / "in" / "bad.wav") in result.stderr
    made = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.*"))
    assert made == ["deep/a.wav", "z.mp3"]


def test_existing_outputs_are_skipped_and_quiet_prints_failures_only(tmp_path, run_enhance):
    for name in ("a.wav", "b.wav"):
        recording(tmp_path / "in" / name)
    (tmp_path / "in" / "bad.wav").write_text("no audio")
    assert run_enhance(tmp_path / "in" / "a.wav", "-o", tmp_path / "out").exit_code == 0
    before = (tmp_path / "out" / "a.wav").stat()
    result = run_enhance(
        tmp_path / "in", "-o", tmp_path / "out", "--skip-existing", "--quiet", "--json", "-j", 2
    )
    assert result.exit_code == 1
    assert result.stderr.splitlines()[0].startswith("failed: ")
    assert len(result.stderr.split("failed")) == 2
    rows = {Path(row["source"]).name: row for row in json.loads(result.stdout)}
    assert rows["a.wav"] == {"source": str(tmp_path / "in" / "a.wav"), "skipped": "its output exists already"}
    assert rows["b.wav"]["target"] == str(tmp_path / "out" / "b.wav")
    assert (tmp_path / "out" / "a.wav").stat().st_mtime_ns == before.st_mtime_ns
    (tmp_path / "in" / "bad.wav").unlink()
    assert run_enhance(tmp_path / "in", "-o", tmp_path / "out", "--skip-existing").exit_code == 0
    result = run_enhance(tmp_path / "in", "-o", tmp_path / "out", "--skip-existing", "--overwrite")
    assert result.exit_code == 2
    assert "exclude each other" in result.stderr


def test_a_dry_run_prints_inputs_and_outputs_only(tmp_path, run_enhance):
    recording(tmp_path / "in" / "a.wav")
    recording(tmp_path / "in" / "b-enhanced.wav")
    result = run_enhance(
        tmp_path / "in", "-o", tmp_path / "out", "--dry-run", "-m", "no-such-model", with_model=False
    )
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{tmp_path / 'in' / 'a.wav'} → {tmp_path / 'out' / 'a.wav'}\n"
    assert "b-enhanced.wav: is named '…-enhanced'" in result.stderr
    assert not (tmp_path / "out").exists()
    recording(tmp_path / "out" / "a.wav")
    rows = json.loads(run_enhance(tmp_path / "in", "-o", tmp_path / "out", "-n", "--json").stdout)
    assert [row.get("error") for row in rows] == [None, f"{tmp_path / 'out' / 'a.wav'}: exists already"]


def test_a_second_run_does_not_enhance_outputs(tmp_path, run_enhance):
    recording(tmp_path / "a.wav")
    assert run_enhance(tmp_path / "a.wav").exit_code == 0
    result = run_enhance(tmp_path / "a.wav", tmp_path / "a-enhanced.wav", "--overwrite")
    assert result.exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-enhanced.wav", "a.wav"]
    assert run_enhance(tmp_path / "a-enhanced.wav", "-o", tmp_path / "b.wav").exit_code == 0


def test_names_that_are_not_utf_8_are_enhanced_and_reported(tmp_path, run_enhance):
    odd = os.fsdecode(b"caf\xe9.wav")
    recording(tmp_path / "in" / odd)
    recording(tmp_path / "in" / ("n" * 251 + ".wav"))
    (tmp_path / "elsewhere").mkdir()
    recording(tmp_path / "elsewhere" / "c.wav")
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "elsewhere")
    result = run_enhance(tmp_path / "in", "-o", tmp_path / "out", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)[0]["source"] == str(tmp_path / "in" / odd)
    found = {os.fsencode(path.name) for path in (tmp_path / "out").rglob("*.wav")}
    assert found == {b"caf\xe9.wav", b"n" * 251 + b".wav", b"c.wav"}


def test_the_bar_counts_what_is_enhanced_and_names_failures(tmp_path, run_enhance):
    for index in range(3):
        recording(tmp_path / "in" / f"{index}.wav")
    (tmp_path / "in" / "bad.wav").write_text("no audio")
    result = run_enhance(tmp_path / "in", "-o", tmp_path / "out")
    bar = next(line for line in result.stderr.splitlines() if line.startswith("enhancing"))
    assert "3/4" in bar
    assert "1 failed" in bar
    assert "3 enhanced, 1 failed, 0 skipped" in result.stderr


PROGRAM = """
import sys
import time
from stillwave.cli import main
sys.argv = ["stillwave", *sys.argv[1:]]
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_keeps_complete_files_only(tmp_path, number, code, times):
    for index in range(40):
        recording(tmp_path / "in" / f"{index:02d}.wav", 16_000 * 20)
    command = [sys.executable, "-c", PROGRAM, "enhance", tmp_path / "in", "-o", tmp_path / "out", "-j", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not list((tmp_path / "out").glob("??.wav")) and time.monotonic() < deadline:
            time.sleep(0.05)
        for _ in range(times):
            process.send_signal(number)
            time.sleep(0.002)
        _, message = process.communicate(timeout=60)
    assert process.returncode == code
    assert number != signal.SIGINT or "interrupted; finished output is kept" in message
    assert "Traceback" not in message
    made = list((tmp_path / "out").iterdir())
    assert 0 < len(made) < 40
    assert all(not path.name.startswith(".") and audio.probe(path).frames == 320_000 for path in made)
