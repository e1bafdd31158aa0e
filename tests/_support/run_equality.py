"""Equality of training runs: weights, logs and checkpoints."""

import json

import torch

from stillwave import checkpoint
from stillwave.training import run_log


def assert_same_run(one, other):
    """Same checkpoints, bit by bit, and same log but for the time that things took."""
    names = sorted(p.name for p in (one / "checkpoints").iterdir())
    assert names == sorted(p.name for p in (other / "checkpoints").iterdir())
    for name in names:
        for file in sorted((one / "checkpoints" / name).glob("*.safetensors")):
            a = checkpoint.read_tensors(file)
            b = checkpoint.read_tensors(other / "checkpoints" / name / file.name)
            assert a.keys() == b.keys()
            assert all(torch.equal(a[key], b[key]) for key in a), f"{name}/{file.name}"
        for file in ("card.json", "training.json"):
            if (one / "checkpoints" / name / file).exists():
                assert facts(one / "checkpoints" / name / file) == facts(other / "checkpoints" / name / file)
    assert timeless(one) == timeless(other)


def facts(file):
    """Of a card all but the git state: somebody may commit while the test runs."""
    return {key: value for key, value in json.loads(file.read_text()).items() if key != "git"}


def timeless(run):
    return [{k: v for k, v in event.items() if k != "audio_per_second"} for event in run_log.read(run)]
