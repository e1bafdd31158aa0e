"""A Python function as a denoiser."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stillwave.audio import Samples
from stillwave.errors import fault_text
from stillwave.external.contract import ExternalDenoiser, ExternalError
from stillwave.files import sha256


class FunctionDenoiser(ExternalDenoiser):
    """`function(samples, rate)` maps NumPy float32 `[B, n]` to `[B, n]`.

    Its identity is its name and the SHA-256 of the file that defines it; weights that it loads are not known.
    """

    def __init__(self, function: Callable[[Samples, int], Any], rate: int, name: str = "") -> None:
        plain = getattr(function, "__qualname__", type(function).__qualname__)
        module = getattr(function, "__module__", "")
        super().__init__(
            name or f"function {plain}", rate, ["function", module, plain, source_hash(function)]
        )
        self._function = function

    def run(self, samples: Samples) -> Any:
        """Return the estimate for one example."""
        return self._function(samples[None], self.rate)

    def run_batch(self, samples: Samples) -> Any:
        """Return the estimates for a batch, from one call."""
        return self._function(samples, self.rate)


def source_hash(value: Any) -> str:
    """Return the SHA-256 of the file that defines a function, or the class of an object; empty if there is none."""
    try:
        file = inspect.getsourcefile(value if inspect.isroutine(value) else type(value))
        return sha256(Path(file)) if file else ""
    except (TypeError, OSError):
        return ""


def imported(place: str) -> Any:
    """Import the object of `MODULE:NAME`; modules in the working directory are found too.

    Raises:
        ExternalError: The module or the name does not exist, or the import fails.

    """
    module, colon, name = place.partition(":")
    if not (module and colon and name):
        raise ExternalError(f"python:{place}: write python:MODULE:NAME, as in python:mydenoiser:enhance")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except Exception as error:  # an import runs any code
        raise ExternalError(f"python:{place}: cannot be imported ({fault_text(error)})") from None
    finally:
        sys.path.remove(str(Path.cwd()))
    return found


def place_of(value: Any) -> str:
    """Return `python:MODULE:NAME` of a function, or of an object at the top level of its module.

    Examples:
        >>> place_of(place_of)
        'python:stillwave.external.function:place_of'

    Raises:
        ExternalError: It cannot be imported by a name, as a lambda or an inner function cannot.

    """
    module = getattr(value, "__module__", "")
    scope = vars(sys.modules[module]) if module in sys.modules else {}
    name = next((name for name, found in scope.items() if found is value), "")
    if not name:
        raise ExternalError(
            f"{getattr(value, '__qualname__', type(value).__qualname__)}: has no name at the top level of module "
            f"'{module}'; define it there, or give teacher='python:MODULE:NAME'"
        )
    return f"python:{module}:{name}"
