"""Networks and their registry."""

from __future__ import annotations

from collections.abc import Callable

from stillwave.errors import RecipeError, nearest
from stillwave.models.bsrnn import BSRNN
from stillwave.models.denoiser import Denoiser
from stillwave.models.dpdcrn import DPDCRN
from stillwave.models.framenet import FrameNet
from stillwave.models.full_band import FullBand
from stillwave.schema import PRESETS, ModelConfig

__all__ = ["BSRNN", "DPDCRN", "NETWORKS", "PRESETS", "Denoiser", "FrameNet", "FullBand", "build"]

NETWORKS: dict[str, Callable[[ModelConfig], Denoiser]] = {
    "bsrnn": BSRNN,
    "dpdcrn": DPDCRN,
    "framenet": FrameNet,
    "fullband": FullBand,
}
"""Networks by `ModelConfig.name`. Add an entry to register another network."""


def build(config: ModelConfig) -> Denoiser:
    """Build a network with random weights.

    Args:
        config: Kind and size of the network, such as `PRESETS["bsrnn-s"]`.

    Raises:
        RecipeError: The name is not in `NETWORKS`, or the network does not have these options.

    Examples:
        >>> build(PRESETS["dpdcrn-student"]).config.channels
        64

    """
    if config.name not in NETWORKS:
        raise RecipeError(
            f"model.name: there is no network '{config.name}'; {nearest(config.name, NETWORKS)}"
        )
    return NETWORKS[config.name](config)
