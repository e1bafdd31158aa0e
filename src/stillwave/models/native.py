"""Compile and load the C kernels of this package, where the machine has a C compiler.

The compiled library is kept in `$XDG_CACHE_HOME/stillwave/native` (by default below `~/.cache`), named by a hash of
source, compiler options and processor, so that it is built once. Without a compiler, or with `STILLWAVE_NATIVE=0`,
everything runs on PyTorch's own operators, more slowly.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch

SWITCH = "STILLWAVE_NATIVE"
_COMMON = ("-O3", "-ffp-contract=fast", "-fno-math-errno", "-shared", "-fPIC")
_enabled = True
_TARGETS = (("-march=native",), ("-mcpu=native",), ())


@functools.cache
def load(source: Path) -> ctypes.CDLL | None:
    """The compiled form of a C file, or None where it cannot be had."""
    compiler = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc") or shutil.which("clang")
    if os.environ.get(SWITCH) == "0" or compiler is None or os.name != "posix":
        return None
    for target in _TARGETS:
        try:
            return ctypes.CDLL(str(_compiled(source, compiler, (*_COMMON, *target))))
        except (OSError, subprocess.SubprocessError):
            continue
    return None


@contextlib.contextmanager
def switched_off() -> Iterator[None]:
    """Within it, no kernel is used: to compare with PyTorch's own operators."""
    global _enabled
    before, _enabled = _enabled, False
    try:
        yield
    finally:
        _enabled = before


def allowed() -> bool:
    """Whether a kernel may be used: not while a graph is recorded, which can hold PyTorch's own operators only."""
    recorded = torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export()
    return _enabled and not recorded and torch._C._get_tracing_state() is None


def packed(weight: torch.Tensor) -> torch.Tensor:
    """`[inner, outer]` in panels of 16 columns and, last, of 8: the order in which the kernels read a matrix."""
    inner, outer = weight.shape
    full = outer // 16 * 16
    panels = weight[:, :full].reshape(inner, -1, 16).transpose(0, 1).reshape(-1)
    return torch.cat([panels, weight[:, full:].reshape(-1)])


def _compiled(source: Path, compiler: str, options: tuple[str, ...]) -> Path:
    text = b"".join(path.read_bytes() for path in (source, *sorted(source.parent.glob("*.h"))))
    key = hashlib.sha256("\0".join((*options, *_processor())).encode() + text).hexdigest()[:32]
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stillwave" / "native"
    target = folder / f"{source.stem}-{key}.so"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as work:
            built = Path(work) / "built.so"
            command = [compiler, *options, "-o", str(built), str(source)]
            subprocess.run(command, check=True, capture_output=True, timeout=120)
            built.replace(target)
    return target


def _processor() -> Iterator[str]:
    """What `native` stands for: a cache may be shared by machines."""
    yield platform.machine()
    yield platform.processor()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    yield from sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))})
