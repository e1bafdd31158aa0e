"""Speech enhancement: remove noise from recordings and live sound; train, distil and export the networks for it.

This module is the public API. Importing it needs no PyTorch; what needs it is imported when it is first used.

Examples:
    >>> import stillwave
    >>> dir(stillwave)[:4]
    ['Distiller', 'Enhancer', 'Method', 'StillwaveError']

"""

from __future__ import annotations

import importlib as _importlib
import os as _os
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

if _TYPE_CHECKING:
    from stillwave.api import adapt, evaluate, export, list_models, train
    from stillwave.distill import Distiller, Method
    from stillwave.distill import register as register_method
    from stillwave.errors import StillwaveError
    from stillwave.inference import Enhancer, Stream, load

__version__ = "0.1.0"
__all__ = [
    "Distiller",
    "Enhancer",
    "Method",
    "StillwaveError",
    "Stream",
    "__version__",
    "adapt",
    "evaluate",
    "export",
    "list_models",
    "load",
    "register_method",
    "train",
]

# From 1.29 on, ONNX Runtime sends telemetry unless this is set before it is imported; the value 0 of a user is kept.
_os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_SOURCES = {
    "Distiller": "stillwave.distill",
    "Enhancer": "stillwave.inference",
    "Method": "stillwave.distill",
    "StillwaveError": "stillwave.errors",
    "Stream": "stillwave.inference",
    "adapt": "stillwave.api",
    "evaluate": "stillwave.api",
    "export": "stillwave.api",
    "list_models": "stillwave.api",
    "load": "stillwave.inference",
    "register_method": "stillwave.distill",
    "train": "stillwave.api",
}
_EXTRAS = {"Distiller": "train", "Method": "train", "register_method": "train"}


if not _TYPE_CHECKING:  # else type checkers accept any name

    def __getattr__(name: str) -> _Any:
        if name not in _SOURCES:
            raise AttributeError(f"module 'stillwave' has no attribute '{name}'")
        try:
            source = _importlib.import_module(_SOURCES[name])
        except ModuleNotFoundError as error:
            if name not in _EXTRAS or (error.name or "").startswith("stillwave"):
                raise
            from stillwave.errors import MissingExtraError

            raise MissingExtraError(f"stillwave.{name}", _EXTRAS[name]) from None
        return getattr(source, "register" if name == "register_method" else name)

    def __dir__() -> list[str]:
        """Return the public names; without PyTorch, those that work without it."""
        return sorted(name for name in __all__ if name not in _EXTRAS or _has_pytorch())

    def _has_pytorch() -> bool:
        from importlib.util import find_spec

        try:
            return find_spec("torch") is not None
        except (ImportError, ValueError):  # its import is blocked
            return False
