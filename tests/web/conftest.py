"""One service for the tests that need no other settings."""

from __future__ import annotations

import pytest

pytest.importorskip("fastapi")

from web_client import served


@pytest.fixture(scope="session")
def client():
    with served() as client:
        yield client
