"""Compile a network that was written as C, and run it, to verify it."""

from __future__ import annotations

import ctypes
import tempfile
from pathlib import Path

import numpy as np

from stillwave.audio import Samples
from stillwave.errors import StillwaveError
from stillwave.exporting.c_source import CSource
from stillwave.models import kernels


class CProgram:
    """A compiled network, which runs in this process.

    Args:
        files: Source and header.
        stem: The name of the files without their endings.

    Raises:
        StillwaveError: There is no C compiler, or it refuses the source.

    """

    def __init__(self, files: CSource, stem: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / f"{stem}.c"
            source.write_text(files.source, encoding="utf-8")
            source.with_suffix(".h").write_text(files.header, encoding="utf-8")
            built = kernels.compiled(source, Path(folder))
            if built is None:
                raise StillwaveError(
                    "cannot be compiled, and so not verified; install a C compiler (cc, GCC or Clang)"
                )
            library = ctypes.CDLL(str(built))
        self._process, state_bytes = library[f"{files.name}_process"], library[f"{files.name}_state_bytes"]
        self._process.argtypes, self._process.restype = [ctypes.c_void_p] * 3, None
        state_bytes.restype = ctypes.c_size_t
        self.state_bytes = int(state_bytes())
        self.hop = 256

    def state(self) -> Samples:
        """Return the state of a signal that begins."""
        return np.zeros(self.state_bytes // 4, np.float32)

    def process(self, state: Samples, block: Samples) -> Samples:
        """Return the estimate of the block before, `[hop]`, and update the state."""
        given, taken = np.ascontiguousarray(block, np.float32), np.empty(self.hop, np.float32)
        self._process(state.ctypes.data, given.ctypes.data, taken.ctypes.data)
        return taken

    def enhance(self, noisy: Samples) -> Samples:
        """Return the estimate `[N]` of a signal `[N]`."""
        state, blocks = self.state(), -(-len(noisy) // self.hop)
        padded = np.zeros((blocks + 1) * self.hop, np.float32)
        padded[: len(noisy)] = noisy
        estimate = np.concatenate([self.process(state, block) for block in padded.reshape(-1, self.hop)])
        return estimate[self.hop : self.hop + len(noisy)]
