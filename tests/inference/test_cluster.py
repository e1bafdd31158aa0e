"""Files on a Ray cluster: the same bytes, in order; one bad file stops no other."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

import stillwave
from stillwave.audio import write
from stillwave.errors import MissingExtraError
from stillwave.inference import FileJob, Watcher, run
from stillwave.inference.cluster import run_on_ray


@pytest.fixture
def jobs(tmp_path):
    rng = np.random.default_rng(0)
    for name, seconds in (("a", 0.5), ("b", 0.2), ("d", 0.1)):
        samples = 0.1 * rng.standard_normal((1, round(16_000 * seconds)))
        write(tmp_path / f"{name}.wav", samples.astype(np.float32), 16_000, subtype="FLOAT")
    (tmp_path / "c.wav").write_bytes(b"not audio")
    (tmp_path / "out").mkdir()
    return [FileJob(tmp_path / f"{name}.wav", tmp_path / "out" / f"{name}.wav") for name in "abcd"]


class Seen(Watcher):
    def __init__(self):
        self.events = []

    def begin(self, job):
        self.events.append(("begin", job.source.stem))

    def advance(self, job, frames):
        self.events.append((frames, job.source.stem))

    def end(self, result):
        self.events.append(("end", result.job.source.stem))


def test_without_ray_the_extra_is_named(jobs, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"--executor ray .*stillwave\[cluster\]"):
        list(run_on_ray(stillwave.load("bsrnn-xs"), jobs))


class OneProcess:
    """What `run_on_ray` uses of Ray, within this process; a task runs when its result is asked for."""

    class RayError(Exception):
        """The base of Ray's errors."""

    def __init__(self, lost=()):
        self.exceptions = SimpleNamespace(RayError=self.RayError)
        self.lost, self.asked, self.cancelled, self.waited, self.running = set(lost), [], [], [], False

    def is_initialized(self):
        return self.running

    def init(self, **_options):
        self.running = True

    def shutdown(self):
        self.running = False

    def put(self, value):
        return value

    def remote(self, **_options):
        return lambda function: SimpleNamespace(remote=lambda *arguments: (function, arguments))

    def get(self, task):
        function, (network, job, options) = task
        self.asked.append(job.source.stem)
        if job.source.stem in self.lost:
            raise self.RayError("task failed\nthe node died")
        return function(network, job, options)

    def cancel(self, task, *, force):
        assert not force, "a killed task leaves half a file"
        self.cancelled.append(task[1][1].source.stem)

    def wait(self, tasks, *, num_returns, timeout):
        assert num_returns == len(tasks)
        assert timeout > 0
        self.waited = [task[1][1].source.stem for task in tasks]


def test_results_come_in_order_and_a_lost_machine_fails_its_file_only(jobs, monkeypatch):
    ray = OneProcess(lost={"b"})
    monkeypatch.setitem(sys.modules, "ray", ray)
    seen = Seen()
    results = list(run_on_ray(stillwave.load("bsrnn-xs"), jobs, seen, limit_db=12.0))
    assert [result.job for result in results] == jobs
    assert results[1].error == f"{jobs[1].source}: Ray: the node died"
    assert "c.wav" in results[2].error
    assert [name for what, name in seen.events if what == "end"] == ["a", "b", "c", "d"]
    assert [job.target.exists() for job in jobs] == [True, False, False, True]
    assert not ray.running, "a cluster that was started is stopped"


def test_an_early_end_cancels_and_waits_for_the_tasks_left(jobs, monkeypatch):
    ray = OneProcess()
    ray.init()
    monkeypatch.setitem(sys.modules, "ray", ray)
    results = run_on_ray(stillwave.load("bsrnn-xs"), jobs)
    next(results)
    results.close()
    assert ray.asked == ["a"]
    assert {"b", "c", "d"} <= set(ray.cancelled)
    assert {"b", "c", "d"} <= set(ray.waited)
    assert ray.running, "a cluster that was there is left there"


@pytest.mark.slow
def test_a_cluster_gives_the_bytes_of_this_machine_in_order(jobs, tmp_path):
    ray = pytest.importorskip("ray", reason="the 'cluster' extra is not installed")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        enhancer, seen = stillwave.load("bsrnn-xs"), Seen()
        results = list(run_on_ray(enhancer, jobs, seen, limit_db=12.0))
        assert ray.is_initialized(), "a cluster that was there is left there"
    finally:
        ray.shutdown()
    bytes_of = {job.source.stem: job.target.read_bytes() for job in jobs if job.target.exists()}
    local = list(run(enhancer, jobs, limit_db=12.0, overwrite=True))
    assert [result.job for result in results] == jobs
    assert [bool(result.error) for result in results] == [False, False, True, False]
    assert results[2].error == local[2].error
    assert bytes_of == {job.source.stem: job.target.read_bytes() for job in jobs if job.target.exists()}
    assert seen.events[:3] == [("begin", "a"), (8_000, "a"), ("end", "a")]
    assert [name for what, name in seen.events if what == "end"] == ["a", "b", "c", "d"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.wav", "b.wav", "d.wav"]
