"""I²SRF-TFCKD: batches and lengths, invariances, numerical gradients, silence, and invalid options."""

import math

import pytest
import torch
import toys

from stillwave.distill import DistillError


@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize("frames", [1, 2, 20])
def test_pooled_form_takes_any_batch_and_length(batch, frames):
    method = toys.method(toys.of_student(), toys.of_teacher())
    student, teacher = toys.attached(toys.of_student(batch, frames)), toys.of_teacher(batch, frames)
    toys.total(method, student, teacher).backward()
    assert all(g.isfinite().all() for g in toys.gradients(student))


def test_batch_stream_of_one_example_is_zero_in_the_graph():
    student, teacher = toys.attached(toys.of_student(1)), toys.of_teacher(1)
    method = toys.method(student, teacher, time=False)
    total = toys.total(method, student, teacher)
    total.backward()
    assert total == 0
    assert all(g.abs().max() == 0 for g in toys.gradients(student))


def test_loss_is_independent_of_the_order_of_the_batch():
    student, teacher = toys.of_student(5), toys.of_teacher(5)
    method = toys.method(student, teacher)
    order = [3, 0, 4, 1, 2]
    shuffled = [{n: [f[order] for f in fs] for n, fs in sets.items()} for sets in (student, teacher)]
    expected = toys.losses(method, student, teacher)
    for name, loss in toys.losses(method, *shuffled).items():
        torch.testing.assert_close(loss, expected[name], rtol=1e-5, atol=0)


def test_loss_is_invariant_to_polarity():
    """Documented: only the enhancement loss fixes the sign of the mask."""
    student, teacher = toys.of_student(), toys.of_teacher()
    method = toys.method(student, teacher, inter=False)
    inverted = {name: [-f for f in fs] for name, fs in student.items()}
    expected = toys.losses(method, student, teacher)
    for name, loss in toys.losses(method, inverted, teacher).items():
        torch.testing.assert_close(loss, expected[name], rtol=1e-5, atol=0)


def silenced(sets, how):
    for fs in sets.values():
        for f in fs:
            with torch.no_grad():
                if how == "frame":
                    f[0, :, 2] = 0
                elif how == "example":
                    f[1] = 0
                elif how == "all":
                    f.zero_()
                else:
                    f[:, :, 1] = -f[:, :, 0]
    return sets


@pytest.mark.parametrize("how", ["frame", "example", "all", "opposite"])
@pytest.mark.parametrize("embedding", ["released", "pooled"])
@pytest.mark.parametrize("sides", ["both", "student", "teacher"])
def test_silence_and_opposite_rows_are_finite(how, embedding, sides):
    student, teacher = toys.attached(toys.of_student()), toys.of_teacher()
    if sides != "teacher":
        silenced(student, how)
    if sides != "student":
        silenced(teacher, how)
    method = toys.method(student, teacher, embedding=embedding)
    total = toys.total(method, student, teacher)
    total.backward()
    assert total.isfinite()
    assert all(g.isfinite().all() for g in toys.gradients(student))
    assert all(p.grad.isfinite().all() for p in method.parameters())


def test_nan_features_give_nan_loss():
    student, teacher = toys.of_student(), toys.of_teacher()
    method = toys.method(student, teacher)
    student["encoder"][1][0, 0, 0, 0] = math.nan
    losses = toys.losses(method, student, teacher)
    assert losses["encoder"].isnan()
    assert losses["decoder"].isfinite()


def test_equal_layers_have_zero_loss_and_gradient():
    layer = toys.of_student()["encoder"][0]
    student, teacher = {"one": [layer.clone().requires_grad_()]}, {"one": [layer]}
    method = toys.method(student, teacher, inter=False)
    total = toys.total(method, student, teacher)
    total.backward()
    assert total == 0
    assert student["one"][0].grad.abs().max() == 0


def test_distance_grows_as_noise_is_added():
    layer, noise = toys.of_student(4, 9)["encoder"][0], toys.of_student(4, 9, seed=7)["encoder"][0]
    teacher = {"one": [layer]}
    method = toys.method(teacher, teacher, inter=False)
    found = [toys.total(method, {"one": [layer + k * noise]}, teacher).item() for k in (0, 0.1, 0.3, 1, 3)]
    assert found == sorted(set(found))


@pytest.mark.parametrize("embedding", ["released", "pooled"])
def test_gradients_numerically(embedding):
    def double(sets):
        return {name: [f[:, :2, :3, :3].double() for f in fs] for name, fs in sets.items()}

    student, teacher = double(toys.of_student()), double(toys.of_teacher())
    method = toys.method(student, teacher, embedding=embedding, fusion_channels=3).double()
    flat = [f.requires_grad_() for fs in student.values() for f in fs]

    def loss(*layers):
        left = iter(layers)
        return toys.total(method, {name: [next(left) for _ in fs] for name, fs in student.items()}, teacher)

    assert torch.autograd.gradcheck(loss, flat, fast_mode=True)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_features_give_full_precision_losses(dtype):
    student, teacher = toys.of_student(), toys.of_teacher()
    method = toys.method(student, teacher)
    halves = [{n: [(50 * f).to(dtype) for f in fs] for n, fs in sets.items()} for sets in (student, teacher)]
    whole = [{n: [f.float() for f in fs] for n, fs in sets.items()} for sets in halves]
    expected = toys.losses(method, *whole)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = toys.losses(method, *halves)
    for name, loss in found.items():
        assert loss.dtype == torch.float32
        assert loss == expected[name]


def test_backward_under_autocast_works():
    """PyTorch advises against it: its own products are then bfloat16."""
    method = toys.method(toys.of_student(), toys.of_teacher())
    found = []
    for enabled in (False, True):
        student, teacher = toys.attached(toys.of_student()), toys.of_teacher()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            toys.total(method, student, teacher).backward()
        found.append(toys.gradients(student))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0.05 * float(b.abs().max()))


def test_inputs_are_not_modified_and_the_teacher_gets_no_gradient():
    student, teacher = toys.attached(toys.of_student()), toys.attached(toys.of_teacher())
    kept = [list(fs) for sets in (student, teacher) for fs in sets.values()]
    values = [f.detach().clone() for fs in kept for f in fs]
    method = toys.method(student, teacher)
    toys.total(method, student, teacher).backward()
    after = [fs for sets in (student, teacher) for fs in sets.values()]
    assert all(a is b for old, new in zip(kept, after, strict=True) for a, b in zip(old, new, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(values, (f for fs in after for f in fs), strict=True))
    assert all(f.requires_grad and f.grad is None for fs in teacher.values() for f in fs)


def test_set_weights_scale_their_terms():
    student, teacher = toys.of_student(), toys.of_teacher()
    plain = toys.losses(toys.method(student, teacher), student, teacher)
    weighted = toys.losses(
        toys.method(student, teacher, set_weights={"encoder": 3.0, "inter": 0.5}), student, teacher
    )
    for name, factor in (("encoder", 3.0), ("middle", 1.0), ("decoder", 1.0), ("inter", 0.5)):
        torch.testing.assert_close(weighted[name], factor * plain[name])


def test_other_sets_and_numbers_of_layers():
    f = toys.of_student()
    student = {"bottleneck": f["middle"], "heads": f["decoder"][:2]}
    teacher = {"bottleneck": toys.of_teacher()["middle"][:2], "heads": toys.of_teacher()["decoder"]}
    method = toys.method(student, teacher)
    losses = toys.losses(method, student, teacher)
    assert list(losses) == ["bottleneck", "heads", "inter"]
    assert method.weights["heads"]["time"].shape == (3, 7, 2, 3)
    fused = method.fuse("teacher", teacher)
    assert fused["heads"].shape == teacher["heads"][-1].shape  # only a set named decoder is visited backwards


def with_frames(sets, name, index, frames):
    changed = {n: list(fs) for n, fs in sets.items()}
    changed[name][index] = changed[name][index][:, :, :frames]
    return changed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"set_weights": {"encodr": 1.0}}, "set_weights: .*'encodr'.*'encoder'"),
        ({"set_weights": {"encoder": -1.0}}, "set_weights.encoder .*-1.0"),
        (
            {"inter": False, "set_weights": dict.fromkeys(("encoder", "middle", "decoder"), 0.0)},
            "set_weights: .* 0;",
        ),
        ({"cross_weighting": True, "batch": False}, "cross_weighting .*time, batch and frequency"),
        (
            {"cross_weighting": True, "calibration": False},
            "cross_weighting .*time, batch and frequency",
        ),
    ],
)
def test_invalid_options_are_refused(options, message):
    with pytest.raises(DistillError, match=message):
        toys.method(toys.of_student(), toys.of_teacher(), **options)


def test_mismatched_layers_are_refused():
    student, teacher = toys.of_student(), toys.of_teacher()
    short = with_frames(teacher, "encoder", 1, 5)
    with pytest.raises(DistillError, match=r"set 'encoder'.*'encoder.0' has 7 .*'encoder.1' has 5"):
        toys.method(student, short)
    shorter = [
        {n: [f[:, :, :5] for f in fs] if n == "middle" else fs for n, fs in s.items()}
        for s in (student, teacher)
    ]
    with pytest.raises(DistillError, match="inter: true"):
        toys.method(*shorter)
    method = toys.method(*shorter, inter=False)  # each set by itself is of one length
    assert set(toys.losses(method, *shorter)) == {"encoder", "middle", "decoder"}
    with pytest.raises(DistillError, match="3 examples of 5 frames, 3 examples of 7 frames"):
        toys.losses(method, student, short)


@pytest.mark.parametrize("name", ["inter", "keys", "two words", "a.b"])
def test_set_names_that_cannot_be_used_are_refused(name):
    layer = {name: toys.of_student()["middle"]}
    with pytest.raises(DistillError, match=f"'{name}'"):
        toys.method(layer, layer)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_equals_cpu():
    student, teacher = toys.attached(toys.of_student()), toys.of_teacher()
    method = toys.method(student, teacher)
    toys.total(method, student, teacher).backward()
    expected = toys.gradients(student)
    on_gpu = [{n: [f.detach().cuda() for f in fs] for n, fs in sets.items()} for sets in (student, teacher)]
    moved = toys.attached(on_gpu[0])
    toys.total(method.cuda(), moved, on_gpu[1]).backward()
    for a, b in zip(toys.gradients(moved), expected, strict=True):
        torch.testing.assert_close(a.cpu(), b, rtol=1e-3, atol=1e-6)


def test_centring_removes_common_offsets():
    student, teacher = toys.of_student(), toys.of_teacher()
    shared = {
        name: [f + 5 * torch.randn(f.shape[1], 1, f.shape[3]) for f in fs] for name, fs in student.items()
    }
    for centre in (False, True):
        method = toys.method(student, teacher, centre=centre, inter=False)
        with torch.no_grad():
            plain, moved = (toys.total(method, features, teacher) for features in (student, shared))
        assert (abs(moved / plain - 1) < 1e-3) == centre


def test_centring_spreads_similar_features():
    student, teacher = toys.of_student(), toys.of_teacher()
    alike = {name: [f.abs() + 3 for f in fs] for name, fs in student.items()}
    losses = {}
    for centre in (False, True):
        method = toys.method(alike, teacher, centre=centre, calibration=False)
        (comparison,) = [c for name, c in method.comparisons.items() if name == "middle"]
        cosine = comparison.similarities(alike["middle"][0])["time"].cosine
        losses[centre] = float(cosine.std())
    assert losses[True] > 5 * losses[False]
