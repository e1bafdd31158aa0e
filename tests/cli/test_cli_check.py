"""`stillwave check`, and its former name `stillwave distill --check`."""

import json

import pytest
from cli_recordings import one_thread  # noqa: F401
from verbs import call

from stillwave.cli.check import check as verb
from stillwave.cli.distill import distill


def check(place, *options):
    return call(verb, place / "taught.yaml", "--teacher", place / "teacher", *options)


def test_check_prints_a_table(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = check(place)
    assert result.exit_code == 0, result.stderr
    for wanted in ("encoder.0", "8 × 17 × 129", "middle.outputs.1", "enhancement", "inter", "λ = "):
        assert wanted in result.stdout, wanted
    assert "batch: 2 × 0.25 s of the recipe's mixtures" in result.stdout
    assert "schedule: 3 updates with both losses" in result.stdout
    assert not list(tmp_path.iterdir()), "a look leaves nothing behind"


def test_check_prints_json(place):
    result = check(place, "--json", "--set", "distill.rho=0.4")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert [term["name"] for term in found["terms"]] == ["encoder", "middle", "decoder", "inter"]
    assert found["parameters"]["student"] == 9930
    assert found["taps"]["middle"]["teacher"][1] == {
        "name": "middle.outputs.1", "channels": 16, "frames": 17, "bins": 64, "parameters": 0,
    }  # fmt: skip
    gradients = [term["gradient"] for term in found["terms"]]
    assert sum(term["share"] for term in found["terms"]) == pytest.approx(1)
    assert 0 < found["weight"] * max(gradients) <= 0.4 * found["gradient"] * 1.5


def test_without_data_a_synthetic_batch_is_used(place):
    result = check(place, "--set", "data.train={speech: gone, noise: gone}", "--set", "distill.method=at")
    assert result.exit_code == 0, result.stderr
    assert "of synthetic speech and noise, because the recipe's data cannot be read (gone: " in result.stdout


def test_a_warning_is_not_an_error(place):
    result = check(place, "--set", "distill.weight=1e6", "--set", "distill.method=sp")
    assert result.exit_code == 0
    assert "warning: " in result.stdout
    assert "dominates" in result.stdout
    assert "no warnings" not in result.stdout


def test_a_two_step_schedule_is_reported(place):
    result = check(place, "--set", "distill.method=two_step", "--set", "train.steps=100")
    assert "schedule: 100 updates: 25 of distillation alone, then 75 without" in result.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--set", "distill.taps={a: {student: [encodr.0], teacher: [encoder.0]}}"], "did you mean 'encoder"),
        (["--set", "distill.method=none"], "has no teacher (no distill section, or method none)"),
        (["--teacher", "absent"], "absent: no such folder"),
    ],
)
def test_a_recipe_that_a_run_refuses_is_an_error(place, options, message):
    result = check(place, *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_no_cache_is_created_or_filled(place, tmp_path):
    from stillwave.distill.cache import open_cache

    cache = tmp_path / "cache"
    assert check(place, "--set", f"distill.cache={cache}", "--set", "distill.method=at").exit_code == 0
    assert not cache.exists()
    open_cache(cache, "another", 1.0, "float32")
    refused = check(place, "--set", f"distill.cache={cache}", "--set", "distill.method=at")
    assert refused.exit_code == 2
    assert "belongs to another teacher" in refused.stderr


def test_a_recipe_without_a_teacher_is_refused(place):
    result = call(distill, place / "alone.yaml", "--check")
    assert result.exit_code == 2
    assert "tiny: has no teacher" in result.stderr
