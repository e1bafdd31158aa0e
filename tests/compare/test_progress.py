from stillwave import recipe as recipes
from stillwave.compare.executors import JobResult
from stillwave.compare.progress import last_step, steps_of, watched
from stillwave.compare.work import Job


def job(folder, text=""):
    return Job(folder=str(folder), test="t", test_sha256="x", metrics=("stoi",), recipe=text)


def test_progress_uses_the_last_complete_line(tmp_path):
    assert last_step(tmp_path) == 0
    log = tmp_path / "log.jsonl"
    log.write_text('{"step": 1}\n{"step": 2}\n{"st')
    assert last_step(tmp_path) == 2
    log.write_text('{"step": 1}\n' + "x" * 100_000 + '\n{"step": 7}\n')
    assert last_step(tmp_path) == 7
    log.write_text("garbage\n")
    assert last_step(tmp_path) == 0


def test_results_are_unchanged_with_and_without_a_bar(world, tmp_path, capsys):
    text = recipes.dump(recipes.load(world / "recipe.yaml"))
    jobs = [job(tmp_path / "a", text), job(tmp_path / "b"), job(tmp_path / "c", text)]
    assert steps_of(jobs[0]) == 2
    outcomes = [JobResult(jobs[0].folder, "done"), JobResult(jobs[1].folder, "failed", "why")]
    assert list(watched(iter(outcomes), jobs, jobs[:2], quiet=True)) == outcomes
    assert not capsys.readouterr().err
    assert list(watched(iter(outcomes), jobs, jobs[:2], quiet=False)) == outcomes
    message = capsys.readouterr().err
    assert "3 of 3 cells, 1 failed" in message
    assert "2/2" in message
