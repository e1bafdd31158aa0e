"""What `import stillwave` offers: names, signatures, and one sentence where an extra is missing."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys

import pytest

import stillwave
from stillwave import errors
from stillwave.errors import MissingExtraError, StillwaveError

PUBLIC = ["Distiller", "Enhancer", "StillwaveError", "Stream", "__version__", "load"]
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


def test_without_pytorch_the_package_can_be_looked_at():
    ended = python(
        WITHOUT_TORCH + "import inspect, pydoc\n"
        "pydoc.render_doc(stillwave)\n"
        "print([name for name, _ in inspect.getmembers(stillwave)])"
    )
    assert ended.stdout.strip() == str([name for name in PUBLIC if name != "Distiller"]), ended.stderr


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'stillwave' has no attribute 'Enhance'"):
        _ = stillwave.Enhance


@pytest.mark.parametrize(
    "function",
    [
        stillwave.load,
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
