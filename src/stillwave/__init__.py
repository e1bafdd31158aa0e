"""stillwave distils speech enhancement: it turns a large denoiser into a small one and keeps its quality.

`load` gives an `Enhancer` for recordings, whose `open` gives a `Stream` for live sound; `Distiller` compares a student
with its teacher. `stillwave.training.train` and `stillwave.evaluation` train and score; see the reference.

Importing the package is cheap and needs no PyTorch; what needs it is imported when first used.

Examples:
    >>> import stillwave
    >>> sorted(stillwave.__all__)
    ['Distiller', 'Enhancer', 'StillwaveError', 'Stream', '__version__', 'load']

"""

from __future__ import annotations

import importlib as _importlib
import os as _os
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

if _TYPE_CHECKING:
    from stillwave.distill import Distiller
    from stillwave.errors import StillwaveError
    from stillwave.inference import Enhancer, Stream, load

__version__ = "0.1.0"
__all__ = ["Distiller", "Enhancer", "StillwaveError", "Stream", "__version__", "load"]

# What people clean is theirs: ONNX Runtime, from 1.29 on, reports its use and keeps an identifier of the machine unless
# it is told not to before it is imported. Who wants that sets the variable to 0.
_os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_HOME = {
    "Distiller": "stillwave.distill",
    "Enhancer": "stillwave.inference",
    "StillwaveError": "stillwave.errors",
    "Stream": "stillwave.inference",
    "load": "stillwave.inference",
}
_EXTRA = {"Distiller": "train"}
"""The extra that a name needs."""


if not _TYPE_CHECKING:  # else type checkers would take any name for one that is there

    def __getattr__(name: str) -> _Any:
        if name not in _HOME:
            raise AttributeError(f"module 'stillwave' has no attribute '{name}'")
        try:
            return getattr(_importlib.import_module(_HOME[name]), name)
        except ModuleNotFoundError as error:
            if name not in _EXTRA or (error.name or "").startswith("stillwave"):
                raise
            from stillwave.errors import MissingExtraError

            raise MissingExtraError(f"stillwave.{name}", _EXTRA[name]) from None

    def __dir__() -> list[str]:
        """The public names; without PyTorch, those that need none."""
        return sorted(name for name in __all__ if name not in _EXTRA or _has_pytorch())

    def _has_pytorch() -> bool:
        from importlib.util import find_spec

        try:
            return find_spec("torch") is not None
        except (ImportError, ValueError):  # barred from being imported
            return False
