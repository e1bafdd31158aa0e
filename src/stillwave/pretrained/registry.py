"""A folder of exported models with their cards; resolves names to verified files."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from stillwave.card import File, ModelCard, Precision, read_card
from stillwave.errors import CheckpointError

INT8 = "-int8"
"""Suffix of a name for the file with weights in 8 bits."""
_NAME = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class ModelRegistry:
    """The models in `folder`, and the name of the default one."""

    folder: Path
    default: str

    def names(self) -> list[str]:
        """Return the names of the models, sorted."""
        return sorted(path.stem for path in self.folder.glob("*.json"))

    def has(self, name: str) -> bool:
        """Return whether there is a model `name`, with or without `-int8`."""
        return _split_name(name)[0] in self.names()

    def known(self, name: str) -> ModelCard | None:
        """Return the card of a model, or None if there is none. Raises CheckpointError for an invalid card."""
        return self.card(name) if self.has(name) else None

    def card(self, name: str) -> ModelCard:
        """Return the card of a model. Raises CheckpointError if it is unknown or its card is invalid."""
        base, _ = _split_name(name)
        if base not in self.names():
            raise self.unknown(name)
        file = self.folder / f"{base}.json"
        return read_card(file, ModelCard, self._repair(base))

    def find(self, name: str) -> Path:
        """Return the file of a model, verified by its SHA-256; for a name with `-int8` the one in 8 bits.

        Raises CheckpointError if the model is unknown, or the file missing, truncated or changed.
        """
        base, precision = _split_name(name)
        files = self.card(name).files
        if precision not in files:
            raise CheckpointError(
                f"{name}: '{base}' ships as {' and '.join(files)} only; {self._list(self.names())}"
            )
        path = self.folder / files[precision].name
        self._check(path, files[precision], base)
        return path

    def locate(self, model: Path | str | None, presets: Iterable[str] = ()) -> Path:
        """Return the path of the default model (None), of an existing path, or of a model by name.

        `presets` are further names for the error message. Raises CheckpointError.
        """
        if model is None:
            return self.find(self.default)
        if Path(model).exists():
            return Path(model)
        if self.has(str(model)):
            return self.find(str(model))
        raise self.unknown(str(model), presets)

    def unknown(self, name: str, presets: Iterable[str] = ()) -> CheckpointError:
        """Return the error for an unknown model."""
        known = self.names()
        others = sorted(set(presets) - set(known))
        lists = self._list(known) + (f"; presets: {', '.join(others)}" if others else "")
        if not _NAME.fullmatch(name):
            return CheckpointError(f"{name}: no such file or folder; {lists}")
        kind = "model or preset of this name" if others else "model of this name"
        close = difflib.get_close_matches(
            name, [*known, *(n + INT8 for n in known), *others], n=2, cutoff=0.5
        )
        hint = "did you mean " + " or ".join(f"'{n}'" for n in close) + "? " if close else ""
        return CheckpointError(f"{name}: no such file or folder, and no {kind}; {hint}{lists}")

    def _check(self, path: Path, file: File, base: str) -> None:
        try:
            data = path.read_bytes()
        except OSError as error:
            reason = error.strerror or error
            raise CheckpointError(f"{path}: cannot be read ({reason}); {self._repair(base)}") from None
        if len(data) < file.bytes:
            fault = f"is cut short, {len(data):,} of {file.bytes:,} bytes"
        elif hashlib.sha256(data).hexdigest() != file.sha256:
            fault = f"does not match its card, {base}.json"
        else:
            return
        raise CheckpointError(f"{path}: {fault}; {self._repair(base)}")

    def _repair(self, base: str) -> str:
        others = [name for name in self.names() if name != base]
        return "install stillwave again" + (f", or use another model: {', '.join(others)}" if others else "")

    @staticmethod
    def _list(known: list[str]) -> str:
        if not known:
            return "this installation has no models"
        return f"models: {', '.join(known)} (each also with {INT8})"


def _split_name(name: str) -> tuple[str, Precision]:
    """Return the name without suffix, and the precision."""
    return (name.removesuffix(INT8), "int8") if name.endswith(INT8) else (name, "float")
