"""stillwave distils speech enhancement: it turns a large denoiser into a small one and keeps its quality.

`stillwave.train.train` and `stillwave.evaluate` are the rest of the road; see the reference.

Importing the package is cheap and needs no PyTorch; what needs it is imported when first used.

Examples:
    >>> import stillwave
    >>> sorted(stillwave.__all__)
    ['Distiller', '__version__', 'load']

"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stillwave.distill import Distiller
    from stillwave.enhance import load

__version__ = "0.1.0"
__all__ = ["Distiller", "__version__", "load"]

# What people clean is theirs: ONNX Runtime, from 1.29 on, reports its use and keeps an identifier of the machine unless
# it is told not to before it is imported. Who wants that sets the variable to 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_HOME = {"Distiller": "stillwave.distill", "load": "stillwave.enhance"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'stillwave' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOME[name]), name)
