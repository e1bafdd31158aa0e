"""Batches on threads: the same bytes for any number of them, one file's fault is its own, and a stop leaves no file."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
from denoisers import Toy, half

import stillwave
from stillwave import audio
from stillwave.errors import AudioError
from stillwave.inference import Enhancer, FileJob, Watcher, parallel, run

RATE = 16_000


def jobs(folder: Path, count: int, seconds: float = 0.5, suffix: str = ".wav") -> list[FileJob]:
    made = []
    for index in range(count):
        source = folder / "in" / f"{index}{suffix}"
        noise = 0.1 * np.random.default_rng(index).standard_normal((1, round(seconds * RATE) + 100 * index))
        audio.write(source, noise, RATE)
        made.append(FileJob(source, folder / "out" / source.name))
    return made


@pytest.mark.parametrize("suffix", [".wav", ".ogg"])
def test_any_number_of_threads_gives_the_same_bytes_in_the_same_order(tmp_path, suffix):
    enhancer = stillwave.load()
    work = jobs(tmp_path, 5, suffix=suffix)
    seen = []
    for threads in (1, 4):
        found = list(run(enhancer, work, threads, overwrite=True))
        assert [outcome.job for outcome in found] == work
        seen.append([job.target.read_bytes() for job in work])
    assert seen[0] == seen[1]


def test_a_checkpoint_gives_the_same_bytes_too(tmp_path):
    import torch

    from stillwave.models import build
    from stillwave.schema import PRESETS

    torch.manual_seed(0)
    enhancer = Enhancer(build(PRESETS["bsrnn-xs"]))
    assert not enhancer.concurrent
    work, seen = jobs(tmp_path, 4), []
    for threads in (1, 4):
        assert all(outcome.report for outcome in run(enhancer, work, threads, overwrite=True))
        seen.append([job.target.read_bytes() for job in work])
    assert seen[0] == seen[1]


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_in_one_file_does_not_stop_the_others(tmp_path, monkeypatch, threads):
    enhancer = Enhancer(Toy(half))
    work = jobs(tmp_path, 6)
    work[1].source.write_text("no audio")
    work[2].source.unlink()
    enhance, faults = (
        parallel.enhance_file,
        {work[3].source: MemoryError(), work[4].source: OSError(5, "I/O error")},
    )

    def fail(enhancer, source, target, **options):
        if source in faults:
            raise faults[source]
        return enhance(enhancer, source, target, **options)

    monkeypatch.setattr(parallel, "enhance_file", fail)
    found = list(run(enhancer, work, threads))
    assert [bool(outcome.report) for outcome in found] == [True, False, False, False, False, True]
    assert "cannot be decoded" in found[1].error
    assert "there is no such file" in found[2].error
    assert found[3].error == f"{work[3].source}: MemoryError"
    assert found[4].error == f"{work[4].source}: OSError: [Errno 5] I/O error"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.wav", "5.wav"]


@pytest.mark.parametrize("threads", [1, 3])
def test_stopping_the_iteration_keeps_complete_files_only(tmp_path, threads):
    work = jobs(tmp_path, 8, 10.0)

    class Slow(Watcher):
        def advance(self, job, frames):
            if job is not work[0]:
                assert stopped.wait(10)

    stopped = threading.Event()
    found = run(Enhancer(Toy(half), window_seconds=1, overlap_seconds=0.2), work, threads, Slow())
    assert next(found).job is work[0]
    threading.Timer(0.1, stopped.set).start()
    found.close()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["0.wav"]
    assert soundfile.info(tmp_path / "out" / "0.wav").frames == 10 * RATE


def test_two_batches_with_one_target_leave_one_complete_file(tmp_path):
    (job,) = jobs(tmp_path, 1)
    enhancer = Enhancer(Toy(half))
    found = list(run(enhancer, [job] * 6, 6))
    done = [outcome for outcome in found if outcome.report]
    assert len(done) == 1
    assert all("exists already" in outcome.error for outcome in found if not outcome.report)
    assert [path.name for path in job.target.parent.iterdir()] == ["0.wav"]
    with pytest.raises(AudioError, match="overwrite=True"):
        enhancer.enhance_file(job.source, job.target)


def test_invalid_samples_are_counted_per_file(tmp_path):
    (job,) = jobs(tmp_path, 1)
    samples = np.full((1, 4_000), 0.1, np.float32)
    samples[0, 10:13] = 1e20
    audio.write(job.source, samples, RATE, subtype="FLOAT")
    (outcome,) = run(Enhancer(Toy(half)), [job])
    assert outcome.report.notes == ("3 samples beyond ±2³² were replaced by silence",)


def test_each_file_is_enhanced_as_decided(tmp_path):
    work = jobs(tmp_path, 2)

    def decide(source: Path) -> parallel.Decision:
        if source == work[0].source:
            return parallel.Decision(0.0, "original", "it is clear")
        return parallel.Decision(None, "enhanced", "it is not")

    first, second = (result.report for result in run(Enhancer(Toy(half)), work, 2, decide=decide))
    assert (first.version, first.reason, second.version) == ("original", "it is clear", "enhanced")
    for job, factor in zip(work, (1, 0.5), strict=True):
        found, wanted = audio.read(job.target)[0], audio.read(job.source)[0]
        assert np.abs(found - factor * wanted).max() < 2**-15
