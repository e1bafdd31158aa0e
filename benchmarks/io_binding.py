"""What preallocated outputs would save in a stream: one frame by `OnnxBackend.step`, and by ONNX Runtime's I/O binding.

    python benchmarks/io_binding.py [--models bsrnn-xs bsrnn-m] [--turns 100]

Both use the session of fixed shapes. With binding, states alternate between two sets of arrays that are never
allocated again. Printed: processor time of a frame, medians over turns of 60 frames, and their ratio with the 10th and
90th percentiles.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import onnxruntime

import stillwave
from stillwave.inference.backend import OnnxBackend

FRAMES, WARM = 60, 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--models", nargs="+", default=["bsrnn-xs", "bsrnn-s", "bsrnn-m"])
    parser.add_argument("--turns", type=int, default=100)
    options = parser.parse_args()
    print("| model | step, ms | bound, ms | ratio |\n| --- | --- | --- | --- |")
    ratios = []
    for name in options.models:
        backend = stillwave.load(name).backend
        assert isinstance(backend, OnnxBackend)
        backend.prepare_frames()
        turns = np.array(
            [(timed(plain(backend)), timed(bound(backend))) for _ in range(options.turns + WARM)]
        )
        step, preallocated = 1000 * np.median(turns[WARM:], axis=0) / FRAMES
        low, ratio, high = np.percentile(turns[WARM:, 1] / turns[WARM:, 0], [10, 50, 90])
        ratios.append(ratio)
        print(f"| {name} | {step:.3f} | {preallocated:.3f} | {ratio:.2f} ({low:.2f} … {high:.2f}) |")
    least, most = (100 * (ratio - 1) for ratio in (min(ratios), max(ratios)))
    print(
        f"\nPreallocated outputs change the time of a call of the network by {least:+.0f} to {most:+.0f} %. Streams\n"
        "do not use them: states would belong to the backend, which streams share, instead of the stream."
    )


def spectrum(backend: OnnxBackend) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return a frame of noise."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((1, 2, 1, backend.hop + 1)).astype(np.float32)


def plain(backend: OnnxBackend) -> Callable[[], None]:
    """Return what computes `FRAMES` frames as a stream does."""
    frame = spectrum(backend)

    def run() -> None:
        state = backend.begin(1)
        for _ in range(FRAMES):
            _, state = backend.step(frame, state)

    return run


def bound(backend: OnnxBackend) -> Callable[[], None]:
    """Return the same with I/O binding."""
    session = backend._one_frame
    frame = spectrum(backend)
    given, taken = (onnxruntime.OrtValue.ortvalue_from_numpy(frame.copy()) for _ in range(2))
    sets = [
        {name: onnxruntime.OrtValue.ortvalue_from_numpy(value) for name, value in backend.begin(1).items()}
        for _ in range(2)
    ]
    bindings = []
    for before, after in (sets, sets[::-1]):
        binding = session.io_binding()
        binding.bind_ortvalue_input("spectrum", given)
        binding.bind_ortvalue_output("estimate", taken)
        for name in before:
            binding.bind_ortvalue_input(f"state.{name}", before[name])
            binding.bind_ortvalue_output(f"next.{name}", after[name])
        bindings.append(binding)

    def run() -> None:
        for number in range(FRAMES):
            given.update_inplace(frame)
            session.run_with_iobinding(bindings[number % 2])
            taken.numpy()

    return run


def timed(run: Callable[[], None]) -> float:
    """Return the processor time of a call, in seconds."""
    begun = time.thread_time()
    run()
    return time.thread_time() - begun


if __name__ == "__main__":
    main()
