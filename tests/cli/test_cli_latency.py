"""`stillwave latency`: what it prints and writes."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from verbs import call

from stillwave import checkpoint
from stillwave.cli.latency import latency
from stillwave.models import build
from stillwave.schema import ModelConfig

TINY = ModelConfig(name="bsrnn", channels=8, blocks=1, bands=8, causal=True, norm="frame", compression=0.3)


def tiny(folder: Path) -> Path:
    torch.manual_seed(0)
    checkpoint.save(folder, build(TINY), checkpoint.Card(model=TINY))
    return folder


def test_json_page_and_picture(tmp_path: Path) -> None:
    out = tmp_path / "report"
    done = call(
        latency, tiny(tmp_path / "tiny"), "--backends", "onnx", "--frames", "10", "--rounds", "2", "--streams", "0",
        "--json", "-o", out,
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    facts = json.loads(done.stdout)
    assert [(row["model"], row["backend"]) for row in facts["rows"]] == [("tiny", "onnx")]
    assert facts["rows"][0]["streams"] == {}
    assert sorted(path.name for path in out.iterdir()) == [
        "latency.json", "latency.md", "latency.png", "latency.svg",
    ]  # fmt: skip
    assert json.loads((out / "latency.json").read_text())["rows"] == facts["rows"]
    assert "(latency.svg)" in (out / "latency.md").read_text()


def test_the_table_fits_a_terminal(tmp_path: Path) -> None:
    done = call(
        latency,
        tiny(tmp_path / "dpdcrn-sized"),
        "--backends",
        "torch",
        "--frames",
        "10",
        "--rounds",
        "1",
        "--streams",
        "0",
    )
    assert done.exit_code == 0, done.stderr
    assert "dpdcrn-sized PyTorch" in done.stdout
    assert "…" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "Algorithmic delay 32 ms" in done.stdout


def test_invalid_targets_are_reported() -> None:
    done = call(latency, "dpdcrn-student", "--backends", "torch")
    assert done.exit_code == 2
    assert "needs the whole signal" in done.stderr
    assert "Traceback" not in done.stderr
