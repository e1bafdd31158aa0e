import pytest

from stillwave.exporting import signals


@pytest.fixture
def short_speech(monkeypatch):
    """Half a second for what an export is compared on."""
    made = signals.speechlike
    monkeypatch.setattr(signals, "speechlike", lambda count, microphones: made(count, microphones, 0.5))
