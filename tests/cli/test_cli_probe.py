"""`stillwave probe`: what it prints, what it exits with."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from verbs import call

from stillwave import checkpoint
from stillwave.cli.probe import probe
from stillwave.models import build
from stillwave.schema import PRESETS


def test_json_of_a_checkpoint(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = PRESETS["bsrnn-xs"]
    checkpoint.save(tmp_path / "net", build(config), checkpoint.Card(model=config))
    done = call(probe, tmp_path / "net", "--seconds", "0.3", "--json")
    assert done.exit_code == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["lookahead"] == {"samples": 510, "ms": 31.875}
    assert facts["frames_ahead"] == 0
    assert facts["past"] == {"samples": None, "ms": None}
    assert facts["precision"] == "float64"
    assert facts["keeps_state"] is False


def test_the_table_states_the_perturbations() -> None:
    done = call(probe, "torch.nn:Identity", "--seconds", "0.3")
    assert done.exit_code == 0, done.stderr
    for words in ("look-ahead", "0 samples, 0.0 ms", "one sample", "float64", "if it differs"):
        assert words in " ".join(done.stdout.split()), words


def test_expected_look_ahead_decides_the_exit() -> None:
    assert call(probe, "bsrnn-xs", "--seconds", "1", "--expect-ms", "32").exit_code == 0
    late = call(probe, "bsrnn-xs", "--seconds", "1", "--expect-ms", "31")
    assert late.exit_code == 1
    assert "look-ahead is 510 samples, 31.9 ms, more than --expect-ms 31" in " ".join(late.stderr.split())


def test_an_unlimited_look_ahead_exceeds_any_expectation(monkeypatch) -> None:
    monkeypatch.setattr(torch, "planted", lambda x: x - x.mean(), raising=False)
    done = call(probe, "torch:planted", "--seconds", "0.3", "--expect-ms", "10000")
    assert done.exit_code == 1
    assert "all 0.3 s" in done.stderr


def test_state_kept_between_calls_is_printed(monkeypatch) -> None:
    class Adding(torch.nn.Module):
        total = 0.0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x + self.total
            self.total = float(x.sum())
            return y

    monkeypatch.setattr(torch, "planted", Adding, raising=False)
    assert "State leaks" in call(probe, "torch:planted", "--seconds", "0.3").stdout


def test_a_mistyped_preset_names_the_nearest() -> None:
    done = call(probe, "bsrn-xs")
    assert done.exit_code == 2
    assert "did you mean 'bsrnn-xs'" in done.stderr
