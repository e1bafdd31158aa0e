"""Random requests: the script in benchmarks finds no fault."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "web_fuzz.py"


@pytest.mark.slow
def test_ten_thousand_random_requests():
    ended = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
