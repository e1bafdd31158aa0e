"""The models that the service offers."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from stillwave import pretrained
from stillwave.card import ModelCard
from stillwave.errors import StillwaveError
from stillwave.inference import Enhancer, load
from stillwave.web.problems import Problem


class Catalogue:
    """Shipped models by name, and the default model, which may be a file of the operator.

    Args:
        default: Name of a shipped model or path of an .onnx file; by default the default model.

    Raises:
        CheckpointError: `default` is unknown or cannot be read.

    """

    def __init__(self, default: str | None = None) -> None:
        self._lock = threading.Lock()
        self._open: dict[tuple[str, bool], Enhancer] = {}
        self._file: Path | None = None
        self.default = default or pretrained.default()
        if not pretrained.SHIPPED.has(self.default):
            self._file = pretrained.locate(self.default)
            self.default = self._file.stem
        self.enhancer(self.default)

    def names(self) -> list[str]:
        """Return the names of the models, the default first."""
        return [self.default, *(name for name in pretrained.names() if name != self.default)]

    def enhancer(self, name: str | None = None, keep_clean: bool = False) -> Enhancer:
        """Return the enhancer of a model, by default of the default one; `keep_clean` as in `stillwave.load`.

        Raises Problem for an unknown name.
        """
        name = self.checked(name)
        with self._lock:
            if (name, keep_clean) not in self._open:
                try:
                    self._open[name, keep_clean] = load(self._path(name), keep_clean=keep_clean)
                except StillwaveError as error:
                    if not keep_clean:
                        raise
                    raise Problem("bad-option", str(error)) from None
            return self._open[name, keep_clean]

    def checked(self, name: str | None) -> str:
        """Return the name of a model; None for the default one. Raises Problem if it is unknown."""
        name = name or self.default
        if name != self.default and not pretrained.SHIPPED.has(name):
            raise Problem(
                "bad-option", f"model: there is none of this name; known: {', '.join(self.names())}"
            )
        return name

    def file(self, name: str) -> Path:
        """Return the ONNX file of a model. Raises Problem."""
        return self._path(self.checked(name))

    def _path(self, name: str) -> Path:
        if self._file is not None and name == self.default:
            return self._file
        return pretrained.find(name)

    def entries(self) -> list[dict[str, Any]]:
        """Return what `GET /v1/models` lists."""
        return [self._entry(name) for name in self.names()]

    def _entry(self, name: str) -> dict[str, Any]:
        shared = {"name": name, "default": name == self.default}
        card = pretrained.SHIPPED.known(name)
        if card is None:
            found = self.enhancer(name)
            delay = 1000 * (2 * found.backend.hop - 1) / found.sample_rate if found.backend else None
            return {
                **shared,
                "rate": found.sample_rate,
                "delay_ms": delay,
                "causal": found.backend is not None,
                "parameters": None,
                "mmac_per_second": None,
                "summary": "A model of the operator of this service",
                "licence": None,
            }
        return {
            **shared,
            "rate": card.sample_rate,
            "delay_ms": card.delay_ms,
            "causal": card.lookahead_frames == 0,
            "parameters": card.cost.parameters,
            "mmac_per_second": round(card.cost.total_macs / 1e6, 1),
            "summary": _summary(card),
            "licence": card.licence,
        }


def _summary(card: ModelCard) -> str:
    """Return a sentence on a shipped model for people who do not know networks."""
    costs = [pretrained.card(name).cost.total_macs for name in pretrained.names()]
    if card.cost.total_macs == max(costs):
        return "The largest of the shipped models, for the best quality"
    if card.cost.total_macs == min(costs):
        return "The smallest of the shipped models, for slow machines"
    return "Between the smallest and the largest of the shipped models"
