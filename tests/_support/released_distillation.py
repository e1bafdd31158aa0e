"""This project's parameter names of I²SRF-TFCKD in the released program's words."""

from __future__ import annotations

import re

from torch import Tensor

from stillwave.distill import I2srfTfckd

_CALIBRATION = re.compile(r"comparisons\.(\w+)\.calibrations\.(\w+)\.(\w+)\.(\d+)\.layers\.([02])\.(\w+)")
_FUSER = re.compile(r"fusers\.(\w+)\.(\w+)\.(units|gates|output)\.(?:(\d+)\.)?(?:(\w+)\.)?(\w+)")
_STREAM = {"time": "time", "batch": "freq"}
_SIDE = {"queries": "query", "keys": "key"}
_LINEAR = {"0": "linear1", "2": "linear2"}
_PART = {"conv": 0, "norm": 1, "activation": 2}


def released_names(method: I2srfTfckd) -> dict[str, str]:
    """Own name → released name, for every parameter."""
    return {own: _released(method, own) for own in method.state_dict()}


def released_weights(method: I2srfTfckd) -> dict[str, Tensor]:
    """The method's very parameters under released names, as the oracle wants them."""
    names = released_names(method)
    return {names[own]: parameter for own, parameter in method.named_parameters()}


def _released(method: I2srfTfckd, own: str) -> str:
    if match := _CALIBRATION.fullmatch(own):
        name, stream, side, layer, linear, kind = match.groups()
        layer_name = f"{_STREAM[stream]}_{_SIDE[side]}_weight{layer}"
        return f"weight.calibration.{name}.{layer_name}.{_LINEAR[linear]}.{kind}"
    match = _FUSER.fullmatch(own)
    assert match is not None, own
    side, name, part, index, layer, kind = match.groups()
    prefix = f"weight.fusion.{side}.{name}.abfs"
    if part == "gates":
        return f"{prefix}.{int(index) + 1}.att_conv.0.{kind}"
    if part == "units":
        return f"{prefix}.{index}.conv1.{_PART[layer]}.{kind}"
    last = len(method.fusers[side][name].units) - 1
    return f"{prefix}.{last}.conv2.{_PART[layer]}.{kind}"
