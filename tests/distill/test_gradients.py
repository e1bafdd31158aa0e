"""Student layers and estimates without gradients are refused; inference mode changes no gradient."""

from __future__ import annotations

import pytest
import torch
import toys
from plain_networks import CONFIG, NOISY, OF_ESTIMATES, Net, distiller, gradients, nets, same
from torch.utils.checkpoint import checkpoint

from stillwave.distill import METHODS, Distiller, DistillError


class Reentrant(Net):
    def middle(self, x):
        return checkpoint(super().middle, x, use_reentrant=True)


class Recomputed(Net):
    def middle(self, x):
        return checkpoint(super().middle, x, use_reentrant=False)


class Cut(Net):
    def middle(self, x):
        with torch.no_grad():
            return super().middle(x)


@pytest.mark.parametrize("student", [Reentrant, Cut])
@pytest.mark.filterwarnings("ignore:None of the inputs")
def test_a_tapped_layer_without_gradient_is_refused_at_the_first_step(student):
    d = distiller(*nets(student))
    with pytest.raises(DistillError, match=r"student's layer 'first:bct' .*gradient.*use_reentrant=False"):
        d(NOISY)


def test_a_frozen_layer_is_refused_at_the_first_step():
    teacher, student = nets()
    student.first.requires_grad_(False)
    d = distiller(teacher, student)
    with pytest.raises(DistillError, match=r"student's layer 'first:bct' .*gradient.*frozen"):
        d(NOISY)
    student.requires_grad_(False)
    with pytest.raises(DistillError, match=r"'first:bct' .*gradient"):
        d(NOISY)


@pytest.mark.parametrize("method", OF_ESTIMATES)
def test_an_estimate_without_gradient_is_refused_at_the_first_step(method):
    class Silent(Net):
        @torch.no_grad()
        def forward(self, noisy):
            return super().forward(noisy)

    d = distiller(*nets(Silent), method)
    with pytest.raises(DistillError, match=r"student's estimate .*gradient"):
        d(NOISY, clean=NOISY)


def test_layers_before_a_frozen_one_are_trained():
    teacher, student = nets()
    student.second.requires_grad_(False)
    distiller(teacher, student)(NOISY)


def test_checkpointed_layers_have_the_same_gradients():
    expected = gradients(distiller(*nets()))
    same(gradients(distiller(*nets(Recomputed))), expected)


@pytest.mark.parametrize("off", [torch.no_grad, torch.inference_mode])
def test_layers_are_not_checked_without_gradients(off):
    d = distiller(*nets(Cut))
    with off():
        assert d(NOISY)[1]
    d.student.requires_grad_(False)
    assert d.eval()(NOISY)[1]


@pytest.mark.parametrize("method", [name for name in METHODS if name != "none"])
def test_validation_in_inference_mode_between_steps_changes_nothing(method):
    def losses(look: bool):
        teacher, student = toys.pair()
        given = CONFIG if method == "i2srf_tfckd" else method
        d = Distiller(teacher, student, given, example=NOISY).eval()
        if look:
            with torch.inference_mode():
                found = d(NOISY, clean=NOISY)[1]
                assert all(loss.isfinite() for loss in found.values())
        return gradients(d)

    try:
        expected = losses(look=False)
    except DistillError as error:
        pytest.skip(str(error))
    same(losses(look=True), expected, 1e-6)


def test_a_distiller_made_in_inference_mode_can_be_trained():
    teacher, student = nets()
    with torch.inference_mode():
        d = distiller(teacher, student)
    same(gradients(d), gradients(distiller(*nets())))


def test_a_student_made_in_inference_mode_is_refused():
    with torch.inference_mode():
        teacher, student = nets()
    with pytest.raises(DistillError, match=r"'first\.weight' .*torch\.inference_mode"):
        distiller(teacher, student)
