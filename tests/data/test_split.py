import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillwave.data.manifest import ManifestError, Recording
from stillwave.data.split import source_of, split


def recording(name, speaker="", seconds=1.0, source=""):
    return Recording(
        path=f"/x/{name}.wav", sample_rate=16000, channels=1, seconds=seconds, speaker=speaker, source=source
    )


@given(
    speakers=st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=40).filter(lambda s: len(set(s)) > 1),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 9),
)
def test_no_speaker_is_in_both_sets_and_every_file_in_one(speakers, fraction, seed):
    recordings = [recording(i, speaker) for i, speaker in enumerate(speakers)]
    train, held = split(recordings, fraction, seed)
    assert {r.speaker for r in train}.isdisjoint(r.speaker for r in held)
    assert train
    assert held
    assert sorted(train + held, key=lambda r: int(r.path.stem)) == recordings


def test_the_split_depends_on_the_seed_and_not_on_the_order():
    recordings = [recording(i, f"s{i}") for i in range(40)]
    held = set(split(recordings, 0.2, 1)[1])
    assert set(split(recordings[::-1], 0.2, 1)[1]) == held
    assert set(split(recordings, 0.2, 2)[1]) != held


def test_the_fraction_is_one_of_time():
    recordings = [recording(i, f"s{i}", seconds=1 + i % 3) for i in range(60)]
    for fraction in (0.1, 0.5):
        held = split(recordings, fraction)[1]
        total = sum(r.seconds for r in recordings)
        assert sum(r.seconds for r in held) == pytest.approx(fraction * total, abs=3)


def test_clips_of_one_noise_recording_stay_together():
    names = [f"{fold}-{source}-{take}-7" for fold in (1, 2) for source in (10, 20, 30) for take in "AB"]
    train, held = split([recording(name) for name in names], 0.3)
    assert {source_of(r) for r in train}.isdisjoint({source_of(r) for r in held})
    assert len(held) == 4


def test_the_source_of_a_clip_is_determined():
    assert source_of(recording("1-17367-A")) == "17367"
    assert source_of(recording("1-17367-A-10")) == "17367"
    assert source_of(recording("traffic_248091_3")) == "traffic_248091_3"
    assert source_of(recording("traffic_248091_3", source="traffic_248091")) == "traffic_248091"
    assert source_of(recording("traffic_248091_3"), r"_(\d+)_") == "248091"
    assert source_of(recording("other"), r"_(\d+)_") == "other"


def test_splitting_by_unknown_speakers_is_refused():
    recordings = [recording("a", "s1"), recording("b"), recording("c")]
    with pytest.raises(ManifestError, match="2 of 3"):
        split(recordings, by="speaker")
    assert len(split(recordings, by="auto")[1]) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fraction": 0}, "fraction .*0 and 1, not "),
        ({"fraction": 1.5}, "fraction .*0 and 1, not "),
        ({"pattern": "("}, r"'\('"),
        ({"pattern": "a"}, "'a'.*group"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ManifestError, match=message):
        split([recording("a", "x"), recording("b", "y")], **arguments)


def test_one_group_cannot_be_split():
    with pytest.raises(ManifestError, match=r"\('x'\)"):
        split([recording("a", "x"), recording("b", "x")])


def test_links_of_one_file_stay_together(tmp_path):
    """Each of 20 noises is listed under a second name that sorts elsewhere."""
    recordings = []
    for i in range(20):
        file, link = tmp_path / f"n{i}.wav", tmp_path / f"z{(7 * i) % 20}.wav"
        file.write_bytes(b"")
        link.symlink_to(file)
        recordings += [recording("x").model_copy(update={"path": path}) for path in (file, link)]
    for order in (recordings, recordings[::-1]):
        kept, held = split(order, 0.3, by="recording")
        assert len(kept) + len(held) == 40
        assert len(held) == 12
        assert {r.path.resolve() for r in kept}.isdisjoint(r.path.resolve() for r in held)
