"""The figures of a latency report by hand: what follows from them, tables, notes and the picture."""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from stillwave.profiling.latency import WARMUP, Latency, LatencyRow, Times
from stillwave.profiling.latency_figures import draw
from stillwave.profiling.latency_tables import markdown, notes, tables


def row(median: float = 0.004, backend: str = "onnx", **changes: object) -> LatencyRow:
    times = Times.of([median, median, median, 4 * median])
    facts = {
        "model": "net", "backend": backend, "frame": times, "core_share": 1.0, "over_hop": 0.0,
        "hop_seconds": 0.016, "delay_seconds": 0.032, "memory_bytes": 50_000_000, "state_bytes": 4000,
        "file_bytes": 200_000, "frame_macs": 8_000_000, "streams": {1: 0.3, 2: 0.6, 4: 1.2},
    }  # fmt: skip
    return LatencyRow(**{**facts, **changes})  # type: ignore[arg-type]


def latency(*rows: LatencyRow, skipped: list[tuple[str, str, str]] | None = None) -> Latency:
    return Latency(list(rows), skipped or [], 100, 5, True)


def test_times_by_hand() -> None:
    times = Times.of([1.0, 2.0, 3.0, 4.0, 5.0, 60.0])
    assert (times.mean, times.median, times.max) == (12.5, 3.5, 60.0)
    assert times.p95 == pytest.approx(np.percentile([1, 2, 3, 4, 5, 60], 95))
    assert times.p95 < times.p99 < times.max


def test_derived_values() -> None:
    one = row()
    assert one.real_time_factor == pytest.approx(0.007 / 0.016)
    assert one.macs_per_second == pytest.approx(8e6 / 0.016)
    assert one.full_at == 2
    bare = row(frame_macs=None, streams={1: 1.5})
    assert (bare.macs_per_second, bare.full_at) == (None, None)


def test_tables_by_hand() -> None:
    first, second, third = tables(latency(row(), row(0.04, "torch", memory_bytes=None, streams={1: 2.5})))
    assert first.lines[0][2:] == ("4.00", "7.00", *first.lines[0][4:])
    assert first.lines[1][2] == "40.0"
    assert second.lines[0][2:] == ("0.438", "50.0", "4.0", "200", "500.0")
    assert second.lines[1][3] == "–"
    assert third.heads == ("model", "backend", "1", "2", "4", "in real time")
    assert third.lines == [
        ("net", "ONNX", "0.30", "0.60", "1.20", "2"),
        ("net", "PyTorch", "2.50", "", "", "0"),
    ]
    assert len(tables(latency(row(streams={})))) == 2
    for table in (first, second, third):
        assert all(len(line) == len(table.heads) for line in table.lines)


def test_notes_state_what_depends_on_the_machine() -> None:
    message = " ".join(notes(latency(row(), skipped=[("net", "int8", "no")])))
    for words in (
        "Algorithmic delay 32 ms",
        "hop of 16 ms",
        f"first {WARMUP} of each turn",
    ):
        assert words in message
    assert "Skipped: net, ONNX int8: no." in message
    assert "Other programs" not in message
    shared = latency(row(core_share=0.5))
    assert "had it for 50 %" in " ".join(notes(shared))
    counted = " ".join(notes(dataclasses.replace(shared, processor_time=True)))
    assert "Times are processor time; a backend had the core for at least 50 % of the time." in counted
    assert "too long" not in counted


def test_the_page_contains_every_table_and_the_figure() -> None:
    page = markdown(latency(row()), "latency.svg")
    assert page.count("| --- | --- |") == 3
    assert "(latency.svg)" in page
    assert "![" not in markdown(latency(row()))


@pytest.mark.parametrize("streams", [{1: 0.3, 2: 1.2}, {}])
def test_the_figure_names_every_backend(tmp_path: Path, streams: dict[int, float]) -> None:
    found = latency(row(streams=streams), row(0.02, "torch", streams=streams), row(0.001, "int8", streams={}))
    png, svg = draw(found, tmp_path / "latency")
    assert png.read_bytes()[:4] == b"\x89PNG"
    assert ET.parse(svg).getroot().tag.endswith("svg")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latency.png", "latency.svg"]
