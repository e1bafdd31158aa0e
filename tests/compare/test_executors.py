"""Processes of cells: their results are reported, and they end with their parent process."""

import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from small_grid import opened, scores_of

from stillwave.compare import compare, executors
from stillwave.compare.executors import JobResult, in_own_process, with_joblib
from stillwave.compare.flow import cell_job, reference_jobs
from stillwave.compare.work import decode, encode, is_done
from stillwave.training import run_log


@pytest.fixture
def grid(describe, tmp_path):
    return opened(describe(tmp_path / "grid"))


@pytest.fixture
def job(grid):
    return next(iter(reference_jobs(grid)))


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Stands for the process of a cell."""

    def make(text):
        file = tmp_path / "program"
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)
        monkeypatch.setattr(executors.sys, "executable", str(file))

    return make


def test_a_job_is_unchanged_by_serialisation(grid, job):
    assert decode(encode(job)) == job
    cell = cell_job(grid, next(iter(grid.cells())))
    assert decode(encode(cell)) == cell


def test_a_job_is_done_in_a_process_of_its_own(job):
    assert not is_done(job)
    assert in_own_process(job) == JobResult(job.folder, "done")
    assert is_done(job)
    assert Path(job.log).exists()


def test_the_error_message_of_a_process_is_reported(job):
    outcome = in_own_process(replace(job, test="/nowhere"))
    assert outcome.status == "failed"
    assert outcome.sentence.startswith("/nowhere: there is no such folder")


def test_a_killed_process_is_reported(job, program):
    program("kill -9 $$")
    assert "was killed (signal 9), possibly out of memory" in in_own_process(job).sentence


def test_a_process_without_an_error_message_keeps_its_log(job, program):
    program("echo oh dear >&2; exit 3")
    assert f"exit code 3); see {job.log}" in in_own_process(job).sentence
    assert "oh dear" in Path(job.log).read_text()


def test_threads_are_set_before_anything_loads(job, program, tmp_path):
    program(f"echo $OMP_NUM_THREADS $MKL_NUM_THREADS > {tmp_path}/threads")
    in_own_process(replace(job, threads=3))
    assert (tmp_path / "threads").read_text() == "3 3\n"


def test_a_process_that_cannot_be_started_fails_its_job_alone(job):
    outcome = in_own_process(replace(job, cwd="/nowhere"))
    assert outcome == JobResult(
        job.folder, "failed", "cannot be started: /nowhere: No such file or directory"
    )


def test_when_asked_to_stop_processes_end_and_no_more_begin(job, program, tmp_path):
    program(f"echo x >> {tmp_path}/began; cat > /dev/null; exit 143")
    asked = iter([False, False, True])
    outcomes = list(
        with_joblib([job, replace(job, folder="b"), replace(job, folder="c")], 1, lambda: next(asked, True))
    )
    assert [outcome.status for outcome in outcomes] == ["stopped"] * 3
    assert (tmp_path / "began").read_text() == "x\n"


def test_as_many_at_once_as_were_asked_for(job, program, tmp_path):
    place = tmp_path / "running"
    place.mkdir()
    program(f"touch {place}/$$; ls {place} | wc -l >> {tmp_path}/counts; sleep 0.3; rm {place}/$$")
    outcomes = list(with_joblib([replace(job, folder=str(n)) for n in range(5)], 2, lambda: False))
    assert sorted(outcome.folder for outcome in outcomes) == list("01234")
    counts = [int(line) for line in (tmp_path / "counts").read_text().split()]
    assert max(counts) == 2


@pytest.mark.slow
def test_a_cell_stops_with_a_checkpoint_when_its_parent_is_gone(describe, tmp_path):
    grid = describe(tmp_path / "grid", "train.steps=100000", "train.checkpoint_every=100000")
    grid = opened(grid)
    cell = next(iter(grid.cells()))
    job = cell_job(grid, cell)
    parent = subprocess.Popen(
        [sys.executable, "-c", "import sys; from stillwave.compare.executors import *; in_own_process("
         "__import__('stillwave.compare.work').compare.work.decode(sys.argv[1]))", encode(job)]
    )  # fmt: skip
    run = cell.folder(grid.folder)
    wait_until(lambda: len(run_log.read(run)) > 3)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    wait_until(lambda: list(run.glob("checkpoints/step_*")))
    last = run_log.read(run)[-1]["step"]
    assert (run / f"checkpoints/step_{last:08d}").is_dir(), "nothing was lost"


@pytest.mark.slow
def test_a_killed_grid_continues_to_the_same_scores(world, describe, tmp_path):
    def start(folder):
        command = [
            sys.executable,
            "-m",
            "stillwave",
            "compare",
            str(world / "recipe.yaml"),
            "--on",
            str(world / "test"),
        ]
        command += [
            "-o",
            str(folder),
            "--methods",
            "at",
            "--seeds",
            "0,1",
            "--metrics",
            "si_sdr",
            "--jobs",
            "2",
        ]
        command += ["--set", "train.steps=12", "--quiet"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert start(whole).wait(900) == 0
    first = start(cut)
    wait_until(lambda: any(len(run_log.read(f.parent)) > 3 for f in cut.glob("runs/*/*/*/log.jsonl")))
    first.kill()
    first.wait()
    second = start(cut)
    wait_until(lambda: len(scores_of(cut)) >= 3)
    second.send_signal(signal.SIGINT)
    _, message = second.communicate(timeout=600)
    assert second.returncode in (130, 0)
    if second.returncode:
        assert b"the same command resumes" in message
    third = start(cut)
    _, message = third.communicate(timeout=900)
    assert third.returncode == 0, message
    assert scores_of(cut) == scores_of(whole)


@pytest.mark.slow
def test_ray_runs_the_same_grid(describe, tmp_path, monkeypatch):
    ray = pytest.importorskip("ray", reason="the 'cluster' extra is not installed")
    monkeypatch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        grids = []
        for executor in ("ray", "joblib"):
            grid = describe(tmp_path / executor, methods="at")
            grid = opened(grid)
            result = compare(grid, list(grid.cells()), jobs=2, executor=executor, quiet=True)
            assert (result.done, result.failed) == (4, {})
            grids.append(scores_of(grid.folder))
        assert grids[0] == grids[1]
        assert ray.is_initialized(), "a cluster that was there is left there"
    finally:
        ray.shutdown()


@pytest.mark.slow
def test_ray_reports_failures_and_stops_on_request(job, tmp_path):
    ray = pytest.importorskip("ray", reason="the 'cluster' extra is not installed")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        jobs = [replace(job, test="/nowhere"), replace(job, cwd="/nowhere", folder="b")]
        sentences = {o.sentence for o in executors.with_ray(jobs, 2, lambda: False)}
        assert any("/nowhere: there is no such folder" in sentence for sentence in sentences)
        assert any("cannot be started" in sentence for sentence in sentences)
        end = time.monotonic() + 1
        outcomes = executors.with_ray([job, replace(job, folder="c")], 1, lambda: time.monotonic() > end)
        assert "stopped" in {outcome.status for outcome in outcomes}
    finally:
        ray.shutdown()


def test_without_ray_the_extra_is_named(job, monkeypatch):
    from stillwave.errors import MissingExtraError

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError) as caught:
        list(executors.with_ray([job], 1, lambda: False))
    assert caught.value.extra == "cluster"


def wait_until(happened, seconds=600):
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.05)
