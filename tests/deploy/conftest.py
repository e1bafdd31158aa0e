import pytest

from stillwave.deploy import material


@pytest.fixture
def short_speech(monkeypatch):
    """Half a second for what an export is compared on."""
    made = material.speechlike
    monkeypatch.setattr(material, "speechlike", lambda count, microphones: made(count, microphones, 0.5))
