"""The recursion that ReviewKD, CLSKD and UCLFWPKD share, against its formulas in plain PyTorch."""

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from stillwave.distill import DistillError, Layer, ModelOutputs, Shapes
from stillwave.distill.fusion_levels import LevelFuser, levels, maps, resized
from stillwave.distill.pairing import LayerPair

WIDTH = 5


def layers(*described, prefix="x"):
    return tuple(Layer(f"{prefix}.{i}", c, t, d) for i, (c, t, d) in enumerate(described))


def shapes(**sets):
    return Shapes(
        3, {name: layers(*s) for name, (s, _) in sets.items()}, {n: layers(*t) for n, (_, t) in sets.items()}
    )


def visits(bins, wanted=None):
    """Student layers of 2, 3, … channels, teacher layers of 4, 5, …."""
    return [
        LayerPair("x", k, k, Layer("s", 2 + k, 6, own), Layer("t", 4 + k, 6, theirs))
        for k, (own, theirs) in enumerate(zip(bins, wanted or bins, strict=True))
    ]


def fuser(pairs, **options):
    torch.manual_seed(3)
    built = LevelFuser(pairs, WIDTH, **options)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return built


def members(pairs, dtype=torch.float64):
    torch.manual_seed(4)
    return [
        (1 + torch.randn(3, p.student.channels, 6, p.student.bins, dtype=dtype)).requires_grad_()
        for p in pairs
    ]


def literal(built, visited, pairs, activation, norm, resize):
    def unit(module, x, padding):
        x = F.conv2d(x, module.conv.weight, padding=padding)
        if norm == "batch":
            x = F.batch_norm(x, None, None, module.norm.weight, module.norm.bias, training=True)
        else:
            x = F.instance_norm(x, weight=module.norm.weight, bias=module.norm.bias)
        return F.prelu(x, module.activation.weight) if activation == "prelu" else x

    fused, outputs = None, []
    for k, feature in enumerate(visited):
        x = unit(built.units[k], feature, 0)
        if fused is None:
            fused = x
        else:
            y = F.interpolate(fused, size=x.shape[2:], mode="nearest")
            gate = built.gates[k - 1]
            a, b = F.conv2d(torch.cat([x, y], 1), gate.weight, gate.bias).sigmoid().split(1, 1)
            fused = a * x + b * y
        bins = pairs[k].teacher.bins if resize else feature.shape[3]
        outputs.append(unit(built.outputs[k], F.interpolate(fused, size=(6, bins), mode="nearest"), 1))
    return outputs


@pytest.mark.parametrize("bins", [[4, 9, 17], [9, 9, 4], [6]])
@pytest.mark.parametrize("activation", ["none", "prelu"])
@pytest.mark.parametrize("norm", ["instance", "batch"])
@pytest.mark.parametrize("resize", [False, True])
def test_equals_the_formulas_with_all_gradients(bins, activation, norm, resize):
    pairs = visits(bins, [7, 8, 10][: len(bins)])
    built = fuser(pairs, activation=activation, norm=norm, resize=resize).double()
    inputs = members(pairs)
    results = []
    for outputs in (built(inputs), literal(built, inputs, pairs, activation, norm, resize)):
        loss = sum((o * torch.linspace(-1, 1, o.numel()).view(o.shape)).sum() for o in outputs)
        results.append((outputs, torch.autograd.grad(loss, [*inputs, *built.parameters()])))
    (ours, of_ours), (plain, of_plain) = results
    for a, b, pair in zip(ours, plain, pairs, strict=True):
        assert a.shape[1] == pair.teacher.channels
        torch.testing.assert_close(a, b)
    for a, b in zip(of_ours, of_plain, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7 * float(b.abs().max()) + 1e-9)


def test_a_layer_may_be_visited_several_times():
    pairs = [LayerPair("x", 0, j, Layer("s", 2, 6, 4), Layer("t", 3, 6, 4)) for j in range(3)]
    built = fuser(pairs).double()
    one = torch.randn(2, 2, 6, 4, dtype=torch.float64)
    for a, b in zip(built([one] * 3), built([one.clone() for _ in range(3)]), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_a_single_position_is_finite(norm):
    pairs = [LayerPair("x", 0, 0, Layer("s", 2, 1, 1), Layer("t", 3, 1, 1))]
    built = fuser(pairs, norm=norm)
    (out,) = built([torch.randn(1, 2, 1, 1, requires_grad=True)])
    torch.testing.assert_close(out.flatten(), built.outputs[0].norm.bias)


def test_examples_are_independent_with_instance_norm_only():
    pairs = visits([4, 9])
    inputs = [f.detach() for f in members(pairs)]
    changed = [torch.cat([f[:1], 5 * f[1:]]) for f in inputs]
    for norm, same in (("instance", True), ("batch", False)):
        built = fuser(pairs, norm=norm).double()
        pairs_of_first = zip(built(inputs), built(changed), strict=True)
        assert all(torch.allclose(a[0], b[0]) == same for a, b in pairs_of_first)


def test_resized_picks_the_nearest_bin():
    x = torch.arange(3.0).view(1, 1, 3, 1)
    assert resized(x, 7).flatten().tolist() == [0, 0, 0, 1, 1, 2, 2]
    assert resized(x, 3) is x


def test_levels_are_visited_away_from_the_bottleneck():
    a = (4, 6, 8)
    found = levels(shapes(encoder=([a] * 3, [a] * 3), decoder=([a] * 2, [a] * 2), other=([a], [a])), "x")
    assert [list(v) for v in found.values()] == [
        ["encoder_3", "encoder_2", "encoder_1"],
        ["decoder_1", "decoder_2"],
        ["other_1"],
    ]


def places(found):
    return {label: (pair.i, pair.j) for visits in found.values() for label, pair in visits.items()}


def test_levels_pair_last_layers_or_every_teacher_layer():
    a = (4, 6, 8)
    one_of_four, two_of_four = shapes(middle=([a], [a] * 4)), shapes(middle=([a] * 2, [a] * 4))
    assert places(levels(one_of_four, "x")) == {"middle_1": (0, 3)}
    every = levels(one_of_four, "x", every=True)
    assert places(every) == {f"middle_{j + 1}": (0, j) for j in range(4)}
    assert next(iter(every["middle"])) == "middle_4"
    assert places(levels(two_of_four, "x")) == {"middle_1": (0, 1), "middle_2": (1, 3)}
    assert places(levels(two_of_four, "x", every=True)) == {
        f"middle_{j + 1}": (i, j) for i, j in [(0, 0), (0, 1), (1, 2), (1, 3)]
    }
    more = shapes(middle=([a] * 3, [a] * 2))
    assert places(levels(more, "x", every=True)) == places(levels(more, "x"))


def test_masks_are_levels_if_enabled():
    sets = shapes(decoder=([(4, 6, 8), (2, 6, 9)], [(6, 6, 8), (2, 6, 9)]), out=([(2, 6, 9)], [(2, 6, 9)]))
    assert places(levels(sets, "x")) == {"decoder_1": (0, 0)}
    assert list(places(levels(sets, "x", masks=True))) == ["decoder_1", "decoder_2", "out_1"]
    with pytest.raises(DistillError, match="2 channels"):
        levels(shapes(out=([(2, 6, 9)], [(2, 6, 9)])), "x")


def test_other_frames_are_refused_by_name():
    with pytest.raises(DistillError, match=r"student .*'x\.0' has 6 .*teacher .*'x\.0' has 5"):
        levels(shapes(a=([(4, 6, 8)], [(4, 5, 8)])), "x")
    with pytest.raises(DistillError, match=r"frames.*'x\.1' has 3 and 'x\.0' has 6"):
        levels(shapes(a=([(4, 6, 8), (4, 3, 8)], [(4, 6, 8), (4, 3, 8)])), "x")


def test_maps_are_shared_and_the_teachers_detached():
    a = (4, 6, 8)
    (of_set,) = levels(shapes(m=([a], [a] * 2)), "x", every=True).values()
    student = torch.randn(3, 4, 6, 8).bfloat16().requires_grad_()
    teacher = [torch.randn(3, 4, 6, 8, requires_grad=True) for _ in range(2)]
    ours, theirs = maps(
        of_set, ModelOutputs({"m": [student]}, student), ModelOutputs({"m": teacher}, student)
    )
    assert ours[0] is ours[1]
    assert ours[0].dtype == torch.float32
    assert ours[0].requires_grad
    assert not any(t.requires_grad for t in theirs)
    assert torch.equal(theirs[0], teacher[1])
