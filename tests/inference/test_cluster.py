"""Files on a Ray cluster: the same bytes, in order; one bad file stops no other."""

from __future__ import annotations

import sys

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
