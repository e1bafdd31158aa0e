import numpy as np
import pytest

from stillwave.data.scenes.ambisonics import (
    about_z,
    convert,
    direction,
    encode,
    energy_ratio,
    intensity,
    order_fault,
    rotate,
)

RNG = np.random.default_rng(3)
WAVE = RNG.standard_normal(4000)


@pytest.mark.parametrize(
    ("azimuth", "elevation", "wyzx"),
    [
        (0, 0, (1, 0, 0, 1)),  # ahead
        (np.pi / 2, 0, (1, 1, 0, 0)),  # left
        (np.pi, 0, (1, 0, 0, -1)),
        (-np.pi / 2, 0, (1, -1, 0, 0)),
        (1.2, np.pi / 2, (1, 0, 1, 0)),  # above, whatever the azimuth
        (np.pi / 6, np.pi / 3, (1, 0.25, 0.75**0.5, 0.75**0.5 / 2)),
    ],
)
def test_gains_of_a_plane_wave(azimuth, elevation, wyzx):
    np.testing.assert_allclose(encode(direction(azimuth, elevation)), wyzx, atol=1e-12)


def test_rotating_a_scene_rotates_its_channels():
    places = [direction(*angles) for angles in RNG.uniform(-1.5, 1.5, (5, 2))]
    waves = RNG.standard_normal((5, 100))
    turn, _ = np.linalg.qr(RNG.standard_normal((3, 3)))
    turn *= np.linalg.det(turn)  # a rotation about any axis
    before = sum(np.outer(encode(place), wave) for place, wave in zip(places, waves, strict=True))
    after = sum(np.outer(encode(turn @ place), wave) for place, wave in zip(places, waves, strict=True))
    np.testing.assert_allclose(rotate(before, turn), after, atol=1e-12)


def test_a_quarter_turn_to_the_left():
    np.testing.assert_allclose(about_z(np.pi / 2) @ direction(0), direction(np.pi / 2), atol=1e-12)


def test_fuma_by_hand_and_back():
    channels = np.array([[1.0, 2], [3, 4], [5, 6], [7, 8]])  # W Y Z X
    both = np.concatenate([channels, 10 * channels])
    fuma = convert(both, "acn_sn3d", "fuma")
    np.testing.assert_allclose(fuma[:4], [[0.5**0.5, 2 * 0.5**0.5], [7, 8], [3, 4], [5, 6]])  # W/√2 X Y Z
    np.testing.assert_allclose(fuma[4:], 10 * fuma[:4])
    np.testing.assert_allclose(convert(fuma, "fuma", "acn_sn3d"), both, rtol=1e-12)


def test_intensity_points_at_the_source():
    place = direction(2.1, 0.4)
    np.testing.assert_allclose(intensity(np.outer(encode(place), WAVE)), place, atol=1e-12)


def scene(waves=30):
    """Sound from everywhere, with energies of its own for each direction."""
    return sum(
        np.outer(encode(direction(rng.uniform(-np.pi, np.pi), np.arcsin(rng.uniform(-1, 1)))), signal)
        for rng in [np.random.default_rng(i) for i in range(waves)]
        for signal in [rng.standard_normal(4000) * rng.uniform(0.2, 2)]
    )


def test_a_dipole_in_place_of_w_is_found():
    good = scene()
    assert order_fault(good) == ""
    for dipole in (1, 2, 3):
        swapped = good.copy()
        swapped[[0, dipole]] = swapped[[dipole, 0]]
        assert f"below channel {dipole}" in order_fault(swapped)
    assert "not W" in order_fault(good[::-1])


def test_rotations_cannot_be_detected():
    good = scene()
    assert order_fault(good[[0, 2, 3, 1]]) == ""  # exchanged dipoles: a turned scene
    assert order_fault(good * np.array([[1], [-1], [1], [1]])) == ""  # a mirrored one
    on_axis = np.outer(encode(direction(np.pi / 2)), WAVE)
    assert order_fault(on_axis[[1, 0, 2, 3]]) == ""  # one wave along the dipole


def test_the_ratio_determines_the_normalisation():
    good = scene()
    assert energy_ratio(good) == pytest.approx(1, abs=0.1)
    assert energy_ratio(convert(good, "acn_sn3d", "fuma")) == pytest.approx(0.5, abs=0.05)
    assert energy_ratio(np.outer(encode(direction(1, 1)), WAVE)) == pytest.approx(1)
    assert energy_ratio(good[[0, 0, 0, 0]] * [[1], [0], [0], [0]]) == np.inf
