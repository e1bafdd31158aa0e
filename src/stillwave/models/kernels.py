"""Compile and load the C kernels of this package, where the machine has a C compiler.

The compiled library is kept in `$XDG_CACHE_HOME/stillwave/native` (by default below `~/.cache`), so that it is built
once. Its name holds a hash of source, compiler options and processor, and one of its own bytes: a damaged one is never
loaded, which could end the process. Where nothing can be kept, each process builds its own. Without a compiler, or with
`STILLWAVE_NATIVE=0`, everything runs on PyTorch's own operators, more slowly.
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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from stillwave.errors import StillwaveError

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
            return _library(source, compiler, (*_COMMON, *target))
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
    """Whether a kernel may be used: not while a graph is recorded, a function transformed, or autocast changes types.

    Those (`torch.func` and forward mode too) take PyTorch's own operators only.
    """
    recorded = torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export()
    transformed = torch._C._are_functorch_transforms_active() or torch.autograd.forward_ad._current_level >= 0
    wanted = _enabled and os.environ.get(SWITCH) != "0" and not torch.is_autocast_enabled("cpu")
    return wanted and not recorded and not transformed and torch._C._get_tracing_state() is None


def once(backward: Callable[..., Any]) -> Callable[..., Any]:
    """A backward pass that cannot itself be differentiated: refuse `create_graph=True`, whose terms would be lost."""

    @functools.wraps(backward)
    def checked(ctx: Any, *gradients: Any) -> Any:
        if torch.is_grad_enabled():
            raise StillwaveError(
                "the gradients of this network's compiled layers cannot be differentiated again (create_graph=True); "
                f"set {SWITCH}=0 in the environment to use PyTorch's operators, which can"
            )
        return backward(ctx, *gradients)

    return checked


def packed(weight: torch.Tensor) -> torch.Tensor:
    """`[inner, outer]` in panels of 16 columns and, last, of 8: the order in which the kernels read a matrix."""
    inner, outer = weight.shape
    full = outer // 16 * 16
    panels = weight[:, :full].reshape(inner, -1, 16).transpose(0, 1).reshape(-1)
    return torch.cat([panels, weight[:, full:].reshape(-1)])


def _library(source: Path, compiler: str, options: tuple[str, ...]) -> ctypes.CDLL:
    """From the cache, or built into it; where it cannot be written, built for this process alone."""
    text = b"".join(path.read_bytes() for path in (source, *sorted(source.parent.glob("*.h"))))
    key = hashlib.sha256("\0".join((*options, *_processor())).encode() + text).hexdigest()[:32]
    name = f"{source.stem}-{key}"
    command = [compiler, *options, str(source), "-o"]
    with contextlib.suppress(
        OSError, RuntimeError, subprocess.SubprocessError
    ):  # RuntimeError: there is no home
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stillwave" / "native"
        for kept in sorted(folder.glob(f"{name}-*.so")):
            if kept.name == _named(name, kept):
                return ctypes.CDLL(str(kept))
            kept.unlink()
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as work:
            built = _build(command, Path(work))
            return ctypes.CDLL(str(built.replace(folder / _named(name, built))))
    with tempfile.TemporaryDirectory() as work:
        return ctypes.CDLL(str(_build(command, Path(work))))


def _build(command: list[str], folder: Path) -> Path:
    built = folder / "built.so"
    subprocess.run([*command, str(built)], check=True, capture_output=True, timeout=120)
    return built


def _named(name: str, file: Path) -> str:
    return f"{name}-{hashlib.sha256(file.read_bytes()).hexdigest()[:32]}.so"


def _processor() -> Iterator[str]:
    """What `native` stands for: a cache may be shared by machines."""
    yield platform.machine()
    yield platform.processor()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    yield from sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))})
