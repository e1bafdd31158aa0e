"""Shell completion of names."""

from __future__ import annotations


def complete_model(incomplete: str) -> list[str]:
    """Return the shipped models, and their int8 files, that start with `incomplete`."""
    from stillwave import pretrained

    names = pretrained.names()
    return [
        name for name in (*names, *(name + pretrained.INT8 for name in names)) if name.startswith(incomplete)
    ]


def complete_network(incomplete: str) -> list[str]:
    """Return the shipped models and presets that start with `incomplete`."""
    from stillwave.schema import PRESETS

    return sorted({*complete_model(incomplete), *(name for name in PRESETS if name.startswith(incomplete))})


def complete_recipe(incomplete: str) -> list[str]:
    """Return the shipped recipes that start with `incomplete`."""
    from stillwave.recipe import shipped

    return [name for name in shipped() if name.startswith(incomplete)]
