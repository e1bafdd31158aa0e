import numpy as np
import pytest
from typer.testing import CliRunner

from stillwave.audio import read
from stillwave.cli.data import app
from stillwave.data.manifest import read_manifest
from stillwave.data.scenes import rooms
from stillwave.data.scenes.geometry import SceneConfig
from stillwave.data.scenes.rir_dataset import impulse, write_rooms
from stillwave.schema import SAMPLE_RATE, Range

pytest.importorskip("pyroomacoustics")
CONFIG = SceneConfig(rt60=Range(low=0.2, high=0.4))


@pytest.mark.parametrize("index", range(3))
def test_a_room_decays_with_its_stated_rt60(index):
    """T30 of the recorded response, by Schroeder's backward integral, after the direct sound."""
    response, rt60 = impulse(CONFIG, 1, index)
    assert 0.2 <= rt60 <= 0.4
    energy = response[rooms.LEAD + 1 :].astype(np.float64) ** 2
    decay = 10 * np.log10(np.cumsum(energy[::-1])[::-1] / energy.sum())
    # The file ends at 1.1 RT60, so that the integral is true down to about -40 dB.
    first, last = np.argmax(decay < -5), np.argmax(decay < -30)
    slope = np.polyfit(np.arange(first, last) / SAMPLE_RATE, decay[first:last], 1)[0]
    assert -60 / slope == pytest.approx(rt60, rel=0.15)


def test_the_direct_sound_comes_first():
    response, _ = impulse(CONFIG, 1, 0)
    assert response.ndim == 1
    assert np.abs(response[: rooms.LEAD]).max() < 0.1 * np.abs(response[rooms.LEAD])
    assert response[rooms.LEAD] == pytest.approx(1, abs=0.2)


def test_files_depend_on_the_seed_and_the_index_alone(tmp_path):
    few, more = write_rooms(tmp_path / "a", 2, config=CONFIG), write_rooms(tmp_path / "b", 3, config=CONFIG)
    for a, b in zip(read_manifest(few), read_manifest(more), strict=False):
        assert a.path.read_bytes() == b.path.read_bytes()
    assert len(read_manifest(more)) == 3
    samples = [read(recording.path)[0] for recording in read_manifest(more)]
    assert all(np.abs(one).max() == pytest.approx(0.5) for one in samples)
    assert samples[0].shape != samples[1].shape


def test_the_command_prints_a_manifest_and_refuses_impossible_rooms(tmp_path):
    run = CliRunner().invoke(app, ["rooms", "-o", str(tmp_path / "r"), "--count", "1"])
    assert run.exit_code == 0
    assert len(read_manifest(run.stdout.strip())) == 1
    for wrong in (["--rt60", "0.5", "0.2"], ["--rt60", "0.01", "0.2"], ["--distance", "0.1", "1"]):
        run = CliRunner().invoke(app, ["rooms", "-o", str(tmp_path / "r"), *wrong])
        assert run.exit_code != 0
