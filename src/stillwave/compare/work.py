"""Train and score one cell in its own process, `python -m stillwave.compare JOB`.

The process writes a checkpoint and ends as soon as its standard input is closed, by its parent or because the parent
has ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from stillwave.errors import StillwaveError
from stillwave.files import read_json, write_json, write_text

FACTS, SCORES = "cell.json", "scores.csv"
LOCK_SECONDS = 60.0
"""How long a cell waits for a process of an earlier session to leave its folder."""


@dataclass(frozen=True)
class Job:
    """The task of a process, as JSON values."""

    folder: str
    test: str
    test_sha256: str
    metrics: tuple[str, ...]
    recipe: str = ""
    """YAML of a run to train. Without it, the checkpoint is scored, or the noisy input."""
    checkpoint: str = ""
    device: str = "auto"
    threads: int = 1
    log: str = ""
    cwd: str = "."

    @property
    def name(self) -> str:
        """The name in messages."""
        return "/".join(Path(self.folder).parts[-3:]) if self.recipe else Path(self.folder).name


def work(job: Job) -> None:
    """Do the unfinished part of a job. Raises StillwaveError, or Stopped after a checkpoint is written."""
    facts = read_facts(Path(job.folder))
    if job.recipe:
        facts |= _train(job)
    elif job.checkpoint:
        from stillwave.checkpoint import read_card

        card = read_card(Path(job.checkpoint))
        facts |= {"checkpoint": card.sha256, "parameters": card.parameters, "model": card.model.model_dump()}
    if not is_scored(job, facts):
        facts |= _score(job, facts)
    write_json(Path(job.folder) / FACTS, facts)


def is_done(job: Job) -> bool:
    """Return whether the run is finished and scored with these metrics."""
    facts = read_facts(Path(job.folder))
    return (facts.get("trained", False) or not job.recipe) and is_scored(job, facts)


def is_scored(job: Job, facts: dict[str, Any]) -> bool:
    """Return whether all metrics of this checkpoint on this test set are there."""
    scored = facts.get("scored") or {}
    return (
        (Path(job.folder) / SCORES).exists()
        and scored.get("checkpoint") == facts.get("checkpoint")
        and scored.get("test") == job.test_sha256
        and set(job.metrics) <= set(scored.get("metrics", ()))
    )


def read_facts(folder: Path) -> dict[str, Any]:
    """Return the recorded facts of a cell; empty if there are none yet."""
    return read_json(folder / FACTS) or {}


# --- training ---------------------------------------------------------------------------------------------


def _train(job: Job) -> dict[str, Any]:
    from stillwave import recipe as recipes
    from stillwave.checkpoint import read_card
    from stillwave.compare import costs
    from stillwave.training import train

    folder = Path(job.folder)
    recipe = recipes.loads(job.recipe, name=job.name)
    _follow_teacher(folder, job.recipe)
    _wait_for(folder / ".lock")
    before = read_facts(folder)
    best = train(recipe, folder, quiet=True)
    if before.get("trained"):  # the memory of this session would be that of scoring
        return before
    card = read_card(best)
    return {
        "trained": True,
        "checkpoint": card.sha256,
        "best_step": card.step,
        "parameters": card.parameters,
        "memory_bytes": costs.peak_memory(recipe.train.device),
        "connectors": costs.connectors(recipe),
        **costs.of_log(folder, recipe),
    }


def _follow_teacher(folder: Path, text: str) -> None:
    """Update the path of the teacher after a grid was moved; the run checks that it is the same teacher."""
    from stillwave import recipe as recipes
    from stillwave.training.run import RECIPE

    file = folder / RECIPE
    if file.exists() and recipes.differences(recipes.load(file), recipes.loads(text)) == ["distill.teacher"]:
        write_text(file, text)


def _wait_for(lock: Path) -> None:
    """Wait until no process holds the lock of a run, a minute at most: the cell of a killed grid may still write."""
    if lock.exists():
        with contextlib.suppress(Timeout), FileLock(lock, timeout=LOCK_SECONDS):
            pass


# --- scoring ----------------------------------------------------------------------------------------------


def _score(job: Job, facts: dict[str, Any]) -> dict[str, Any]:
    from dataclasses import replace

    from stillwave.checkpoint import resolve
    from stillwave.compare.scores import as_csv
    from stillwave.evaluation import NOISY, score_pairs
    from stillwave.evaluation.inputs import from_checkpoints

    folder = Path(job.folder)
    system = "estimate" if job.recipe or job.checkpoint else NOISY
    models = {} if system == NOISY else {system: resolve(job.checkpoint or folder)}
    before = (facts.get("scored") or {}).get("metrics", [])
    metrics = tuple(dict.fromkeys([*job.metrics, *before]))
    with tempfile.TemporaryDirectory() as scratch:
        items = from_checkpoints(Path(job.test), models, Path(scratch), _device(job.device), quiet=True)
        alone = [
            replace(item, estimates={s: path for s, path in item.estimates.items() if s == system})
            for item in items
        ]
        scores = score_pairs(alone, metrics, jobs=1, quiet=True)
    write_text(folder / SCORES, as_csv(scores.rows))
    return {
        "scored": {
            "checkpoint": facts.get("checkpoint"),
            "test": job.test_sha256,
            "metrics": list(scores.metrics),
        },
        "inverted": sum(row.inverted for row in scores.rows),
    }


def _device(name: str) -> str | None:
    return None if name == "auto" else name


# --- the process ------------------------------------------------------------------------------------------


def encode(job: Job) -> str:
    """Return a job as the argument of its process."""
    return json.dumps(asdict(job))


def decode(text: str) -> Job:
    """Return the job of an argument, the inverse of `encode`."""
    plain = json.loads(text)
    return Job(**{**plain, "metrics": tuple(plain["metrics"])})


def stop_with_parent() -> None:
    """Send SIGTERM to this process when its standard input is closed."""

    def watch() -> None:
        while os.read(0, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def main(arguments: Sequence[str]) -> int:
    """Run a job; after a failure the last line on stdout is a JSON object with the reason."""
    job = decode(arguments[0])
    stop_with_parent()
    try:
        if job.recipe or job.checkpoint:
            import torch

            torch.set_num_threads(job.threads)
        work(job)
    except StillwaveError as error:
        return _failed(str(error), getattr(error, "code", 2))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _failed(f"{where}{error.strerror or error}", 2)
    return 0


def _failed(sentence: str, code: int) -> int:
    sys.stdout.write(json.dumps({"sentence": sentence}) + "\n")
    return code
