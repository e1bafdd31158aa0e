"""I²SRF-TFCKD compared with tensors of the authors' released program, for every golden file."""

import golden
import oracle
import pytest
import toys
from released_distillation import released_names

from stillwave.distill import I2srfTfckd
from stillwave.schema import I2srfTfckdConfig

STREAMS = {"time": "time", "batch": "frequency"}
paths = pytest.mark.parametrize("path", golden.distillation_paths(), ids=lambda path: path.stem)


def sets(found: golden.Golden, side: str) -> toys.Features:
    tensors = found.group(side)
    names = dict.fromkeys(name.split(".")[0] for name in tensors)
    order = sorted(names, key=["encoder", "middle", "decoder"].index)
    return {
        n: [tensors[f"{n}.{i}"] for i in range(sum(t.startswith(f"{n}.") for t in tensors))] for n in order
    }


def build(found: golden.Golden, student: toys.Features, teacher: toys.Features) -> I2srfTfckd:
    config = I2srfTfckdConfig(
        embedding="released",
        fusion_channels=found.sizes["fusion_channels"],
        batch_expansion=found.sizes["frequency_expansion"],
    )
    method = I2srfTfckd.build(config, toys.shapes(student, teacher))
    method.load_state_dict({own: found.tensors[name] for own, name in released_names(method).items()})
    return method


@paths
def test_golden_losses_weights_and_gradients(path):
    found = golden.read(path)
    student, teacher = toys.attached(sets(found, "student")), sets(found, "teacher")
    method = build(found, student, teacher)
    losses = toys.losses(method, student, teacher)
    total = sum(losses.values())
    total.backward()
    for name, loss in {**losses, "total": total}.items():
        expected = found.tensors[f"loss.{name}"].item()
        assert loss.item() == pytest.approx(expected, rel=1e-5), name
    for name, streams in method.weights.items():
        for stream, alpha in streams.items():
            expected = found.tensors[f"alpha.{STREAMS[stream]}.{name}"]
            assert golden.difference(alpha, expected) < 1e-5, (name, stream)
    for name, layers in student.items():
        for i, layer in enumerate(layers):
            expected = found.tensors[f"grad.student.{name}.{i}"]
            assert golden.difference(layer.grad, expected) < 1e-4, (name, i)


@paths
def test_golden_fused_features(path):
    found = golden.read(path)
    student, teacher = sets(found, "student"), sets(found, "teacher")
    method = build(found, student, teacher)
    for side, features in (("student", student), ("teacher", teacher)):
        for name, fused in method.fuse(side, features).items():
            assert golden.difference(fused, found.tensors[f"fused.{side}.{name}"]) < 1e-5, (side, name)


@paths
def test_golden_oracle(path):
    """The oracle of the other tests agrees with the released program."""
    found = golden.read(path)
    student = toys.attached(sets(found, "student"))
    result = oracle.distil(student, sets(found, "teacher"), found.tensors)
    sum(result.losses.values()).backward()
    for name, loss in result.losses.items():
        assert loss.item() == pytest.approx(found.tensors[f"loss.{name}"].item(), rel=1e-5)
    for name, layers in student.items():
        for i, layer in enumerate(layers):
            assert golden.difference(layer.grad, found.tensors[f"grad.student.{name}.{i}"]) < 1e-4


def test_golden_files_are_there():
    assert golden.distillation_paths(), f"no distillation file in {golden.FOLDER}"
