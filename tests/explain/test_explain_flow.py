"""Reports of a run: figures by method, runs that are not finished, and a run that stays as it was."""

from __future__ import annotations

import re
import shutil

import pytest
import torch
from explained_runs import DRAWING, kept, made, page_of
from PIL import Image

from stillwave.explain.flow import explain
from stillwave.training import probe_batch


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
