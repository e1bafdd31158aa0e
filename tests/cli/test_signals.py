"""A signal ends a verb once; further ones do not end its cleaning up."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from stillwave.cli.signals import stopped_once


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]
)
def test_the_second_signal_is_ignored_until_the_end(number: int, error: type[BaseException]) -> None:
    before = signal.getsignal(number)
    cleaned = False
    with pytest.raises(error), stopped_once():
        try:
            os.kill(os.getpid(), number)
        finally:
            for again in (signal.SIGINT, signal.SIGTERM):
                os.kill(os.getpid(), again)
            cleaned = True
    assert cleaned
    assert signal.getsignal(number) is before


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stopped_once():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_another_thread_keeps_the_handlers() -> None:
    found = []

    def look() -> None:
        with stopped_once():
            found.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [before]
