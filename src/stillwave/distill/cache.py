"""Teacher cache: outputs of a teacher on disk, reused between runs.

An example is not repeated within a run, so a cache is of no use to a single run. A second run over the same examples
(another method, another student, a repetition) does not need the teacher's forward pass.

*Key.* A folder belongs to one teacher, identified by the SHA-256 of its weights; of an external denoiser, of its file,
program or function with its calibration. An entry holds the outputs for one
batch and is named by a hash of the input samples, which covers the seed, the examples, the recordings, all of
`data.mixing` and the code of the mixer. Also hashed: device type, autocast, version of PyTorch, and precision. An
entry stores the feature map of each tap under its name; runs with other taps add theirs. An entry is a batch, not an
example: matrix products of other sizes may round differently, and what is read must equal what would be computed, bit
for bit. So runs share entries if their batches (for several processes: their parts of the batches) are equal.

*Exact.* With `float32`, values are restored in the same memory layout, since sums over another layout round
differently. `float16` halves the size and is not exact (relative error 2^-11); outputs are then rounded whether they
are read or computed, so that results do not depend on the content of the cache.

*Safe.* For the size limit and concurrent processes see `file_cache.py`. A damaged entry (checksum) is computed again.
If writing fails (disk full), a message is printed once and the run continues without adding entries.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from filelock import FileLock
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from stillwave.console import note
from stillwave.distill.file_cache import BoundedFileCache
from stillwave.distill.method import DistillError
from stillwave.files import write_json

FORMAT = 1
MANIFEST = "cache.json"
_ESTIMATE = "estimate"
_LAYER = "layer "
_LARGEST = 65504.0
"""Largest value of float16."""

Precision = Literal["float32", "float16"]


class CachedOutputs(NamedTuple):
    """Feature maps of a network by tap, and its estimate."""

    features: dict[str, Tensor]
    estimate: Tensor


class TeacherCache:
    """Outputs of one teacher.

    Args:
        files: Where they are stored; None only rounds to `precision`.
        precision: `float32` or `float16`.

    Attributes:
        read: Number of batches that were read.
        computed: Number of batches that were computed.
        added: Number of computed batches that were stored.

    """

    def __init__(self, files: BoundedFileCache | None, precision: Precision = "float32") -> None:
        self.files = files
        self.precision = precision
        self.read = self.computed = self.added = 0
        self._writes = files is not None

    def outputs(
        self, noisy: Tensor, taps: Sequence[str], compute: Callable[[], CachedOutputs]
    ) -> CachedOutputs:
        """Return the teacher's outputs for a batch, from the cache or else computed and stored.

        Args:
            noisy: Input of the teacher.
            taps: The taps whose feature maps are required.
            compute: Runs the teacher.

        """
        wanted = [_ESTIMATE, *(_LAYER + tap for tap in dict.fromkeys(taps))]
        name = self._name(noisy) if self.files else ""
        stored = self._read(name, wanted, noisy.device)
        if stored:
            self.read += 1
            return CachedOutputs({tap: stored[_LAYER + tap] for tap in taps}, stored[_ESTIMATE])
        self.computed += 1
        features, estimate = compute()
        features = {tap: self._rounded(feature) for tap, feature in features.items()}
        estimate = self._rounded(estimate)
        if not estimate.isfinite().all():  # a failure, which the next run may not have
            return CachedOutputs(features, estimate)
        self._store(name, {_ESTIMATE: estimate, **{_LAYER + tap: features[tap] for tap in taps}})
        return CachedOutputs(features, estimate)

    def summary(self) -> str:
        """Return the numbers of batches read, computed and added as a sentence."""
        return f"teacher cache: {self.read} batches read, {self.computed} computed, {self.added} added"

    def _name(self, noisy: Tensor) -> str:
        kind = noisy.device.type
        half = str(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else ""
        samples = noisy.detach().cpu().contiguous()
        facts = [FORMAT, kind, half, torch.__version__, self.precision, str(samples.dtype), [*samples.shape]]
        digest = hashlib.sha256(json.dumps(facts).encode())
        digest.update(samples.numpy().data)
        return digest.hexdigest()[:40]

    def _read(self, name: str, wanted: Sequence[str] | None, device: torch.device) -> dict[str, Tensor]:
        """Return tensors of an entry (None: all); an empty dict if one is missing or damaged."""
        if self.files is None:
            return {}
        try:
            with safe_open(self.files.path(name), "pt") as file:
                layouts = json.loads(file.metadata()["layouts"])
                found = {
                    key: _unpacked(file.get_tensor(key), layouts[key]).to(device) for key in wanted or layouts
                }
        except (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError):
            return {}
        self.files.touch(name)
        return found

    def _store(self, name: str, tensors: Mapping[str, Tensor]) -> None:
        if self.files is None or not self._writes:
            return
        others = self._read(name, None, torch.device("cpu"))  # taps of other runs
        packed = {key: _packed(tensor, self.precision) for key, tensor in {**others, **tensors}.items()}
        layouts = {key: layout for key, (_, layout) in packed.items()}
        # A layer may return the same tensor as the network; safetensors requires separate memory.
        own = {key: values.clone() if key != _ESTIMATE else values for key, (values, _) in packed.items()}
        content = save(own, {"layouts": json.dumps(layouts)})
        try:
            self.added += self.files.put(name, content)
        except OSError as error:
            self._writes = False
            note(
                f"{self.files.folder}: cannot write ({error.strerror or error}); training continues without adding"
            )

    def _rounded(self, tensor: Tensor) -> Tensor:
        if self.precision == "float32" or tensor.dtype != torch.float32:
            return tensor
        return tensor.clamp(-_LARGEST, _LARGEST).half().to(tensor.dtype)


def open_cache(
    folder: Path | str | None, teacher: str, gigabytes: float, precision: Precision
) -> TeacherCache:
    """Open the cache of a teacher, and create its folder if necessary.

    Args:
        folder: The folder; None returns a cache that stores nothing.
        teacher: SHA-256 that identifies the teacher.
        gigabytes: Size limit in GB (10⁹ bytes).
        precision: `float32` or `float16`.

    Raises:
        DistillError: The folder belongs to another teacher, contains something else, or cannot be created.

    """
    if folder is None:
        return TeacherCache(None, precision)
    place = Path(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
        if not (place / MANIFEST).exists():
            with FileLock(place / ".lock"):
                _claim(place, teacher)
    except OSError as error:
        raise DistillError(
            f"distill.cache: {place} cannot be used ({error.strerror or error}); use another folder, or null"
        ) from None
    _check_owner(place, teacher)
    return TeacherCache(BoundedFileCache(place, round(gigabytes * 1e9), ".safetensors"), precision)


def _claim(folder: Path, teacher: str) -> None:
    """Write the manifest into an empty folder, unless another process did."""
    others = sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))
    if not others:
        write_json(folder / MANIFEST, {"format": FORMAT, "teacher": teacher})
    elif MANIFEST not in others:
        raise DistillError(
            f"distill.cache: {folder} is not a teacher cache (it contains '{others[0]}'); use a new folder"
        )


def _check_owner(folder: Path, teacher: str) -> None:
    file = folder / MANIFEST
    try:
        found: Any = json.loads(file.read_text(encoding="utf-8"))
        owner, version = str(found["teacher"]), int(found["format"])
    except (OSError, ValueError, KeyError, TypeError):
        raise DistillError(
            f"distill.cache: {file} cannot be read; delete {folder}, or use another folder"
        ) from None
    if version != FORMAT:
        raise DistillError(
            f"distill.cache: {folder} has format {version}, this version uses {FORMAT}; use another folder"
        )
    if owner != teacher:
        raise DistillError(
            f"distill.cache: {folder} belongs to another teacher (SHA-256 {owner[:12]}…, not "
            f"{teacher[:12]}…); use another folder, or delete it"
        )


# --- memory layout of tensors -----------------------------------------------------------------------------


def _packed(tensor: Tensor, precision: Precision) -> tuple[Tensor, dict[str, Any]]:
    """Return the values in memory order, and the layout that restores them."""
    if any(step == 0 and size > 1 for step, size in zip(tensor.stride(), tensor.shape, strict=True)):
        tensor = tensor.contiguous()
    steps = tensor.stride()
    order = sorted(range(tensor.ndim), key=lambda axis: (-steps[axis], axis))
    values = tensor.detach().permute(order).cpu().contiguous()
    layout = {
        "order": order,
        "strides": [steps[axis] for axis in order],
        "dtype": str(tensor.dtype).removeprefix("torch."),
    }
    if precision == "float16" and tensor.dtype == torch.float32:
        values = values.half()
    return values, {**layout, "crc32": _checksum(values)}


def _unpacked(values: Tensor, layout: dict[str, Any]) -> Tensor:
    """Restore a tensor in memory allocated by PyTorch: matrix products depend on the alignment."""
    if _checksum(values) != layout["crc32"]:
        raise ValueError("damaged")
    dtype = getattr(torch, layout["dtype"])
    found = torch.empty_strided(values.shape, layout["strides"], dtype=dtype).copy_(values)
    inverse = sorted(range(values.ndim), key=layout["order"].__getitem__)
    return found.permute(inverse)


def _checksum(values: Tensor) -> int:
    return zlib.crc32(values.view(torch.uint8).numpy().data if values.ndim else bytes(values.numpy()))
