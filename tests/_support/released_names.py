"""Weights under the released program's names, renamed to ours."""

from __future__ import annotations

import re

from torch import Tensor

RULES = [
    (r"dense_encoder\.conv_([12])\.", lambda m: f"encoder.{int(m[1]) - 1}."),
    (r"dense_encoder\.dilated_dense\.", "encoder.2."),
    (r"complex_decoder\.dense_block\.", "decoder.0."),
    (r"complex_decoder\.Trans_conv_1\.", "decoder.1."),
    (r"complex_decoder\.Trans_conv_2\.0\.", "decoder.2.conv."),
    (r"dual_trans\.input\.", "middle.input."),
    (r"dual_trans\.output\.", "middle.head."),
    (r"dual_trans\.k1$", "middle.frequency_scale"),
    (r"dual_trans\.k2$", "middle.time_scale"),
    (r"dual_trans\.row_trans\.(\d+)\.", r"middle.blocks.\1.frequency."),
    (r"dual_trans\.col_trans\.(\d+)\.", r"middle.blocks.\1.time."),
    (r"dual_trans\.row_norm\.(\d+)\.", r"middle.blocks.\1.frequency_norm."),
    (r"dual_trans\.col_norm\.(\d+)\.", r"middle.blocks.\1.time_norm."),
    (r"(coder\.[012])\.0\.", r"\1.conv."),
    (r"(coder\.[012])\.1\.", r"\1.norm."),
    (r"(coder\.[012])\.2\.", r"\1.activation."),
    (r"(coder\.[012])\.conv(\d)\.", lambda m: f"{m[1]}.layers.{int(m[2]) - 1}.conv."),
    (r"(coder\.[012])\.norm(\d)\.", lambda m: f"{m[1]}.layers.{int(m[2]) - 1}.norm."),
    (r"(coder\.[012])\.prelu(\d)\.", lambda m: f"{m[1]}.layers.{int(m[2]) - 1}.activation."),
    (r"self_attn\.in_proj_", "attention.input."),
    (r"self_attn\.out_proj\.", "attention.output."),
    (r"linear2\.", "linear."),
    (r"norm3\.", "norm_in."),
    (r"(frequency|time)\.norm1\.", r"\1.norm_mid."),
    (r"(frequency|time)\.norm2\.", r"\1.norm_out."),
]  # fmt: skip


def ours(name: str) -> str:
    """Our name of one released parameter."""
    for pattern, replacement in RULES:
        name = re.sub(pattern, replacement, name)
    return name


def to_ours(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict that our network loads strictly."""
    return {ours(name): value for name, value in weights.items()}
