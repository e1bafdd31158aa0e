"""A host for LADSPA plug-ins of one channel, in ctypes: it chooses the sampling rate and the size of each block."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from stillwave.audio import Samples

_FLOATS = ctypes.POINTER(ctypes.c_float)


class _Descriptor(ctypes.Structure):
    pass


_INSTANTIATE = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.POINTER(_Descriptor), ctypes.c_ulong)
_CONNECT = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_void_p)
_RUN = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_ulong)
_CALL = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_Descriptor._fields_ = [
    ("id", ctypes.c_ulong),
    ("label", ctypes.c_char_p),
    ("properties", ctypes.c_int),
    ("name", ctypes.c_char_p),
    ("maker", ctypes.c_char_p),
    ("copyright", ctypes.c_char_p),
    ("port_count", ctypes.c_ulong),
    ("port_kinds", ctypes.POINTER(ctypes.c_int)),
    ("port_names", ctypes.POINTER(ctypes.c_char_p)),
    ("port_ranges", ctypes.c_void_p),
    ("data", ctypes.c_void_p),
    ("instantiate", _INSTANTIATE),
    ("connect_port", _CONNECT),
    ("activate", _CALL),
    ("run", _RUN),
    ("run_adding", ctypes.c_void_p),
    ("set_run_adding_gain", ctypes.c_void_p),
    ("deactivate", ctypes.c_void_p),
    ("cleanup", _CALL),
]


class Instance:
    """One instance of the first plug-in of a library. Its control ports are the items of `controls`.

    Args:
        library: Shared library.
        rate: Sampling rate in Hz.
        controls: Values of the input control ports by name.

    """

    def __init__(self, library: Path, rate: int, controls: Mapping[str, float] | None = None) -> None:
        entry = ctypes.CDLL(str(library)).ladspa_descriptor
        entry.restype, entry.argtypes = ctypes.POINTER(_Descriptor), [ctypes.c_ulong]
        self._plugin = entry(0).contents
        self.names = [self._plugin.port_names[i].decode() for i in range(self._plugin.port_count)]
        self._values = {name: ctypes.c_float(0) for name in self.names}
        self._values["Attenuation limit (dB)"].value = 100
        for name, value in (controls or {}).items():
            self._values[name].value = value
        self._handle = self._plugin.instantiate(entry(0), rate)
        if self._handle is None:
            raise ValueError(f"no instance at {rate} Hz")
        for port, name in enumerate(self.names):
            self._connect(port, ctypes.addressof(self._values[name]))
        self._plugin.activate(self._handle)

    def __getitem__(self, port: str) -> float:
        return self._values[port].value

    def __setitem__(self, port: str, value: float) -> None:
        self._values[port].value = value

    def _connect(self, port: int, address: int) -> None:
        self._plugin.connect_port(self._handle, port, address)

    def activate(self) -> None:
        """Start a new signal."""
        self._plugin.activate(self._handle)

    def process(self, block: Samples, in_place: bool = False) -> Samples:
        """Return the output of one call of `run`, `[n]`."""
        source = np.array(block, np.float32)
        sink = source if in_place else np.full_like(source, np.nan)
        self._connect(self.names.index("Input"), source.ctypes.data)
        self._connect(self.names.index("Output"), sink.ctypes.data)
        self._plugin.run(self._handle, len(source))
        return sink

    def process_blocks(self, signal: Samples, sizes: Iterable[int]) -> Samples:
        """Return the output for blocks of these sizes, which are used until the signal ends."""
        parts, at = [], 0
        for size in sizes:
            if at >= len(signal):
                break
            parts.append(self.process(signal[at : at + size]))
            at += size
        return np.concatenate(parts)

    def close(self) -> None:
        """Free the instance."""
        self._plugin.cleanup(self._handle)
