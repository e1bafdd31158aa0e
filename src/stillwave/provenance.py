"""Versions, git state and machine, for `environment.json` and model cards."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import stillwave

_PACKAGES = ("torch", "numpy", "safetensors", "pydantic", "soundfile", "soxr", "onnxruntime", "pesq")


def versions() -> dict[str, str]:
    """Return versions of Python, this package and its main dependencies, without importing them."""
    found = {"python": platform.python_version(), "stillwave": stillwave.__version__}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def git(folder: Path | str | None = None) -> dict[str, Any] | None:
    """Return commit and state of the checkout of `folder`; None without git or a checkout.

    The default is the checkout of this package, and None for an installed copy, even within a repository.
    """
    if folder is None:
        source = Path(__file__).resolve()
        if "site-packages" in source.parts:
            return None
        folder = source.parent
    commit = _run_git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    status = _run_git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "changed": bool(status)}


def machine() -> dict[str, Any]:
    """Return operating system, processor, cores and, if torch is loaded, its threads and GPUs."""
    facts: dict[str, Any] = {
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
    }
    torch = sys.modules.get("torch")
    if torch is not None:
        facts["threads"] = torch.get_num_threads()
        facts["gpus"] = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return facts


def environment() -> dict[str, Any]:
    """Return versions, git state, machine and command line."""
    return {"versions": versions(), "git": git(), "machine": machine(), "command": sys.argv}


def _run_git(folder: Path | str, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
