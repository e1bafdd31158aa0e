"""The estimates of a system for all recordings. What an earlier run of the same system made is kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from stillwave.arena.processes import SystemProcess
from stillwave.arena.systems import SystemCost
from stillwave.errors import StillwaveError
from stillwave.evaluation import NOISY, Item
from stillwave.files import printable, sha256, write_text

FILE = "answers.jsonl"
FAILURES = 3
"""Crashes and time-outs in a row after which a system is not started again."""


class KeptEstimates:
    """Answers of a system in its folder of estimates: a line for the identity of the system, then one a recording.

    Answers of another system are removed; its recordings are then enhanced again.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        self._file = folder / FILE
        lines = self._file.read_text(encoding="utf-8").splitlines() if self._file.is_file() else []
        head = json.dumps({"identity": identity})
        whole = [line for line in lines[1:] if lines[0] == head and _is_whole(line)]
        self._known = {entry["id"]: entry for entry in map(json.loads, whole)}
        write_text(self._file, "".join(f"{line}\n" for line in (head, *whole)))

    def find(self, recording: str, source: Path, target: Path) -> dict[str, Any] | None:
        """Return the answer for a recording whose file has not changed and whose estimate exists, or None."""
        entry = self._known.get(recording)
        same = entry is not None and target.is_file() and entry["sha256"] == _hash(source)
        return entry if same else None

    def add(self, recording: str, source: Path, answer: dict[str, Any]) -> None:
        """Keep the answer for a recording."""
        entry = {"id": recording, "sha256": _hash(source), **answer}
        with self._file.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(entry) + "\n")


def _is_whole(line: str) -> bool:
    """Return whether a line was written completely: a run may end within one."""
    return line.startswith("{") and line.endswith("}")


def _hash(file: Path) -> str:
    try:
        return sha256(file)
    except OSError:
        return ""


def enhance_all(
    process: SystemProcess, items: Sequence[Item], folder: Path, done: Callable[[], object]
) -> tuple[dict[str, Path | str], SystemCost]:
    """Enhance the noisy file of every recording that an earlier run has not enhanced.

    Args:
        process: The process of the system.
        items: The recordings.
        folder: The folder of the estimates, `ID.wav`.
        done: Called after each recording.

    Returns:
        By recording the estimate, or why there is none; and the cost with the measured CPU time.

    """
    kept = KeptEstimates(folder, process.identity)
    found: dict[str, Path | str] = {}
    ratios, failures, last = [], 0, ""
    for item in items:
        source, target = item.estimates[NOISY], folder / f"{item.id}.wav"
        answer = kept.find(item.id, source, target)
        if answer is None and failures >= FAILURES:
            answer = {"error": f"not tried after {FAILURES} failures in a row: {last}"}
        if answer is None:
            try:
                answer, failures = process.enhance(source, target), 0
            except StillwaveError as error:
                answer, failures, last = {"error": str(error)}, failures + 1, str(error)
            if "error" not in answer:
                kept.add(item.id, source, answer)
        if "error" in answer:
            found[item.id] = printable(f"not enhanced: {answer['error']}")
        else:
            found[item.id] = target
            ratios.append(answer["cpu"] / max(answer["seconds"], 1e-9))
        done()
    return found, replace(process.cost, cpu_ratio=median(ratios) if ratios else None)
