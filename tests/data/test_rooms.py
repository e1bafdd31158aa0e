"""Rooms against physics, and against pyroomacoustics' own responses."""

import numpy as np
import pytest

from stillwave.data.scenes import rooms
from stillwave.data.scenes.ambisonics import about_z, convert, direction, encode, rotate
from stillwave.data.scenes.geometry import SPACING, RoomError, SceneConfig, SceneGeometry, draw_geometry
from stillwave.schema import Range

pytest.importorskip("pyroomacoustics")
RATE = 16_000
ROOM = np.array([5.0, 4.0, 2.8])
MICROPHONE = np.array([2.2, 1.7, 1.4])


def layout(place=(3.7, 2.6, 1.6), yaw=0.0, room=ROOM, microphone=MICROPHONE):
    return SceneGeometry(np.array(room), np.array(microphone), yaw, np.array(place, float), ())


def alone(where):
    """The direct sound only."""
    return rooms.Arrivals(where.speech[None], np.zeros(1, int), np.ones(1))


@pytest.mark.parametrize("yaw", [0.0, 0.9, -2.5])
@pytest.mark.parametrize(("azimuth", "elevation"), [(0.3, 0.0), (2.0, -0.5), (-1.4, 0.8)])
def test_a_far_source_without_a_room_is_a_plane_wave(yaw, azimuth, elevation):
    place = MICROPHONE + 1000 * about_z(yaw) @ direction(azimuth, elevation)
    where = layout(place, yaw)
    found = rooms.responses(alone(where), where, 0.9, 256)
    expected = encode(direction(azimuth, elevation))
    np.testing.assert_allclose(found[:4, rooms.LEAD], expected, atol=1e-6)
    assert not np.delete(found[:4], rooms.LEAD, axis=1).any()
    gains = found[4:].sum(axis=1)  # at 0 Hz
    np.testing.assert_allclose(gains, expected, atol=5e-3)


@pytest.mark.parametrize("angle", [0.0, 0.7, np.pi / 2, 2.4, np.pi, -1.1])
def test_microphone_b_receives_it_earlier_by_the_cosine(angle):
    """`angle`: between the direction of the source and that of B seen from A (to the left)."""
    where = layout(MICROPHONE + 200 * direction(np.pi / 2 + angle))
    found = rooms.responses(alone(where), where, 0.9, 256)
    delay = delay_between(found[0], found[4])
    assert delay == pytest.approx(-SPACING * np.cos(angle) / rooms.SPEED * RATE, abs=0.02)


def delay_between(one, other):
    """In samples, from the slope of the phase up to 5 kHz."""
    spectrum = np.fft.rfft(other) * np.fft.rfft(one).conj()
    frequency = np.fft.rfftfreq(len(one), 1 / RATE)
    band = (frequency > 100) & (frequency < 5000)
    return -np.polyfit(2 * np.pi * frequency[band] / RATE, np.unwrap(np.angle(spectrum))[band], 1)[0]


def test_rotating_the_scene_rotates_the_channels():
    """Rotating the microphones to the right rotates the scene to the left; for A alone, whose position is fixed."""
    before, after = layout(yaw=0.2), layout(yaw=0.2 - 1.1)
    found = rooms.arrivals(before, before.speech, 0.3, np.random.default_rng(0))
    a, b = (rooms.responses(found, where, 0.8, 4000)[:4] for where in (before, after))
    np.testing.assert_allclose(rotate(a, about_z(1.1)), b, atol=1e-5)


def test_early_reflections_are_those_of_pyroomacoustics():
    import pyroomacoustics as pra

    where, absorption = layout(), 0.3
    oracle = pra.ShoeBox(ROOM, fs=RATE, materials=pra.Material(absorption), max_order=12)
    oracle.add_source(where.speech)
    oracle.add_microphone(where.microphone_a)
    oracle.add_microphone(where.microphone_b)
    oracle.compute_rir()
    distance = np.linalg.norm(where.speech - where.microphone_a)
    found = rooms.arrivals(where, where.speech, 0.3, np.random.default_rng(0))
    ours = rooms.responses(found, where, np.sqrt(1 - absorption), 1200)
    shift = distance / pra.constants.get("c") * RATE + pra.constants.get("frac_delay_length") // 2
    for mine, theirs in ((ours[0], oracle.rir[0][0]), (ours[4], oracle.rir[1][0])):
        theirs = advanced(theirs * distance, shift - rooms.LEAD)[:500]
        mine, theirs = band(mine[:500]), band(theirs)
        assert np.sum((mine - theirs) ** 2) < 0.01 * np.sum(theirs**2)


def advanced(samples, by):
    points = 2 ** int(np.ceil(np.log2(len(samples) + by)))
    phase = np.exp(2j * np.pi * np.fft.rfftfreq(points) * by)
    return np.fft.irfft(np.fft.rfft(samples, points) * phase, points)


def band(samples):
    """300 to 6000 Hz, where both keep everything."""
    spectrum = np.fft.rfft(samples * np.hanning(2 * len(samples))[len(samples) :])
    frequency = np.fft.rfftfreq(len(samples), 1 / RATE)
    return np.fft.irfft(spectrum * ((frequency > 300) & (frequency < 6000)))


def test_dipoles_of_the_early_part_are_figures_of_eight_of_pyroomacoustics():
    import pyroomacoustics as pra
    from pyroomacoustics.directivities import DirectionVector, FigureEight

    where = layout()
    ours = rooms.responses(
        rooms.arrivals(where, where.speech, 0.3, np.random.default_rng(0)), where, np.sqrt(0.7), 600
    )
    distance = np.linalg.norm(where.speech - where.microphone_a)
    angles = {1: (90, 90), 2: (0, 0), 3: (0, 90)}  # Y, Z, X: azimuth and colatitude
    for channel, (azimuth, colatitude) in angles.items():
        oracle = pra.ShoeBox(ROOM, fs=RATE, materials=pra.Material(0.3), max_order=3)
        oracle.add_source(where.speech)
        eight = FigureEight(DirectionVector(azimuth=azimuth, colatitude=colatitude, degrees=True))
        oracle.add_microphone(where.microphone_a, directivity=eight)
        oracle.compute_rir()
        shift = distance / pra.constants.get("c") * RATE + pra.constants.get("frac_delay_length") // 2
        theirs = band(advanced(oracle.rir[0][0] * distance, shift - rooms.LEAD)[:150])
        assert np.sum((band(ours[channel, :150]) - theirs) ** 2) < 0.02 * np.sum(theirs**2)


@pytest.mark.parametrize(
    ("room", "rt60"),
    [
        *((room, rt60) for room in ((3.2, 3.1, 2.5), (5.0, 4.0, 2.8)) for rt60 in (0.2, 0.35, 0.6)),
        *(((8.5, 6.5, 3.4), rt60) for rt60 in (0.35, 0.6)),
    ],
)
def test_rt60_is_as_requested(rt60, room):
    """Within 5 %, T30 of the reflections, mean of both microphones."""
    room = np.array(room)
    where = layout(0.7 * room, 0.4, room, 0.4 * room)
    found = rooms.arrivals(where, where.speech, rt60, np.random.default_rng(1))
    beta = rooms.reflectivity(found, where, rt60)
    response = rooms.responses(found, where, beta, rooms.LEAD + round(rt60 * RATE)).astype(float)
    response[:, : rooms.LEAD + 12] = 0  # the direct sound
    times = [rooms.t30(response[channel] ** 2, 1 / RATE) for channel in (0, 4)]
    assert np.mean(times) == pytest.approx(rt60, rel=0.05)
    assert 0.02 < 1 - beta**2 < 0.95


def test_t30_of_an_exponential_decay():
    time = np.arange(16000) / RATE
    assert rooms.t30(10 ** (-6 * time / 0.5), 1 / RATE) == pytest.approx(0.5, rel=1e-3)
    assert rooms.t30(np.array([1.0, 0, 0]), 1 / RATE) == 0


def test_an_impossible_rt60_is_refused():
    where = layout()
    found = rooms.arrivals(where, where.speech, 0.03, np.random.default_rng(1))
    with pytest.raises(RoomError, match=r"5\.0 × 4\.0 × 2\.8 m .*0\.03 s"):
        rooms.reflectivity(found, where, 0.03)


def test_random_points_have_the_energy_of_the_images_they_replace():
    """The same walls with every image, against few images and random points; windows of 30 ms and more."""
    where, energies = layout(), {}
    for density in (2.0, 1e6):
        window = pytest.MonkeyPatch()
        window.setattr(rooms, "DENSITY", density)
        found = rooms.arrivals(where, where.speech, 0.25, np.random.default_rng(2))
        window.undo()
        distance = np.linalg.norm(found.positions - MICROPHONE, axis=1)
        power = (found.gains * 0.8**found.reflections / distance) ** 2
        energies[density] = np.histogram(distance, [15, 25, 35, 50, 80], weights=power)[0]
        if density > 2:
            assert (found.gains == 1).all()
        else:
            assert (found.gains != 1).mean() > 0.8
    np.testing.assert_allclose(energies[2.0], energies[1e6], rtol=0.15)


def test_the_late_field_is_diffuse():
    """SN3D: each dipole has a third of W's energy; A and B agree at low frequencies and not at high ones."""
    cube = (4.0, 4.2, 3.9)  # otherwise the distant walls decay slowest
    where = layout((1.0, 1.2, 1.0), 0.3, cube, (2.1, 2.0, 1.9))
    found = rooms.arrivals(where, where.speech, 0.5, np.random.default_rng(4))
    late = rooms.responses(found, where, 0.995, 8000)[:, 2500:].astype(float)
    energy = np.sum(late**2, axis=1)
    np.testing.assert_allclose(energy[1:4] / energy[0], 1 / 3, atol=0.06)
    spectra = np.fft.rfft(late[[0, 4]])
    frequency = np.fft.rfftfreq(late.shape[1], 1 / RATE)
    for low, high in ((100, 250), (600, 1100), (3000, 6000)):
        inside = (frequency > low) & (frequency < high)
        a, b = spectra[:, inside]
        coherence = np.real(np.vdot(a, b)) / np.linalg.norm(a) / np.linalg.norm(b)
        expected = np.sinc(2 * SPACING / rooms.SPEED * frequency[inside]).mean()
        assert coherence == pytest.approx(expected, abs=0.15)


def test_layouts_leave_space():
    config = SceneConfig(length=Range(low=3, high=3.2), width=Range(low=3, high=3.2))
    for seed in range(50):
        where = draw_geometry(np.random.default_rng(seed), config)
        assert np.linalg.norm(where.microphone_b - where.microphone_a) == pytest.approx(SPACING)
        assert 1 <= len(where.noises) <= 3
        assert 1 <= np.linalg.norm(where.speech - where.microphone_a) <= 3
        for place in (where.speech, *where.noises):
            assert (place > 0).all()
            assert (place < where.room).all()
            for microphone in (where.microphone_a, where.microphone_b):
                assert np.linalg.norm(place - microphone) >= 0.7
        left = where.seen_from_a(where.microphone_b)
        np.testing.assert_allclose(left, [0, 1, 0], atol=1e-9)


def test_fuma_of_a_response_is_a_rearrangement():
    where = layout()
    found = rooms.responses(alone(where), where, 0.9, 128)
    x, y, _ = where.seen_from_a(where.speech)
    fuma = convert(found[:4], "acn_sn3d", "fuma")[:, rooms.LEAD]
    assert fuma[0] == pytest.approx(0.5**0.5)
    assert fuma[1:3] == pytest.approx([x, y])


def test_a_room_without_a_place_for_the_talker_is_refused():
    small = Range(low=3, high=3.01)
    config = SceneConfig(
        length=small, width=small, distance=Range(low=2, high=2.01), height=Range(low=2.4, high=2.4)
    )
    with pytest.raises(RoomError, match=r"3\.0 × 3\.0 × 2\.4 m .*2 to 2\.01 m"):
        for seed in range(30):
            draw_geometry(np.random.default_rng(seed), config)
