import threading

import numpy as np
import pytest
import soundfile

from stillwave.audio import Resampler, write
from stillwave.data.decoded_cache import DecodedAudioCache, default_folder
from stillwave.data.manifest import Recording
from stillwave.errors import AudioError

RATE = 16_000
TONE = (0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype(np.float32)


def entry(path, rate=RATE, channels=1, seconds=1.0):
    return Recording(path=path, sample_rate=rate, channels=channels, seconds=seconds)


def cached(store):
    return [path for path in store.folder.rglob("*") if path.is_file()]


def test_pcm_at_the_right_rate_is_read_in_place(tmp_path, store):
    write(tmp_path / "a.wav", TONE, RATE, subtype="FLOAT")
    clip = store.open(entry(tmp_path / "a.wav"))
    np.testing.assert_array_equal(clip.read(), TONE)
    np.testing.assert_array_equal(clip.read(100, 50), TONE[100:150])
    assert cached(store) == []


def test_a_wrong_rate_in_a_manifest_is_corrected(tmp_path, store):
    write(tmp_path / "a.wav", TONE, 8000)
    clip = store.open(entry(tmp_path / "a.wav", rate=RATE))
    assert clip.frames == 2 * RATE


@pytest.mark.parametrize(("rate", "channels"), [(48_000, 1), (96_000, 8), (8_000, 2), (44_100, 1)])
def test_other_rates_and_channels_give_the_first_channel_resampled(tmp_path, store, rate, channels):
    time = np.arange(rate) / rate
    rows = np.stack([0.5 * np.sin(2 * np.pi * 440 * (c + 1) * time) for c in range(channels)]).astype(
        np.float32
    )
    write(tmp_path / "a.wav", rows, rate)
    clip = store.open(entry(tmp_path / "a.wav", rate, channels))
    assert clip.frames == RATE
    np.testing.assert_allclose(clip.read()[500:-500], TONE[500:-500], atol=2e-3)


def test_any_part_equals_that_of_the_whole(tmp_path, store):
    write(tmp_path / "a.flac", TONE, RATE)
    clip = store.open(entry(tmp_path / "a.flac"))
    whole = clip.read()
    assert whole.dtype == np.float32
    np.testing.assert_allclose(whole, TONE, atol=0.6 / 32768)
    np.testing.assert_array_equal(clip.read(RATE - 10, 100), whole[-10:])
    assert len(clip.read(RATE + 5, 10)) == 0


def test_only_a_changed_file_is_decoded_again(tmp_path, store):
    write(tmp_path / "a.flac", TONE, RATE)
    store.open(entry(tmp_path / "a.flac"))
    first = {path: path.stat().st_mtime_ns for path in cached(store)}
    store.open(entry(tmp_path / "a.flac"))
    assert {path: path.stat().st_mtime_ns for path in cached(store)} == first
    write(tmp_path / "a.flac", TONE[:5000], RATE)
    assert store.open(entry(tmp_path / "a.flac")).frames == 5000


def test_a_truncated_cache_file_is_decoded_again(tmp_path, store):
    write(tmp_path / "a.flac", TONE, RATE)
    whole = store.open(entry(tmp_path / "a.flac")).read()
    (decoded,) = cached(store)
    for damaged in (decoded.read_bytes()[:1000], b"", b"x" * 40):
        decoded.write_bytes(damaged)
        np.testing.assert_array_equal(store.open(entry(tmp_path / "a.flac")).read(), whole)


def test_samples_beyond_full_scale_are_scaled_and_not_clipped(tmp_path, store):
    soundfile.write(tmp_path / "a.wav", 4 * TONE, 48_000, subtype="FLOAT")
    samples = store.open(entry(tmp_path / "a.wav", 48_000)).read()
    assert 0.99 < np.abs(samples).max() < 1
    assert np.count_nonzero(np.abs(samples) > 0.998) < len(samples) / 20


def test_responses_keep_their_quiet_tail_and_any_channel(tmp_path, store):
    rows = np.stack([TONE, 1e-6 * TONE])
    soundfile.write(tmp_path / "r.wav", rows.T, RATE, subtype="FLOAT")
    np.testing.assert_allclose(store.response(entry(tmp_path / "r.wav", channels=2), 1), rows[1], rtol=1e-6)
    with pytest.raises(AudioError, match="channel 2"):
        store.response(entry(tmp_path / "r.wav", channels=2), 2)


def test_threads_may_decode_the_same_file(tmp_path, store):
    write(tmp_path / "a.flac", TONE, RATE)
    lengths = []
    threads = [
        threading.Thread(target=lambda: lengths.append(len(store.open(entry(tmp_path / "a.flac")).read())))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lengths == [RATE] * 8
    assert len(cached(store)) == 1


def test_prepare_decodes_each_file_once_except_pcm(tmp_path, store, capsys):
    write(tmp_path / "a.flac", TONE, RATE)
    write(tmp_path / "b.wav", TONE, RATE)
    recordings = [entry(tmp_path / name) for name in ("a.flac", "a.flac", "b.wav")]
    store.prepare(recordings)
    assert len(cached(store)) == 1
    capsys.readouterr()
    store.prepare(recordings)
    assert capsys.readouterr().err == ""


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    write(tmp_path / "a.flac", TONE, RATE)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(AudioError, match=r"data\.cache"):
        DecodedAudioCache(tmp_path / "file" / "cache").open(entry(tmp_path / "a.flac"))


def test_a_full_disk_leaves_no_file(tmp_path, store, monkeypatch):
    write(tmp_path / "a.flac", TONE, RATE)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Resampler, "push", full)
    with pytest.raises(AudioError, match=r"No space left.*data\.cache"):
        store.open(entry(tmp_path / "a.flac"))
    assert cached(store) == []


def test_a_missing_recording_is_named(tmp_path, store):
    for name in ("gone.flac", "gone.wav"):
        with pytest.raises(AudioError, match=name):
            store.open(entry(tmp_path / name))


def test_the_default_folder_follows_the_user(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "stillwave" / "audio"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    assert default_folder() == tmp_path / "me" / ".cache" / "stillwave" / "audio"


def test_processes_decode_in_different_orders(tmp_path, monkeypatch):
    for i in range(8):
        write(tmp_path / f"{i}.flac", TONE[:1000], RATE)
    recordings = [entry(tmp_path / f"{i}.flac", seconds=1 / 16) for i in range(8)]
    orders = []
    for process in (1, 2):
        opened = []
        monkeypatch.setattr("stillwave.data.decoded_cache.os.getpid", lambda process=process: process)
        monkeypatch.setattr(
            DecodedAudioCache, "open", lambda _, recording, opened=opened: opened.append(recording.path)
        )
        DecodedAudioCache(tmp_path / f"cache-{process}").prepare(recordings, jobs=1)
        orders.append(opened)
    assert sorted(orders[0]) == sorted(orders[1]) == [r.path for r in recordings]
    assert orders[0] != orders[1]
