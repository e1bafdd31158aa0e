"""Parse `--methods`, `--seeds` and `--students`, and define the names of methods in tables."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import yaml
from pydantic import ValidationError

from stillwave.errors import StillwaveError, nearest
from stillwave.schema import PRESETS, DistillConfig, ModelConfig
from stillwave.schema.methods import DEFAULT_METHOD, METHOD_CONFIGS, VARIANTS, method_section

NONE = "none"

DISPLAY = {
    "none": "student alone",
    "output": "output",
    "fitnets": "FitNets",
    "at": "AT",
    "sp": "SP",
    "rkd": "RKD",
    "rkd-frames": "RKD (frames)",
    "clskd": "CLSKD-style",
    "reviewkd": "ReviewKD",
    "semckd": "SemCKD",
    "abckd": "ABC-KD-style",
    "uclfwpkd": "UCLFWPKD",
    "two_step": "two-step-style",
    "two_step-btf": "two-step-style (btf)",
    "subband": "sub-band-style",
    "dfkd": "DFKD-style",
    "dispatch": "DISPatch",
    "dispatch-mssp": "DISPatch-MSSP-style",
    "cosine": "latent-cosine-style",
    "i2srf_tfckd": "I²SRF-TFCKD",
    "i2srf_tfckd-released": "I²SRF-TFCKD (as released)",
    "i2srf_tfckd-cross": "I²SRF-TFCKD (cross-weighted)",
    "i2srf_tfckd-frequency": "I²SRF-TFCKD (true frequency stream)",
    "i2srf_tfckd-centred": "I²SRF-TFCKD (centred)",
    "i2srf_tfckd-no-intra": "I²SRF-TFCKD without intra-set",
    "i2srf_tfckd-no-inter": "I²SRF-TFCKD without inter-set",
    "i2srf_tfckd-mean-fusion": "I²SRF-TFCKD (mean fusion)",
    "i2srf_tfckd-time-only": "I²SRF-TFCKD (time stream only)",
    "i2srf_tfckd-batch-only": "I²SRF-TFCKD (batch stream only)",
    "i2srf_tfckd-frequency-only": "I²SRF-TFCKD (frequency stream only)",
    "i2srf_tfckd-uniform": "I²SRF-TFCKD without calibration",
    "i2srf_tfckd-prior": "I²SRF-TFCKD (centred, sharpened, with a prior)",
    "i2srf_tfckd-one-to-one": "I²SRF-TFCKD (one to one)",
}
"""By method or variant. "X-style": reconstructed where the source was not available or is not specific."""

ABLATIONS = tuple(name for name, section in VARIANTS.items() if section["name"] == DEFAULT_METHOD)
COMMON_KEYS = ("weight", "rho", "balance_steps", "schedule", "first_step", "warmup")
"""Keys of the `distill` section that `--variant` may set in addition to options of the method."""


def display(name: str, section: dict[str, Any]) -> str:
    """Return the name of a method in tables; for a user's variant with the name of its method."""
    if name in DISPLAY:
        return DISPLAY[name]
    return f"{name} ({DISPLAY.get(section['name'], section['name'])})"


def parse_methods(text: str, base: DistillConfig, variants: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """Return name → keys of the `distill` section, for `none` and the listed methods.

    `all` is every method, `ablations` the variants of the default method. Options of the method in the recipe (`base`)
    also apply to its variants. Raises StillwaveError.
    """
    own = dict(_variant(text) for text in variants)
    listed = [word.strip() for word in text.split(",") if word.strip()]
    names: list[str] = [NONE]
    for word in listed:
        names += {"all": list(METHOD_CONFIGS), "ablations": [DEFAULT_METHOD, *ABLATIONS]}.get(word, [word])
    known = {*METHOD_CONFIGS, *VARIANTS, *own}
    for name in names:
        if name not in known:
            raise StillwaveError(f"--methods: there is no method '{name}'; {nearest(name, known)}")
    return {name: _section(own.get(name, name), base) for name in dict.fromkeys([*names, *own])}


def _section(method: str | dict[str, Any], base: DistillConfig) -> dict[str, Any]:
    if isinstance(method, str):
        common, wanted = {}, method_section(method)
    else:
        common = {key: method[key] for key in COMMON_KEYS if key in method}
        wanted = method_section({key: value for key, value in method.items() if key not in COMMON_KEYS})
    inherited = base.method.model_dump(exclude_unset=True) if base.method.name == wanted["name"] else {}
    return {**common, "method": {**inherited, **wanted}}


def _variant(text: str) -> tuple[str, dict[str, Any]]:
    """Parse `LABEL={name: at, power: 4}`, a method with options under a new name."""
    label, equals, mapping = text.partition("=")
    try:
        found = yaml.safe_load(mapping)
    except yaml.YAMLError:
        found = None
    if not equals or not isinstance(found, dict) or "name" not in found:
        raise StillwaveError(f"--variant {text}: write LABEL={{name: METHOD, option: value}}, in quotes")
    if not re.fullmatch(r"[A-Za-z0-9][\w.+-]*", label) or label in METHOD_CONFIGS or label in VARIANTS:
        raise StillwaveError(
            f"--variant {text}: '{label}' is not a valid name of a variant; use a new, plain name"
        )
    return label, found


def parse_seeds(text: str) -> tuple[int, ...]:
    """Parse `0,1,2` or `0-4` as numbers without repeats.

    Examples:
        >>> parse_seeds("0-2,7")
        (0, 1, 2, 7)

    """
    seeds: list[int] = []
    for word in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", word)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
        if not first <= last < 2**32:
            raise StillwaveError(f"--seeds {text}: write whole numbers, as in 0,1,2 or 0-4")
        seeds += range(first, last + 1)
    return tuple(dict.fromkeys(seeds))


def parse_students(text: str | None, base: ModelConfig) -> dict[str, ModelConfig]:
    """Parse `8x1,16x2` (channels × blocks) or presets, optionally with one option, as name → network.

    The default is the network of the recipe. Raises StillwaveError.

    Examples:
        >>> parse_students("8x1", ModelConfig())["8x1"].channels
        8
        >>> parse_students("bsrnn-xs,dpdcrn-xs:norm=running", ModelConfig())["dpdcrn-xs-norm-running"].norm
        'running'

    """
    if text is None:
        return {f"{base.channels}x{base.blocks}": base}
    return dict(_student(word.strip(), base) for word in text.split(","))


def _student(word: str, base: ModelConfig) -> tuple[str, ModelConfig]:
    if size := re.fullmatch(r"([1-9]\d*)[x×]([1-9]\d*)", word):
        channels, blocks = int(size[1]), int(size[2])
        plain = {**base.model_dump(), "channels": channels, "blocks": blocks}
        return f"{channels}x{blocks}", _network(plain, word)
    preset, colon, option = word.partition(":")
    if preset not in PRESETS:
        raise StillwaveError(
            f"--students {word}: neither channels x blocks, as in 8x1, nor a preset; {nearest(preset, PRESETS)}"
        )
    if not colon:
        return preset, PRESETS[preset]
    key, _, value = option.partition("=")
    return f"{preset}-{key}-{value}", _network(
        {**PRESETS[preset].model_dump(exclude_unset=True), key: value}, word
    )


def _network(plain: dict[str, object], word: str) -> ModelConfig:
    try:
        return ModelConfig.model_validate(plain)
    except ValidationError as error:
        fault = error.errors()[0]
        where = "".join(f"{part}: " for part in fault["loc"])
        reason = fault["msg"].removeprefix("Value error, ")
        raise StillwaveError(f"--students {word}: {where}{reason}") from None
