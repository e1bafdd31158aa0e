"""The whole adaptation with tiny networks: its checkpoint, resuming, and refusals in one sentence."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from place import RATE, TINY, recording, write_network, write_place

import stillwave
from stillwave import checkpoint
from stillwave.adaptation import Settings, adapt, flow
from stillwave.adaptation.remixes import Remix
from stillwave.adaptation.report import lines
from stillwave.adaptation.separation import Separator
from stillwave.audio import write
from stillwave.errors import CheckpointError, StillwaveError
from stillwave.files import locked
from stillwave.training import Stopped


@pytest.fixture(autouse=True)
def no_ratings(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("stillwave.adaptation.no_reference.find_spec", lambda _: None)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return write_place(tmp_path_factory.mktemp("place") / "recordings", 6, 16.0)


@pytest.fixture
def settings(place: Path, tmp_path: Path) -> Settings:
    model = write_network(tmp_path / "model")
    return Settings(
        place, tmp_path / "student", str(model), str(write_network(tmp_path / "teacher", 1)), steps=2
    )


@pytest.fixture
def any_piece(monkeypatch: pytest.MonkeyPatch):
    """An untrained teacher separates nothing: its pieces are used all the same."""
    monkeypatch.setattr(flow, "LEAST_PIECES", 0)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return checkpoint.load(folder)[0].state_dict()


@pytest.mark.usefixtures("any_piece")
def test_the_result_is_a_checkpoint_half_way_to_the_trained_weights(settings: Settings):
    settings = replace(settings, strength=0.5)
    result = adapt(settings, quiet=True)
    assert checkpoint.resolve(settings.output) == result.checkpoint
    whole = adapt(replace(settings, output=settings.output.with_name("whole"), strength=1.0), quiet=True)
    none = adapt(replace(settings, output=settings.output.with_name("none"), strength=0.0), quiet=True)
    start, half, trained = (weights(Path(p)) for p in (settings.model, result.checkpoint, whole.checkpoint))
    assert any(not torch.equal(start[name], trained[name]) for name in start)
    for name, value in half.items():
        torch.testing.assert_close(value, torch.lerp(start[name], trained[name], 0.5), rtol=0, atol=0)
    assert all(torch.equal(start[name], value) for name, value in weights(none.checkpoint).items())
    card = checkpoint.read_card(result.checkpoint)
    assert "adapted to 1.3 min of recordings" in card.data
    assert sorted(p.name for p in settings.output.iterdir() if p.name[0] != ".") == [
        "adaptation.json",
        "checkpoints",
    ]
    enhanced = stillwave.load(settings.output).enhance(recording(3.0), RATE)
    assert enhanced.shape == (3 * RATE,)


@pytest.mark.usefixtures("any_piece")
def test_the_examples_of_a_recipe_are_trained_on(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    drawn = []

    def example(epoch: int, index: int) -> Remix:
        drawn.append(index)
        noisy = recording(2.0, index)
        return Remix(noisy, 0.5 * noisy, 0, 0)

    monkeypatch.setattr(flow, "ordinary", lambda recipe, seed: example)
    settings = replace(settings, strength=1.0, share=0.5)
    alone = adapt(replace(settings, output=settings.output.with_name("alone")), quiet=True)
    assert not drawn
    result = adapt(replace(settings, data="mine.yaml"), quiet=True)
    assert drawn
    trained, other = weights(result.checkpoint), weights(alone.checkpoint)
    assert any(not torch.equal(trained[name], other[name]) for name in trained)
    card = checkpoint.read_card(result.checkpoint)
    assert card.data.endswith("with a share of 0.5 of mine.yaml")


@pytest.mark.usefixtures("any_piece")
def test_a_finished_adaptation_is_reported_again(settings: Settings):
    first = adapt(settings, quiet=True)
    assert adapt(settings, quiet=True) == first
    shown = lines(first)
    assert shown[0] == "on 0.3 min of held-out recordings, before → after:"
    assert shown[-1] == str(first.checkpoint)
    json.dumps(first.figures(), allow_nan=False)


@pytest.mark.usefixtures("any_piece")
@pytest.mark.parametrize("own_teacher", [False, True])
def test_an_interrupted_adaptation_equals_an_uninterrupted_one(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, own_teacher: bool
):
    settings = replace(
        settings, teacher="self" if own_teacher else settings.teacher, rounds=2, steps=6, remixed=0.5
    )
    monkeypatch.setattr(flow, "judge", usable)
    expected = adapt(replace(settings, output=settings.output.with_name("whole")), quiet=True)
    with monkeypatch.context() as patched:
        interrupt_at(patched, 4 if own_teacher else 2)
        with pytest.raises(Stopped):
            adapt(settings, quiet=True)
    result = adapt(settings, quiet=True)
    assert result == replace(expected, checkpoint=result.checkpoint)
    for name, value in weights(expected.checkpoint).items():
        assert torch.equal(weights(result.checkpoint)[name], value), name


def usable(material, speech):
    """All pieces give speech and noise."""
    from stillwave.adaptation.remixes import Limits, judge

    return judge(material, speech, Limits(-200.0, 200.0, -200.0, 200.0))


def interrupt_at(monkeypatch: pytest.MonkeyPatch, example: int) -> None:
    """Send Ctrl-C while the given call of an example is made."""
    from stillwave.adaptation.remixes import Remixes

    calls = iter(range(10_000))
    made = Remixes.__call__

    def call(self, epoch, index):
        if epoch == 0 and next(calls) == 4 * example:
            os.kill(os.getpid(), signal.SIGINT)
        return made(self, epoch, index)

    monkeypatch.setattr(Remixes, "__call__", call)


@pytest.mark.usefixtures("any_piece")
def test_other_settings_in_the_same_folder_are_refused(settings: Settings):
    adapt(settings, quiet=True)
    with pytest.raises(StillwaveError, match="holds an adaptation with steps 2, not 3; give another folder"):
        adapt(replace(settings, steps=3), quiet=True)


def test_settings_may_change_before_training_has_begun(settings: Settings, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(StillwaveError, match="contains no recordings"):
        adapt(replace(settings, recordings=tmp_path / "empty"), quiet=True)
    with pytest.raises(StillwaveError, match="give speech"):
        adapt(settings, quiet=True)


def test_a_second_run_in_the_same_folder_is_refused_and_changes_nothing(settings: Settings):
    assert settings.check()
    settings.output.mkdir()
    with locked(settings.output, "busy"):
        settings.claim()
        before = (settings.output / "adaptation.json").read_bytes()
        for second in (settings, replace(settings, seed=5)):
            with pytest.raises(
                StillwaveError, match="another process adapts here; wait or give another folder"
            ):
                adapt(second, quiet=True)
        assert (settings.output / "adaptation.json").read_bytes() == before


def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_read(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(flow, "collect", lambda *_: pytest.fail("has read the recordings"))
    settings.output.touch()
    with pytest.raises(StillwaveError, match="student: is a file; give a folder"):
        adapt(settings, quiet=True)
    with pytest.raises(StillwaveError, match="student: is a file; expected a folder"):
        adapt(replace(settings, output=settings.output / "below"), quiet=True)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"data": "no-recipe.yaml"}, "no-recipe.yaml: no such file"),
        ({"teacher": "no-teacher"}, "no-teacher: no such file or folder"),
        ({"teacher": "python:no_module:f"}, "no_module"),
    ],
)
def test_a_wrong_name_is_reported_before_anything_is_read_or_written(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, str], sentence: str
):
    monkeypatch.setattr(flow, "collect", lambda *_: pytest.fail("has read the recordings"))
    with pytest.raises(StillwaveError, match=sentence):
        adapt(replace(settings, **wrong), quiet=True)
    assert not settings.output.exists()


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ({"name": "fullband"}, "1 microphone.* at 48000 Hz"),
        ({"name": "dpdcrn", "depth": 1, "microphones": 2, "output": "filters"}, "2 microphone.* at 16000 Hz"),
    ],
)
def test_a_teacher_for_another_input_is_refused(
    settings: Settings, tmp_path: Path, other: dict[str, object], sentence: str
):
    config = TINY.model_copy(update=other)
    teacher = write_network(tmp_path / "other", config=config)
    with pytest.raises(
        CheckpointError, match=f"other: expects {sentence}; a teacher of an adaptation is for"
    ):
        adapt(replace(settings, teacher=str(teacher)), quiet=True)


@pytest.mark.usefixtures("any_piece")
def test_the_share_of_the_recipe_is_printed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    noisy = recording(2.0)
    monkeypatch.setattr(flow, "ordinary", lambda recipe, seed: lambda epoch, index: Remix(noisy, noisy, 0, 0))
    adapt(replace(settings, data="mine.yaml", share=0.25))
    assert "25 % of the examples are mixed in from the recipe mine.yaml" in capsys.readouterr().err
    with pytest.raises(StillwaveError, match=r"with data mine\.yaml, not unset; give another folder"):
        adapt(settings, quiet=True)


def test_a_folder_with_other_things_is_refused(settings: Settings):
    settings.output.mkdir()
    (settings.output / "thesis.txt").touch()
    with pytest.raises(StillwaveError, match=r"contains 'thesis.txt' but no adaptation"):
        adapt(settings, quiet=True)
    assert [p.name for p in settings.output.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [("noise", "0 pieces of 2 s give speech, and 15 are needed"), ("speech", "0 pieces of 2 s give noise")],
)
def test_only_noise_and_only_speech_are_refused(
    settings: Settings, tmp_path: Path, kind: str, sentence: str, monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path / "only"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(5):
        write(folder / f"{number}.wav", (0.05 * rng.standard_normal((1, 14 * RATE))).astype(np.float32), RATE)
    gain = {"noise": 0.01, "speech": 1.0}[kind]
    monkeypatch.setattr(
        flow, "open_teacher", lambda name: Separator(name, kind, lambda samples: gain * samples)
    )
    with pytest.raises(StillwaveError, match=sentence):
        adapt(replace(settings, recordings=folder), quiet=True)


def test_a_teacher_that_fails_everywhere_is_refused(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    nan = Separator("bad", "", lambda samples: np.full_like(samples, np.nan))
    monkeypatch.setattr(flow, "open_teacher", lambda _: nan)
    with pytest.raises(StillwaveError, match=r"0 pieces of 2 s give speech.*the teacher failed: 40"):
        adapt(settings, quiet=True)


@pytest.mark.parametrize(
    ("model", "sentence"),
    [("bsrnn-xz", "no model of this name; did you mean 'bsrnn-xs'"), ("exported", "cannot be trained")],
)
def test_a_model_that_cannot_be_adapted(settings: Settings, tmp_path: Path, model: str, sentence: str):
    if model == "exported":
        model = str(tmp_path / "x.onnx")
        Path(model).touch()
    with pytest.raises(CheckpointError, match=sentence):
        adapt(replace(settings, model=model), quiet=True)


def test_shipped_models_start_from_their_checkpoints():
    assert flow.starting_point("bsrnn-xs").name == "bsrnn-xs"
    assert flow.starting_point("bsrnn-xs-int8").name == "bsrnn-xs"
