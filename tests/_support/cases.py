"""Which methods and variants are tried, and where one of them differs from the others, with the reason."""

from __future__ import annotations

from typing import Any

import pytest
import toys

from stillwave.distill import METHODS
from stillwave.distill.method import resolve_method
from stillwave.schema import Frozen
from stillwave.schema.methods import VARIANTS

CASES = [name for name in [*METHODS, *VARIANTS] if name != "none"]

OPTIONS = {
    "i2srf_tfckd": {"pooled_size": 4, "fusion_channels": 4},
    "i2srf_tfckd-frequency": {"bands": 4},
    "i2srf_tfckd-frequency-only": {"bands": 4},
    "rkd-frames": {"frames": 4},
    "two_step": {"most_bins": 3, "most_frames": 5},
}
"""Of a method and of a variant: so that 7 frames and 4 bins are enough, or not taken whole, and time is short."""

FIXED_SIZE = {"i2srf_tfckd-released": "its embeddings are Linear layers over the batch and the frames"}
ORDERED = {"i2srf_tfckd-released": "its embeddings read a row of the batch's Gram matrix by position"}
CONSTANT = {
    "i2srf_tfckd": (
        "fusers.teacher",
        "the teacher's similarities are constants, its fusers learn by the keys",
    )
}
"""Connectors whose part in the loss is cut from the graph on purpose."""
FOR_SLOPES = {
    "semckd": {"detach_attention": False},
    "i2srf_tfckd-prior": {"prior": "none"},  # scaled by a mean distance that is a constant for the gradient
}
"""Options without the cuts in the graph that make a gradient something else than the slope."""
SINGLE_PRECISION = {"output": "the enhancement loss is 32-bit throughout"}
ZERO_FOR_TWINS = ("at", "sp", "rkd", "two_step", "subband", "dfkd", "dispatch")
"""Methods without connectors (and without a floor, as `output` has one)."""

MASK = ("decoder", 2)
WITHOUT_MASK = {(name, i) for name, fs in toys.of_student().items() for i in range(len(fs))} - {MASK}
WAIST = {("encoder", 2), ("middle", 0), ("decoder", 0)}
REACHES = {"fitnets": {("middle", 0)}, "cosine": {("middle", 0)}, "sp": WAIST, "rkd": WAIST}
"""The student's layers that a method names; by default all but the mask."""
WITH_MASK = ("i2srf_tfckd", "reviewkd", "uclfwpkd")
"""Methods that compare decoders to their end, as published."""


def base(case: str) -> str:
    return VARIANTS.get(case, {"name": case})["name"]


def listed(case: str, table: Any) -> bool:
    return case in table or base(case) in table


def reached(case: str) -> set[tuple[str, int]]:
    if base(case) in WITH_MASK:
        return WITHOUT_MASK | {MASK}
    return REACHES.get(base(case), WITHOUT_MASK)


SOME_SLOW = [
    pytest.param(case, marks=pytest.mark.slow) if case in VARIANTS and base(case) == "i2srf_tfckd" else case
    for case in CASES
]
"""For tests of many runs: the flagship's variants, which share its code, wait for the slow set."""


def configured(case: str, **more: Any) -> Frozen:
    """Its configuration, for the small features of `toys`."""
    options = {**VARIANTS.get(case, {}), **OPTIONS.get(base(case), {}), **OPTIONS.get(case, {}), **more}
    return resolve_method(case).Config(**options)
