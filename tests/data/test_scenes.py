"""Simulated scenes and the corpora that they make."""

import csv
import json

import numpy as np
import pytest

from stillwave.audio import read
from stillwave.data import effects
from stillwave.data.manifest import ManifestError
from stillwave.data.scenes import corpus, rooms, simulate
from stillwave.data.scenes.ambisonics import convert, intensity
from stillwave.data.scenes.geometry import RoomError, SceneConfig
from stillwave.schema import Range

pytest.importorskip("pyroomacoustics")
CONFIG = SceneConfig(rt60=Range(low=0.2, high=0.3))


@pytest.fixture
def simulator(world, store):
    return simulate.Simulator(world["speech"], world["noise"], CONFIG, 7, store)


def test_a_scene_depends_on_seed_and_index_alone(world, store, simulator):
    again = simulate.Simulator(world["speech"], world["noise"], CONFIG, 7, store)
    again(0)
    np.testing.assert_array_equal(simulator(3).noisy, again(3).noisy)
    other = simulate.Simulator(world["speech"], world["noise"], CONFIG, 8, store)(3)
    assert other.facts["room"] != simulator(3).facts["room"]


def test_every_utterance_is_used_before_any_is_repeated(world, store):
    speech = world["speech"][::8]
    simulator = simulate.Simulator(speech, world["noise"], CONFIG, 7, store)
    for start in (0, len(speech)):
        used = [simulator(start + i).speech.path for i in range(len(speech))]
        assert sorted(used) == sorted(recording.path for recording in speech)


@pytest.fixture
def parts(world, store, simulator):
    """Return a scene and its reverberant speech, `[8, N]`: that of the same scene at an SNR of 150 dB."""
    config = CONFIG.model_copy(update={"snr_db": Range(low=150, high=150)})
    without_noise = simulate.Simulator(world["speech"], world["noise"], config, 7, store)

    def of(index):
        scene, quiet = simulator(index), without_noise(index)
        gain = np.linalg.norm(scene.clean) / np.linalg.norm(quiet.clean)
        return scene, quiet.noisy * gain

    return of


@pytest.mark.parametrize("index", range(4))
def test_the_target_is_the_direct_sound_at_a(parts, index):
    """Same samples, same place: what is left of W without it is uncorrelated at lag 0, and the peak is there."""
    whole, heard = parts(index)
    lags = np.correlate(heard[0], whole.clean, "full")
    assert np.argmax(np.abs(lags)) == len(whole.clean) - 1
    assert np.dot(heard[0], whole.clean) / np.dot(whole.clean, whole.clean) == pytest.approx(1, abs=0.35)


@pytest.mark.parametrize("index", range(4))
def test_the_snr_is_as_drawn(parts, index):
    whole, heard = parts(index)
    noise = whole.noisy - heard
    assert effects.snr_db(heard[0], noise[0]) == pytest.approx(whole.facts["snr_db"], abs=0.02)
    assert -5 <= whole.facts["snr_db"] <= 15


def test_without_walls_w_is_the_target_itself(monkeypatch, world, store):
    def open_air(layout, source, rt60, rng):
        return rooms.Arrivals(source[None], np.zeros(1, int), np.ones(1))

    monkeypatch.setattr(rooms, "arrivals", open_air)
    monkeypatch.setattr(rooms, "reflectivity", lambda *_: 0.9)
    config = CONFIG.model_copy(update={"snr_db": Range(low=150, high=150)})
    scene = simulate.Simulator(world["speech"], world["noise"], config, 1, store)(0)
    np.testing.assert_allclose(scene.noisy[0], scene.clean, atol=2e-6)
    place = scene.facts["direction"]
    np.testing.assert_allclose(intensity(scene.noisy[:4]), place, atol=1e-3)
    for channel, axis in ((1, 1), (2, 2), (3, 0)):
        np.testing.assert_allclose(scene.noisy[channel], place[axis] * scene.clean, atol=2e-5)


def test_levels_and_peaks(simulator):
    for index in range(5):
        scene = simulator(index)
        assert np.abs(scene.noisy).max() <= 0.99
        assert np.abs(scene.clean).max() <= 0.99
        level = effects.decibels(effects.level(scene.noisy[0]))
        assert -45 < level <= CONFIG.level_dbfs.high + 0.01
        assert scene.noisy.shape == (8, len(scene.clean))
        assert scene.noisy.dtype == scene.clean.dtype == np.float32


def test_fuma_is_the_same_scene(world, store, simulator):
    config = CONFIG.model_copy(update={"convention": "fuma"})
    fuma = simulate.Simulator(world["speech"], world["noise"], config, 7, store)(2)
    np.testing.assert_allclose(
        convert(fuma.noisy, "fuma", "acn_sn3d"), simulator(2).noisy, rtol=1e-5, atol=1e-7
    )
    assert fuma.facts["convention"] == "fuma"


def test_the_layout_of_l3das23_whatever_the_jobs(tmp_path, world, store):
    for jobs in (1, 2):
        done = corpus.simulate(
            tmp_path / str(jobs), world["speech"], world["noise"], 4,
            subset="dev", config=CONFIG, jobs=jobs, store=store,
        )  # fmt: skip
        assert (done.clips, done.kept) == (4, 0)
    one, two = (tmp_path / name / "L3DAS23_Task1_dev" for name in "12")
    files = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert {str(path) for path in files} >= {
        "data/scene_000000_A.wav", "data/scene_000000_B.wav", "labels/scene_000003.wav", "labels/scene_000003.txt",
        "scenes.csv", "simulation.json", "scenes/scene_000003.json",
    }  # fmt: skip
    assert all((one / path).read_bytes() == (two / path).read_bytes() for path in files)
    samples, rate = read(one / "data/scene_000001_B.wav")
    label, _ = read(one / "labels/scene_000001.wav")
    assert (rate, len(samples), label.shape) == (16_000, 4, (1, samples.shape[1]))
    rows = list(csv.DictReader((one / "scenes.csv").open(encoding="utf-8")))
    assert [row["id"] for row in rows] == [f"scene_{i:06d}" for i in range(4)]
    assert rows[0]["text"] == (one / "labels/scene_000000.txt").read_text().strip()


def test_an_interrupted_simulation_resumes(tmp_path, world, store):
    def run(clips, **options):
        settings = {"config": CONFIG, "store": store, **options}
        return corpus.simulate(tmp_path, world["speech"], world["noise"], clips, **settings)

    folder = run(3).folder
    before = {path: path.read_bytes() for path in folder.rglob("*.wav")}
    (folder / "labels/scene_000001.wav").unlink()
    (folder / "scenes/scene_000002.json").unlink()
    stamp = (folder / "data/scene_000000_A.wav").stat().st_mtime_ns
    done = run(4)
    assert (done.clips, done.kept) == (4, 1)
    assert all(path.read_bytes() == content for path, content in before.items())
    assert (folder / "data/scene_000000_A.wav").stat().st_mtime_ns == stamp
    with pytest.raises(ManifestError, match=r"L3DAS23_Task1_train100: .*other values of seed"):
        run(4, seed=1)
    with pytest.raises(ManifestError, match=r"L3DAS23_Task1_train100: .*other values of noises"):
        run(4, config=CONFIG.model_copy(update={"noises": 1}))
    (folder / "simulation.json").write_text("{")
    with pytest.raises(ManifestError, match=r"simulation\.json: .*damaged"):
        run(4)


def test_a_folder_of_something_else_is_refused(tmp_path, world, store):
    (tmp_path / "L3DAS23_Task1_train100/data").mkdir(parents=True)
    with pytest.raises(ManifestError, match=r"L3DAS23_Task1_train100: .*other files"):
        corpus.simulate(tmp_path, world["speech"], world["noise"], 1, config=CONFIG, store=store)


def test_invalid_settings_are_reported(monkeypatch, world, store):
    short = SceneConfig(max_seconds=0.1)
    with pytest.raises(ManifestError, match=r"24 .*0\.1 s .*--max-seconds"):
        simulate.Simulator(world["speech"], world["noise"], short, 0, store)
    with pytest.raises(ManifestError, match="--noise"):
        simulate.Simulator(world["speech"], [], None, 0, store)

    def refuse(*_):
        raise RoomError("no")

    with monkeypatch.context() as patch, pytest.raises(RoomError, match=r"50 rooms.*--rt60 or --distance"):
        patch.setattr(rooms, "reflectivity", refuse)
        simulate.Simulator(world["speech"], world["noise"], CONFIG, 0, store)(0)
    with pytest.raises(ValueError, match=r"RT60 .*0\.05 s"):
        SceneConfig(rt60=Range(low=0.01, high=0.3))
    some = simulate.Simulator(world["speech"], world["noise"], SceneConfig(max_seconds=1.2), 0, store)
    assert some.too_long == 12


def test_the_command(tmp_path, world, run_verb):
    arguments = ["--speech", world["folder"] / "speech", "--noise", world["folder"] / "noise", "--clips", 2]
    report = json.loads(
        run_verb("simulate", "-o", tmp_path / "sim", *arguments, "--rt60", 0.2, 0.3, "--json")
    )
    assert (report["clips"], report["kept"]) == (2, 0)
    assert "kept                 2" in run_verb(
        "simulate", "-o", tmp_path / "sim", *arguments, "--rt60", 0.2, 0.3
    )
    assert "--snr 5 1: give the lowest value first" in run_verb(
        "simulate", "-o", tmp_path / "x", *arguments, "--snr", 5, 1, code=2
    )
    assert "--rt60 0 1: the lowest value must be 0.05 s or above" in run_verb(
        "simulate", "-o", tmp_path / "x", *arguments, "--rt60", 0, 1, code=2
    )
