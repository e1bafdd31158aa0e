"""Displays on the terminal: one at a time, whoever calls whom."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from stillwave import console


@pytest.fixture
def shown(monkeypatch) -> io.StringIO:
    """What a terminal is sent."""
    text = io.StringIO()
    monkeypatch.setattr(console, "err", Console(file=text, force_terminal=True, width=80))
    return text


def test_a_display_within_another_shows_nothing(shown) -> None:
    """rich before 14.1 raises where a second one begins; `latency` exports what it measures."""
    with console.progress_bar() as bar:
        bar.add_task("outer", total=1, note="")
        assert list(console.track(range(3), "inner")) == [0, 1, 2]
        with console.waiting("spinning"), console.progress_bar() as second:
            assert second.disable
    text = shown.getvalue()
    assert "outer" in text
    assert "inner" not in text
    assert "spinning" not in text


def test_a_display_is_shown_after_one_that_failed(shown) -> None:
    with pytest.raises(ValueError, match="on the way"), console.waiting("first"):
        raise ValueError("on the way")
    unfinished = console.track(range(3), "second")
    next(unfinished)
    unfinished.close()
    assert list(console.track([1], "third")) == [1]
    assert all(word in shown.getvalue() for word in ("first", "second", "third"))


class Clock:
    """Seconds as a test wants them."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_without_a_terminal_lines_are_printed_at_intervals(monkeypatch) -> None:
    text, clock = io.StringIO(), Clock()
    monkeypatch.setattr(console, "err", Console(file=text, width=120, soft_wrap=True))
    with console.progress_bar() as bar:
        bar.get_time = clock
        task = bar.add_task("student", total=500, completed=100, note="")
        for step in range(101, 200):
            clock.now += 1
            bar.update(task, completed=step, note="loss 0.5")
    lines = [line for line in text.getvalue().splitlines() if line.startswith("student: ")]
    assert lines[0] == "student: 120 of 500 · loss 0.5 · 6 min 20 s left"
    assert [line.split()[1] for line in lines] == ["120", "140", "160", "180"]


@pytest.mark.parametrize("terminal", [False, True])
def test_a_tracked_loop_prints_lines_too_and_a_terminal_none(monkeypatch, terminal) -> None:
    text = io.StringIO()
    monkeypatch.setattr(console, "err", Console(file=text, width=120, force_terminal=terminal))
    monkeypatch.setattr(console, "LINE_SECONDS", 0.0)
    list(console.track(range(3), "noises"))
    assert ("noises: 1 of 3 · " in text.getvalue()) is not terminal


def test_output_of_a_decoder_is_hidden_and_other_output_follows(capfd):
    import os

    with console.library_noise_hidden():
        os.write(
            2, b"[src/libmpg123/parse.c:1] error: bad\nNote: Trying to resync...\nother library: careful\n"
        )
        os.write(2, b"Warning: Xing stream size off by more than 1%\n")
        console.err.print("our own words")
    assert capfd.readouterr().err == "our own words\nother library: careful\n"
