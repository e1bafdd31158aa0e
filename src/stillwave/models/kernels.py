"""Compile and load the C kernels of this package, if the machine has a C compiler.

A compiled library is kept in `$XDG_CACHE_HOME/stillwave/kernels` (default: `~/.cache/stillwave/kernels`). Its name
holds a hash of source, compiler options and processor, and a hash of its own bytes, because loading a damaged library
can end the process. If the folder cannot be written, each process compiles its own library. Without a compiler, or with
`STILLWAVE_KERNELS=0`, PyTorch's operators are used, which are slower.
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
from typing import Any, TypeVar

import torch

from stillwave.errors import StillwaveError

SWITCH, OLD_SWITCH = "STILLWAVE_KERNELS", "STILLWAVE_NATIVE"
_COMMON = ("-O3", "-ffp-contract=fast", "-fno-math-errno", "-shared", "-fPIC")
Made = TypeVar("Made")
_enabled = True
_TARGETS = (("-march=native",), ("-mcpu=native",), ())


@functools.cache
def load(source: Path) -> ctypes.CDLL | None:
    """Return the library compiled from a C file, or None without a compiler or with the kernels switched off."""
    if _switched_off_by_user():
        return None
    return _first(lambda compiler, options: _library(source, compiler, options))


def compiled(source: Path, folder: Path) -> Path | None:
    """Compile any C file into a folder and return the library, or None without a compiler or if it fails."""
    return _first(lambda compiler, options: _build([compiler, *options, str(source), "-lm", "-o"], folder))


def _first(make: Callable[[str, tuple[str, ...]], Made]) -> Made | None:
    """Return what can be made with the compiler and the options of the first target that it accepts."""
    compiler = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc") or shutil.which("clang")
    if compiler is None or os.name != "posix":
        return None
    for target in _TARGETS:
        try:
            return make(compiler, (*_COMMON, *target))
        except (OSError, subprocess.SubprocessError):
            continue
    return None


def _switched_off_by_user() -> bool:
    return os.environ.get(SWITCH, os.environ.get(OLD_SWITCH)) == "0"


@contextlib.contextmanager
def switched_off() -> Iterator[None]:
    """Use PyTorch's operators within the context."""
    global _enabled
    before, _enabled = _enabled, False
    try:
        yield
    finally:
        _enabled = before


def allowed() -> bool:
    """Return whether kernels may be used.

    Tracing, export, `torch.func` transforms, forward-mode differentiation and autocast need PyTorch's operators.
    """
    recorded = torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export()
    transformed = torch._C._are_functorch_transforms_active() or torch.autograd.forward_ad._current_level >= 0
    wanted = _enabled and not _switched_off_by_user() and not torch.is_autocast_enabled("cpu")
    return wanted and not recorded and not transformed and torch._C._get_tracing_state() is None


def once(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a backward pass to refuse `create_graph=True`, because it cannot be differentiated itself."""

    @functools.wraps(backward)
    def checked(ctx: Any, *gradients: Any) -> Any:
        if torch.is_grad_enabled():
            raise StillwaveError(
                "the compiled layers of this network have no second derivatives (create_graph=True); "
                f"set the environment variable {SWITCH}=0 to use PyTorch's operators"
            )
        return backward(ctx, *gradients)

    return checked


def packed(weight: torch.Tensor) -> torch.Tensor:
    """Return a matrix `[inner, outer]` as panels of 16 columns and a last one of 8, the order that the kernels read."""
    inner, outer = weight.shape
    full = outer // 16 * 16
    panels = weight[:, :full].reshape(inner, -1, 16).transpose(0, 1).reshape(-1)
    return torch.cat([panels, weight[:, full:].reshape(-1)])


def _library(source: Path, compiler: str, options: tuple[str, ...]) -> ctypes.CDLL:
    """Load a library from the cache, or compile it into the cache or, if that cannot be written, a temporary folder."""
    text = b"".join(path.read_bytes() for path in (source, *sorted(source.parent.glob("*.h"))))
    key = hashlib.sha256("\0".join((*options, *_processor())).encode() + text).hexdigest()[:32]
    name = f"{source.stem}-{key}"
    command = [compiler, *options, str(source), "-o"]
    # RuntimeError: the user has no home folder
    with contextlib.suppress(OSError, RuntimeError, subprocess.SubprocessError):
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stillwave" / "kernels"
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
    """Yield what `-march=native` depends on: several machines may share a cache."""
    yield platform.machine()
    yield platform.processor()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    yield from sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))})
