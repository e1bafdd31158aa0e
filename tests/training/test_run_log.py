import json
from pathlib import Path

import numpy as np
import pytest
from toy import development, train_toy

from stillwave.errors import StillwaveError
from stillwave.training import run_log
from stillwave.training.run_log import RunLog


def test_opening_at_a_step_removes_later_events(tmp_path):
    log = RunLog(tmp_path, step=0, tensorboard=False)
    for step in (1, 2, 3):
        log.write("train", step, loss=1.0)
    log.close()
    with (tmp_path / "log.jsonl").open("a") as handle:
        handle.write('{"kind": "tra')
    assert [event["step"] for event in run_log.read(tmp_path)] == [1, 2, 3]
    RunLog(tmp_path, step=2, tensorboard=False).close()
    assert [json.loads(line)["step"] for line in (tmp_path / "log.jsonl").read_text().splitlines()] == [1, 2]


def test_a_damaged_line_is_skipped(tmp_path):
    log = RunLog(tmp_path, step=0, tensorboard=False)
    for step in (1, 2, 3):
        log.write("train", step, loss=1.0)
    log.close()
    lines = (tmp_path / "log.jsonl").read_bytes().splitlines(keepends=True)
    damaged = [
        b"\xff\x00\n",
        lines[0],
        b"[1]\n",
        b'{"a": 1}\n',
        b'{"kind": "train", "step": "x"}\n',
        *lines[1:],
    ]
    (tmp_path / "log.jsonl").write_bytes(b"".join(damaged))
    assert [event["step"] for event in run_log.read(tmp_path)] == [1, 2, 3]
    RunLog(tmp_path, step=2, tensorboard=False).close()
    assert (tmp_path / "log.jsonl").read_bytes() == b"".join(lines[:2])


def test_nan_is_refused(tmp_path):
    log = RunLog(tmp_path, step=0, tensorboard=False)
    with pytest.raises(ValueError, match="JSON"):
        log.write("train", 1, loss=float("nan"))
    log.close()
    assert run_log.read(tmp_path) == []


def test_a_full_disk_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "open", lambda *_, **__: open("/dev/full", "w"))  # noqa: PTH123, SIM115
    log = RunLog(tmp_path, step=0, tensorboard=False)
    with pytest.raises(StillwaveError, match=r"/dev/full: .*No space left"):
        log.write("train", 1, loss=1.0)
    log.close()


def test_tensorboard_gets_curves_audio_and_spectrograms(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train_toy(tmp_path / "run", "train.tensorboard=true", "train.steps=4")
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"), size_guidance={"scalars": 0, "audio": 0})
    events.Reload()
    tags = events.Tags()
    logged = [e["loss"]["total"] for e in run_log.read(tmp_path / "run") if e["kind"] == "train"]
    assert [s.value for s in events.Scalars("train/loss/total")] == pytest.approx(logged)
    assert {"train/lr", "train/grad_norm", "validation/si_sdr"} <= set(tags["scalars"])
    assert {"0/noisy", "0/clean", "0/estimate"} <= set(tags["audio"])
    assert "0/spectrograms" in tags["images"]
    assert len(events.Audio("0/estimate")) == 2
    assert len(events.Audio("0/noisy")) == 1, "constant signals are written once"


def test_spectrograms_of_silence_and_of_one_sample_can_be_drawn():
    signals = {"silence": np.zeros(2000, np.float32), "one": np.ones(1, np.float32)}
    figure = run_log.spectrograms({**signals, "speech": development(1)[0].clean})
    figure.canvas.draw()
    assert [axis.get_title() for axis in figure.axes] == ["silence", "one", "speech"]
