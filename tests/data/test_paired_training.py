"""From a corpus of pairs to a network of eight channels and its score."""

import numpy as np
import pytest
from l3das_clips import clip

from stillwave.data.pair_sets import read_pairs
from stillwave.evaluation.inputs import from_checkpoints
from stillwave.evaluation.scoring import score_pairs
from stillwave.explain import figures, flow
from stillwave.recipe import loads
from stillwave.training.loop import train

RECIPE = """
model: {{channels: 8, blocks: 1, microphones: {microphones}, causal: true, norm: frame, depth: 1}}
data: {{train: {{pairs: {place}/train}}, development: {place}/dev, segment_seconds: 0.2, workers: 0}}
train: {{steps: 2, batch_size: 2, validate_every: 2, checkpoint_every: 1, tensorboard: false}}
"""


@pytest.fixture
def place(tmp_path):
    for side, names in (("train", "123"), ("dev", "45")):
        for name in names:
            clip(tmp_path / side, f"{name}-1-1", 6000)
    return tmp_path


@pytest.mark.parametrize("microphones", [1, 8])
def test_trained_resumed_and_scored(place, microphones):
    recipe = loads(RECIPE.format(microphones=microphones, place=place))
    checkpoint = train(recipe, place / "run", quiet=True)
    again = train(recipe, place / "again", quiet=True)
    weights = "weights.safetensors"
    assert (checkpoint / weights).read_bytes() == (again / weights).read_bytes()
    items = from_checkpoints(place / "dev", {"net": checkpoint}, place / "work", "cpu", quiet=True)
    assert [item.problems for item in items] == [{}, {}]
    scores = score_pairs(items, ["si_sdr"], 1)
    values = {(row.id, row.system): row.scores["si_sdr"].value for row in scores.rows}
    assert len(values) == 4
    assert np.isfinite(list(values.values())).all()


def test_a_student_with_several_microphones_is_distilled_and_explained(place, monkeypatch):
    for name in ("similarities", "distances", "course", "change"):  # all would take a minute
        monkeypatch.setattr(figures, f"draw_{name}", lambda file, **_: file.touch())
    teacher = train(loads(RECIPE.format(microphones=8, place=place)), place / "teacher", quiet=True)
    taught = f"distill: {{teacher: {teacher}, method: i2srf_tfckd, balance_steps: 1}}"
    run = place / "student"
    train(loads(RECIPE.format(microphones=8, place=place) + taught), run, quiet=True)
    flow.explain(run, quiet=True)
    assert (run / "explain" / "index.html").is_file()


def test_a_card_names_the_training_data(place):
    from stillwave.checkpoint import load

    checkpoint = train(loads(RECIPE.format(microphones=4, place=place)), place / "run", quiet=True)
    assert f"pairs: {place}/train" in load(checkpoint, "cpu")[1].data


def test_noisy_is_scored_on_its_first_channel(place):
    items = from_checkpoints(place / "dev", {}, place / "work", "cpu", quiet=True)
    assert {item.estimates["noisy"].parent for item in items} == {place / "work" / "noisy"}
    pair = read_pairs(place / "dev")[0]
    pair.noisy.write_bytes(b"RIFF")
    with pytest.raises(Exception, match=r"scan --corpus l3das23"):
        from_checkpoints(place / "dev", {}, place / "work", "cpu", quiet=True)
