"""Tables, figures and pages of a grid with given scores."""

import csv
import io
import json
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from small_grid import described, opened

from stillwave.compare import Cell, write_report
from stillwave.compare.results import collect
from stillwave.compare.scores import as_csv, read
from stillwave.compare.text_report import verdicts
from stillwave.errors import StillwaveError
from stillwave.evaluation import Score, ScoreRow
from stillwave.files import write_json, write_text
from stillwave.reports import figures

RECORDINGS = [f"r{n:02d}" for n in range(40)]
EFFECT = {"none": 0.0, "at": 0.0, "sp": 0.5, "clskd": -0.5, "noisy": -1.0, "teacher": 2.0}
METRICS = ("si_sdr", "stoi")


def fill(grid, folder, name, seed, *, facts=None, without=(), reason="too short"):
    """A cell that has been trained and scored: what the recording gives, what the method gives, and chance."""
    rng = np.random.default_rng([seed, *name.encode()])
    of_recording = np.random.default_rng(1).normal(0, 3, len(RECORDINGS))
    values = 5 + of_recording + EFFECT[name] + 0.1 * rng.standard_normal(len(RECORDINGS))
    rows = [
        ScoreRow(
            id_,
            "estimate",
            float(5 * (n % 3)),
            {
                "si_sdr": Score(None, reason) if n in without else Score(float(value)),
                "stoi": Score(0.7 + value / 100),
            },
        )
        for n, (id_, value) in enumerate(zip(RECORDINGS, values, strict=True))
    ]
    write_text(folder / "scores.csv", as_csv(rows))
    scored = {"checkpoint": "x", "test": grid.test.sha256, "metrics": METRICS}
    write_json(folder / "cell.json", {"checkpoint": "x", "scored": scored, **(facts or {})})


FACTS = {"trained": True, "step_seconds": 1.0, "memory_bytes": 100 * 2**20, "connectors": 0, "lambda": None}


def fill_all(grid, **options):
    """Fill all cells and references."""
    for name in ("noisy", "teacher"):
        fill(grid, grid.folder / "references" / name, name, 0)
    for cell in grid.cells():
        facts = {**FACTS, **({"step_seconds": 1.5, "connectors": 1234} if cell.method == "sp" else {})}
        fill(grid, cell.folder(grid.folder), cell.method, cell.seed, facts=facts, **options)


@pytest.fixture
def make(describe, tmp_path):
    def filled(methods="at,sp,clskd", seeds="0,1,2", students=None, **options):
        grid = opened(
            describe(tmp_path / "grid", methods=methods, seeds=seeds, students=students, metrics=METRICS)
        )
        fill_all(grid, **options)
        return grid

    return filled


@pytest.fixture(scope="module")
def reported(world, tmp_path_factory):
    """The results of three methods and three seeds, and the grid with their report; to be read only."""
    folder = tmp_path_factory.mktemp("reported") / "grid"
    grid = opened(described(world, folder, methods="at,sp,clskd", seeds="0,1,2", metrics=METRICS))
    fill_all(grid)
    return write_report(grid), grid


@pytest.fixture
def undrawn(monkeypatch):
    """Figures are empty files: drawing takes most of the time of a report."""

    def saved(figure, paths):
        for path in paths:
            path.write_text("<svg/>")
        return list(paths)

    monkeypatch.setattr(figures, "save_figure", saved)


def rows_of(grid):
    (rows,) = collect(grid).sections.values()
    return {row.name: row for row in rows}


def test_planted_effects_are_found_and_nothing_else(make):
    grid = make()
    rows = rows_of(grid)
    assert list(rows) == ["noisy", "teacher", "none", "at", "sp", "clskd"]
    for name in ("at", "sp", "clskd"):
        found = rows[name].differences["si_sdr"]
        assert found.low < EFFECT[name] < found.high
        assert (found.seeds, found.recordings) == (3, 40)
    assert rows["sp"].corrected["si_sdr"] < 0.01 > rows["clskd"].corrected["si_sdr"]
    assert rows["at"].corrected["si_sdr"] > 0.05
    message = list(verdicts(collect(grid)))
    assert message[0] == "SI-SDR: better than the student alone: SP; worse: CLSKD-style."


def test_means_gaps_and_costs_by_hand(make):
    rows = rows_of(make())
    gap = rows["teacher"].differences["si_sdr"].mean
    assert rows["sp"].gaps["si_sdr"] == pytest.approx(rows["sp"].differences["si_sdr"].mean / gap)
    assert rows["sp"].gaps["si_sdr"] == pytest.approx(0.25, abs=0.02)
    assert rows["noisy"].gaps["si_sdr"] is None
    assert rows["sp"].costs.time_ratio == pytest.approx(1.5)
    assert rows["sp"].costs.extra_memory_bytes == 0
    assert (rows["sp"].costs.connectors, rows["none"].costs.time_ratio) == (1234, 1.0)
    assert rows["sp"].means["si_sdr"].mean == pytest.approx(
        rows["none"].means["si_sdr"].mean + rows["sp"].differences["si_sdr"].mean
    )


def test_results_by_snr_are_over_subsets_of_the_recordings(make):
    rows = rows_of(make())
    assert list(rows["sp"].by_snr) == ["0 dB", "5 dB", "10 dB"]
    counts = [found["si_sdr"][1].recordings for found in rows["sp"].by_snr.values()]
    assert counts == [14, 13, 13]
    together = sum(n * f["si_sdr"][1].mean for n, f in zip(counts, rows["sp"].by_snr.values(), strict=True))
    assert together / 40 == pytest.approx(rows["sp"].differences["si_sdr"].mean)


@pytest.mark.usefixtures("undrawn")
def test_the_correction_counts_students_of_all_sizes(make):
    grid = make(students="8x1,16x1")
    results = collect(grid)
    assert list(results.sections) == ["8x1", "16x1"]
    sp = next(row for row in results.sections["8x1"] if row.name == "sp")
    assert sp.corrected["si_sdr"] >= 4 * sp.differences["si_sdr"].p * (1 - 1e-9), (
        "of six, or ties with others"
    )
    text = (write_report(grid), (grid.folder / "report/report.md").read_text())[1]
    assert "student 8x1" in text
    assert "SP (16x1)" in text


@pytest.mark.usefixtures("undrawn")
def test_missing_values_are_counted_with_their_reasons(make):
    grid = make(without=(3, 4))
    found = rows_of(grid)["sp"]
    assert found.unscored == {"si_sdr": {"too short": 6}}
    assert found.differences["si_sdr"].recordings == 38
    write_report(grid)
    assert "- SP: 6 without SI-SDR: too short" in (grid.folder / "report/report.md").read_text()


@pytest.mark.usefixtures("undrawn")
def test_a_single_seed_is_noted(make):
    grid = make(seeds="0")
    write_report(grid)
    text = (grid.folder / "report/report.md").read_text()
    assert "another may change every sign" in text
    assert "not to other seeds" in text


def test_every_format_has_every_system(reported):
    results, grid = reported
    place = grid.folder / "report"
    markdown, latex = (place / "report.md").read_text(), (place / "table.tex").read_text()
    page = (place / "index.html").read_text()
    for row in results.sections["8x1"]:
        assert f"| {row.display} |" in markdown
        assert f"\n{row.display} & " in latex
        assert f">{row.display}</th>" in page
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == 1
    columns = {line.count("&") for line in latex.splitlines() if line.endswith(r"\\")}
    assert columns == {4}, "two metrics, a mean and a difference each"
    assert "![" in markdown
    for picture in re.findall(r"\]\((\S+\.svg)\)", markdown):
        assert (place / picture).exists()


def test_the_page_needs_nothing_else_and_is_well_formed(reported):
    _, grid = reported
    page = (grid.folder / "report/index.html").read_text()
    sources = re.findall(r'(?:src|href)="([^"]{0,30})', page)
    assert len(sources) >= 3
    assert all(source.startswith("data:") for source in sources)
    opens: list[str] = []

    class Balance(HTMLParser):
        def handle_starttag(self, tag, attrs):
            if tag not in ("meta", "link", "img", "br"):
                opens.append(tag)

        def handle_endtag(self, tag):
            assert opens.pop() == tag

    Balance().feed(page)
    assert opens == []


@pytest.mark.usefixtures("undrawn")
def test_names_are_escaped(make):
    grid = make(without=(3,), reason="<b>|&")
    write_report(grid)
    assert "<b>|" not in (grid.folder / "report/index.html").read_text()
    assert "&lt;b&gt;|&amp;" in (grid.folder / "report/index.html").read_text()


def test_results_and_scores_hold_everything(reported):
    _, grid = reported
    plain = json.loads((grid.folder / "report/results.json").read_text())
    assert plain["grid"]["teacher"] == grid.teacher
    (sp,) = [row for row in plain["students"]["8x1"] if row["name"] == "sp"]
    assert sp["differences"]["si_sdr"]["mean"] == pytest.approx(0.5, abs=0.1)
    assert plain["machine"]
    lines = list(csv.DictReader(io.StringIO((grid.folder / "report/scores.csv").read_text())))
    assert len(lines) == (2 + 4 * 3) * 40 * 2
    values = [
        float(x["value"]) for x in lines if (x["method"], x["metric"], x["seed"]) == ("sp", "si_sdr", "1")
    ]
    assert np.mean(values) == pytest.approx(rows_of(grid)["sp"].means["si_sdr"].mean, abs=0.2)


def test_figures_are_written(reported):
    _, grid = reported
    for name in ("forest", "by-snr-8x1"):
        for suffix in (".png", ".svg"):
            assert (grid.folder / f"report/{name}{suffix}").stat().st_size > 3000
    text = (grid.folder / "report/forest.svg").read_text()
    places = [text.index(name) for name in (">CLSKD-style<", ">AT<", ">SP<")]
    assert places == sorted(places), "sorted by effect, the best on top (drawn last)"


def test_a_grid_with_nothing_but_references_and_none_has_no_pictures(make):
    grid = make(methods="none")
    write_report(grid)
    assert not (grid.folder / "report/forest.svg").exists()
    assert (
        "no significant difference from the student alone" in (grid.folder / "report/report.md").read_text()
    )


def test_scores_come_back_as_they_were(tmp_path):
    rows = [
        ScoreRow("a,b", "x", None, {"stoi": Score(1 / 3), "si_sdr": Score(None, 'say "no",\nor not')}),
        ScoreRow("ü", "x", -2.5, {"stoi": Score(-math.inf)}),
    ]
    write_text(tmp_path / "scores.csv", as_csv(rows))
    found = read(tmp_path / "scores.csv")
    assert [(x.recording, x.snr_db, x.metric, x.value, x.reason) for x in found] == [
        ("a,b", None, "stoi", 1 / 3, ""),
        ("a,b", None, "si_sdr", None, 'say "no",\nor not'),
        ("ü", -2.5, "stoi", -math.inf, ""),
    ]
    (tmp_path / "scores.csv").write_text("recording\nx\n")
    with pytest.raises(StillwaveError, match=r"scores\.csv: .*'snr_db'"):
        read(tmp_path / "scores.csv")


def test_cells_with_another_checkpoint_or_test_set_are_excluded(make):
    grid = make()
    folder = Cell("8x1", "sp", 1).folder(grid.folder)
    facts = json.loads((folder / "cell.json").read_text())
    write_json(folder / "cell.json", {**facts, "checkpoint": "newer"})
    assert rows_of(grid)["sp"].seeds == (0, 2)
    assert collect(grid).missing == ("8x1 sp seed 1",)
