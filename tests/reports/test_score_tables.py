"""Reports: what they show, what they escape, and that files hold exact values."""

from __future__ import annotations

import csv
import io
import json

import pytest

from stillwave.evaluation import Score, ScoreRow, Scores, summarise
from stillwave.reports.formatting import with_interval
from stillwave.reports.markup import json_values, markdown_table
from stillwave.reports.score_report import scores_csv, write_report
from stillwave.reports.score_tables import REASONS, latex, markdown, notes, warnings

METRICS = ("stoi", "si_sdr")


def row(name, system, values, snr=None, inverted=False, lag=0):
    entries = (Score(None, v) if isinstance(v, str) else Score(v) for v in values)
    return ScoreRow(name, system, snr, dict(zip(METRICS, entries, strict=True)), inverted, lag=lag)


@pytest.fixture
def scores():
    rows = (
        row("a, 1", "noisy", (0.1 + 0.2, 1 / 3), 0.0),
        row("a, 1", "my_net|v2", (0.75, 10.0), 0.0, True),
        row("b", "noisy", (0.5, -7.25), 5.0),
        row("b", "my_net|v2", ('too "short", it is', 12.0), 5.0, lag=40),
    )
    return Scores(("noisy", "my_net|v2"), METRICS, rows)


def test_csv_holds_exact_values(scores):
    lines = list(csv.DictReader(io.StringIO(scores_csv(scores))))
    assert len(lines) == 4
    for line, row in zip(lines, scores.rows, strict=True):
        assert (line["id"], line["system"], float(line["snr_db"])) == (row.id, row.system, row.snr_db)
        assert line["inverted"] == str(int(row.inverted))
        assert line["lag"] == str(row.lag)
        for metric in METRICS:
            value = row.scores[metric].value
            assert (float(line[metric]) if line[metric] else None) == value
    assert lines[3]["reasons"] == 'stoi: too "short", it is'


def test_markdown_has_every_part(scores):
    text = markdown(summarise(scores))
    assert "# Scores of 2 recordings" in text
    assert "| system | STOI ×100 | SI-SDR dB |" in text
    assert "| noisy | 40.00 [30.00, 50.00] | -3.46 [-7.25, 0.33] |" in text
    assert "| my_net\\|v2 | 75.00 (1 missing) | 11.00 [10.00, 12.00] |" in text
    assert "## Difference from noisy, paired by recording" in text
    assert "| my_net\\|v2 | +45.00 (over 1) | +14.46 [+9.67, +19.25] |" in text
    assert "| 0 dB | noisy | 30.00 | 0.33 |" in text
    assert "| 5 dB | my_net\\|v2 | – (1 missing) | 12.00 |" in text
    assert "- my_net|v2: 1 of 2 estimates have inverted polarity" in text
    assert (
        "- my_net|v2: late by 40 samples (2.5 ms at 16 kHz): 1 of 2 estimates; the scores count this as"
        in text
    )
    assert '- my_net|v2: b without STOI: too "short", it is' in text


def test_every_row_of_a_table_has_as_many_cells():
    lines = list(markdown_table(["a", "b"], [["1|2", "3"]]))
    assert lines == ["| a | b |", "| --- | --- |", "| 1\\|2 | 3 |"]


def test_notes_are_one_line_per_reason_and_bounded():
    rows = tuple(row(str(i), "net", (f"reason {i}",) * 2) for i in range(REASONS + 4))
    found = notes(summarise(Scores(("net",), METRICS, rows)))
    assert len(found) == REASONS + 1
    assert found[0] == "net: 0 without any score: reason 0"


def test_a_reason_names_its_first_recording():
    rows = tuple(row(name, "net", ("silent",) * 2) for name in ("x", "y", "z"))
    assert notes(summarise(Scores(("net",), METRICS, rows))) == [
        "net: x and 2 more without any score: silent"
    ]


def test_further_reasons_are_counted():
    rows = tuple(row(str(i), "net", (f"reason {i}",) * 2) for i in range(REASONS + 4))
    found = notes(summarise(Scores(("net",), METRICS, rows)))
    assert found[-1] == "net: 4 further reasons; with --output, scores.csv has all"


def test_latex_escapes():
    rows = (row("1", "50%_a&b#{c}~^\\$", (0.5, 1.0)), row("1", "none", ("silent", "silent")))
    text = latex(summarise(Scores(("50%_a&b#{c}~^\\$", "none"), METRICS, rows)))
    assert r"50\%\_a\&b\#\{c\}\textasciitilde{}\textasciicircum{}\textbackslash{}\$ & 50.00 & 1.00 \\" in text
    assert r"STOI $\times$100" in text
    assert r"none & -- & -- \\" in text
    assert text.count("&") == 3 * 2 + 1  # header and two rows of three cells; the escaped one
    assert text.startswith(r"\begin{tabular}{lcc}")


def test_latex_has_intervals(scores):
    assert r" & {\scriptsize [30.00, 50.00]} & {\scriptsize [-7.25, 0.33]} \\" in latex(summarise(scores))


def test_json_has_no_nan(scores):
    data = json_values(summarise(scores))
    text = json.dumps(data, allow_nan=False)
    found = json.loads(text)["means"]["my_net|v2"]["stoi"]
    assert found["interval"] == {"mean": 0.75, "low": None, "high": None, "count": 1}
    assert found["reasons"] == {'too "short", it is': 1}


def test_no_value_is_a_dash():
    assert with_interval(None, "stoi") == "–"


def test_report(scores, tmp_path):
    summary = summarise(scores)
    write_report(scores, summary, tmp_path / "new" / "out")
    assert {path.name for path in (tmp_path / "new" / "out").iterdir()} == {
        "scores.csv", "summary.json", "summary.md", "summary.tex",
    }  # fmt: skip
    assert json.loads((tmp_path / "new/out/summary.json").read_text())["recordings"] == 2
    assert (tmp_path / "new/out/summary.md").read_text() == markdown(summary)


@pytest.mark.parametrize(
    ("lags", "words"),
    [
        ((40, 40), "late by 40 samples (2.5 ms at 16 kHz): 2 of 2"),
        ((12, 80), "late by up to 80 samples (5.0 ms at 16 kHz): 2 of 2"),
        ((-40, 0), "early by 40 samples (2.5 ms at 16 kHz): 1 of 2"),
        ((-40, 8), "late or early by up to 40 samples (2.5 ms at 16 kHz): 2 of 2"),
        ((0, 0), None),
    ],
)
def test_lags_are_reported(lags, words):
    rows = tuple(row(str(index), "a", (0.5, 1.0), lag=lag) for index, lag in enumerate(lags))
    summary = summarise(Scores(("a",), METRICS, rows))
    assert [line for line in notes(summary) if "samples" in line] == (
        [f"a: {words} estimates; the scores count this as distortion: align them"] if words else []
    )
    assert json_values(summary)["lags"] == {"a": sorted(lag for lag in lags if lag)}


def rated(system, *values):
    """Rows of a system: PESQ-WB, STOI and MCD of each recording."""
    keys = ("pesq_wb", "stoi", "mcd")
    return [
        ScoreRow(str(i), system, None, {k: Score(v) for k, v in zip(keys, row, strict=True)})
        for i, row in enumerate(values)
    ]


def misleading(*values):
    noisy = [(2.0, 0.8, 5.0), (2.1, 0.7, 6.0), (1.9, 0.9, 7.0)]
    rows = (*rated("noisy", *noisy), *rated("mine", *values))
    return warnings(summarise(Scores(("noisy", "mine"), ("pesq_wb", "stoi", "mcd"), rows)))


def test_pesq_that_rises_while_the_others_fall_is_reported():
    (line,) = misleading((2.5, 0.7, 6.0), (2.6, 0.6, 7.0), (2.4, 0.8, 8.0))
    assert line == (
        "mine: PESQ-WB rises (+0.500 [+0.500, +0.500]), but relative to noisy STOI worsens (-10.00 [-10.00, -10.00]) "
        "and MCD worsens (+1.00 [+1.00, +1.00]): do not rely on PESQ alone"
    )


@pytest.mark.parametrize(
    "values",
    [
        [(2.5, 0.9, 4.0), (2.6, 0.8, 5.0), (2.4, 1.0, 6.0)],  # all rise
        [(2.5, 0.7, 5.0), (2.6, 0.8, 6.0), (2.4, 0.9, 7.0)],  # the interval of STOI includes 0
        [(2.5, 0.7, 4.0), (2.6, 0.6, 5.0), (2.4, 0.8, 6.0)],  # one falls, one rises
        [(1.5, 0.7, 6.0), (1.6, 0.6, 7.0), (1.4, 0.8, 8.0)],  # PESQ falls, too
    ],
)
def test_other_changes_are_not(values):
    assert misleading(*values) == []
