"""A run of the arena on small mixtures: what is scored, counted, grouped and written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from arena_systems import mixtures

from stillwave.arena import ArenaResult, ArenaSettings, parse, run
from stillwave.arena.recordings import groups, recordings
from stillwave.errors import MissingExtraError, StillwaveError

KEYS = ("snr", "fwsegsnr")


@pytest.fixture(scope="module")
def result(place: Path, tmp_path_factory) -> tuple[ArenaResult, Path]:
    pytest.importorskip("jinja2")
    patch = pytest.MonkeyPatch()
    patch.chdir(place)
    shutil.copytree(place / "mixtures" / "clean", place / "perfect")
    (place / "perfect" / "2.wav").unlink()
    output = tmp_path_factory.mktemp("output")
    systems = parse(["half=python:systems:half", "python:systems:crash", "perfect"])
    settings = ArenaSettings(metrics=KEYS, jobs=1, listen=2, trials=3, tests=("webmushra", "p835"))
    found = run(systems, place / "mixtures", output, settings)
    patch.undo()
    return found, output


def test_scores_have_right_values_and_reasons(result):
    summary = result[0].summary
    assert summary.systems == ("noisy", "half", "crash", "perfect")
    assert summary.means["noisy"]["snr"].interval.mean == pytest.approx(5, abs=1e-3)  # 0, 5 and 10 dB
    assert summary.means["half"]["snr"].interval.mean == pytest.approx(
        5, abs=1e-2
    )  # its level is compensated
    assert summary.means["crash"]["snr"].interval.count == 2
    assert summary.means["crash"]["snr"].reasons == {"not enhanced: its process ended with exit code 3": 1}
    assert summary.means["perfect"]["snr"].reasons == {
        "the estimate equals the reference: SNR is infinite": 2,
        "perfect contains no file of this name": 1,
    }
    assert summary.means["perfect"]["fwsegsnr"].interval.mean == 35


def test_scores_are_kept_if_there_is_nothing_to_listen_to(place, tmp_path):
    absent = tmp_path / "absent"
    absent.mkdir()
    shutil.copy(place / "mixtures" / "clean" / "0.wav", absent / "another.wav")
    settings = ArenaSettings(metrics=KEYS, jobs=1, trials=3, tests=("p835",))
    found = run(parse([f"none={absent}"]), place / "mixtures", tmp_path / "out", settings)
    assert found.no_tests == "no recording has a mono file of every system, so no listening test was written"
    assert found.summary.means["noisy"]["snr"].interval is not None
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert "index.html" in written
    assert not written & {"blind.html", "p835"}


def test_differences_are_paired_and_groups_found(result):
    summary = result[0].summary
    assert summary.differences["crash"]["snr"].count == 2
    assert summary.differences["crash"]["snr"].mean == pytest.approx(0, abs=1e-6)
    assert list(summary.by_snr) == ["0 dB", "5 dB", "10 dB"]
    assert {column: list(labels) for column, labels in summary.by.items()} == {
        "language": ["en (2)", "fr (1)"],
        "noise_class": ["music (3)"],
        "reverberant": ["no (1)", "yes (2)"],
    }


def test_costs_are_measured_where_a_system_ran(result):
    costs = result[0].costs
    assert costs["half"].cpu_ratio is not None
    assert "level -6.0 dB (compensated)" in costs["half"].note
    assert costs["perfect"].cpu_ratio is costs["perfect"].delay_ms is None


def test_everything_is_written(result):
    _, output = result
    written = {path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file()}
    assert {
        *(
            "index.html",
            "blind.html",
            "costs.json",
            "scores.csv",
            "summary.md",
            "summary.json",
            "audio/half/0.wav",
        ),
        *("webmushra/configs/stillwave.yaml", "p835/index.html", "p835/key.csv", "listen/00-half.wav"),
    } <= written
    assert json.loads((output / "costs.json").read_text())["half"]["delay_ms"] == 0


def test_the_page_has_scores_costs_and_players(result):
    page = (result[1] / "index.html").read_text(encoding="utf-8")
    assert "3 systems on 3 recordings" in page
    assert "level -6.0 dB (compensated)" in page
    assert "its process ended with exit code 3" in page
    assert page.count('<article class="example">') == 1  # recording 0; crash lacks 1, perfect lacks 2
    assert 'src="listen/00-perfect.wav"' in page
    assert 'href="blind.html"' in page
    assert "By noise class" in page


def test_recordings_alone_are_scored_without_reference(place, tmp_path):
    pytest.importorskip("scipy")
    shutil.copytree(place / "mixtures" / "noisy", tmp_path / "talks")
    systems = parse([f"copy={tmp_path / 'talks'}"])
    found = run(systems, tmp_path / "talks", None, ArenaSettings(metrics=("srmr", "snr"), jobs=1))
    assert found.summary.means["copy"]["srmr"].interval.count == 3
    assert found.summary.differences["copy"]["srmr"].mean == 0
    assert found.summary.means["copy"]["snr"].reasons == {"there is no clean file of this name": 3}
    assert found.summary.by == {}


def test_faults_are_found_before_the_work(place, monkeypatch):
    monkeypatch.setattr("stillwave.arena.flow.enhanced", lambda *_: pytest.fail("ran"))
    systems = parse(["python:systems:half"])
    with pytest.raises(StillwaveError, match="the baseline 'other' is not scored"):
        run(systems, place / "mixtures", None, ArenaSettings(metrics=KEYS, baseline="other"))
    with pytest.raises(StillwaveError, match="has no such column"):
        run(systems, place / "mixtures", None, ArenaSettings(metrics=KEYS, columns=["colour"]))
    with pytest.raises(StillwaveError, match="there is no metric"):
        run(systems, place / "mixtures", None, ArenaSettings(metrics=("snrr",)))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "jinja2" else name)
    with pytest.raises(MissingExtraError, match="the page of the arena needs the 'train' extra"):
        run(systems, place / "mixtures", place / "output", ArenaSettings(metrics=KEYS))


def test_a_folder_without_a_table_has_no_groups(tmp_path):
    folder = mixtures(tmp_path / "plain", 1, labels=False)
    assert groups(folder, None) == {}
    (item,) = recordings(folder)
    assert item.clean == folder / "clean" / "0.wav"
    (alone,) = recordings(folder / "noisy")
    assert alone.clean is None
