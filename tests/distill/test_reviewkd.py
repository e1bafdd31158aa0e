import pytest
import torch
import toys
from small_scenes import losses, make, scene
from torch.nn import functional as F  # noqa: N812

from stillwave.distill.methods.reviewkd import ReviewKD, hierarchical
from stillwave.schema.methods import ReviewkdConfig

LEVELS = ["encoder_3", "encoder_2", "encoder_1", "middle_1", "decoder_1", "decoder_2", "decoder_3"]


def reviewkd(what, **options):
    built = make(ReviewkdConfig(**options), what.shapes)
    assert isinstance(built, ReviewKD)
    return built


def hcl(student, teacher, sizes):
    """Maps averaged first, then compared, cell by cell."""
    total, weights = (student - teacher).square().mean(), 1.0
    for k, size in enumerate(sizes, start=1):
        weights += 0.5**k
        cells = [F.adaptive_avg_pool2d(f, size) for f in (student, teacher)]
        total = total + 0.5**k * (cells[0] - cells[1]).square().mean()
    return total / weights


def test_four_squares_by_hand():
    """A single 1 among 8×8 zeros: 1/64 on the whole, then (1/4)², (1/16)², (1/64)² in one of 16, 4, 1 cells."""
    error = torch.zeros(1, 1, 8, 8)
    error[0, 0, 2, 3] = 1.0
    expected = (1 / 64 + 1 / 2 / 16 / 16 + 1 / 4 / 256 / 4 + 1 / 8 / 4096) / 1.875
    assert hierarchical(error, "square").item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("frames", "sizes"), [(9, (4, 2, 1)), (4, (2, 1)), (3, (2, 1)), (2, (1,)), (1, ())], ids=str
)
def test_squares_not_smaller_than_the_map_are_skipped(frames, sizes):
    student, teacher = torch.randn(2, 3, 5, frames, 7)
    assert hierarchical(student - teacher, "square") == pytest.approx(
        hcl(student, teacher, sizes).item(), rel=1e-5
    )


@pytest.mark.parametrize(("bins", "sizes"), [(33, (16, 8, 4)), (16, (8, 4)), (9, (8, 4)), (4, ())], ids=str)
def test_bands_keep_every_frame(bins, sizes):
    student, teacher = torch.randn(2, 3, 5, 6, bins)
    expected = hcl(student, teacher, [(6, size) for size in sizes])
    assert hierarchical(student - teacher, "frequency") == pytest.approx(expected.item(), rel=1e-5)


def test_bands_keep_detail_that_squares_average():
    error = torch.randn(1, 1, 64, 1).sign().expand(1, 1, 64, 32)
    assert hierarchical(error, "frequency") == pytest.approx(1.0)
    assert hierarchical(error, "square") < 0.7


@pytest.mark.parametrize("kind", ["square", "frequency"])
@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_each_level_against_the_teachers(kind, norm):
    what = scene()
    built = reviewkd(what, hcl=kind, norm=norm)
    found = losses(built, what)
    assert list(found) == LEVELS
    for fuser, visited in zip(built.fusers, ([2, 1, 0], [0], [0, 1, 2]), strict=True):
        name = {3: "encoder", 1: "middle"}[len(visited)] if visited != [0, 1, 2] else "decoder"
        outputs = fuser([what.student.features[name][i] for i in visited])
        for output, i in zip(outputs, visited, strict=True):
            teacher = what.teacher.features[name][3 if name == "middle" else i]
            frames, bins = teacher.shape[2:]
            sizes = (4, 2, 1) if kind == "square" else [(frames, s) for s in (16, 8, 4) if s < bins]
            expected = hcl(output, teacher, sizes)
            torch.testing.assert_close(found[f"{name}_{i + 1}"], expected)


def test_zero_where_the_fused_student_is_the_teacher():
    what = scene()
    built = reviewkd(what)
    what.teacher.features["middle"][3] = built.fusers[1](what.student.features["middle"])[0].detach()
    assert losses(built, what)["middle_1"] < 1e-12


def test_all_of_the_middle():
    what = scene().attached()
    built = reviewkd(what, middle="all")
    found = losses(built, what)
    assert [name for name in found if name.startswith("middle")] == [f"middle_{j}" for j in (4, 3, 2, 1)]
    (gradient,) = torch.autograd.grad(found["middle_1"], what.student.features["middle"], retain_graph=True)
    assert gradient.abs().max() > 0
    # The last teacher layer meets the student's layer before anything else is mixed in.
    first = {
        name for name, p in built.fusers[1].named_parameters() if name.startswith(("units.0", "outputs.0"))
    }
    gradients = torch.autograd.grad(found["middle_4"], list(built.fusers[1].parameters()), allow_unused=True)
    names = [name for name, _ in built.fusers[1].named_parameters()]
    assert {n for n, g in zip(names, gradients, strict=True) if g is not None} == first


def test_starts_as_published():
    from stillwave.distill.method import build

    what = scene()
    torch.manual_seed(0)
    built = build(ReviewkdConfig(), what.shapes)
    weight = built.fusers[0].outputs[0].conv.weight
    assert weight.shape == (6, 4, 3, 3)  # as wide inside as the student's deepest layer
    bound = (3 / (4 * 9)) ** 0.5  # Kaiming with a = 1: gain 1
    assert 0.9 * bound < weight.abs().max() <= bound
    assert (built.warmup, built.published_weight) == (0.08, 1.0)


def test_resized_to_the_teachers_bins():
    sides = [{"only": [torch.randn(2, c, 5, d)]} for c, d in ((4, 6), (3, 9))]
    built = ReviewKD.build(ReviewkdConfig(), toys.shapes(*sides))
    (loss,) = toys.losses(built, *sides).values()
    (output,) = built.fusers[0](sides[0]["only"])
    assert output.shape == (2, 3, 5, 9)
    torch.testing.assert_close(loss, hcl(output, sides[1]["only"][0], [(5, 8), (5, 4)]))


def test_loss_depends_on_the_polarity_of_the_teacher():
    what = scene()
    built = reviewkd(what)
    turned = losses(built, what.changed(torch.clone, torch.neg, torch.clone))
    assert all((turned[name] - loss).abs() > 1e-4 for name, loss in losses(built, what).items())
