"""The page: well-formed, whole, escaped, and no more than the figures allow."""

from __future__ import annotations

import dataclasses
import math
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from stillwave.evaluate import Interval
from stillwave.quickstart import page
from stillwave.quickstart.page import Example, Facts, System, Track

VOID = {"meta", "link", "img", "br", "path", "input"}


class Reader(HTMLParser):
    """Checks that tags are balanced; collects what the page refers to, its text and its tags."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(file: Path) -> Reader:
    reader = Reader()
    reader.feed(file.read_text(encoding="utf-8"))
    reader.close()
    assert not reader.open
    return reader


SYSTEMS = [
    System("noisy", "Noisy", "nothing done"),
    System("alone", "Student alone", "8 channels, 1 block", 9930, 42.7e6, 450, 61.5),
    System("distilled", "Distilled", "8 channels, 1 block", 9930, 42.7e6, 450, 190.0),
]


def facts(**changes: object) -> Facts:
    cells = {"pesq_wb": Interval(1.5, 1.4, 1.6, 36), "si_sdr": Interval(9.0, 8.0, 10.0, 36)}
    tracks = [
        Track(s, f"audio/a #1_{s.key}.wav", f"pictures/50%_{s.key}.png", {"si_sdr": 9.0}) for s in SYSTEMS
    ]
    example = Example(
        "“A <b>bold</b> & odd title”", "5 dB", tracks, "pictures/l.png", ["noisy"], "pictures/d.png"
    )
    whole = Facts(
        synthetic=True,
        corpus="Trained on 3 min of speech.",
        mixtures=36,
        systems=SYSTEMS,
        metrics=("pesq_wb", "si_sdr"),
        scores={"noisy": cells, "alone": cells, "distilled": {**cells, "pesq_wb": None}},
        paired={"pesq_wb": None, "si_sdr": Interval(0.4, 0.1, 0.7, 36)},
        examples=[example],
        curves={"Loss": "pictures/loss.png"},
        times=[("Recordings", 14.0), ("Training: teacher", 210.0)],
        commands=[("Denoise", "stillwave enhance 'my <file>.wav' -o out.wav -m runs/distilled")],
        machine="2 cores",
        version="0.1.0",
    )
    return dataclasses.replace(whole, **changes)


def test_everything_that_it_refers_to_is_beside_it(tmp_path: Path) -> None:
    links = read(page.write(tmp_path, facts())).links
    files = [unquote(link) for link in links if not link.startswith("data:")]
    example = facts().examples[0]
    expected = {name for track in example.tracks for name in (track.audio, track.picture)}
    assert set(files) == expected | {"pictures/l.png", "pictures/d.png", "pictures/loss.png"}
    assert not any("://" in link or link.startswith("/") for link in links)


def test_texts_and_file_names_are_escaped(tmp_path: Path) -> None:
    file = page.write(tmp_path, facts())
    found = read(file)
    assert "“A <b>bold</b> & odd title”" in found.text
    assert "my <file>.wav" in found.text
    assert "file" not in found.tags
    source = file.read_text(encoding="utf-8")
    assert "audio/a%20%231_noisy.wav" in source
    assert "pictures/50%25_noisy.png" in source


def test_it_asks_nothing_of_the_network(tmp_path: Path) -> None:
    source = page.write(tmp_path, facts()).read_text(encoding="utf-8")
    for word in ("http://", "https://", "@import", "fetch(", "XMLHttpRequest"):
        assert word not in source


@pytest.mark.parametrize("synthetic", [True, False])
def test_it_says_that_speech_is_synthetic_where_it_is(tmp_path: Path, synthetic: bool) -> None:
    text = read(page.write(tmp_path, facts(synthetic=synthetic))).text
    assert ("This is synthetic speech." in text) == synthetic
    assert ("espeak" in text) == synthetic


def test_sizes_times_and_what_has_no_score_are_told(tmp_path: Path) -> None:
    text = read(page.write(tmp_path, facts(left_out=["007, noisy, pesq_wb: no utterance"]))).text
    for part in (
        "9.93 k",
        "42.7 M",
        "450 steps",
        "3 min 44 s",
        "007, noisy, pesq_wb: no utterance",
        "1 score could",
    ):
        assert part in text


def interval(low: float, high: float) -> Interval:
    return Interval((low + high) / 2, low, high, 36)


@pytest.mark.parametrize(
    ("paired", "says"),
    [
        ({"si_sdr": interval(0.1, 0.5)}, "Distillation helped: SI-SDR dB +0.30 [+0.10, +0.50]."),
        ({"si_sdr": interval(-0.5, -0.1)}, "Distillation did not help here, it did harm: SI-SDR"),
        ({"si_sdr": interval(-0.1, 0.5)}, "This test cannot tell the distilled student from the one"),
        (
            {"si_sdr": interval(0.1, 0.5), "stoi": interval(-0.02, -0.01)},
            "Distillation helped in part: SI-SDR",
        ),
        ({"si_sdr": interval(0.1, 0.5), "stoi": interval(-0.02, 0.01)}, "Distillation helped: SI-SDR"),
        ({"si_sdr": None}, "No mixture could be scored"),
        ({"si_sdr": Interval(0.4, math.nan, math.nan, 1)}, "This test cannot tell"),
    ],
)
def test_the_verdict_says_what_the_intervals_allow(paired: dict, says: str) -> None:
    assert page.verdict(paired).startswith(says)


def test_a_student_below_the_noisy_input_is_no_success() -> None:
    good, bad = interval(5, 7), interval(2, 4)
    scores = {"noisy": {"si_sdr": good, "stoi": bad}, "distilled": {"si_sdr": bad, "stoi": good}}
    assert page.warning(facts(scores=scores)).startswith("By SI-SDR the distilled student does not")
    scores = {"noisy": {"si_sdr": good, "stoi": good}, "distilled": {"si_sdr": bad, "stoi": bad}}
    assert page.warning(facts(scores=scores)).startswith("By SI-SDR and STOI the")
    scores = {"noisy": {"si_sdr": bad}, "distilled": {"si_sdr": good}}
    assert page.warning(facts(scores=scores)) == ""


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (12, "12"), (9930, "9.93 k"), (595_494, "595 k"), (42.7e6, "42.7 M"), (13.26e9, "13.3 G")],
)
def test_counts_have_three_digits(value: float | None, shown: str) -> None:
    assert page.size(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(None, "–"), (7.44, "7.4 s"), (59.99, "60.0 s"), (200.0, "3 min 20 s")]
)
def test_durations(seconds: float | None, shown: str) -> None:
    assert page.duration(seconds) == shown


def test_one_recording_has_no_interval() -> None:
    assert page.ends(Interval(1.0, math.nan, math.nan, 1), "stoi") == ""
    assert page.ends(interval(0.1, 0.2), "stoi") == "10.00 … 20.00"
