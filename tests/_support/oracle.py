"""I²SRF-TFCKD written down as its formulas read (arXiv 2506.13127, as in the authors' released program).

The oracle of the tests and the baseline of `benchmarks/distillation_step.py`: one similarity for each pair of
layers, plain autograd, no silence handling, the released embedding only. Weights are looked up by the
released program's names, so that golden files and this project's own modules can both be fed to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

Features = dict[str, list[Tensor]]
Weights = dict[str, Tensor]
STREAMS = {"time": "time", "batch": "freq"}


@dataclass
class Result:
    losses: dict[str, Tensor] = field(default_factory=dict)
    weights: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    fused: dict[str, dict[str, Tensor]] = field(default_factory=dict)


def rows(feature: Tensor, stream: str) -> Tensor:
    """M: [B, T, CD] for the time stream, [T, B, CD] for the batch stream."""
    flat = feature.transpose(1, 2).flatten(2)
    return flat if stream == "time" else flat.transpose(0, 1)


def gram(feature: Tensor, stream: str) -> Tensor:
    m = rows(feature, stream)
    g = m @ m.transpose(1, 2)
    return g if stream == "time" else g.transpose(0, 1)  # [B, T, T] or [B, T, B]


def embed(weights: Weights, name: str, g: Tensor) -> Tensor:
    hidden = F.relu(F.linear(g, weights[f"{name}.linear1.weight"], weights[f"{name}.linear1.bias"]))
    out = F.linear(hidden, weights[f"{name}.linear2.weight"], weights[f"{name}.linear2.bias"])
    return out / (out**2).sum(1, keepdim=True).sqrt()  # over frames


def calibration(
    weights: Weights, prefix: str, student: list[Tensor], teacher: list[Tensor], stream: str
) -> Tensor:
    """α [B, T, n, m]."""
    name = f"{prefix}.{STREAMS[stream]}"
    q = torch.stack(
        [embed(weights, f"{name}_query_weight{i}", gram(f, stream)) for i, f in enumerate(student)], 2
    )
    k = torch.stack(
        [embed(weights, f"{name}_key_weight{j}", gram(f, stream)) for j, f in enumerate(teacher)], 2
    )
    return (q @ k.transpose(2, 3)).softmax(-1)


def distribution(feature: Tensor, stream: str) -> Tensor:
    m = rows(feature, stream)
    m = m / ((m**2).sum(-1, keepdim=True).sqrt() + 1e-6)
    s = (m @ m.transpose(1, 2) + 1) / 2
    return s / s.sum(-1, keepdim=True)


def jeffreys(student: Tensor, teacher: Tensor, stream: str) -> Tensor:
    """Distance of each row, [B, T]: Σ (p − q)(log p − log q)."""
    p, q = distribution(teacher.detach(), stream), distribution(student, stream)
    rowwise = ((p - q) * (p.log() - q.log())).sum(-1)
    return rowwise if stream == "time" else rowwise.transpose(0, 1)


def compare(weights: Weights, name: str, student: list[Tensor], teacher: list[Tensor]) -> tuple[Tensor, dict]:
    batch, _, frames, _ = student[0].shape
    total = student[0].new_zeros(())
    alphas = {}
    for stream, count in (("time", batch * frames), ("batch", batch * batch)):
        alpha = calibration(weights, f"weight.calibration.{name}", student, teacher, stream)
        for i, f_s in enumerate(student):
            for j, f_t in enumerate(teacher):
                total = total + (alpha[:, :, i, j] * jeffreys(f_s, f_t, stream)).sum() / count
        alphas[stream] = alpha
    return total / len(student), alphas


def unit(weights: Weights, name: str, x: Tensor, padding: int = 0) -> Tensor:
    """PReLU(InstanceNorm(Conv x))."""
    x = F.conv2d(x, weights[f"{name}.0.weight"], padding=padding)
    x = F.instance_norm(x, weight=weights[f"{name}.1.weight"], bias=weights[f"{name}.1.bias"])
    return F.prelu(x, weights[f"{name}.2.weight"])


def fuse(weights: Weights, prefix: str, visited: list[Tensor]) -> Tensor:
    fused = unit(weights, f"{prefix}.abfs.0.conv1", visited[0])
    for k, feature in enumerate(visited[1:], start=1):
        x = unit(weights, f"{prefix}.abfs.{k}.conv1", feature)
        y = F.interpolate(fused, size=x.shape[2:], mode="nearest")
        name = f"{prefix}.abfs.{k}.att_conv.0"
        gates = F.conv2d(torch.cat([x, y], 1), weights[f"{name}.weight"], weights[f"{name}.bias"]).sigmoid()
        fused = gates[:, :1] * x + gates[:, 1:] * y
    return unit(weights, f"{prefix}.abfs.{len(visited) - 1}.conv2", fused, padding=1)


def visit(name: str, features: list[Tensor]) -> list[Tensor]:
    return features[::-1] if name == "decoder" else list(features)


def distil(student: Features, teacher: Features, weights: Weights) -> Result:
    result = Result()
    teacher = {name: [f.detach() for f in features] for name, features in teacher.items()}
    for name in student:
        result.losses[name], result.weights[name] = compare(weights, name, student[name], teacher[name])
    for side, sets in (("student", student), ("teacher", teacher)):
        result.fused[side] = {
            name: fuse(weights, f"weight.fusion.{side}.{name}", visit(name, fs)) for name, fs in sets.items()
        }
    fused = [list(result.fused[side].values()) for side in ("student", "teacher")]
    result.losses["inter"], result.weights["inter"] = compare(weights, "inter", *fused)
    return result
