import json

import pytest
import yaml
from verbs import call

from stillwave.cli import recipes
from stillwave.recipe import load, shipped

BASE = "data: {train: {speech: a, noise: b}, development: d}\n"


def test_ls_lists_every_shipped_recipe_with_what_it_is_for():
    listed = call(recipes.ls).stdout.splitlines()
    assert [line.split()[0] for line in listed] == sorted(shipped())
    assert all(len(line.split()) > 4 for line in listed)
    assert list(json.loads(call(recipes.ls, "--json").stdout)) == sorted(shipped())


def test_cat_prints_the_file_or_the_whole():
    assert call(recipes.cat, "small-student").stdout == shipped()["small-student"].read_text()
    whole = yaml.safe_load(call(recipes.cat, "small-student", "--resolved").stdout)
    assert whole["optimiser"]["clip_norm"] == 5.0
    changed = yaml.safe_load(call(recipes.cat, "small-student", "--set", "train.steps=7").stdout)
    assert changed["train"]["steps"] == 7


def test_cp_copies_and_does_not_overwrite(tmp_path):
    target = tmp_path / "mine.yaml"
    assert call(recipes.cp, "small-student", target).stdout.strip() == str(target)
    assert load(target) == load("small-student")
    again = call(recipes.cp, "small-teacher", target)
    assert again.exit_code == 2
    assert "exists already" in again.stderr
    assert load(target) == load("small-student")
    assert call(recipes.cp, "small-teacher", target, "--overwrite").exit_code == 0
    assert load(target) == load("small-teacher")
    call(recipes.cp, "small-teacher", tmp_path)
    assert (tmp_path / "small-teacher.yaml").exists()


def test_check_accepts_the_shipped_recipes():
    result = call(recipes.check, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {name: [] for name in sorted(shipped())}
    assert "small-student: valid" in call(recipes.check, "small-student").stdout


def test_check_reports_faults_and_fails(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(BASE + "train: {stepz: 3}\n")
    result = call(recipes.check, file, "small-student")
    assert result.exit_code == 2
    assert "mine.yaml: train.stepz is not a key; did you mean 'steps'?" in result.stdout
    assert "small-student: valid" in result.stdout
    assert call(recipes.check, "small-student", "--set", "train.steps=none").exit_code == 2


@pytest.mark.parametrize("verb", [recipes.ls, recipes.cat, recipes.cp, recipes.check])
def test_help_ends_with_an_example(verb):
    assert f"stillwave recipes {verb.__name__}" in call(verb, "--help").stdout
