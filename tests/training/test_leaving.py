"""Skipped recordings, and the state that a run leaves however it ends."""

import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from run_equality import assert_same_run
from toy import Toy, train_toy

from stillwave import checkpoint
from stillwave.data import dataset
from stillwave.data.decoded_cache import CacheError
from stillwave.errors import AudioError, StillwaveError
from stillwave.training import Stopped, run_log, state, train_state, validation
from stillwave.training.interrupts import Interrupts

RARE = "train.checkpoint_every=100"


class Fallible(Toy):
    """Examples of whose recordings some cannot be used: `files` by number of the example."""

    def __init__(self, files, error=AudioError):
        super().__init__()
        object.__setattr__(self, "files", files)
        object.__setattr__(self, "error", error)

    def __call__(self, epoch, index):
        if epoch == 0 and index in self.files:
            raise self.error(f"{self.files[index]}: is cut short")
        return super().__call__(epoch, index)


def events(folder, kind):
    return [event for event in run_log.read(folder) if event["kind"] == kind]


def steps(folder):
    return [int(place.name[5:]) for place in checkpoint.numbered(folder / "checkpoints", "step")]


# --- recordings --------------------------------------------------------------------------------------------


def test_an_unusable_recording_is_replaced_logged_and_reported_once(tmp_path, capsys):
    folder = tmp_path / "run"
    train_toy(folder, source=Fallible({3: "a.wav", 5: "a.wav", 8: "b.wav"}))
    found = events(folder, "bad_file")
    assert [(e["step"], e["file"], e["reason"]) for e in found] == [
        (2, "a.wav", "is cut short"), (5, "b.wav", "is cut short"),
    ]  # fmt: skip
    assert [e["step"] for e in events(folder, "train")] == [1, 2, 3, 4, 5, 6], "no update is lost"
    assert capsys.readouterr().err.count("a.wav: is cut short; replaced by other recordings") == 1


def test_the_substitute_is_a_function_of_the_number_alone():
    first = dataset.usable(Fallible({4: "a.wav"}), 4)
    again = dataset.usable(Fallible({4: "a.wav", 3: "b.wav"}), 4)
    assert first.faults == ("a.wav: is cut short",)
    assert np.array_equal(first.signals.noisy, again.signals.noisy)
    assert not np.array_equal(first.signals.noisy, dataset.usable(Toy(), 4).signals.noisy)


def test_workers_deliver_the_same_batches_and_faults():
    source = Fallible({1: "a.wav", 6: "b.wav"})
    alone, shared = (list(dataset.batches(source, 2, last=4, workers=workers)) for workers in (0, 2))
    assert [batch.faults for batch in alone] == [batch.faults for batch in shared]
    assert [len(batch.faults) for batch in alone] == [1, 0, 0, 1]
    assert all(torch.equal(a.noisy, b.noisy) for a, b in zip(alone, shared, strict=True))


def test_a_run_with_bad_recordings_resumes_exactly(tmp_path, monkeypatch):
    source = Fallible({1: "a.wav", 9: "a.wav", 10: "b.wav"})
    train_toy(tmp_path / "whole", source=source)
    stop_at(3, monkeypatch)
    with pytest.raises(Stopped):
        train_toy(tmp_path / "cut", source=source)
    monkeypatch.undo()
    train_toy(tmp_path / "cut", source=source)
    assert_same_run(tmp_path / "whole", tmp_path / "cut")


def test_too_many_bad_recordings_end_the_run_with_a_checkpoint(tmp_path):
    source, folder = Fallible({i: f"{i}.wav" for i in range(4, 12)}), tmp_path / "run"
    with pytest.raises(StillwaveError, match=r"run: .* 4 recordings .*7\.wav.*train\.max_bad_files"):
        train_toy(folder, RARE, "train.max_bad_files=3", source=source)
    assert steps(folder) == [4]
    train_toy(folder, RARE, "train.max_bad_files=20", source=source)
    train_toy(tmp_path / "whole", RARE, "train.max_bad_files=20", source=source)
    assert [e["file"] for e in events(folder, "bad_file")] == [f"{i}.wav" for i in range(4, 12)]
    for name in ("train", "validation", "bad_file"):
        kept = [[{k: v for k, v in e.items() if k != "audio_per_second"} for e in events(place, name)]
                for place in (folder, tmp_path / "whole")]  # fmt: skip
        assert kept[0] == kept[1]


def test_without_usable_recordings_the_run_ends(tmp_path):
    class Gone(Toy):
        def __call__(self, epoch, index):
            raise OSError(5, "Input/output error", "a.wav")

    with pytest.raises(StillwaveError, match=r"'a\.wav' \(8 examples"):
        train_toy(tmp_path / "run", source=Gone())


def test_a_full_cache_is_not_an_error_of_a_recording():
    with pytest.raises(CacheError):
        dataset.usable(Fallible({0: "cache"}, CacheError), 0)


# --- leaving -----------------------------------------------------------------------------------------------


def stop_at(step, monkeypatch, number=signal.SIGTERM):
    original = train_state.TrainState.step

    def counted(self, group, count):
        if count == step - 1:
            signal.raise_signal(number)
        return original(self, group, count)

    monkeypatch.setattr(train_state.TrainState, "step", counted)


def break_at(owner, name, call, error, monkeypatch):
    """Let the `call`-th call of a function fail."""
    original, calls = getattr(owner, name), []

    def counted(*args, **kwargs):
        calls.append(0)
        if len(calls) == call:
            raise error
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, counted)


@pytest.mark.parametrize(
    ("owner", "name", "call", "last"),
    [
        (train_state, "clip_grad_norm_", 4, 3),  # within an update, weights untouched
        (validation, "validate", 2, 4),  # after an update
        (train_state.TrainState, "step", 6, 5),
    ],
)
def test_any_error_leaves_a_checkpoint_and_the_next_run_is_exact(
    tmp_path, monkeypatch, owner, name, call, last
):
    train_toy(tmp_path / "whole", RARE)
    break_at(owner, name, call, RuntimeError("out of luck"), monkeypatch)
    with pytest.raises(RuntimeError, match="out of luck"):
        train_toy(tmp_path / "run", RARE)
    assert steps(tmp_path / "run") == [last]
    monkeypatch.undo()
    train_toy(tmp_path / "run", RARE)
    end = "checkpoints/step_00000006"
    for file in (checkpoint.WEIGHTS, state.TENSORS):
        one, other = (checkpoint.read_tensors(tmp_path / run / end / file) for run in ("whole", "run"))
        assert all(torch.equal(one[key], other[key]) for key in one)
    timeless = [
        [
            {k: v for k, v in event.items() if k != "audio_per_second"}
            for event in run_log.read(tmp_path / run)
        ]
        for run in ("whole", "run")
    ]
    assert timeless[0] == timeless[1]


def test_an_error_in_the_first_update_leaves_no_checkpoint(tmp_path, monkeypatch):
    break_at(train_state.TrainState, "step", 1, RuntimeError("out of luck"), monkeypatch)
    with pytest.raises(RuntimeError):
        train_toy(tmp_path / "run")
    assert steps(tmp_path / "run") == []


def test_an_incomplete_update_is_not_saved(tmp_path, monkeypatch, capsys):
    break_at(torch.optim.AdamW, "step", 3, RuntimeError("out of luck"), monkeypatch)
    with pytest.raises(RuntimeError):
        train_toy(tmp_path / "run", "train.checkpoint_every=1")
    assert steps(tmp_path / "run") == [1, 2]
    monkeypatch.undo()
    capsys.readouterr()
    break_at(torch.optim.AdamW, "step", 3, RuntimeError("out of luck"), monkeypatch)
    with pytest.raises(RuntimeError):
        train_toy(tmp_path / "other", RARE)
    assert steps(tmp_path / "other") == []
    assert (
        "no checkpoint of step 2 could be written (the error occurred while weights were"
        in capsys.readouterr().err
    )


def test_too_many_bad_batches_leave_a_checkpoint(tmp_path):
    bad = Toy(bad=(4, 6))
    with pytest.raises(StillwaveError, match=r"run: .* 2 batches .*compressed, si_sdr"):
        train_toy(tmp_path / "run", RARE, "train.max_bad_batches=2", source=bad)
    assert steps(tmp_path / "run") == [4]
    train_toy(tmp_path / "run", RARE, "train.max_bad_batches=9", source=bad)
    train_toy(tmp_path / "whole", RARE, "train.max_bad_batches=9", source=bad)
    one, other = (
        checkpoint.read_tensors(tmp_path / run / "checkpoints/step_00000006" / state.TENSORS)
        for run in ("whole", "run")
    )
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_on_a_full_disk_older_checkpoints_are_removed_first(tmp_path, monkeypatch):
    original, calls = checkpoint.save_file, []

    def full(tensors, file):
        calls.append(0)
        if len(list((tmp_path / "run" / "checkpoints").glob("step_*"))) > 1:
            raise OSError(28, "No space left on device")
        original(tensors, file)

    monkeypatch.setattr(checkpoint, "save_file", full)
    train_toy(tmp_path / "run", "train.validate_every=100", "train.steps=6")
    assert steps(tmp_path / "run") == [4, 6]


def test_without_its_log_line_a_checkpoint_is_not_written(tmp_path, monkeypatch, capsys):
    calls = []

    class Full:
        def __init__(self, lines):
            self.lines, self.name, self.fileno, self.close = lines, lines.name, lines.fileno, lines.close

        def write(self, text):
            calls.append(0)
            if len(calls) == 3:
                raise OSError(28, "No space left on device")
            self.lines.write(text)

        def flush(self):
            self.lines.flush()

    open_file = Path.open

    def opened(self, *args, **kwargs):
        file = open_file(self, *args, **kwargs)
        return Full(file) if self.name == "log.jsonl" else file

    monkeypatch.setattr(Path, "open", opened)
    with pytest.raises(StillwaveError, match=r"log\.jsonl: .*No space left"):
        train_toy(tmp_path / "run", RARE, "train.validate_every=100")
    assert steps(tmp_path / "run") == []
    assert "no checkpoint of step 3 could be written" in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no SIGHUP here")
def test_a_closed_terminal_ends_a_run_as_a_signal_does(tmp_path, monkeypatch):
    before = signal.getsignal(signal.SIGHUP)
    stop_at(3, monkeypatch, signal.SIGHUP)
    with pytest.raises(Stopped) as caught:
        train_toy(tmp_path / "run", RARE)
    assert caught.value.code == 129
    assert steps(tmp_path / "run") == [3]
    assert signal.getsignal(signal.SIGHUP) is before
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupts() as asked:  # under nohup
            signal.raise_signal(signal.SIGHUP)
        assert asked.received == 0
    finally:
        signal.signal(signal.SIGHUP, before)
