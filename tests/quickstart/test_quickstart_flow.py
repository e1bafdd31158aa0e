"""The quickstart as a whole, and what makes a second call go on."""

from __future__ import annotations

import json
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from stillwave.audio import read, write
from stillwave.data.pair_sets import Pair
from stillwave.errors import AudioError, MissingExtraError, StillwaveError
from stillwave.quickstart import data, examples, flow, runs
from stillwave.quickstart.data import QuickstartData
from stillwave.quickstart.settings import Settings, Stopwatch
from stillwave.schema import Sources

torch = pytest.importorskip("torch")
pytest.importorskip("pesq")

RATE = 16_000


def babbling(seed: int, seconds: float = 1.6) -> np.ndarray:
    """Something with syllables and pauses that PESQ takes for speech."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE)) / RATE
    buzz = sum(np.sin(2 * np.pi * (100 + 15 * seed) * k * time) / k for k in range(1, 20))
    syllables = np.clip(np.sin(2 * np.pi * 2.5 * time + seed), 0, 1)
    return (0.08 * buzz * syllables + 1e-4 * rng.normal(size=len(time))).astype(np.float32)


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("audio")
    for speaker in range(4):
        for take in range(2):
            write(folder / "speech" / f"s{speaker}" / f"{take}.wav", babbling(speaker)[None], RATE)
    for i in range(4):
        noise = 0.05 * np.random.default_rng(i).normal(size=2 * RATE)
        write(folder / "noise" / f"n{i}.wav", noise.astype(np.float32)[None], RATE)
    return folder


@pytest.fixture(scope="module")
def tiny(audio: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, flow.QuickstartResult]:
    """A quickstart of a few steps on a folder of one's own, with a stereo recording to enhance."""
    folder = tmp_path_factory.mktemp("quickstart")
    mine = folder / "my talk <1>.wav"
    stereo = np.stack([babbling(7), babbling(8)])
    write(mine, np.repeat(stereo, 2, axis=1), 2 * RATE)
    settings = Settings(
        folder / "out", audio=audio, enhance=mine, minutes=0.1, seed=3, jobs=1, single_file=True
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # on a busy machine threads that wait for one another take ten times as long
    try:
        with mock.patch.multiple(data, DEVELOPMENT=2, TEST=3), mock.patch.object(examples, "SHOWN", 1):
            return settings, flow.run(settings)
    finally:
        torch.set_num_threads(threads)


def test_it_writes_a_page_tables_audio_figures_and_checkpoints(
    tiny: tuple[Settings, flow.QuickstartResult],
) -> None:
    settings, result = tiny
    out = settings.output
    assert result.page == out / "index.html"
    for name in ("scores/summary.md", "scores/scores.csv", "scores/summary.json", "pictures/loss.png"):
        assert (out / name).stat().st_size > 0
    page = result.page.read_text(encoding="utf-8")
    assert "synthetic" not in page
    assert "my talk &lt;1&gt;.wav" in page
    assert sorted(path.name for path in (out / "runs").iterdir()) == ["alone", "distilled"]
    for key in ("alone", "distilled"):
        assert list((out / "runs" / key / "checkpoints").glob("best_*"))
    assert not list(out.rglob("*.tmp*"))


def test_a_single_file_report_is_self_contained(tiny: tuple[Settings, flow.QuickstartResult]) -> None:
    settings, result = tiny
    file = settings.output / "stillwave-quickstart.html"
    assert str(file) in result.line
    text = file.read_text(encoding="utf-8")
    assert 'src="audio/' not in text
    assert text.count("data:audio/wav;base64,") == (settings.output / "index.html").read_text().count(
        'src="audio/'
    )


def test_the_shipped_teacher_is_used(tiny: tuple[Settings, flow.QuickstartResult]) -> None:
    from stillwave import recipe
    from stillwave import shipped_checkpoints as checkpoints

    settings, result = tiny
    used = recipe.load(settings.output / "runs" / "distilled" / "recipe.yaml").distill
    assert used is not None
    assert used.teacher == str(checkpoints.teacher())
    assert result.figures["systems"]["teacher"]["parameters"] == 414_722
    assert result.figures["systems"]["teacher"]["steps"] is None


def test_a_given_recording_is_enhanced_by_the_default_model(
    tiny: tuple[Settings, flow.QuickstartResult],
) -> None:
    settings, _ = tiny
    assert (settings.output / "enhanced" / "my talk <1>_shipped.wav").exists()
    assert "Shipped model" in (settings.output / "index.html").read_text(encoding="utf-8")


def test_scores_are_written_as_json_for_all_systems(tiny: tuple[Settings, flow.QuickstartResult]) -> None:
    settings, result = tiny
    figures = json.loads((settings.output / "results.json").read_text())
    assert figures == json.loads(json.dumps(result.figures, allow_nan=False))
    assert set(figures["scores"]) == {"noisy", "teacher", "alone", "distilled"}
    assert figures["systems"]["alone"]["parameters"] == figures["systems"]["distilled"]["parameters"]
    assert set(figures["gain_kept"]) == {"pesq_wb", "pesq_nb", "stoi", "si_sdr"}
    assert figures["cpu_seconds"].keys() == figures["seconds"].keys()
    assert figures["cpu_seconds"]["Enhancing and scoring"] > 0
    assert figures["distilled_minus_alone"]["si_sdr"]["count"] == figures["mixtures"]
    assert result.line.startswith(figures["verdict"])
    assert str(result.page) in result.line


def test_a_given_recording_keeps_rate_channels_and_length(
    tiny: tuple[Settings, flow.QuickstartResult],
) -> None:
    settings, _ = tiny
    samples, rate = read(settings.output / "enhanced" / "my talk <1>_distilled.wav")
    assert rate == 2 * RATE
    assert samples.shape == (2, 2 * len(babbling(7)))


def test_a_second_call_computes_nothing_again(
    tiny: tuple[Settings, flow.QuickstartResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, result = tiny
    weights = {f: f.stat().st_mtime_ns for f in settings.output.rglob("*.safetensors")}
    monkeypatch.setattr(examples, "SHOWN", 1)
    monkeypatch.setattr("stillwave.evaluation.score_pairs", lambda *_: pytest.fail("scored again"))
    again = flow.run(settings)
    assert again.figures["scores"] == result.figures["scores"]
    assert weights == {f: f.stat().st_mtime_ns for f in settings.output.rglob("*.safetensors")}


def test_both_students_share_initial_weights_and_mixtures(
    tiny: tuple[Settings, flow.QuickstartResult],
) -> None:
    from stillwave.training.run_log import read as read_log

    settings, _ = tiny
    alone, distilled = (read_log(settings.output / "runs" / key) for key in ("alone", "distilled"))
    first = [
        next(e for e in log if e["kind"] == "train")["loss"]["enhancement"] for log in (alone, distilled)
    ]
    assert first[0] == pytest.approx(first[1], rel=1e-5)
    assert max(e["step"] for e in alone) == max(e["step"] for e in distilled)


def test_another_quickstarts_folder_is_refused(
    tiny: tuple[Settings, flow.QuickstartResult], tmp_path: Path
) -> None:
    settings, _ = tiny
    with pytest.raises(StillwaveError, match=r"out: .*seed 3, not 4"):
        flow.run(Settings(settings.output, audio=settings.audio, minutes=0.1, seed=4))
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(StillwaveError, match=r"'thesis\.tex'"):
        flow.run(Settings(tmp_path))
    with pytest.raises(StillwaveError, match=r"out: .*train_teacher False, not True"):
        flow.run(Settings(settings.output, audio=settings.audio, minutes=0.1, seed=3, train_teacher=True))
    with pytest.raises(StillwaveError, match=r"thesis\.tex: is a file"):
        flow.run(Settings(tmp_path / "thesis.tex"))


def test_missing_packages_are_reported_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(AudioError, match=r"nothing\.wav"):
        flow.run(Settings(tmp_path / "out", enhance=tmp_path / "nothing.wav"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "pesq" else object())
    with pytest.raises(MissingExtraError) as caught:
        flow.run(Settings(tmp_path / "out"))
    assert caught.value.extra == "eval"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("minutes", [float("nan"), float("inf"), 0.0, -1.0])
def test_invalid_minutes_are_refused(tmp_path: Path, minutes: float) -> None:
    with pytest.raises(StillwaveError, match=f"^minutes: {minutes} "):
        flow.run(Settings(tmp_path / "out", minutes=minutes))
    assert not (tmp_path / "out").exists()


def test_steps_depend_on_the_minutes_only(tmp_path: Path) -> None:
    sources = Sources(speech="s", noise="n")
    found = QuickstartData(sources, "d", tmp_path, synthetic=True, babble=True, sentence="")
    full, half = (
        [
            runs.recipe(Settings(tmp_path, minutes=minutes, seed=5, train_teacher=True), key, found)
            for key in runs.RECIPES
        ]
        for minutes in (8, 4)
    )
    for one, other in zip(full, half, strict=True):
        assert other.train.steps == pytest.approx(one.train.steps / 2, abs=1)
        assert one.seed == other.seed == 5
    alone, distilled = full[1:]
    assert alone.model == distilled.model
    assert alone.train == distilled.train
    assert alone.optimiser == distilled.optimiser
    assert alone.data == distilled.data
    assert distilled.distill is not None
    assert distilled.distill.teacher == str(tmp_path / "runs" / "teacher")


def test_durations_are_summed_over_sessions(tmp_path: Path) -> None:
    (tmp_path / "times.json").write_text('{"seconds": {"a": 100.0}, "cpu_seconds": {"a": 50.0}}')
    watch = Stopwatch(tmp_path / "times.json")
    with pytest.raises(KeyboardInterrupt), watch.stage("a"):
        raise KeyboardInterrupt
    with watch.stage("b"):
        pass
    with watch.stage("b", restart=True):
        pass
    kept = json.loads((tmp_path / "times.json").read_text())
    assert 50 <= kept["cpu_seconds"]["a"] < 60
    found = kept["seconds"]
    assert found["b"] < 1
    assert 100 <= found["a"] < 110
    assert list(found) == ["a", "b"]


def pair(name: str, snr_db: float | None, **more: str) -> Pair:
    return Pair(id=name, noisy=Path("n"), clean=Path("c"), snr_db=snr_db, **more)


def test_examples_are_spread_over_the_snrs() -> None:
    pairs = [pair(f"{i:02}", float(5 * (i % 4))) for i in range(12)]
    assert [p.snr_db for p in examples.choose(pairs)] == [0, 10, 15]
    assert [p.id for p in examples.choose([pair(str(i), None) for i in range(6)])] == ["1", "3", "5"]
    assert len(examples.choose(pairs[:2])) == 2


def test_examples_have_their_facts() -> None:
    known = pair("7", 5.0, text="WE CALL IT BEAR", noise="rain_test_1", rir="hall", speaker="anna")
    assert examples.title(known) == "“We call it bear”"
    assert examples.note(known) == "SNR 5 dB · noise: rain · reverberant · speaker anna"
    assert examples.title(pair("7", None)) == "Mixture 7"
    assert examples.note(pair("7", None)) == ""


@pytest.mark.slow
def test_the_demo_corpus_from_end_to_end(tmp_path: Path) -> None:
    pytest.importorskip("espeakng_loader")
    result = flow.run(Settings(tmp_path / "out", minutes=0.1))
    assert "This is synthetic speech." in result.page.read_text(encoding="utf-8")
    assert result.figures["mixtures"] == 36
