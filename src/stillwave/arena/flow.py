"""The run of an arena: enhance, score, summarise, and write the report, the pages and the listening tests."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

from stillwave.arena.estimates import enhance_all
from stillwave.arena.processes import ProcessLimits, SystemProcess
from stillwave.arena.recordings import groups, recordings, with_outputs
from stillwave.arena.systems import ArenaSystem, SystemCost
from stillwave.console import progress_bar
from stillwave.cores import cores
from stillwave.data.pair_sets import by_name
from stillwave.errors import MissingExtraError
from stillwave.evaluation import DEFAULT, NOISY, Item, Scores, Summary, score_pairs, summarise
from stillwave.evaluation.metrics import NO_REFERENCE, WORDS, choose
from stillwave.evaluation.summary import check_baseline
from stillwave.evaluation.transcripts import AsrConfig
from stillwave.files import write_json
from stillwave.output_paths import make_folder
from stillwave.reports.markup import json_values
from stillwave.reports.score_report import write_report

NO_CLIPS = "no recording has a mono file of every system, so no listening test was written"
ListeningTest = Literal["webmushra", "p835"]


@dataclass(frozen=True)
class ArenaSettings:
    """Settings of a run.

    Attributes:
        metrics: Metric keys; by default those of `evaluate`, or those without a reference.
        asr: The recogniser.
        baseline: The system that others are compared with; by default `noisy`.
        columns: Columns of `mixtures.csv` to group by; None for those that are known.
        limits: Settings of the processes.
        jobs: Systems that run, and files that are scored, at once; by default one for each core.
        seed: Seed of intervals, and of the order of listening tests.
        listen: Recordings on the page.
        trials: Comparisons of the blind page; 0 for no such page.
        tests: Listening tests to write.

    """

    metrics: Sequence[str] | None = None
    asr: AsrConfig | None = None
    baseline: str | None = None
    columns: Sequence[str] | None = None
    limits: ProcessLimits = field(default_factory=ProcessLimits)
    jobs: int | None = None
    seed: int = 0
    listen: int = 6
    trials: int = 0
    tests: Sequence[ListeningTest] = ()


@dataclass(frozen=True)
class ArenaResult:
    """The result: summary and costs by system, and why listening tests were not written, if they were asked for."""

    summary: Summary
    costs: Mapping[str, SystemCost]
    no_tests: str = ""


def run(
    systems: Sequence[ArenaSystem], on: Path, output: Path | None, settings: ArenaSettings
) -> ArenaResult:
    """Score systems on the recordings of a folder.

    Args:
        systems: The systems; all are opened before the first runs.
        on: Pairs of noisy and clean recordings, or noisy recordings alone.
        output: The folder for estimates, tables and pages; None to write nothing.
        settings: See `ArenaSettings`.

    Raises:
        StillwaveError: A system cannot be opened, there are no recordings, or an option does not fit.
        MissingExtraError: A package of a metric or of the page is not installed.

    """
    items = recordings(on)
    keys = _metrics(items, settings)
    if settings.baseline is not None:
        check_baseline(settings.baseline, [NOISY, *(system.name for system in systems)])
    if settings.asr is not None:
        settings.asr.check(items)
    labels = groups(on, settings.columns)
    jobs = settings.jobs or cores()
    if output is not None:
        if importlib.util.find_spec("jinja2") is None:
            raise MissingExtraError("the page of the arena", "train")
        make_folder(output)
    with tempfile.TemporaryDirectory(prefix="stillwave-arena") as scratch:
        work = (output or Path(scratch)) / "audio"
        items, costs = enhanced(items, systems, work, settings.limits, jobs)
        scores = score_pairs(items, keys, jobs, asr=settings.asr)
        summary = summarise(scores, settings.baseline, settings.seed, labels)
        result = ArenaResult(summary, costs)
        if output is not None and not _write(output, items, scores, result, settings):
            result = replace(result, no_tests=NO_CLIPS)
    return result


def _metrics(items: Sequence[Item], settings: ArenaSettings) -> tuple[str, ...]:
    """Return the metrics, checked before the work."""
    usual = DEFAULT if any(item.clean for item in items) else NO_REFERENCE
    keys = settings.metrics or (*usual, *(WORDS if settings.asr and usual is DEFAULT else ()))
    return choose(keys, settings.asr is not None)


def enhanced(
    items: Sequence[Item], systems: Sequence[ArenaSystem], work: Path, limits: ProcessLimits, jobs: int
) -> tuple[list[Item], dict[str, SystemCost]]:
    """Return the recordings with the estimates of every system, and the costs.

    Estimates are written to `work/SYSTEM/ID.wav`. Each system has a process; `jobs` of them work at once.
    """
    found: dict[str, Mapping[str, Path | str]] = {}
    costs: dict[str, SystemCost] = {}
    running = [system for system in systems if system.kind != "outputs"]
    for system in systems:
        if system.kind == "outputs":
            files, costs[system.name] = by_name(Path(system.place)), SystemCost()
            absent = f"{system.place} contains no file of this name"
            found[system.name] = {item.id: files.get(item.id, absent) for item in items}
    with ExitStack() as stack:
        workers = [stack.enter_context(SystemProcess(system, limits)) for system in running]
        bar = stack.enter_context(progress_bar())
        task = bar.add_task("enhance", total=len(running) * len(items), note="")
        with ThreadPoolExecutor(max(1, min(jobs, len(running)))) as pool:
            folders = [work / system.name for system in running]
            advance = partial(bar.advance, task)
            done = pool.map(lambda w, folder: enhance_all(w, items, folder, advance), workers, folders)
            for system, (files_of, cost) in zip(running, done, strict=True):
                found[system.name], costs[system.name] = files_of, cost
    result = list(items)
    for system in systems:
        result = with_outputs(result, system.name, found[system.name])
    return result, {system.name: costs[system.name] for system in systems}


def _write(
    output: Path, items: Sequence[Item], scores: Scores, result: ArenaResult, settings: ArenaSettings
) -> bool:
    """Write everything; return False if there are no clips for the listening tests that `settings` ask for."""
    from stillwave.arena import blind, listening_tests, page
    from stillwave.arena.clips import choose as choose_clips

    write_report(scores, result.summary, output)
    write_json(output / "costs.json", json_values(result.costs))
    clips = choose_clips(items, result.summary.systems, settings.listen)
    page.write(output, result, clips, bool(settings.trials and clips))
    if not clips:
        return not (settings.trials or settings.tests)
    if settings.trials:
        blind.write(output, clips, settings.trials, settings.seed)
    if "webmushra" in settings.tests:
        listening_tests.write_webmushra(output / "webmushra", clips)
    if "p835" in settings.tests:
        listening_tests.write_p835(output / "p835", clips, settings.seed)
    return True
