"""Grids from training to the report: finished, kept, repeated and failed cells."""

import errno
import json
from dataclasses import replace

import pytest
from small_grid import described, here, opened, results_of, scores_of, sources_with_nan

from stillwave.compare import Cell, compare, write_report
from stillwave.compare import work as work_module
from stillwave.compare.flow import cell_job, reference_jobs
from stillwave.compare.work import is_done, read_facts
from stillwave.errors import StillwaveError
from stillwave.training import Stopped, run_log, sources


def run(grid, **options):
    grid = opened(grid)
    return compare(grid, list(grid.cells()), executor=here, quiet=True, **options), grid


@pytest.fixture(scope="module")
def whole(world, tmp_path_factory):
    """A finished grid, to be looked at."""
    folder = tmp_path_factory.mktemp("grids") / "whole"
    return run(described(world, folder, methods="at,i2srf_tfckd", seeds="0,1", metrics=("si_sdr", "stoi")))[1]


def test_every_cell_is_a_run_folder_with_scores(whole):
    assert len(scores_of(whole.folder)) == 3 * 2 + 2, "and noisy input and teacher, once"
    for cell in whole.cells():
        folder = cell.folder(whole.folder)
        assert (folder / "recipe.yaml").exists()
        assert run_log.read(folder)[-1]["step"] == 2
        facts = read_facts(folder)
        assert facts["steps"] == 2
        assert facts["memory_bytes"] > 50e6
        assert facts["step_seconds"] > 0
        assert (facts["connectors"] > 0) == (cell.method == "i2srf_tfckd")
    assert all(is_done(job) for job in reference_jobs(whole))


def test_methods_share_initial_weights_and_mixtures(whole):
    def first(method):
        return next(
            e for e in run_log.read(Cell("8x1", method, 1).folder(whole.folder)) if e["kind"] == "train"
        )

    alone, taught = first("none")["loss"], first("at")["loss"]
    assert taught["enhancement"] == pytest.approx(alone["enhancement"], rel=1e-6)
    assert any(key.startswith("distill") for key in taught)


def test_the_report_is_quick_and_the_same_without_training(whole, monkeypatch):
    write_report(whole)
    before = {f.name: f.read_bytes() for f in (whole.folder / "report").iterdir() if f.suffix != ".png"}
    monkeypatch.setattr(work_module, "work", None)
    result, _ = run(whole)
    assert (result.done, result.failed, result.stopped) == (8, {}, 0)
    write_report(whole)
    assert {
        f.name: f.read_bytes() for f in (whole.folder / "report").iterdir() if f.suffix != ".png"
    } == before


def test_an_interrupted_grid_has_the_same_scores(world, whole, tmp_path, monkeypatch):
    """Cut in the middle of a cell's training, and then before a cell is scored."""
    grid = described(world, tmp_path / "cut", seeds="0,1", metrics=("si_sdr", "stoi"))
    write, is_scored = run_log.RunLog.write, work_module.is_scored

    def write_and_die(self, kind, step, **values):
        write(self, kind, step, **values)
        if kind == "train" and step == 2:
            raise KeyboardInterrupt

    def die(job, facts):
        if "seed-1" in job.folder:
            raise KeyboardInterrupt
        return is_scored(job, facts)

    for owner, name, deadly in ((run_log.RunLog, "write", write_and_die), (work_module, "is_scored", die)):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(owner, name, deadly)
            run(grid)
    assert len(scores_of(grid.folder)) == 2 + 2, "both references and one seed"
    assert run(grid)[0].done == 6
    assert scores_of(grid.folder).items() <= scores_of(whole.folder).items()


def test_a_failed_cell_does_not_stop_the_others(describe, tmp_path):
    absent = {"encoder": {"student": ["nowhere"], "teacher": ["encoder.0"]}}
    grid = describe(tmp_path / "grid", f"distill.taps={json.dumps(absent)}", methods="output,at")
    result, grid = run(grid)
    assert list(result.failed) == ["8x1 at seed 0"]
    assert "nowhere" in result.failed["8x1 at seed 0"]
    assert result.done == 4
    found = write_report(grid)
    assert found.failed == result.failed
    message = (grid.folder / "report/report.md").read_text()
    assert "failed: 8x1 at seed 0: " in message
    assert "nowhere" in message
    assert results_of(grid.folder)["failed"] == result.failed


def test_a_diverged_cell_is_repeated(describe, tmp_path, monkeypatch):
    grid = describe(tmp_path / "grid", "train.max_bad_batches=1", methods="none")
    with monkeypatch.context() as patch:
        patch.setattr(sources, "mixtures", sources_with_nan)
        result, grid = run(grid)
    assert "non-finite" in result.failed["8x1 none seed 0"]
    with pytest.raises(StillwaveError, match="grid: no cell"):
        write_report(grid)
    result, grid = run(grid)
    assert not result.failed
    assert not write_report(grid).failed


def test_methods_seeds_and_metrics_are_added_later(describe, tmp_path):
    folder = tmp_path / "grid"
    run(describe(folder))
    before = {f: f.stat().st_mtime_ns for f in folder.glob("runs/**/weights.safetensors")}
    result, grid = run(describe(folder, methods="sp", seeds="1", metrics=("si_sdr", "snr")))
    assert result.done == 2 + 3 * 2
    assert {f: f.stat().st_mtime_ns for f in before} == before, "nothing was trained again"
    (rows,) = write_report(grid).sections.values()
    assert [row.name for row in rows] == ["noisy", "teacher", "none", "at", "sp"]
    assert all(row.seeds == (0, 1) for row in rows[2:])
    assert all(row.means["snr"] is not None for row in rows)


def test_a_partial_grid_reports_what_it_has(describe, tmp_path):
    grid = opened(describe(tmp_path / "grid", methods="at,sp", seeds="0,1"))
    cells = [Cell("8x1", method, seed) for method, seed in (("none", 0), ("at", 0), ("none", 1))]
    compare(grid, cells, executor=here, quiet=True)
    found = write_report(grid)
    (rows,) = found.sections.values()
    assert [row.name for row in rows] == ["noisy", "teacher", "none", "at"]
    assert rows[2].seeds == (0, 1)
    assert rows[3].differences["si_sdr"].seeds == 1, "over the seeds that both have"
    assert len(found.missing) == 3
    assert "not finished: 3 cells" in (grid.folder / "report/report.md").read_text()


def test_a_stopped_grid_reports_the_remaining_cells(describe, tmp_path):
    grid = opened(describe(tmp_path / "grid"))

    def executor(jobs, at_once, stop):
        done = here(jobs[:3], at_once, stop)
        yield from done
        yield from here(jobs[3:], at_once, lambda: True)

    result = compare(grid, list(grid.cells()), executor=executor, quiet=True)
    assert (result.done, result.stopped) == (3, 1)


def test_two_commands_in_one_grid_are_refused(describe, tmp_path):
    import subprocess
    import sys

    grid = opened(describe(tmp_path / "grid"))
    hold = (
        "import sys; from filelock import FileLock; lock = FileLock(sys.argv[1]); lock.acquire(); "
        "print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(grid.folder / ".lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        other.stdout.readline()
        with pytest.raises(StillwaveError, match="grid: another `stillwave compare`"):
            compare(grid, list(grid.cells()), executor=here, quiet=True)
        other.stdin.close()


def test_a_full_disk_fails_only_its_cell(describe, tmp_path, monkeypatch):
    from stillwave.training import state

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(state.checkpoint, "write", full)
        result, _ = run(describe(tmp_path / "grid"))
    assert result.done == 2
    assert all("No space left on device" in sentence for sentence in result.failed.values())
    assert run(describe(tmp_path / "grid"))[0].done == 4


def test_missing_recordings_are_reported_before_any_cell_starts(describe, tmp_path):
    grid = opened(describe(tmp_path / "grid", "data.train.speech=absent"))
    with pytest.raises(StillwaveError, match="absent"):
        compare(grid, list(grid.cells()), executor=here, quiet=True)


def test_parallel_cells_mix_in_their_own_process(describe, tmp_path):
    grid = describe(tmp_path / "grid", "data.workers=3")
    cell = next(iter(grid.cells()))
    assert "workers: 0" in cell_job(grid, cell, jobs=2).recipe
    assert "workers: 3" in cell_job(grid, cell, jobs=1).recipe


def test_scores_of_another_checkpoint_are_not_used(whole):
    job = cell_job(whole, next(iter(whole.cells())))
    facts = read_facts(Cell("8x1", "none", 0).folder(whole.folder))
    assert work_module.is_scored(job, facts)
    assert not work_module.is_scored(job, {**facts, "checkpoint": "another"})
    assert not work_module.is_scored(replace(job, test_sha256="another"), facts)
    assert not work_module.is_scored(replace(job, metrics=("pesq_wb",)), facts)
    assert not work_module.is_scored(job, {})


def test_a_moved_grid_resumes(describe, tmp_path):
    grid = opened(describe(tmp_path / "one"))

    def executor(jobs, at_once, stop):
        yield from here(jobs[:3], at_once, stop)

    def cut(*_):
        raise Stopped("cut", 2)

    compare(grid, list(grid.cells()), executor=executor, quiet=True)
    at = Cell("8x1", "at", 0)
    job = cell_job(grid, at)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(run_log.RunLog, "sync", cut)
        work_module.work(job)
    grid.folder.rename(tmp_path / "two")
    result, _ = run(describe(tmp_path / "two"))
    assert (result.done, result.failed) == (4, {})
