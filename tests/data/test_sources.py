import numpy as np
import pytest

from stillwave.data import sources
from stillwave.data.manifest import ManifestError, read_manifest, write_manifest
from stillwave.data.pair_sets import write_mixtures
from stillwave.data.pools import recordings_of
from stillwave.data.sources import build_mixer, build_source, development_pairs
from stillwave.data.split import split
from stillwave.errors import RecipeError
from stillwave.schema import DataConfig, MixingConfig, Pairs, Sources

QUIET = MixingConfig(babble=0)


def gather(data, side, base):
    """The recordings of one side, by kind."""
    return {kind: recordings_of(parts) for kind, parts in sources.gather(data, side, base).items()}


@pytest.fixture
def manifests(tmp_path, world):
    for name in ("speech", "noise", "rooms"):
        write_manifest(tmp_path / f"{name}.jsonl", world[name])
    for name in ("speech", "noise"):
        for side, part in zip(("train", "dev"), split(world[name], 0.3), strict=True):
            write_manifest(tmp_path / f"{name}-{side}.jsonl", part)
    return tmp_path


def config(train="", development="", rooms="rooms.jsonl", **changes):
    def sources(side):
        return Sources(speech=f"speech{side}.jsonl", noise=f"noise{side}.jsonl", rooms=rooms)

    fields = {"segment_seconds": 0.5, "mixing": QUIET, "cache": "cache", "development_items": 3, **changes}
    return DataConfig(train=sources(train), development=sources(development), **fields)


def test_one_source_for_both_sides_is_split_without_leakage(manifests):
    data = config()
    train, held = (gather(data, side, manifests) for side in ("train", "development"))
    assert {r.speaker for r in train["speech"]}.isdisjoint(r.speaker for r in held["speech"])
    assert {r.path for r in train["noise"]}.isdisjoint(r.path for r in held["noise"])
    assert {r.path for r in train["rooms"]}.isdisjoint(r.path for r in held["rooms"])
    assert len(train["speech"]) + len(held["speech"]) == 24


def test_training_and_development_mixtures_share_nothing(manifests):
    data = config()
    mixers = [build_mixer(data, side, 0, manifests) for side in ("train", "development")]
    used = [{path for i in range(30) for path in m(0, i).facts.speech + m(0, i).facts.noises} for m in mixers]
    assert used[0].isdisjoint(used[1])


def test_split_manifests_are_used_unchanged_and_can_share_rooms(manifests):
    data = config("-train", "-dev", rooms=None)
    sides = {side: gather(data, side, manifests) for side in ("train", "development")}
    assert len(sides["train"]["speech"]) + len(sides["development"]["speech"]) == 24
    assert sides["train"]["rooms"] == []


@pytest.mark.parametrize("name", ["speech", "noise"])
def test_a_leak_is_refused(manifests, name):
    data = config("-train", "-dev")
    leaking = data.train.model_copy(update={name: f"{name}.jsonl"})
    with pytest.raises(ManifestError, match=rf"data\.development: its {name} has \d+ .*data\.train"):
        gather(data.model_copy(update={"train": leaking}), "train", manifests)


def test_a_leak_through_a_link_is_refused(manifests, world):
    link = manifests / "other-name.wav"
    link.symlink_to(read_manifest(manifests / "noise-train.jsonl")[0].path)
    held = read_manifest(manifests / "noise-dev.jsonl")
    linked = held[0].model_copy(update={"path": link, "source": ""})
    write_manifest(manifests / "noise-dev.jsonl", [*held, linked])
    with pytest.raises(ManifestError, match=r"data\.development: its noise has 1 .*n2\.wav"):
        gather(config("-train", "-dev"), "train", manifests)


def test_a_speaker_on_both_sides_is_refused_even_with_other_files(manifests, world):
    one = [r for r in world["speech"] if r.speaker == "s1"]
    write_manifest(manifests / "speech-train.jsonl", one[:2])
    write_manifest(manifests / "speech-dev.jsonl", one[2:])
    with pytest.raises(ManifestError, match=r"speech has 1 .*speaker s1;"):
        gather(config("-train", "-dev"), "train", manifests)


def test_development_pairs_of_sources_are_always_the_same(manifests):
    data = config()
    first, again = development_pairs(data, 7, manifests), development_pairs(data, 7, manifests)
    assert len(first) == 3
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.noisy, other.noisy)
    assert all(one.facts.text for one in first)


def test_development_pairs_of_a_folder_are_spread_over_it(manifests):
    data = config()
    write_mixtures(build_mixer(data, "train", 0, manifests, whole=True), 6, manifests / "fixed")
    data = data.model_copy(update={"development": "fixed"})
    chosen = development_pairs(data, 0, manifests)
    names = [item.facts.speech[0][-8:] for item in chosen]
    assert names == ["000.flac", "002.flac", "004.flac"]
    assert len(development_pairs(data.model_copy(update={"development_items": 50}), 0, manifests)) == 6
    assert len(gather(data, "train", manifests)["speech"]) == 24
    with pytest.raises(ManifestError, match=r"^data\.development .*mixtures"):
        build_mixer(data, "development", 0, manifests)


def test_mixtures_have_the_rate_that_is_asked_for(manifests):
    slow, fast = (build_mixer(config(), "train", 0, manifests, rate=rate)(0, 0) for rate in (16_000, 48_000))
    assert (len(slow.noisy), len(fast.noisy)) == (8_000, 24_000)
    assert fast.facts.speech == slow.facts.speech
    power = np.abs(np.fft.rfft(fast.clean)) ** 2
    assert power[4_000:].sum() < 1e-3 * power.sum()  # recordings at 16 kHz have nothing above 8 kHz
    (item, *_) = development_pairs(config(), 0, manifests, rate=48_000)
    assert len(item.noisy) == 3 * len(development_pairs(config(), 0, manifests)[0].noisy)


def test_sets_at_16_khz_are_refused_at_48_khz(manifests):
    fixed = config().model_copy(update={"development": "fixed"})
    with pytest.raises(RecipeError, match=r"^data\.development: .* 16000 Hz and the network 48000 Hz"):
        development_pairs(fixed, 0, manifests, rate=48_000)
    pairs = config().model_copy(update={"train": Pairs(pairs="pairs.jsonl"), "development": "fixed"})
    with pytest.raises(RecipeError, match=r"^data\.train\.pairs: .* 16000 Hz and the network 48000 Hz"):
        build_source(pairs, base=manifests, rate=48_000)


def test_folders_are_scanned_where_manifests_are_expected(world):
    sources = Sources(speech="speech", noise="noise")
    data = DataConfig(train=sources, development=sources, segment_seconds=0.5, mixing=QUIET, cache="cache")
    mixer = build_mixer(data, "train", 0, world["folder"])
    assert {r.speaker for r in mixer.speech.recordings} < {f"s{i}" for i in range(6)}


def test_a_missing_source_is_named(manifests):
    data = config("-train", "-none")
    with pytest.raises(ManifestError, match=r"speech-none\.jsonl: .*no such"):
        gather(data, "train", manifests)


def test_a_development_set_of_few_speakers_has_no_babble(manifests):
    data = config(mixing=MixingConfig(babble=1.0))
    assert len({r.speaker for r in gather(data, "development", manifests)["speech"]}) < 5
    assert "babble" not in build_mixer(data, "development", 0, manifests)(0, 0).facts.effects
    assert "babble" in build_mixer(data, "train", 0, manifests)(0, 0).facts.effects
