"""What the README and the how-tos show runs as it is shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import nn

ROOT = Path(__file__).parents[1]


def blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)


def network(width: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(1, width, 16, stride=8), nn.PReLU(),
        nn.Conv1d(width, width, 3, padding=1), nn.PReLU(),
        nn.ConvTranspose1d(width, 1, 16, stride=8),
    )  # fmt: skip


def test_the_readmes_distiller_snippet_runs_and_is_short() -> None:
    (snippet,) = [block for block in blocks("README.md") if "Distiller" in block]
    assert len([line for line in snippet.splitlines() if line.strip()]) < 10
    student = network(8)
    before = student[0].weight.detach().clone()
    names = {"torch": torch, "teacher": network(32), "student": student}
    exec(snippet, {**names, "noisy": torch.randn(4, 1, 800), "clean": torch.randn(4, 1, 800)})
    assert not torch.equal(before, student[0].weight)


def test_the_how_to_for_own_networks_runs() -> None:
    (snippet,) = blocks("docs/how-to/own-networks.md")
    names: dict[str, object] = {}
    exec(snippet, names)
    assert list(names["losses"]) == ["encoder", "middle", "inter"]  # type: ignore[call-overload]


@pytest.mark.parametrize(
    "page", ["README.md", *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md"))]
)
def test_links_inside_the_project_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if not target.startswith(("http", "mailto")):
            assert (ROOT / page).parent.joinpath(target).exists(), f"{page}: {target}"
