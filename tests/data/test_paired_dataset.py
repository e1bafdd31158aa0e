"""Segments of a corpus that is mixed already."""

import numpy as np
import pytest
import torch
from l3das_clips import RATE, clip, field

from stillwave.audio import write
from stillwave.data.dataset import batches
from stillwave.data.manifest import ManifestError
from stillwave.data.pair_manifest import write_pair_manifest
from stillwave.data.pair_sets import read_pairs
from stillwave.data.paired_dataset import PairedSegments
from stillwave.data.sources import build_mixer, build_source, development_pairs
from stillwave.errors import AudioError, RecipeError
from stillwave.recipe import loads
from stillwave.schema import DataConfig, Pairs, Sources


@pytest.fixture
def train(tmp_path):
    folder = tmp_path / "L3DAS23_Task1_train100"
    for i in range(5):
        clip(folder, f"{i}-1-1", 8000 + 1000 * i)
    return folder


@pytest.fixture
def source(train):
    return PairedSegments(read_pairs(train), 0.25, 8, seed=3)


def test_segments_are_cut_alike_on_both_sides(source):
    for index in range(8):
        segment = source(0, index)
        seed = sum(map(ord, f"L3DAS23_Task1_train100{segment.pair.id}"))
        whole = 8000 + 1000 * int(segment.pair.id[0])
        inside = slice(segment.start, segment.start + 4000)
        np.testing.assert_array_equal(segment.noisy[:4], field(seed, whole)[:, inside])
        np.testing.assert_array_equal(segment.noisy[4:], field(seed + 1, whole)[:, inside])
        np.testing.assert_array_equal(segment.clean, field(seed + 2, whole)[0, inside])


def test_every_pair_is_used_once_per_epoch_with_a_new_crop(source):
    turns = [[source(0, 5 * turn + place) for place in range(5)] for turn in range(4)]
    orders = [[segment.pair.id for segment in turn] for turn in turns]
    assert all(sorted(order) == sorted(orders[0]) for order in orders)
    assert len({tuple(order) for order in orders}) > 1
    assert len({segment.start for turn in turns for segment in turn if segment.pair.id == "0-1-1"}) > 1
    again = PairedSegments(source.pairs, 0.25, 8, seed=3)
    np.testing.assert_array_equal(again(0, 17).noisy, source(0, 17).noisy)
    other = PairedSegments(source.pairs, 0.25, 8, seed=4)
    assert [other(0, i).start for i in range(5)] != [source(0, i).start for i in range(5)]


def test_batches_are_resumed_and_do_not_depend_on_workers(source):
    whole = list(batches(source, 2, last=4))
    late = list(batches(source, 2, first=2, last=4, workers=2))
    assert whole[0].noisy.shape == (2, 8, 4000)
    for one, other in zip(whole[2:], late, strict=True):
        assert torch.equal(one.noisy, other.noisy)
        assert torch.equal(one.clean, other.clean)


def test_a_short_pair_ends_in_silence(train):
    segment = PairedSegments(read_pairs(train)[:1], 0.75, 4)(0, 0)
    assert segment.noisy.shape == (4, 12000)
    assert not segment.noisy[:, 8000:].any()
    assert not segment.clean[8000:].any()
    assert segment.start == 0


def test_a_crop_without_speech_is_drawn_again(train):
    pairs = read_pairs(train)[4:]
    clean = np.zeros(12000, np.float32)
    clean[:3000] = 0.1
    write(pairs[0].clean, clean, RATE)
    source = PairedSegments(pairs, 0.1, 1)
    used = [source(0, i).clean.any() for i in range(40)]
    assert np.mean(used) > 0.8  # by chance: (3000 + 1600) / (12000 − 1600), less than a half


@pytest.mark.parametrize("microphones", [1, 4, 8])
def test_the_network_gets_its_number_of_channels(train, microphones):
    noisy = PairedSegments(read_pairs(train), 0.25, microphones)(0, 0).noisy
    assert noisy.shape == ((4000,) if microphones == 1 else (microphones, 4000))


def test_channels_that_do_not_fit_are_refused(train, source):
    with pytest.raises(ManifestError, match=r"model\.microphones is 6 .* 8 channels.* 1 or 4 or 8$"):
        PairedSegments(source.pairs, 0.25, 6)
    mixed = [source.pairs[0].model_copy(update={"also": (), "channels": 4}), *source.pairs[1:]]
    with pytest.raises(ManifestError, match="4 or 8 channels"):
        PairedSegments(mixed, 0.25, 4)
    assert PairedSegments(mixed, 0.25, 1)(0, 0).noisy.ndim == 1
    with pytest.raises(ManifestError, match=r"^data\.train: .*no pairs"):
        PairedSegments([], 0.25)


def test_files_that_changed_since_the_scan_are_named(source):
    pair = source.pairs[0]
    only = PairedSegments([pair], 0.25, 8)
    write(pair.also[0], field(1, 7000), RATE)
    with pytest.raises(ManifestError, match=r"0-1-1_B\.wav: .*7000 .*0-1-1_A\.wav 8000"):
        only(0, 0)
    write(pair.also[0], field(1, 8000), 8000)
    with pytest.raises(AudioError, match="8000 Hz"):
        only(0, 0)
    write(pair.clean, field(1, 2000)[0], RATE)
    with pytest.raises(ManifestError, match=r"0-1-1_A\.wav: .*0\.500 s .*0-1-1\.wav 0\.125 s"):
        only(0, 0)


RECIPE = """
model: {channels: 8, blocks: 1, microphones: 8}
data: {train: {pairs: train.jsonl}, development: DEV, segment_seconds: 0.25}
"""


@pytest.fixture
def dev(tmp_path):
    folder = tmp_path / "L3DAS23_Task1_dev"
    for i in range(3):
        clip(folder, f"{70 + i}-1-1")
    return folder


def test_a_recipe_names_pairs(train, dev, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_pair_manifest("train.jsonl", read_pairs(train))
    recipe = loads(RECIPE.replace("DEV", str(dev)))
    assert recipe.data.train == Pairs(pairs="train.jsonl")
    assert isinstance(build_source(recipe.data, 8), PairedSegments)
    items = development_pairs(recipe.data, microphones=8)
    assert [item.noisy.shape for item in items] == [(8, 8000)] * 3
    assert development_pairs(recipe.data)[0].noisy.shape == (8000,)
    with pytest.raises(ManifestError, match=r"^data\.train .*pairs"):
        build_mixer(recipe.data)


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        ("{pairs: 3}", "data.train.pairs is 3.*text"),
        ("{pairs: a, mixng: b}", "data.train.mixng .*pairs"),
        ("{speech: a}", "data.train.noise "),
        ("3", "data.train is 3.*section"),
    ],
)
def test_faults_of_the_section(section, sentence):
    with pytest.raises(RecipeError, match=sentence):
        loads(f"data: {{train: {section}, development: d}}")


def test_training_and_development_share_no_file_and_no_speaker(train, dev):
    def data(development):
        return DataConfig(train=Pairs(pairs=str(train)), development=development)

    with pytest.raises(ManifestError, match=r"5 of data\.train's files"):
        build_source(data(str(train)), 8)
    clip(dev, "3-1-1")
    with pytest.raises(ManifestError, match=r"data\.development: .*1 .*speakers.* 3;"):
        build_source(data(str(dev)), 8)
    with pytest.raises(ManifestError, match=r"data\.development: .*data\.train\.pairs"):
        build_source(data(Sources(speech="a", noise="b")), 8)


def test_mixtures_on_the_fly_have_one_microphone(train):
    data = DataConfig(train=Sources(speech="a", noise="b"), development=Sources(speech="a", noise="b"))
    with pytest.raises(RecipeError, match=r"model\.microphones: .*data\.train\.pairs"):
        build_source(data, 8)
    with pytest.raises(RecipeError, match=r"data\.development: .*one microphone"):
        development_pairs(data, microphones=8)
