"""Several sources with weights: shares, order, and what a development side may hold."""

import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from stillwave.data.manifest import ManifestError, Recording, write_manifest
from stillwave.data.mixing import Mixer
from stillwave.data.pools import LONGEST_BLOCK, SamplingOrder, Utterance, WeightedPool, block_counts
from stillwave.data.sampling import Noises, Rooms, Speech
from stillwave.data.sources import build_mixer, development_pairs, gather
from stillwave.data.split import split
from stillwave.errors import RecipeError
from stillwave.recipe import dump, loads
from stillwave.schema import DataConfig, MixingConfig, Sources


def recordings(name, count, **fields):
    return [
        Recording(path=Path(f"/{name}/{i}.wav"), sample_rate=16000, channels=1, seconds=1, **fields)
        for i in range(count)
    ]


@pytest.mark.parametrize(
    ("weights", "counts"),
    [([1.0], [1]), ([3, 1], [3, 1]), ([0.1, 0.2], [1, 2]), ([1, 1, 1], [1, 1, 1]), ([1e6, 1], [1000, 1])],
)
def test_blocks_hold_each_source_in_the_ratio_of_the_weights(weights, counts):
    assert block_counts(weights) == counts


def test_any_weights_are_met_within_a_thousandth():
    weights = [np.pi, np.e, 0.01]
    counts = block_counts(weights)
    for weight, count in zip(weights, counts, strict=True):
        assert count / sum(counts) == pytest.approx(weight / sum(weights), abs=2 / LONGEST_BLOCK)


def test_the_order_keeps_weights_without_repetition_within_a_source():
    parts = [WeightedPool(recordings("a", 10), 3), WeightedPool(recordings("b", 7), 1)]
    order = SamplingOrder(parts, seed=5)
    first = [order(0, i) for i in range(4 * 7 * 10)]
    for part, share in zip(parts, (0.75, 0.25), strict=True):
        own = [u.recording for u in first if u.recording in part.recordings]
        size = len(part.recordings)
        assert len(own) == share * len(first)
        for start in range(0, len(own) - size + 1, size):
            assert len(set(own[start : start + size])) == size, "all before any again"
    again = SamplingOrder(parts, seed=5)
    backwards = [again(0, i) for i in reversed(range(len(first)))]
    assert backwards[::-1] == first, "a function of the number alone"
    assert pickle.loads(pickle.dumps(order))(0, 17) == first[17]
    assert [SamplingOrder(parts, seed=6)(0, i) for i in range(40)] != first[:40]
    assert [order(1, i) for i in range(40)] != first[:40]


def test_a_single_source_equals_a_plain_list(world, store):
    plain = Mixer(world["speech"], world["noise"], world["rooms"], MixingConfig(babble=0.5), 0.5, 3, store)
    parts = {name: [WeightedPool(world[name], 0.3)] for name in ("speech", "noise", "rooms")}
    one = Mixer(parts["speech"], parts["noise"], parts["rooms"], MixingConfig(babble=0.5), 0.5, 3, store)
    for index in (0, 1, 2, 50):
        np.testing.assert_array_equal(plain(0, index).noisy, one(0, index).noisy)
        turn, place = divmod(index, len(world["speech"]))
        order = np.random.default_rng([3, 0, turn, 1]).permutation(len(world["speech"]))
        assert plain(0, index).facts.speech[0] == str(world["speech"][order[place]].path), "as recorded runs"


def test_noises_and_rooms_come_from_a_source_with_its_probability(world, store):
    noise = world["noise"]
    noises = Noises([WeightedPool(noise[:1], 4), WeightedPool(noise[1:], 1)], store)
    rng = np.random.default_rng(0)
    drawn = Counter(noises.draw(rng, 1000).recordings[0] == noise[0] for _ in range(400))
    assert drawn[True] / 400 == pytest.approx(0.8, abs=0.08)
    halls = [r.model_copy(update={"seconds": 10.0}) for r in world["rooms"][:1]]
    rooms = Rooms([WeightedPool(halls, 1), WeightedPool(world["rooms"][1:2], 1)], store)
    drawn = Counter(rooms.draw(rng).recordings[0] == halls[0] for _ in range(400))
    assert drawn[True] / 400 == pytest.approx(0.5, abs=0.1), "length counts within a source only"


def test_equal_speaker_names_of_two_sources_are_different_speakers(world, store):
    mine = [r.model_copy(update={"speaker": "1"}) for r in world["speech"][:3]]
    theirs = [r.model_copy(update={"speaker": "1"}) for r in world["speech"][3:6]]
    speech = Speech([WeightedPool(mine), WeightedPool(theirs)], store)
    joined = speech.draw(np.random.default_rng(0), Utterance(mine[0], 0), 16000 * 12)
    assert len(joined.recordings) > 2
    assert {r.path for r in joined.recordings} <= {r.path for r in mine}


@pytest.mark.parametrize("source", [0, 1])
def test_a_recording_of_two_sources_is_joined_with_utterances_of_the_drawn_source(world, store, source):
    shared, *others = [r.model_copy(update={"speaker": "1"}) for r in world["speech"][:5]]
    sources = [[shared, *others[:2]], [shared, *others[2:]]]
    speech = Speech([WeightedPool(recordings) for recordings in sources], store)
    paths = set()
    for seed in range(8):
        drawn = speech.draw(np.random.default_rng(seed), Utterance(shared, source), 16000 * 12)
        paths |= {recording.path for recording in drawn.recordings}
    assert paths == {recording.path for recording in sources[source]}


@pytest.fixture
def manifests(tmp_path, world):
    """Two corpora, a and b, each with a development side of its own."""
    for kind in ("speech", "noise"):
        ordered = sorted(world[kind], key=lambda r: (r.speaker, str(r.path)))
        half = len(ordered) // 2
        for name, part in (("a", ordered[:half]), ("b", ordered[half:])):
            kept, held = split(part, 0.3)
            write_manifest(tmp_path / f"{name}-{kind}.jsonl", part)
            write_manifest(tmp_path / f"{name}-{kind}-train.jsonl", kept)
            write_manifest(tmp_path / f"{name}-{kind}-dev.jsonl", held)
    return tmp_path


def config(train, development, **changes):
    fields = {"segment_seconds": 0.5, "mixing": MixingConfig(babble=0), "cache": "cache", **changes}
    return DataConfig.model_validate({"train": train, "development": development, **fields}, strict=False)


def sides(suffix, weights=(1, 1)):
    return {
        kind: [{"path": f"{n}-{kind}{suffix}.jsonl", "weight": w} for n, w in zip("ab", weights, strict=True)]
        for kind in ("speech", "noise")
    }


def test_several_sources_are_each_held_out_and_scored_evenly(manifests):
    data = config(sides("-train", (3, 1)), sides("-dev"), development_items=4)
    train, held = (gather(data, side, manifests) for side in ("train", "development"))
    assert [part.weight for part in train["speech"]] == [3, 1]
    paths = [{r.path for part in side["speech"] for r in part.recordings} for side in (train, held)]
    assert paths[0].isdisjoint(paths[1])
    scored = development_pairs(data, 0, manifests)
    of_a = {str(r.path) for r in held["speech"][0].recordings}
    assert sum(pair.facts.speech[0] in of_a for pair in scored) == 2
    mixer = build_mixer(data, "train", 0, manifests)
    of_a = {str(r.path) for r in train["speech"][0].recordings}
    assert sum(mixer(0, i).facts.speech[0] in of_a for i in range(8)) == 6


def test_sources_named_for_both_sets_are_split(manifests):
    data = config(sides(""), sides(""))
    train, held = (gather(data, side, manifests) for side in ("train", "development"))
    for kind, key in (("speech", "speaker"), ("noise", "path")):
        for one, other in zip(train[kind], held[kind], strict=True):
            assert {getattr(r, key) for r in one.recordings}.isdisjoint(
                getattr(r, key) for r in other.recordings
            )


def test_a_leak_from_one_source_to_another_is_refused(manifests):
    leaking = {**sides("-dev"), "speech": "a-speech.jsonl"}
    with pytest.raises(ManifestError, match=r"data\.development: .*speech has .*data\.train"):
        gather(config(sides("-train"), leaking), "train", manifests)
    half = {**sides(""), "noise": ["b-noise.jsonl", "a-noise-train.jsonl"]}
    with pytest.raises(ManifestError, match=r"data\.development: .*noise has .*data\.train.*n0\.wav"):
        gather(config(sides(""), half), "train", manifests)


BASE = "data: {train: {speech: a, noise: n}, development: {speech: d, noise: e}}\n"


def test_several_sources_are_set_on_the_command_line_and_dumped():
    recipe = loads(BASE, ["data.train.speech=[{path: a.jsonl, weight: 3}, b.jsonl]"])
    assert [(one.path, one.weight) for one in recipe.data.train.of("speech")] == [
        ("a.jsonl", 3),
        ("b.jsonl", 1),
    ]
    assert loads(dump(recipe)) == recipe
    assert loads(BASE, ["data.train.speech=x.jsonl"]).data.train.speech == "x.jsonl"
    assert Sources(speech="a", noise="b").of("rooms") == ()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("3", "data.train.speech is 3; it must be text or a list"),
        ("[]", "data.train.speech is []; it must be text or a list of 1 or more"),
        ("[{pth: a}]", "data.train.speech.0.pth is not a key; did you mean 'path'?"),
        ("[{path: a, weight: 0}]", "data.train.speech.0.weight is 0; it must be greater than 0"),
        ("[{path: a}, 4]", "data.train.speech.1 is 4; it must be"),
        ("[{weight: 2}]", "data.train.speech.0.path is missing"),
        ("[{path: a, weight: true}]", "data.train.speech.0.weight is true; it must be a number"),
    ],
)
def test_faults_of_sources_are_named(given, sentence):
    with pytest.raises(RecipeError) as error:
        loads(BASE, [f"data.train.speech={given}"])
    assert sentence in str(error.value)
