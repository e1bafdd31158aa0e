"""What a teacher said, kept on disk: several students learn from one pass of the teacher.

An example of a training never comes twice in one run, so a cache is of no use to a single run. The second run over the
same examples (another method, another student, a run done again) need not ask the teacher at all.

*Key.* The folder belongs to one teacher, by the SHA-256 of its weights. An entry holds the answer to one batch and is
named by a hash of the very samples that were heard, so that seed, numbers of the examples, recordings, everything in
`data.mixing`, and the code that mixes are all in it, and no change of them can be missed. Also hashed: the kind of
device, autocast, PyTorch's version and the precision. In an entry each tapped layer stands under its name; a run that
wants others adds them. Of a batch, not of an example: a matrix product of other size may round differently, and
what is read should be, bit for bit, what would have been computed. So runs share entries if their batches (for several
processes: their shares of them) are equal.

*Exact.* With `float32` values come back as they were, in the same memory layout: a sum over another layout would round
differently too. `float16` halves the size and is not exact (relative error 2^-11); answers are then rounded whether
they are read or computed, so that a result does not depend on what the cache holds.

*Safe.* See `shelf.py` for the bound on size and other processes. An entry that is damaged (by its checksums) is
computed again. If nothing can be written (a full disk), that is said once, and the run goes on without adding.
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

from stillwave.console import err
from stillwave.distill.file_cache import BoundedFileCache
from stillwave.distill.method import DistillError
from stillwave.files import write_json

FORMAT = 1
MANIFEST = "cache.json"
_ESTIMATE = "estimate"
_LAYER = "layer "
_LARGEST = 65504.0
"""Of float16."""

Precision = Literal["float32", "float16"]


class CachedOutputs(NamedTuple):
    """A teacher's features by tap, and its estimate."""

    features: dict[str, Tensor]
    estimate: Tensor


class TeacherCache:
    """Answers of one teacher, kept in `shelf`; without one, only `precision` is seen to."""

    def __init__(self, shelf: BoundedFileCache | None, precision: Precision = "float32") -> None:
        self.shelf = shelf
        self.precision = precision
        self.read = self.computed = self.added = 0
        """Batches that were read; that the teacher was asked for; of those, added."""
        self._writes = shelf is not None

    def answer(self, noisy: Tensor, taps: Sequence[str], ask: Callable[[], CachedOutputs]) -> CachedOutputs:
        """What the teacher makes of `noisy`: as kept, else by `ask()`, whose answer is kept if there is room."""
        wanted = [_ESTIMATE, *(_LAYER + tap for tap in dict.fromkeys(taps))]
        name = self._name(noisy) if self.shelf else ""
        kept = self._recall(name, wanted, noisy.device)
        if kept:
            self.read += 1
            return CachedOutputs({tap: kept[_LAYER + tap] for tap in taps}, kept[_ESTIMATE])
        self.computed += 1
        features, estimate = ask()
        features = {tap: self._rounded(feature) for tap, feature in features.items()}
        estimate = self._rounded(estimate)
        self._keep(name, {_ESTIMATE: estimate, **{_LAYER + tap: features[tap] for tap in taps}})
        return CachedOutputs(features, estimate)

    def summary(self) -> str:
        """How it went, in a sentence."""
        return f"teacher cache: {self.read} batches read, {self.computed} computed, {self.added} added"

    def _name(self, noisy: Tensor) -> str:
        kind = noisy.device.type
        half = str(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else ""
        samples = noisy.detach().cpu().contiguous()
        facts = [FORMAT, kind, half, torch.__version__, self.precision, str(samples.dtype), [*samples.shape]]
        digest = hashlib.sha256(json.dumps(facts).encode())
        digest.update(samples.numpy().data)
        return digest.hexdigest()[:40]

    def _recall(self, name: str, wanted: Sequence[str] | None, device: torch.device) -> dict[str, Tensor]:
        """These tensors of an entry (None: all); nothing where one is missing or damaged."""
        if self.shelf is None:
            return {}
        try:
            with safe_open(self.shelf.path(name), "pt") as file:
                layouts = json.loads(file.metadata()["layouts"])
                found = {
                    key: _unpacked(file.get_tensor(key), layouts[key]).to(device) for key in wanted or layouts
                }
        except (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError):
            return {}
        self.shelf.touch(name)
        return found

    def _keep(self, name: str, tensors: Mapping[str, Tensor]) -> None:
        if self.shelf is None or not self._writes:
            return
        others = self._recall(name, None, torch.device("cpu"))  # layers that other runs tap
        packed = {key: _packed(tensor, self.precision) for key, tensor in {**others, **tensors}.items()}
        layouts = {key: layout for key, (_, layout) in packed.items()}
        # A network may hand on one tensor as layer and estimate; safetensors wants each in memory of its own.
        own = {key: values.clone() if key != _ESTIMATE else values for key, (values, _) in packed.items()}
        content = save(own, {"layouts": json.dumps(layouts)})
        try:
            self.added += self.shelf.put(name, content)
        except OSError as error:
            self._writes = False
            _say(f"{self.shelf.folder}: nothing more is kept ({error.strerror or error}); training goes on")

    def _rounded(self, tensor: Tensor) -> Tensor:
        if self.precision == "float32" or tensor.dtype != torch.float32:
            return tensor
        return tensor.clamp(-_LARGEST, _LARGEST).half().to(tensor.dtype)


def open_cache(
    folder: Path | str | None, teacher: str, gigabytes: float, precision: Precision
) -> TeacherCache:
    """The cache in a folder, made if need be, of the teacher whose weights have this SHA-256.

    Raises DistillError: a folder of another teacher, of something else, or that cannot be made.
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
            f"distill.cache: {place} cannot be used ({error.strerror or error}); give another folder, or null"
        ) from None
    _check_owner(place, teacher)
    return TeacherCache(BoundedFileCache(place, round(gigabytes * 1e9), ".safetensors"), precision)


def _claim(folder: Path, teacher: str) -> None:
    """Make an empty folder this teacher's, unless another process was faster."""
    others = sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))
    if not others:
        write_json(folder / MANIFEST, {"format": FORMAT, "teacher": teacher})
    elif MANIFEST not in others:
        raise DistillError(
            f"distill.cache: {folder} is no teacher's cache (it holds '{others[0]}'); give a new folder"
        )


def _check_owner(folder: Path, teacher: str) -> None:
    file = folder / MANIFEST
    try:
        found: Any = json.loads(file.read_text(encoding="utf-8"))
        owner, version = str(found["teacher"]), int(found["format"])
    except (OSError, ValueError, KeyError, TypeError):
        raise DistillError(
            f"distill.cache: {file} cannot be read; delete {folder}, or give another"
        ) from None
    if version != FORMAT:
        raise DistillError(
            f"distill.cache: {folder} has format {version}, this version uses {FORMAT}; give another folder"
        )
    if owner != teacher:
        raise DistillError(
            f"distill.cache: {folder} holds the answers of another teacher (weights {owner[:12]}…, not "
            f"{teacher[:12]}…); give another folder, or delete that one"
        )


# --- tensors and their memory layout ----------------------------------------------------------------------


def _packed(tensor: Tensor, precision: Precision) -> tuple[Tensor, dict[str, Any]]:
    """The values in the order in which they lie in memory, and what is needed to put them back there."""
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
    """Into memory of PyTorch's own, which is aligned as that of any result: matrix products can tell."""
    if _checksum(values) != layout["crc32"]:
        raise ValueError("damaged")
    dtype = getattr(torch, layout["dtype"])
    found = torch.empty_strided(values.shape, layout["strides"], dtype=dtype).copy_(values)
    inverse = sorted(range(values.ndim), key=layout["order"].__getitem__)
    return found.permute(inverse)


def _checksum(values: Tensor) -> int:
    return zlib.crc32(values.view(torch.uint8).numpy().data if values.ndim else bytes(values.numpy()))


def _say(sentence: str) -> None:
    err.print(sentence, highlight=False, markup=False)
