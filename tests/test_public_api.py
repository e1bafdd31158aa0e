"""What `import stillwave` offers: names, signatures, and one sentence where an extra is missing."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys

import numpy as np
import pytest
import soundfile

import stillwave
from stillwave import errors
from stillwave.errors import MissingExtraError, StillwaveError
from stillwave.recipe import load as load_recipe

PUBLIC = [
    *("Distiller", "Enhancer", "Method", "StillwaveError", "Stream", "__version__"),
    *("adapt", "evaluate", "export", "list_models", "load", "register_method", "train"),
]
NEED_PYTORCH = ("Distiller", "Method", "register_method")
WITHOUT_TORCH = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
sys.meta_path.insert(0, Block())
import stillwave
"""


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_dir_shows_the_public_names_and_no_imports():
    assert dir(stillwave) == sorted(stillwave.__all__) == PUBLIC
    for name in PUBLIC:
        assert getattr(stillwave, name) is not None


@pytest.mark.parametrize("how", ["stillwave.Distiller", "from stillwave import Distiller"])
def test_without_pytorch_the_distiller_names_its_extra(how):
    ended = python(
        WITHOUT_TORCH + "try:\n"
        f"    {how}\n"
        "except ImportError as error:\n"
        "    print(type(error).__name__, isinstance(error, stillwave.StillwaveError), error)\n"
    )
    expected = (
        "MissingExtraError True stillwave.Distiller needs the 'train' extra: pip install 'stillwave[train]'"
    )
    assert ended.stdout.strip() == expected, ended.stderr


@pytest.mark.parametrize(
    ("call", "extra"),
    [
        ("train('small-student', 'runs/student', teacher='runs/teacher')", "train"),
        ("export('runs/student', 'student.onnx')", "export"),
    ],
)
def test_without_pytorch_functions_name_their_extra(call, extra):
    ended = python(
        WITHOUT_TORCH + "try:\n"
        f"    stillwave.{call}\n"
        "except stillwave.StillwaveError as error:\n"
        "    print(error)\n"
    )
    name = call.partition("(")[0]
    expected = f"stillwave.{name} needs the '{extra}' extra: pip install 'stillwave[{extra}]'"
    assert ended.stdout.strip() == expected, ended.stderr


def test_without_pytorch_the_package_can_be_inspected():
    ended = python(
        WITHOUT_TORCH + "import inspect, pydoc\n"
        "pydoc.render_doc(stillwave)\n"
        "print([name for name, _ in inspect.getmembers(stillwave)])"
    )
    assert ended.stdout.strip() == str([name for name in PUBLIC if name not in NEED_PYTORCH]), ended.stderr


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"'stillwave'.*'Enhance'"):
        _ = stillwave.Enhance


@pytest.mark.parametrize(
    "function",
    [
        stillwave.load,
        stillwave.train,
        stillwave.evaluate,
        stillwave.export,
        stillwave.Enhancer.__init__,
        stillwave.Enhancer.open,
        stillwave.Enhancer.enhance,
        stillwave.Enhancer.enhance_file,
        stillwave.Enhancer.enhance_blocks,
    ],
)
def test_options_are_named_in_the_signature(function):
    kinds = [parameter.kind for parameter in inspect.signature(function).parameters.values()]
    assert inspect.Parameter.VAR_KEYWORD not in kinds
    assert inspect.Parameter.VAR_POSITIONAL not in kinds


def test_errors_survive_a_process():
    """Workers hand them back pickled."""
    found = [kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, Exception)]
    assert MissingExtraError in found
    for kind in found:
        error = kind("live sound", "live") if kind is MissingExtraError else kind("a file: is empty")
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is kind
        assert str(again) == str(error)
        assert isinstance(again, StillwaveError)


@pytest.mark.parametrize("name", [name for name in PUBLIC if inspect.isfunction(getattr(stillwave, name))])
def test_functions_are_typed_and_documented(name):
    function = getattr(stillwave, name)
    signature = inspect.signature(function)
    assert signature.return_annotation is not inspect.Signature.empty
    for parameter in signature.parameters.values():
        assert parameter.annotation is not inspect.Parameter.empty, parameter
        assert f"{parameter.name}: " in function.__doc__ or name in ("load", "register_method"), parameter


def test_evaluate_scores_folders(tmp_path):
    rng = np.random.default_rng(0)
    clean = 0.1 * rng.standard_normal(16_000)
    for folder, noise in (("clean", 0.0), ("noisy", 0.1), ("enhanced", 0.01)):
        (tmp_path / folder).mkdir()
        soundfile.write(
            tmp_path / folder / "a.wav", clean + noise * rng.standard_normal(16_000), 16_000, "FLOAT"
        )
    scores = stillwave.evaluate(
        tmp_path / "enhanced", tmp_path / "clean", noisy=tmp_path / "noisy", metrics=["snr"], jobs=1
    )
    assert scores.systems == ("noisy", "enhanced")
    values = {row.system: row.scores["snr"].value for row in scores.rows}
    assert values["noisy"] == pytest.approx(0, abs=0.5)
    assert values["enhanced"] == pytest.approx(20, abs=0.5)
    named = stillwave.evaluate({"mine": tmp_path / "enhanced"}, tmp_path / "clean", metrics=["snr"], jobs=1)
    assert named.systems == ("mine",)


def test_train_takes_a_loaded_recipe_or_overrides():
    recipe = load_recipe("small-teacher")
    with pytest.raises(ValueError, match="overrides and teacher"):
        stillwave.train(recipe, "runs/teacher", overrides=["train.steps=1"])
    with pytest.raises(StillwaveError, match="stepz"):
        stillwave.train("small-teacher", "runs/teacher", overrides=["train.stepz=1"])


def test_export_expands_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    with pytest.raises(StillwaveError) as raised:
        stillwave.export("~/runs/student", "~/student.onnx")
    assert str(tmp_path / "runs" / "student") in str(raised.value)
