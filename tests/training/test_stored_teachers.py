"""A folder of outputs as the teacher: aligned with its mixtures, refused if it does not fit them."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from external_denoisers import late
from toy import toy_recipe, train_toy

from stillwave import recipe as recipes
from stillwave.audio import read, resample, write
from stillwave.data.pair_sets import read_pairs
from stillwave.data.sources import build_source
from stillwave.data.stored_outputs import StoredOutputs
from stillwave.errors import StillwaveError
from stillwave.external.probe import probe
from stillwave.schema import SAMPLE_RATE
from stillwave.training import train
from stillwave.training.selfcheck import check
from stillwave.training.sources import with_outputs

SHORT = ["distill.method=output", "distill.balance_steps=1", "train.steps=2"]


def write_pairs(folder, count, start=0):
    """Write pairs of speech-like signals in noise, 0.4 s each."""
    speech = probe(SAMPLE_RATE)
    for number in range(start, start + count):
        random = np.random.default_rng(number)
        clean = speech[5_000 + 700 * number :][:6_400]
        noisy = clean + 0.01 * random.standard_normal(clean.shape).astype(np.float32)
        for side, samples in (("noisy", noisy), ("clean", clean)):
            write(folder / side / f"{number}.wav", samples[None], SAMPLE_RATE, subtype="FLOAT")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Pairs, and outputs that are the clean references, 137 samples late and quieter."""
    folder = tmp_path_factory.mktemp("corpus")
    write_pairs(folder / "train", 6)
    write_pairs(folder / "development", 2, start=50)
    for number in range(6):
        clean, rate = read(folder / "train" / "clean" / f"{number}.wav")
        write(folder / "outputs" / f"{number}.wav", late(clean, rate), rate, subtype="FLOAT")
    return folder


def folder_recipe(corpus, *overrides):
    recipe = recipes.loads(recipes.dump(toy_recipe()))
    data = recipe.data.model_dump(mode="json") | {
        "train": {"pairs": str(corpus / "train")},
        "development": str(corpus / "development"),
    }
    settings = [f"data={json.dumps(data)}", *SHORT, "train.max_bad_files=2", *overrides]
    return toy_recipe(*settings, f"distill.teacher={corpus / 'outputs'}")


def test_a_folder_of_outputs_teaches(corpus, tmp_path):
    train(folder_recipe(corpus), tmp_path / "run", quiet=True)
    assert (tmp_path / "run" / "checkpoints" / "step_00000002").is_dir()
    environment = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert "6 outputs, 16000 Hz, output 137 samples" in environment["sessions"][-1]["teacher"]


def test_a_dry_run_uses_the_stored_outputs(corpus):
    assert check(folder_recipe(corpus)).findings.terms[0].value > 0


def test_the_segment_of_an_output_is_that_of_its_mixture(corpus):
    recipe = folder_recipe(corpus)
    source = with_outputs(build_source(recipe.data), recipe)
    for index in range(6):
        segment = source(0, index)
        kept = min(len(segment.clean), 6_400 - 137 - segment.start)  # the last samples were cut by the delay
        assert np.abs(segment.estimate - segment.clean)[:kept].max() < 1e-6


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_outputs_of_another_rate_are_aligned(corpus, tmp_path, rate):
    pairs = read_pairs(corpus / "train")
    for pair in pairs:
        clean, _ = read(pair.clean)
        write(
            tmp_path / f"{pair.id}.wav",
            late(resample(clean, 16_000, rate), rate, 90, 1.0),
            rate,
            subtype="FLOAT",
        )
    outputs = StoredOutputs(tmp_path, pairs)
    assert (outputs.calibration.rate, outputs.calibration.delay) == (rate, 90)
    clean = resample(resample(read(pairs[0].clean)[0], 16_000, rate), rate, 16_000)[0]
    assert np.abs(outputs.read(pairs[0], 1_003, 3_000) - clean[1_003:4_003]).max() < 2e-3


def spoiled(corpus, tmp_path, change):
    """Copy the corpus and change its outputs."""
    folder = shutil.copytree(corpus, tmp_path / "corpus")
    change(folder / "outputs")
    return folder


def half_of_the_files(folder):
    for number in range(3):
        (folder / f"{number}.wav").unlink()


def another_length(folder):
    samples, rate = read(folder / "3.wav")
    write(folder / "3.wav", samples[:, :-1_000], rate)


def two_channels(folder):
    samples, rate = read(folder / "3.wav")
    write(folder / "3.wav", np.repeat(samples, 2, 0), rate)


def another_delay(folder):
    samples, rate = read(folder / "3.wav")
    write(folder / "3.wav", np.roll(samples, 300, 1), rate)


def silence(folder):
    samples, rate = read(folder / "3.wav")
    write(folder / "3.wav", 0 * samples, rate)


def other_mixtures(folder):
    for number in range(6):
        samples, rate = read(folder / f"{number}.wav")
        noise = np.random.default_rng(number).standard_normal(samples.shape).astype(np.float32)
        write(folder / f"{number}.wav", 0.1 * noise, rate)


def another_rate(folder):
    samples, _ = read(folder / "3.wav")
    write(folder / "3.wav", samples.repeat(3, 1), 48_000)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (half_of_the_files, "has outputs for 3 of 6 mixtures, and none for '0'"),
        (another_length, r"3\.wav: lasts 0\.338 s"),
        (two_channels, "has 2 channels"),
        (another_delay, "late by 137 to 437 samples"),
        (silence, r"3\.wav: returned silence"),
        (other_mixtures, "no output resembles"),
        (another_rate, "16000 and 48000 Hz"),
    ],
)
def test_outputs_that_do_not_fit_are_refused(corpus, tmp_path, change, words):
    with pytest.raises(StillwaveError, match=words) as refused:
        train(folder_recipe(spoiled(corpus, tmp_path, change)), tmp_path / "run", quiet=True)
    assert "\n" not in str(refused.value)


def test_outputs_need_fixed_mixtures(corpus, tmp_path):
    with pytest.raises(StillwaveError, match=r"data\.train\.pairs"):
        train_toy(tmp_path / "run", f"distill.teacher={corpus / 'outputs'}", *SHORT)
