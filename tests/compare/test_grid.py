"""What a grid is, and which folders it will not have."""

import json
import shutil
from dataclasses import replace

import pytest
from small_grid import opened

from stillwave import checkpoint
from stillwave import recipe as recipes
from stillwave.compare import Cell
from stillwave.compare.grid import examine_test, read
from stillwave.errors import RecipeError, StillwaveError
from stillwave.schema import ModelConfig


def test_cells_come_seed_by_seed(describe, tmp_path):
    grid = describe(tmp_path / "grid", methods="at,sp", seeds="0,1", students="8x1,16x1")
    cells = list(grid.cells())
    assert len(cells) == 3 * 2 * 2
    assert [cell.seed for cell in cells] == [0] * 6 + [1] * 6, "a half-done grid is a fair table"
    assert cells[0] == Cell("8x1", "none", 0)
    assert {cell.method for cell in cells[:3]} == {"none", "at", "sp"}


def test_recipes_of_cells_differ_in_seed_network_and_method_alone(describe, tmp_path):
    variant = "strong={name: at, power: 4, rho: 1}"
    grid = describe(tmp_path / "grid", seeds="0,5", students="8x1,16x2", variants=[variant])
    one = grid.recipe_of(Cell("8x1", "at", 0))
    assert recipes.differences(one, grid.recipe_of(Cell("8x1", "at", 5))) == ["seed"]
    assert recipes.differences(one, grid.recipe_of(Cell("16x2", "at", 0))) == [
        "model.channels",
        "model.blocks",
    ]
    strong = grid.recipe_of(Cell("8x1", "strong", 0))
    assert recipes.differences(one, strong) == ["distill.method.power", "distill.rho"]
    none = grid.recipe_of(Cell("8x1", "none", 0))
    assert all(key.startswith("distill.method") for key in recipes.differences(one, none))
    assert one.distill.teacher == str((tmp_path / "grid").resolve() / "teacher")
    assert grid.recipe_of(Cell("16x2", "at", 0)).model == ModelConfig(channels=16, blocks=2, depth=1)


def test_a_grid_is_read_back_and_grows(describe, tmp_path):
    folder = tmp_path / "grid"
    first = opened(describe(folder, seeds="1"))
    assert read(folder) == first
    second = opened(describe(folder, methods="sp", seeds="0", students="16x1"))
    assert list(second.methods) == ["none", "at", "sp"]
    assert second.seeds == (0, 1)
    assert list(second.students) == ["8x1", "16x1"]
    assert read(folder) == second


def test_the_teacher_is_copied(describe, world, tmp_path):
    teacher = tmp_path / "mine"
    shutil.copytree(world / "teacher", teacher)
    grid = describe(tmp_path / "grid", f"distill.teacher={teacher}")
    opened(grid)
    shutil.rmtree(teacher)
    assert checkpoint.load(tmp_path / "grid" / "teacher")[1].sha256 == grid.teacher


def test_another_teacher_is_refused(describe, world, tmp_path):
    opened(describe(tmp_path / "grid"))
    before = (tmp_path / "grid/grid.json").read_text()
    with pytest.raises(StillwaveError, match=r"grid: .*teacher \(weights .*, not "):
        opened(describe(tmp_path / "grid", f"distill.teacher={world / 'other-teacher'}"))
    assert (tmp_path / "grid/grid.json").read_text() == before


def test_a_moved_teacher_is_accepted(describe, world, tmp_path):
    opened(describe(tmp_path / "grid"))
    shutil.copytree(world / "teacher", tmp_path / "moved")
    opened(describe(tmp_path / "grid", f"distill.teacher={tmp_path / 'moved'}"))


def test_another_recipe_is_refused_by_key_except_for_where_it_runs(describe, tmp_path):
    opened(describe(tmp_path / "grid"))
    with pytest.raises(StillwaveError, match=r"optimiser\.lr .*1 more"):
        opened(describe(tmp_path / "grid", "train.steps=4", "optimiser.lr=0.1"))
    with pytest.raises(StillwaveError, match=r"distill\.rho"):
        opened(describe(tmp_path / "grid", "distill.rho=0.5"))
    opened(describe(tmp_path / "grid", "data.workers=2", "seed=9"))


def test_the_same_name_with_other_options_is_refused(describe, tmp_path):
    opened(describe(tmp_path / "grid", variants=["mine={name: at, power: 3}"]))
    with pytest.raises(StillwaveError, match=r"'mine'.*--variant"):
        opened(describe(tmp_path / "grid", variants=["mine={name: at, power: 4}"]))


def test_another_test_set_is_refused_even_at_the_same_path(describe, world, tmp_path):
    grid = describe(tmp_path / "grid")
    opened(grid)
    copy = tmp_path / "test"
    shutil.copytree(world / "test", copy)
    assert examine_test(copy).sha256 == grid.test.sha256
    shutil.copy(copy / "noisy/0.wav", copy / "noisy/1.wav")
    with pytest.raises(StillwaveError, match=r"grid: .*test set .*test at"):
        opened(replace(grid, test=examine_test(copy)))


def test_options_that_no_method_has_are_found_before_anything_is_written(describe, tmp_path):
    with pytest.raises(RecipeError, match=r"--methods mine: distill\.method.*power"):
        opened(describe(tmp_path / "grid", variants=["mine={name: at, power: -1}"]))
    assert not (tmp_path / "grid").exists()


def test_folders_of_something_else_are_refused(describe, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StillwaveError, match="file: is a file"):
        opened(describe(tmp_path / "file"))
    with pytest.raises(StillwaveError, match="file: is a file; expected a folder"):
        opened(describe(tmp_path / "file" / "grid"))
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/cat.png").write_text("x")
    with pytest.raises(StillwaveError, match=r"photos: .*'cat\.png'"):
        opened(describe(tmp_path / "photos"))
    with pytest.raises(StillwaveError, match=r"/proc/grid: .*created"):
        opened(describe(type(tmp_path)("/proc/grid")))


@pytest.mark.parametrize("text", ["", "[]", "{}", json.dumps({"recipe": {}})])
def test_a_damaged_description_is_reported(tmp_path, text):
    (tmp_path / "grid.json").write_text(text)
    with pytest.raises(StillwaveError, match=r"grid\.json: .*read"):
        read(tmp_path)
    assert read(tmp_path / "none") is None
