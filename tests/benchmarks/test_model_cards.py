"""Packaging of a run as a shipped model: the card contains what the run recorded, without local paths."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import average_checkpoints
import keep_checkpoint
import package_weights
from model_cards import attribution, origin
from stillwave import checkpoint, recipe
from stillwave.errors import StillwaveError
from stillwave.inference.onnx_model import read
from stillwave.models import build
from stillwave.pretrained import ModelRegistry, names
from stillwave.schema import ModelConfig

SMALL = ModelConfig(name="bsrnn", channels=8, blocks=1, bands=8, causal=True, norm="frame")
MEAN = {"interval": {"mean": 2.0, "low": 1.5, "high": 2.5, "count": 3}, "reasons": {}}


def make_run(folder: Path, *, steps: int = 4, seed: int = 3, distill: dict | None = None, **train) -> Path:
    """A run folder as the trainer leaves it: its best checkpoint is of the last step but one."""
    given = {
        "seed": seed,
        "model": SMALL.model_dump(),
        "data": {
            "train": {"speech": "/somewhere/speech.jsonl", "noise": "noise.jsonl"},
            "development": "/somewhere/development",
            "segment_seconds": 1.5,
        },
        "train": {"steps": steps, "batch_size": 8, "accumulate": 2, **train},
        "distill": distill,
    }
    resolved = recipe.loads(yaml.safe_dump(given))
    folder.mkdir()
    (folder / "recipe.yaml").write_text(recipe.dump(resolved))
    session = {
        "started": "2026-01-02T03:04:05+00:00",
        "git": {"commit": "c0ffee", "changed": False},
        "machine": {"system": "Linux", "processor": "x86_64", "cores": 4, "threads": 2, "gpus": ["H100"]},
    }
    (folder / "environment.json").write_text(json.dumps({"sessions": [session]}))
    log = [{"kind": "train", "step": n + 1, "audio_per_second": 12.0} for n in range(steps)]
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log))
    torch.manual_seed(seed)
    card = checkpoint.Card(
        model=SMALL, step=steps - 1, scores={"si_sdr": 7.5}, recipe=resolved.model_dump(mode="json")
    )
    checkpoint.save(folder / "checkpoints" / f"best_{steps - 1:08d}", build(SMALL), card)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def shelf(run: Path, tmp_path_factory) -> ModelRegistry:
    place = tmp_path_factory.mktemp("shelf")
    (place / "failures.txt").write_text("- It fails on whispers.\n\nAnd on bells.\n")
    (place / "scores.json").write_text(
        json.dumps(
            {"recordings": 3, "means": {s: {"stoi": MEAN} for s in ("noisy", "tiny", "tiny-int8", "peer")}}
        )
    )
    options = ["--name", "tiny", "--into", str(place / "models"), "--test-set", "three"]
    files = ["--failures", str(place / "failures.txt"), "--scores", str(place / "scores.json")]
    package_weights.package(package_weights.arguments([str(run), *options, *files]))
    return ModelRegistry(place / "models", "tiny")


def test_both_files_exist_and_equal_the_run(shelf: ModelRegistry, run: Path) -> None:
    card, place = shelf.card("tiny"), checkpoint.resolve(run)
    for name, precision in (("tiny", "float32"), ("tiny-int8", "int8")):
        meta = read(shelf.find(name)).meta
        assert meta.precision == precision
        assert meta.card["sha256"] == checkpoint.read_card(place).sha256 == card.sha256
    assert card.files["int8"].bytes < card.files["float"].bytes
    assert sorted(path.name for path in shelf.folder.iterdir()) == [
        "tiny.int8.onnx",
        "tiny.json",
        "tiny.onnx",
    ]


def test_the_card_contains_what_the_run_recorded(shelf: ModelRegistry) -> None:
    card = shelf.card("tiny")
    made = card.training
    assert (made.method, card.teacher, card.git, made.seed) == ("none", None, {"commit": "c0ffee"}, 3)
    assert made.updates == 3
    assert made.hours == round(3 * 8 * 2 * 1.5 / 3600, 3)
    assert made.wall_hours == round(3 * (8 * 2 * 1.5) / 12 / 3600, 3)
    assert (made.day, made.hardware) == ("2026-01-02", "H100; x86_64, 4 cores, 2 thread(s) used")
    assert card.scores == {"si_sdr": 7.5}
    assert (card.delay_ms, card.hop, card.title) == (
        32.0,
        256,
        "causal band-split recurrent network, trained alone",
    )
    assert card.cost.parameters == sum(p.numel() for p in build(SMALL).parameters())
    assert card.cost.frame_macs * 63 == pytest.approx(sum(card.cost.macs.values()), rel=0.05)
    assert card.failures == ("It fails on whispers.", "And on bells.")
    (tested,) = card.tests
    assert list(tested.systems) == ["noisy", "float", "int8"]
    assert tested.systems["int8"]["stoi"].high == 2.5


def test_local_paths_are_removed(shelf: ModelRegistry) -> None:
    assert shelf.card("tiny").recipe["data"]["train"]["speech"] == "speech.jsonl"  # type: ignore[index]
    for path in shelf.folder.iterdir():
        assert b"/somewhere" not in path.read_bytes()


def test_hours_of_initial_weights_are_added(tmp_path: Path, run: Path) -> None:
    tuned = make_run(tmp_path / "tuned", steps=6, start_from=str(run))
    made = origin.training(origin.Run.of(tuned))
    assert made.updates == 3 + 5
    assert made.hours == round(8 * 8 * 2 * 1.5 / 3600, 3)
    assert made.method == "none"
    gone = make_run(tmp_path / "gone", start_from=str(tmp_path / "absent"))
    with pytest.raises(StillwaveError, match=r"gone: .*absent"):
        origin.training(origin.Run.of(gone))


def test_further_training_without_a_teacher_keeps_the_method(tmp_path: Path) -> None:
    distill = {"teacher": "/somewhere/teacher", "method": "cosine"}
    taught = make_run(tmp_path / "taught", distill=distill)
    file = checkpoint.resolve(taught) / "card.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "teacher": "0123456789abcdef" * 4}))
    run = origin.Run.of(make_run(tmp_path / "on", start_from=str(taught)))
    made, facts = origin.training(run), origin.checkpoint_facts(run)
    assert (made.method, facts["teacher"]) == ("cosine", "SHA-256 0123456789abcdef…")
    assert [part["distill"]["method"]["name"] for part in made.earlier if part] == ["cosine"]
    assert facts["recipe"]["distill"] is None


def test_a_kept_checkpoint_equals_the_run_without_local_paths(tmp_path: Path, run: Path) -> None:
    keep_checkpoint.keep(run, "tiny", tmp_path)
    kept, best = tmp_path / "tiny", checkpoint.resolve(run)
    assert sorted(file.name for file in kept.iterdir()) == ["card.json", "weights.safetensors"]
    assert (kept / "weights.safetensors").read_bytes() == (best / "weights.safetensors").read_bytes()
    card = checkpoint.load(kept)[1]
    assert card.sha256 == checkpoint.read_card(best).sha256
    assert card.data is not None
    assert "speechocean762" in card.data
    assert "/somewhere" not in (kept / "card.json").read_text()
    with pytest.raises(StillwaveError, match=r"tiny.*--name"):
        keep_checkpoint.keep(run, "tiny", tmp_path)


def test_an_average_is_between_both_checkpoints(tmp_path: Path, run: Path) -> None:
    tuned = make_run(tmp_path / "tuned", seed=4, start_from=str(run))
    average_checkpoints.average(tuned, 0.75, tmp_path / "average")
    old, new, mixed = (checkpoint.load(place)[0].state_dict() for place in (run, tuned, tmp_path / "average"))
    key = next(name for name, value in mixed.items() if value.is_floating_point() and value.ndim == 2)
    assert not torch.equal(old[key], new[key])
    torch.testing.assert_close(mixed[key], 0.25 * old[key] + 0.75 * new[key])
    averaged = origin.Run.of(tuned, tmp_path / "average")
    assert origin.training(averaged).updates == 3 + 3
    assert origin.checkpoint_facts(averaged)["scores"] == {}, "the run's scores are not the average's"
    with pytest.raises(StillwaveError, match=r"run: .*train\.start_from"):
        average_checkpoints.average(run, 0.5, tmp_path / "none")


def test_unrecorded_facts_are_marked(tmp_path: Path, run: Path) -> None:
    alone = tmp_path / "checkpoint"
    alone.mkdir()
    for file in checkpoint.resolve(run).iterdir():
        (alone / file.name).write_bytes(file.read_bytes())
    made = origin.training(origin.Run.of(alone))
    assert origin.checkpoint_facts(origin.Run.of(alone))["git"] is None
    assert (made.hardware, made.wall_hours, made.day) == (None, None, None)
    assert made.hours is not None  # the recipe in the checkpoint's card tells
    assert origin.training(origin.Run.of(alone), "a laptop").hardware == "a laptop"


def test_averaged_weights_keep_the_runs_history(tmp_path: Path, run: Path) -> None:
    network, card = checkpoint.load(run)
    with torch.no_grad():
        next(network.parameters()).mul_(0.5)
    checkpoint.save(tmp_path / "average", network, card)
    averaged = origin.Run.of(run, tmp_path / "average")
    facts = origin.checkpoint_facts(averaged)
    assert facts["sha256"] == checkpoint.read_card(tmp_path / "average").sha256 != card.sha256
    assert (facts["git"], origin.training(averaged).updates) == ({"commit": "c0ffee"}, 3)


def test_a_kept_checkpoint_ends_the_chain_and_its_card_tells_the_rest(tmp_path: Path, run: Path) -> None:
    network, card = checkpoint.load(run)
    gone = card.recipe["train"] | {"start_from": "gone"}
    checkpoint.save(
        tmp_path / "kept", network, card.model_copy(update={"recipe": card.recipe | {"train": gone}})
    )
    recipe = origin.Run.of(run).recipe
    started = recipe.model_copy(
        update={"train": recipe.train.model_copy(update={"start_from": str(tmp_path / "kept")})}
    )
    found = origin.Run(run, origin.Run.of(run).place, card, started)
    assert [part.folder for part in found.chain()] == [run, tmp_path / "kept"]
    alone = origin.training(origin.Run.of(run))
    began = alone.model_copy(
        update={
            "method": "cosine",
            "updates": 10,
            "hours": 1.5,
            "wall_hours": 0.25,
            "day": "2025-01-01",
            "earlier": ({},),
        }
    )
    total = origin.training(found, began=began)
    assert (total.method, total.updates, total.day) == ("cosine", 10 + alone.updates, "2025-01-01")
    assert total.hours == pytest.approx(1.5 + alone.hours, abs=1e-3)
    assert total.wall_hours == pytest.approx(0.25 + alone.wall_hours, abs=1e-3)
    assert [entry and entry["train"]["start_from"] for entry in total.earlier[:1]] == ["gone"]
    assert total.earlier[1:] == ({},)
    unknown = origin.training(found, began=began.model_copy(update={"wall_hours": None}))
    assert unknown.wall_hours is None


def test_simulated_rooms_are_credited_if_used(tmp_path: Path, run: Path) -> None:
    found = origin.Run.of(run)
    file = Path(package_weights.__file__).parent / "model_cards" / "data.yaml"
    assert len(origin.data(file, found)[1]) == 4  # the run names no rooms, so none can be ruled out
    rooms = tmp_path / "rooms.jsonl"
    train = found.recipe.data.train.model_copy(update={"rooms": str(rooms)})
    data = found.recipe.data.model_copy(update={"train": train})
    other = origin.Run(run, found.place, found.card, found.recipe.model_copy(update={"data": data}))
    for licence, sources in (("Apache-2.0", 3), ("simulated (stillwave)", 4)):
        rooms.write_text(json.dumps({"path": "a.wav", "licence": licence}) + "\n")
        assert len(origin.data(file, other)[1]) == sources


def test_scores_of_other_weights_are_refused() -> None:
    with pytest.raises(StillwaveError, match=r"noisy, peer.*'tiny'"):
        package_weights.scores_of(
            {"recordings": 1, "means": {"noisy": {}, "peer": {}}}, {"tiny": "float"}, "t"
        )


def test_scores_can_be_computed_while_packaging(tmp_path: Path, run: Path) -> None:
    from stillwave import audio

    rng = np.random.default_rng(0)
    for number in range(2):
        clean = 0.1 * rng.standard_normal((1, 16_000))
        audio.write(tmp_path / "on" / "clean" / f"{number}.wav", clean, 16_000)
        audio.write(
            tmp_path / "on" / "noisy" / f"{number}.wav",
            clean + 0.1 * rng.standard_normal((1, 16_000)),
            16_000,
        )
    options = [
        "--name",
        "tiny",
        "--into",
        str(tmp_path / "m"),
        "--on",
        str(tmp_path / "on"),
        "--metrics",
        "si_sdr",
    ]
    card = package_weights.package(package_weights.arguments([str(run), *options, "--jobs", "1"]))
    (tested,) = card.tests
    assert (tested.recordings, tested.test_set) == (2, "on")
    more = ["--on", str(tmp_path / "on"), "--test-set", "first", "--test-set", "second"]
    again = package_weights.rescored(package_weights.arguments([*options, *more, "--jobs", "1"]))
    assert [tested.test_set for tested in again.tests] == ["first", "second"]
    assert again.tests[1].systems == tested.systems
    assert ModelRegistry(tmp_path / "m", "tiny").card("tiny") == again
    assert abs(tested.systems["noisy"]["si_sdr"].mean) < 0.5
    assert set(tested.systems) == {"noisy", "float", "int8"}


@pytest.mark.parametrize("name", ["Tiny", "a b", "x-int8", "../x"])
def test_an_invalid_name_is_refused(name: str, capsys) -> None:
    with pytest.raises(SystemExit):
        package_weights.arguments(["run", "--name", name])
    assert "lower case, digits and hyphens" in capsys.readouterr().err


def test_credits_require_authors() -> None:
    row = {
        "file": "noise/1-2-A.opus",
        "licence": "CC-BY",
        "source": "clip derived from a|b (x).wav (http://f.org/1/) by Ann",
    }
    text = attribution.page([row, {**row, "licence": "CC0"}])
    assert "| 1-2-A | Ann | [a\\|b (x).wav](http://f.org/1/) |" in text
    assert "1 of the clips are in the public domain" in text
    for wrong in ({"source": "found somewhere"}, {"licence": "CC-BY-NC"}):
        with pytest.raises(ValueError, match=r"no author|CC-BY-NC"):
            attribution.page([{**row, **wrong}])


def test_models_are_written_to_the_folder_that_ships(tmp_path: Path) -> None:
    options = package_weights.arguments([str(tmp_path), "--name", "model"])
    assert sorted(path.stem for path in options.into.glob("*.json")) == names()
