"""`stillwave explain`: snapshots, figures and errors, on very short runs."""

import errno
import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image
from typer.testing import CliRunner

from stillwave import checkpoint, cli
from stillwave import recipe as recipes
from stillwave.errors import StillwaveError
from stillwave.explain import figures
from stillwave.explain.flow import explain
from stillwave.models import build
from stillwave.schema import ModelConfig
from stillwave.training import probe_batch, train
from stillwave.training.probe_batch import fixed_batch

RECIPE = """
name: tiny
model: {channels: 8, blocks: 1, depth: 1}
data:
  train: {speech: FOLDER/speech, noise: FOLDER/noise}
  development: {speech: FOLDER/speech, noise: FOLDER/noise}
  development_items: 2
  segment_seconds: 0.125
  cache: FOLDER/cache
  workers: 0
  mixing: {babble: 0}
optimiser: {warmup_steps: 1}
train: {steps: 3, batch_size: 3, checkpoint_every: 1, validate_every: 2, device: cpu, tensorboard: false}
distill: {teacher: FOLDER/teacher, balance_steps: 1}
"""


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    random = np.random.default_rng(0)
    seconds = np.arange(16_000) / 16_000
    for speaker in range(4):
        (folder / "speech" / f"speaker{speaker}").mkdir(parents=True)
        for number in range(2):
            tone = 0.2 * np.sin(2 * np.pi * (200 + 100 * speaker + 10 * number) * seconds)
            soundfile.write(folder / "speech" / f"speaker{speaker}" / f"{number}.wav", tone, 16_000)
    (folder / "noise").mkdir()
    for number in range(4):
        soundfile.write(folder / "noise" / f"{number}.flac", 0.1 * random.standard_normal(16_000), 16_000)
    config = ModelConfig(channels=8, blocks=2, depth=1)
    torch.manual_seed(0)
    checkpoint.save(folder / "teacher", build(config), checkpoint.Card(model=config))
    return folder


def made(place: Path, run: Path, *settings: str) -> Path:
    train(recipes.loads(RECIPE.replace("FOLDER", str(place)), settings), run, quiet=True)
    return run


@pytest.fixture(scope="module")
def flagship(place, tmp_path_factory) -> Path:
    return made(place, tmp_path_factory.mktemp("runs") / "flagship")


DRAWING = ("weights", "similarities", "distances", "course", "change")


def point(file, **given):
    """A figure of one pixel, for tests of the content of the report."""
    file.parent.mkdir(exist_ok=True)
    Image.new("L", (1, 1)).save(file)


@pytest.fixture
def quick(monkeypatch):
    for name in DRAWING:
        monkeypatch.setattr(figures, f"draw_{name}", point)


@pytest.fixture
def first_of_each(monkeypatch):
    """Draw the first figure of each kind completely; return their names."""
    drawn = []

    def once(name, draw):
        def either(file, **given):
            if name in {kind for kind, _ in drawn}:
                return point(file)
            drawn.append((name, file.name))
            return draw(file, **given)

        return either

    monkeypatch.setattr(figures, "DPI", 40)
    for name in DRAWING:
        monkeypatch.setattr(figures, f"draw_{name}", once(name, getattr(figures, f"draw_{name}")))
    return drawn


def kept(run: Path) -> list[Path]:
    return sorted((run / "explain" / "snapshots").glob("*"))


def page_of(run: Path) -> str:
    return explain(run, quiet=True).read_text()


# --- what a run keeps --------------------------------------------------------------------------------------


def test_a_snapshot_at_the_start_and_at_each_validation(flagship):
    assert [file.name for file in kept(flagship)] == [f"step_0000000{n}.safetensors" for n in (0, 2, 3)]
    assert all(file.stat().st_size < 100_000 for file in kept(flagship))


def test_content_of_a_snapshot(flagship):
    found = checkpoint.read_tensors(kept(flagship)[1])
    frames = 9  # 0.125 s and one more
    assert {name for name in found if name.startswith("distance.")} == {
        f"distance.{term}" for term in ("encoder", "middle", "decoder", "inter")
    }
    assert found["alpha.middle.batch"].shape == (frames, 1, 2)
    assert found["alpha.inter.time"].shape == (frames, 3, 3)
    torch.testing.assert_close(
        found["alpha.inter.time"].float().sum(-1), torch.ones(frames, 3), atol=2e-3, rtol=0
    )
    assert found["similarity.decoder"].shape == (frames, frames)
    diagonal = found["similarity.encoder"].float().diagonal()
    torch.testing.assert_close(diagonal, torch.ones(frames), atol=2e-3, rtol=0)


def test_snapshots_do_not_change_the_run(place, flagship, tmp_path, monkeypatch):
    monkeypatch.setattr(probe_batch.Snapshots, "take", lambda self, step: None)
    without = made(place, tmp_path / "run")
    assert kept(without) == []
    a, b = (
        checkpoint.read_tensors(r / "checkpoints/step_00000003/training.safetensors")
        for r in (flagship, without)
    )
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_resumed_run_keeps_the_same(place, flagship, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(flagship, run)
    shutil.rmtree(run / "checkpoints" / "step_00000003")
    for file in kept(run)[1:]:
        file.unlink()
    made(place, run)
    assert [file.name for file in kept(run)] == ["step_00000000.safetensors", "step_00000003.safetensors"]
    assert kept(run)[-1].read_bytes() == kept(flagship)[-1].read_bytes()


def test_a_method_without_calibration_has_no_snapshots(place, tmp_path):
    assert kept(made(place, tmp_path / "run", "distill.method=at", "train.steps=1")) == []


def test_a_full_disk_skips_the_snapshot(place, tmp_path, monkeypatch, capsys):
    def full(file, tensors):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(probe_batch, "checkpoint", SimpleNamespace(write_tensors=full))
    run = made(place, tmp_path / "run", "train.steps=2")
    assert "step_00000002.safetensors: not saved (No space left on device)" in capsys.readouterr().err
    assert (run / "checkpoints" / "step_00000002").is_dir()
    assert kept(run) == []


def test_the_fixed_batch_is_of_the_training_shape():
    recipe = recipes.loads(RECIPE, ["data.segment_seconds=0.5", "train.batch_size=3"])
    long = np.arange(9000, dtype=np.float32)
    short = np.ones(100, np.float32)
    items = [SimpleNamespace(noisy=long, clean=-long), SimpleNamespace(noisy=short, clean=short)]
    batch = fixed_batch(recipe, items)
    assert batch.noisy.shape == (3, 8000)
    assert batch.noisy[0, 0] == 500, "the middle"
    assert torch.equal(batch.clean[0], -batch.noisy[0])
    assert torch.equal(batch.noisy[2], batch.noisy[0]), "too few are taken again"
    assert batch.noisy[1].sum() == 100


def test_the_fixed_batch_of_several_microphones_is_cut_along_time():
    recipe = recipes.loads(RECIPE, ["data.segment_seconds=0.5", "train.batch_size=2"])
    long = np.arange(9000, dtype=np.float32)
    items = [
        SimpleNamespace(noisy=np.stack([samples, -samples, 0 * samples]), clean=samples)
        for samples in (long, long[:100])
    ]
    batch = fixed_batch(recipe, items)
    assert batch.noisy.shape == (2, 3, 8000)
    assert batch.clean.shape == (2, 8000)
    assert torch.equal(batch.noisy[:, 0], batch.clean)
    assert torch.equal(batch.noisy[:, 1], -batch.clean)
    assert not batch.noisy[:, 2].any()


# --- what is drawn -----------------------------------------------------------------------------------------


def test_the_report_holds_all_figures(flagship, first_of_each):
    (flagship / "explain" / "index.html").unlink(missing_ok=True)
    text = page_of(flagship)
    drawn = sorted(file.name for file in (flagship / "explain").glob("*.png"))
    assert drawn == sorted(
        [f"weights_{term}.png" for term in ("encoder", "middle", "decoder", "inter")]
        + [
            f"similarity_{s}_{stream}.png"
            for s in ("encoder", "middle", "decoder")
            for stream in ("time", "batch")
        ]
        + ["distances.png", "course.png", "change.png"]
    )
    sources = re.findall(r'src="([^"]*)', text)
    assert len(sources) == len(drawn)
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert "http" not in text, "nothing is fetched"
    assert "tiny at step 3" in text
    assert len(first_of_each) == len(DRAWING)
    for _, name in first_of_each:
        with Image.open(flagship / "explain" / name) as image:
            assert len(image.convert("RGBA").getcolors(1 << 24)) > 20, name


@pytest.mark.parametrize(
    ("settings", "note", "files"),
    [
        (["distill.method=at"], "at has no calibration weights; only similarities are shown.<", 3),
        (
            ["distill.method=dispatch"],
            "does not compare layers; the layers shown are the default taps of the networks.<",
            3,
        ),
        (["distill.method=i2srf_tfckd-uniform"], "the weights are fixed", 12),
        (["distill.method={name: i2srf_tfckd-frequency-only, inter: false}"], "weights sum to 1", 9),
    ],
    ids=str,
)
def test_reports_of_other_methods(quick, place, tmp_path, settings, note, files):
    run = made(place, tmp_path / "run", *settings, "train.steps=1")
    text = page_of(run)
    assert note in text
    assert text.count("<img") == files == len(list((run / "explain").glob("*.png")))


def test_a_released_embedding_gets_the_batch_that_it_was_built_for(quick, place, tmp_path):
    run = made(place, tmp_path / "run", "distill.method=i2srf_tfckd-released", "train.steps=1")
    assert "weights sum to 1" in page_of(run)


def test_a_running_run_is_reported_up_to_its_checkpoint(quick, flagship, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(flagship, run)
    shutil.rmtree(run / "checkpoints" / "step_00000003")
    assert "tiny at step 2" in page_of(run)
    damaged = kept(run)[0]
    damaged.write_bytes(damaged.read_bytes()[:100])
    found = probe_batch.read_snapshots(run, 2)
    assert list(found) == [2], "later than the checkpoint, and damaged, are left out"


def test_the_run_is_not_modified(quick, flagship, tmp_path):
    def others():
        return {p: p.read_bytes() for p in flagship.rglob("*") if p.is_file() and p.parent.name != "explain"}

    before, state = others(), torch.get_rng_state()
    explain(flagship, quiet=True)
    assert others() == before
    assert torch.equal(torch.get_rng_state(), state)


def test_equal_weights_have_the_middle_colour(tmp_path):
    colours = figures.weight_colours(0.25, [np.array([[0.1, 0.7]], np.float32)])
    assert colours["norm"](0.25) == 0.5
    assert colours["norm"](0.0) == 0
    assert colours["norm"](0.7) == pytest.approx(1, abs=1e-5)
    clip = figures.AudioClip(np.random.default_rng(0).standard_normal(4000).astype(np.float32), 16_000)
    one = {"time": np.ones((5, 2, 1), np.float32)}
    figures.draw_weights(tmp_path / "one.png", clip, one, students=2, teachers=1)
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("kind", "size"),
    [(figures.FigureKind(None, "other example"), (2, 9)), (figures.FigureKind("band", "band"), (4, 4))],
)
def test_similarities_of_the_other_streams_are_drawn(tmp_path, monkeypatch, kind, size):
    monkeypatch.setattr(figures, "DPI", 40)
    random = np.random.default_rng(0)
    clip = figures.AudioClip(random.standard_normal(4000).astype(np.float32), 16_000)
    row = figures.FigureRow("layer", *random.uniform(size=(2, *size)).astype(np.float32))
    figures.draw_similarities(tmp_path / "some.png", clip, [row], kind)
    with Image.open(tmp_path / "some.png") as image:
        assert len(image.convert("RGBA").getcolors(1 << 24)) > 20


# --- the command, and what is refused ----------------------------------------------------------------------


def call(*arguments):
    return CliRunner().invoke(cli.build(), ["explain", *map(str, arguments)])


def test_the_command_prints_the_page(quick, flagship):
    result = call(flagship, "--json", "--quiet")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["page"] == str(flagship / "explain" / "index.html")
    assert call(flagship).stdout.strip() == str(flagship / "explain" / "index.html")


def test_refusals_are_single_sentences(place, flagship, tmp_path):
    def refusal(run):
        result = call(run)
        assert result.exit_code == 2
        assert "Traceback" not in result.output
        return result.stderr

    assert "not a run folder" in refusal(tmp_path / "nowhere")
    bare = tmp_path / "bare"
    shutil.copytree(flagship, bare)
    shutil.rmtree(bare / "checkpoints")
    assert "no checkpoint yet" in refusal(bare)
    text = (bare / "recipe.yaml").read_text()
    (bare / "recipe.yaml").write_text(text.replace("name: i2srf_tfckd", "name: none"))
    with pytest.raises(StillwaveError):
        explain(bare)
    alone = recipes.loads(RECIPE.split("distill:")[0].replace("FOLDER", str(place)), ["train.steps=1"])
    train(alone, tmp_path / "alone", quiet=True)
    assert "the run has no teacher" in refusal(tmp_path / "alone")
    assert "Missing argument 'RUN'" in call().stderr


def test_another_teacher_under_the_same_path_is_refused(place, flagship, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(flagship, run)
    config = ModelConfig(channels=8, blocks=2, depth=1)
    torch.manual_seed(5)
    checkpoint.save(tmp_path / "other", build(config), checkpoint.Card(model=config))
    text = (run / "recipe.yaml").read_text()
    (run / "recipe.yaml").write_text(text.replace(str(place / "teacher"), str(tmp_path / "other")))
    with pytest.raises(StillwaveError, match="run: the teacher"):
        explain(run)
