import json

from cli_recordings import RECIPE, one_thread, write_recordings  # noqa: F401
from external_denoisers import program
from verbs import call

from stillwave import checkpoint
from stillwave.cli.distill import distill
from stillwave.cli.train import train
from stillwave.schema import ModelConfig


def test_a_student_is_distilled(place, tmp_path):
    result = call(
        distill, place / "taught.yaml", "-o", tmp_path / "run", "--teacher", place / "teacher", "--json"
    )
    assert result.exit_code == 0, result.stderr
    figures = json.loads(result.stdout)
    student, card = checkpoint.load(figures["checkpoint"])
    assert student.config == ModelConfig(channels=8, blocks=1)
    assert card.recipe["distill"]["teacher"] == str(place / "teacher")
    assert figures["parameters"] == sum(p.numel() for p in student.parameters())


def test_train_and_distill_refer_to_each_other(place, tmp_path):
    wrong = call(distill, place / "alone.yaml", "-o", tmp_path / "run", "--teacher", place / "teacher")
    assert wrong.exit_code == 2
    assert "has no 'distill' section" in wrong.stderr
    assert "stillwave train" in wrong.stderr
    wrong = call(distill, place / "alone.yaml", "-o", tmp_path / "run")
    assert "stillwave train" in wrong.stderr
    wrong = call(train, place / "taught.yaml", "-o", tmp_path / "run")
    assert wrong.exit_code == 2
    assert "stillwave distill" in wrong.stderr
    assert not (tmp_path / "run").exists()


def test_a_missing_teacher_is_reported(place, tmp_path):
    result = call(distill, place / "taught.yaml", "-o", tmp_path / "run")
    assert result.exit_code == 2
    assert "absent: no such folder; give a checkpoint, a run folder or one of bsrnn-m" in result.stderr


def test_a_missing_recipe_or_run_folder_is_reported(place):
    assert "give a recipe and a run folder" in call(distill).stderr
    assert "give a recipe and a run folder" in call(distill, place / "taught.yaml").stderr


def test_the_former_option_explain_writes_the_report_of_a_run(tmp_path):
    assert "not a run folder" in call(distill, "--explain", tmp_path / "nowhere").stderr


def test_missing_layers_are_reported(place, tmp_path):
    taps = "distill.taps={encoder: {student: [nosuch], teacher: [nosuch]}}"
    result = call(
        distill, place / "taught.yaml", "-o", tmp_path / "run", "--teacher", place / "teacher", "--set", taps
    )
    assert result.exit_code == 2
    assert "nosuch" in result.stderr
    assert "Traceback" not in result.stderr


def test_help_ends_with_an_example():
    assert "stillwave distill small-student -o runs/student" in call(distill, "--help").stdout


def test_a_program_is_a_teacher(place, tmp_path):
    line = program(tmp_path)
    result = call(
        *(distill, place / "taught.yaml", "-o", tmp_path / "run", "--teacher-command", line),
        *("--set", "distill.method=output", "--set", "train.steps=1"),
    )
    assert result.exit_code == 0, result.stderr
    assert f"teacher command '{line}': 16000 Hz, output 137 samples" in result.stderr
    both = call(
        distill, place / "taught.yaml", "-o", tmp_path / "two", "--teacher", "t", "--teacher-command", line
    )
    assert both.exit_code == 2
    assert "give one" in both.stderr


def test_a_teacher_that_fails_is_reported_without_a_traceback(place, tmp_path):
    line = program(tmp_path, "crash")
    result = call(
        *(distill, place / "taught.yaml", "-o", tmp_path / "run", "--teacher-command", line),
        *("--set", "distill.method=output"),
    )
    assert result.exit_code == 2
    assert "ended with exit code 1: no memory left for in.wav" in result.stderr
    assert "Traceback" not in result.stderr
