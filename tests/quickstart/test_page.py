"""The page: well-formed, whole, escaped, and no more than the figures allow."""

from __future__ import annotations

import base64
import dataclasses
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from stillwave.quickstart import page
from stillwave.quickstart.commands import CommandLine
from stillwave.quickstart.page import Example, ReportFacts, ReportSystem, Track
from stillwave.stats.bootstrap import Interval

VOID = {"meta", "link", "img", "br", "path", "input", "rect"}


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
    ReportSystem("noisy", "Noisy", "nothing done"),
    ReportSystem("teacher", "Teacher", "ships with stillwave", 415_000, 681e6),
    ReportSystem("alone", "Student alone", "8 channels, 1 block", 9930, 42.7e6, 450, 61.5),
    ReportSystem("distilled", "Distilled", "8 channels, 1 block", 9930, 42.7e6, 450, 190.0),
]


def facts(**changes: object) -> ReportFacts:
    cells = {"pesq_wb": Interval(1.5, 1.4, 1.6, 36), "si_sdr": Interval(9.0, 8.0, 10.0, 36)}
    tracks = [
        Track(s, f"audio/a #1_{s.key}.wav", f"pictures/50%_{s.key}.png", 2.5, {"si_sdr": 9.0})
        for s in SYSTEMS
    ]
    example = Example(
        "“A <b>bold</b> & odd title”", "5 dB", 3.2, tracks, "pictures/l.png", ["noisy"], "pictures/d.png"
    )
    whole = ReportFacts(
        synthetic=True,
        corpus="Trained on 3 min of speech.",
        mixtures=36,
        systems=SYSTEMS,
        metrics=("pesq_wb", "si_sdr"),
        scores={"noisy": cells, "teacher": cells, "alone": cells, "distilled": {**cells, "pesq_wb": None}},
        gains={
            "teacher": {"pesq_wb": Interval(0.5, 0.4, 0.6, 36), "si_sdr": Interval(4.0, 3.0, 5.0, 36)},
            "distilled": {"pesq_wb": None, "si_sdr": Interval(3.6, 3.0, 4.2, 36)},
        },
        paired={"pesq_wb": None, "si_sdr": Interval(0.4, 0.1, 0.7, 36)},
        examples=[example],
        curves={"Loss": "pictures/loss.png"},
        times=[("Recordings", 14.0, 20.0), ("Training: distilled", 210.0, None)],
        commands=[CommandLine("Denoise", "stillwave enhance 'my <file>.wav' -o out.wav -m runs/distilled")],
        for_own=CommandLine("With the model that ships", "bin/stillwave enhance a.wav -o b.wav"),
        folder="/home/a&b",
        teacher_trained=False,
        machine="2 cores",
    )
    return dataclasses.replace(whole, **changes)


def test_all_linked_files_exist(tmp_path: Path) -> None:
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


def test_a_single_file_contains_everything(tmp_path: Path) -> None:
    whole = facts()
    for name in ("audio/a #1_noisy.wav", "pictures/loss.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
    for track in whole.examples[0].tracks:
        (tmp_path / track.audio).write_bytes(b"RIFF " + track.system.key.encode())
        (tmp_path / track.picture).write_bytes(b"PNG " + track.system.key.encode())
    for name in ("pictures/l.png", "pictures/d.png", "pictures/loss.png"):
        (tmp_path / name).write_bytes(b"PNG")
    file = page.write(tmp_path, whole, portable=True)
    assert file == tmp_path / "stillwave-quickstart.html"
    links = read(file).links
    assert all(link.startswith("data:") for link in links)
    sounds = [link for link in links if link.startswith("data:audio/wav;base64,")]
    assert [base64.b64decode(link.partition(",")[2]) for link in sounds] == [
        b"RIFF " + system.key.encode() for system in SYSTEMS
    ]
    assert len([link for link in links if link.startswith("data:image/png;base64,")]) == 4 + 3


def test_the_first_sentence_states_size_and_gain(tmp_path: Path) -> None:
    text = read(page.write(tmp_path, facts())).text
    assert "The student is 42 times smaller than its teacher and keeps 90 % of its gain: +3.60 dB" in text
    assert "needs 16 times fewer operations" in text
    row = text[text.index("Gain kept") :]
    assert row.split()[4:8] == ["–", "90", "%", "Distilled"], "a metric of which a gain is unknown has none"


def test_every_version_has_its_player_and_gain(tmp_path: Path) -> None:
    reader = read(page.write(tmp_path, facts()))
    assert reader.tags.count("audio") == len(SYSTEMS)
    assert reader.text.count("+2.5 dB") == len(SYSTEMS)
    assert "equally loud" in reader.text


def test_acronyms_are_explained_where_they_first_stand(tmp_path: Path) -> None:
    text = read(page.write(tmp_path, facts())).text
    message = text.index("The teacher helped: SI-SDR")
    for term in ("SI-SDR, the signal-to-distortion ratio", "perceptual evaluation", "short-time objective"):
        assert text.index(term) < message, term
    assert text.index("SNR: signal-to-noise ratio") < text.index("5 dB")
    for term in ("Multiply-accumulate", "decibels relative to full scale"):
        assert term in text


def test_every_command_can_be_copied_and_says_where_it_runs(tmp_path: Path) -> None:
    reader = read(page.write(tmp_path, facts()))
    assert reader.text.count("Copy") == 2 + reader.text.count('"Copy"')
    assert "bin/stillwave enhance a.wav -o b.wav" in reader.text
    assert "/home/a&b" in reader.text


def test_the_page_loads_nothing_from_the_internet(tmp_path: Path) -> None:
    source = page.write(tmp_path, facts()).read_text(encoding="utf-8")
    for word in ("http://", "https://", "@import", "fetch(", "XMLHttpRequest"):
        assert word not in source


@pytest.mark.parametrize("synthetic", [True, False])
def test_synthetic_speech_is_stated(tmp_path: Path, synthetic: bool) -> None:
    text = read(page.write(tmp_path, facts(synthetic=synthetic))).text
    assert ("This is synthetic speech." in text) == synthetic
    assert ("espeak" in text) == synthetic


def test_sizes_times_and_missing_scores_are_listed(tmp_path: Path) -> None:
    text = read(page.write(tmp_path, facts(left_out=["007, noisy, pesq_wb: no utterance"]))).text
    for part in (
        "9.93 k",
        "42.7 M",
        "450 steps",
        "3 min 44 s",
        "007, noisy, pesq_wb: no utterance",
        "1 score could",
        "20.0 s",
    ):
        assert part in text
