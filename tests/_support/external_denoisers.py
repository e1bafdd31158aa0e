"""External denoisers whose output is known: functions, programs, and files that tests write."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

PROGRAM = """
import sys, time
import numpy as np, soundfile
mode, source, target = sys.argv[1:]
samples, rate = soundfile.read(source, dtype="float32")
if mode == "crash":
    print("a first line", file=sys.stderr)
    sys.exit("no memory left for " + source)
if mode == "hang":
    time.sleep(600)
if mode == "nothing":
    sys.exit()
if mode == "late":
    samples = 0.5 * np.concatenate([np.zeros(137, np.float32), samples])[: len(samples)]
if mode == "short":
    samples = samples[:-3]
if mode == "stereo":
    samples = np.stack([samples, samples], 1)
if mode == "silence":
    samples = 0 * samples
if mode == "nan":
    samples[5] = np.nan
if mode == "text":
    open(target, "w").write("no audio")
    sys.exit()
if mode == "slow_rate":
    samples, rate = samples[::2], rate // 2
soundfile.write(target, samples, rate, subtype="FLOAT")
"""


def program(folder: Path, mode: str = "late") -> str:
    """Write a program; return the command line that runs it in a mode."""
    file = folder / "tool.py"
    file.write_text(PROGRAM)
    return f"{sys.executable} {file} {mode} {{in}} {{out}}"


def late(samples, rate, delay=137, gain=0.5):
    """Return the input later and quieter; of any rate."""
    padded = np.pad(samples, ((0, 0), (max(delay, 0), max(-delay, 0))))
    start = max(-delay, 0)
    return np.float32(gain) * padded[:, start : start + samples.shape[1]]


def early(samples, rate):
    return late(samples, rate, delay=-29, gain=1.0)


def inverted(samples, rate):
    return late(samples, rate, delay=5, gain=-1.0)


def drifting(samples, rate):
    """Lose 1 sample in 1,000."""
    time = np.arange(samples.shape[1])
    return np.stack([np.interp(1.001 * time, time, row) for row in samples]).astype(np.float32)


def short(samples, rate):
    return samples[:, :-1]


def stereo(samples, rate):
    return np.stack([samples, samples], axis=1)


def silent(samples, rate):
    return np.zeros_like(samples)


def undefined(samples, rate):
    return np.full_like(samples, np.nan)


def noise(samples, rate):
    return np.random.default_rng(0).standard_normal(samples.shape).astype(np.float32)


def crashing(samples, rate):
    raise ValueError("no memory\nleft")


def needs_half_a_second(samples, rate):
    """Fail on less than half a second."""
    if samples.shape[1] < rate / 2:
        raise ValueError("too short")
    return samples


def integers(samples, rate):
    return (32_767 * samples).astype(np.int16)


def onnx_file(path: Path, axes: int = 2, batch: int | str = "B") -> Path:
    """Write a graph that halves a waveform of so many axes."""
    import onnx
    from onnx import TensorProto, helper

    shape = {1: ["n"], 2: [batch, "n"], 3: [batch, 1, "n"]}[axes]
    half = helper.make_tensor("half", TensorProto.FLOAT, [], [0.5])
    graph = helper.make_graph(
        [helper.make_node("Mul", ["noisy", "half"], ["estimate"])],
        "half",
        [helper.make_tensor_value_info("noisy", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("estimate", TensorProto.FLOAT, shape)],
        [half],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path))
    return path


def torchscript_file(path: Path) -> Path:
    """Write a module that halves a waveform."""
    import torch

    class Half(torch.nn.Module):
        def forward(self, noisy: torch.Tensor) -> torch.Tensor:
            return 0.5 * noisy

    torch.jit.script(Half()).save(str(path))
    return path
