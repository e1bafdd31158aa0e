import oracle
import pytest
import torch
import toys
from released_distillation import released_weights

from stillwave.distill.calibrated_distance import pairs
from stillwave.distill.similarity import distribution, jeffreys, similarities
from stillwave.schema import I2srfTfckdConfig

ABLATIONS = [
    {},
    {"embedding": "released"},
    {"intra": False},
    {"inter": False},
    {"fusion": "mean"},
    {"time": False},
    {"batch": False},
    {"calibration": False},
    {"pairs": "one_to_one"},
    {"cross_weighting": True},
    {"set_weights": {"middle": 0.0, "inter": 0.5}},
    {"frequency": True, "bands": 3},
    {"frequency": True, "bands": 4, "time": False, "batch": False, "band_scale": "erb"},
    {"frequency": True, "bands": 2, "batch": False, "cross_weighting": True},
    {"frequency": True, "bands": 2, "calibration": False},
    {"frequency": True, "bands": 2, "pairs": "one_to_one"},
]
each_ablation = pytest.mark.parametrize("options", ABLATIONS, ids=str)


@pytest.mark.parametrize(("batch", "frames"), [(3, 7), (2, 11), (1, 4)])
def test_released_form_equals_the_plain_formulas(batch, frames):
    student, teacher = toys.attached(toys.of_student(batch, frames)), toys.of_teacher(batch, frames)
    method = toys.method(student, teacher, embedding="released")
    ours = toys.losses(method, student, teacher)
    result = oracle.distil(student, teacher, released_weights(method))
    inputs = [f for fs in student.values() for f in fs] + list(method.parameters())
    for name, expected in result.losses.items():
        torch.testing.assert_close(ours[name], expected, rtol=1e-5, atol=1e-8)
    for name, streams in result.weights.items():
        for stream, expected in streams.items():
            torch.testing.assert_close(method.weights[name][stream], expected.detach(), rtol=1e-5, atol=1e-6)
    found, plain = (torch.autograd.grad(sum(x.values()), inputs) for x in (ours, result.losses))
    largest = max(float(g.abs().max()) for g in plain)
    for a, b in zip(found, plain, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5 * largest)


@each_ablation
def test_every_parameter_that_is_trained_is_used(options):
    """Unused parameters stop DistributedDataParallel."""
    student, teacher = toys.attached(toys.of_student()), toys.of_teacher()
    method = toys.method(student, teacher, **options)
    toys.total(method, student, teacher).backward()
    for name, parameter in method.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name
    assert len(toys.gradients(student)) > 0


@pytest.mark.parametrize("options", [{}, {"time": False}, {"batch": False}], ids=str)
def test_one_example_still_uses_every_parameter(options):
    student, teacher = toys.attached(toys.of_student(1)), toys.of_teacher(1)
    method = toys.method(student, teacher, **options)
    toys.total(method, student, teacher).backward()
    assert all(p.grad is not None for p in method.parameters() if p.requires_grad)


def names(method):
    return " ".join(name for name, p in method.named_parameters() if p.requires_grad)


def test_ablations_remove_terms_and_parameters():
    student, teacher = toys.of_student(), toys.of_teacher()

    def built(**options):
        method = toys.method(student, teacher, **options)
        return list(toys.losses(method, student, teacher)), names(method)

    everything, parameters = built()
    assert everything == ["encoder", "middle", "decoder", "inter"]
    for word in ("gates", "queries", "keys", ".time.", ".batch.", "fusers.teacher"):
        assert word in parameters
    assert built(intra=False)[0] == ["inter"]
    assert "comparisons.encoder" not in built(intra=False)[1]
    assert built(inter=False)[0] == everything[:3]
    assert "fusers" not in built(inter=False)[1]
    assert "gates" not in built(fusion="mean")[1]
    assert ".time." not in built(time=False)[1]
    assert ".batch." not in built(batch=False)[1]
    for options in ({"calibration": False}, {"pairs": "one_to_one"}):
        assert "queries" not in built(**options)[1]
        assert "fusers.student" in built(**options)[1]
        assert "fusers.teacher" not in built(**options)[1]  # nothing would teach them
    assert built(set_weights={"encoder": 0})[0] == everything[1:]


def test_disabling_a_stream_does_not_change_the_other():
    student, teacher = toys.of_student(), toys.of_teacher()
    both, time, batch = (
        toys.method(student, teacher, calibration=False, **o) for o in ({}, {"batch": False}, {"time": False})
    )
    for method in (time, batch):
        method.load_state_dict(both.state_dict())
    found = [toys.losses(m, student, teacher) for m in (both, time, batch)]
    for name, loss in found[0].items():
        torch.testing.assert_close(found[1][name] + found[2][name], loss)
        assert found[1][name] > 0
        assert found[2][name] > 0


def test_uniform_weights():
    student, teacher = toys.of_student(), toys.of_teacher()
    method = toys.method(student, teacher, calibration=False)
    toys.losses(method, student, teacher)
    assert method.weights["middle"]["time"].unique().tolist() == [0.25]
    assert method.weights["encoder"]["batch"].shape == (3, 7, 3, 3)


@pytest.mark.parametrize(
    ("n", "m", "expected"),
    [(3, 3, [0, 1, 2]), (1, 4, [3]), (2, 4, [1, 3]), (3, 2, [0, 1, 1]), (4, 1, [0, 0, 0, 0])],
)
def test_one_to_one_pairs(n, m, expected):
    config = I2srfTfckdConfig(pairs="one_to_one")
    assert pairs(n, m, config) == list(enumerate(expected))
    assert len(pairs(n, m, I2srfTfckdConfig())) == n * m


def rows(student, teacher, stream):
    q, p = (distribution(similarities(f)[stream].cosine) for f in (student, teacher))
    return jeffreys([q], [p], [(0, 0)])[..., 0]


def test_one_to_one_is_the_plain_distance_of_the_pair():
    student, teacher = toys.of_student(), toys.of_teacher()
    method = toys.method(student, teacher, pairs="one_to_one", batch=False)
    loss = toys.losses(method, student, teacher)["middle"]
    expected = rows(student["middle"][0], teacher["middle"][3], "time").mean()
    torch.testing.assert_close(loss, expected)
    assert method.weights["middle"]["time"][0, 0].tolist() == [[0, 0, 0, 1]]


@pytest.mark.parametrize("cross", [False, True])
def test_cross_weighting_exchanges_the_weights(cross):
    student, teacher = toys.of_student(), toys.of_teacher()
    method = toys.method(student, teacher, cross_weighting=cross)
    loss = toys.losses(method, student, teacher)["middle"]
    alpha = method.weights["middle"]
    expected = torch.zeros(())
    for stream, weighing in (("time", "batch"), ("batch", "time")):
        for j, layer in enumerate(teacher["middle"]):
            weight = alpha[weighing if cross else stream][..., 0, j]
            expected = expected + (weight * rows(student["middle"][0], layer, stream)).mean()
    torch.testing.assert_close(loss, expected)


def test_scales_differ_by_frames_over_examples():
    student, teacher = toys.of_student(3, 12), toys.of_teacher(3, 12)
    found = {
        scale: toys.losses(toys.method(student, teacher, time=False, scale=scale), student, teacher)
        for scale in ("released", "balanced")
    }
    for name, loss in found["balanced"].items():
        torch.testing.assert_close(found["released"][name], loss * 12 / 3)


@pytest.mark.parametrize(
    ("embedding", "axis", "scale"), [("released", 1, "released"), ("pooled", 2, "balanced")]
)
def test_defaults_follow_the_embedding(embedding, axis, scale):
    student, teacher = toys.of_student(), toys.of_teacher()
    default = toys.method(student, teacher, embedding=embedding)
    spelt = toys.method(
        student, teacher, embedding=embedding, scale=scale, normalise=["", "frames", "embedding"][axis]
    )
    for name, loss in toys.losses(default, student, teacher).items():
        assert loss == toys.losses(spelt, student, teacher)[name]
