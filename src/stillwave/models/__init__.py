"""Networks and their registry."""

from __future__ import annotations

from collections.abc import Callable

from stillwave.errors import RecipeError, nearest
from stillwave.models.bsrnn import BSRNN
from stillwave.models.denoiser import Denoiser
from stillwave.models.dpdcrn import DPDCRN
from stillwave.models.framenet import FrameNet
from stillwave.schema import PRESETS, ModelConfig

__all__ = ["BSRNN", "DPDCRN", "NETWORKS", "PRESETS", "Denoiser", "FrameNet", "build"]

NETWORKS: dict[str, Callable[[ModelConfig], Denoiser]] = {
    "bsrnn": BSRNN,
    "dpdcrn": DPDCRN,
    "framenet": FrameNet,
}
"""What `ModelConfig.name` may be. Register a network of your own by adding it here."""


def build(config: ModelConfig) -> Denoiser:
    """The network of a recipe, with fresh weights. Raises `RecipeError` for a name that is not in `NETWORKS`.

    Examples:
        >>> build(PRESETS["dpdcrn-student"]).config.channels
        64

    """
    if config.name not in NETWORKS:
        raise RecipeError(
            f"model.name: there is no network '{config.name}'; {nearest(config.name, NETWORKS)}"
        )
    return NETWORKS[config.name](config)
