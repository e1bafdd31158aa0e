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
