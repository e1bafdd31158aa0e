"""Enhance many files on the machines of a Ray cluster, one task each.

The files must have the same paths on all machines. The bytes of the outputs are those of `parallel.run`.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

from stillwave.files import remove_left_over
from stillwave.inference.batch import FileJob
from stillwave.inference.parallel import FileResult, Watcher, enhance_one
from stillwave.ray_cluster import connected

if TYPE_CHECKING:
    from stillwave.inference.enhancer import Enhancer


_END_SECONDS = 30
"""Time in which cancelled tasks remove their unfinished output."""


def run_on_ray(
    enhancer: Enhancer, jobs: Sequence[FileJob], watcher: Watcher | None = None, **options: Any
) -> Generator[FileResult, None, None]:
    """Enhance files on a cluster and yield their results in the order of `jobs`.

    Arguments, failures and an early end are as in `parallel.run`; progress is reported file by file. Raises
    MissingExtraError without Ray, and StillwaveError if there is no cluster and none can be started.
    """
    watcher = watcher or Watcher()
    for folder in {job.target.parent for job in jobs}:
        remove_left_over(folder)
    with connected("--executor ray") as ray:
        network = ray.put(enhancer)
        task = ray.remote(num_cpus=1, max_retries=0)(enhance_one)
        waiting = [
            (job, task.remote(network, FileJob(job.source.absolute(), job.target.absolute()), options))
            for job in jobs
        ]
        try:
            for job, reference in waiting:
                watcher.begin(job)
                result = _result(ray, reference, job)
                if result.report is not None:
                    frames = round(result.report.seconds * result.report.sample_rate)
                    watcher.expect(job, frames)
                    watcher.advance(job, frames)
                watcher.end(result)
                yield result
        finally:
            for _, reference in waiting:
                ray.cancel(reference, force=False)  # no effect on what is done
            references = [reference for _, reference in waiting]
            ray.wait(references, num_returns=len(references), timeout=_END_SECONDS)


def _result(ray: Any, reference: Any, job: FileJob) -> FileResult:
    """Return the result of a task; the failure of a machine of the cluster fails this file only."""
    try:
        found: FileResult = ray.get(reference)
    except ray.exceptions.RayError as error:
        return FileResult(job, error=f"{job.source}: Ray: {str(error).strip().splitlines()[-1]}")
    return FileResult(job, found.report, found.error)
