"""Run one system in a process of its own: `python -m stillwave.arena.worker` with its settings as JSON.

The first line of stdout has the cost of the system, or an error. Then each line of stdin names an input and an output
file, and each line of stdout has the CPU time and the duration, or an error. What libraries print goes to stderr.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stillwave.arena.systems import COMMAND, SystemCost
from stillwave.audio import Samples, read, write
from stillwave.errors import fault_text

Function = Callable[[Samples, int], Samples]
Opened = tuple[Function, SystemCost, str]


def main() -> None:
    """Answer requests until stdin ends, or until SIGTERM, which ends a program that runs as well."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1, encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        function, cost, identity = open_system(**json.loads(sys.argv[1]))
    except Exception as error:  # of code that is not ours
        replies.write(json.dumps({"error": fault_text(error)}) + "\n")
        return
    replies.write(json.dumps({"cost": asdict(cost), "identity": identity}) + "\n")
    for line in sys.stdin:
        replies.write(json.dumps(_answer(function, **json.loads(line))) + "\n")


def open_system(kind: str, place: str, rate: int, timeout: float, device: str) -> Opened:
    """Return a system: its function from samples `[channels, n]` and their rate to the estimate, cost and identity.

    Raises StillwaveError if it cannot be opened.
    """
    if kind == "model":
        return _model(place, device)
    from stillwave.external import calibrate, compensated, from_command, resolve

    if kind == "command":
        denoiser = from_command(place.removeprefix(COMMAND).strip(), rate, timeout)
    else:
        denoiser = resolve(place, rate)
    measured = calibrate(denoiser)
    cost = SystemCost(delay_ms=1000 * measured.delay / measured.rate, note=measured.summary())
    identity = f"{denoiser.identity} {measured.summary()}"
    return lambda samples, at: compensated(denoiser, measured, samples, at), cost, identity


def _model(place: str, device: str) -> Opened:
    from stillwave import pretrained
    from stillwave.inference import load

    enhancer = load(place, device)
    meta = getattr(enhancer.model, "meta", None)
    if meta is not None:
        card = None if Path(place).exists() else pretrained.SHIPPED.known(place)
        delay = 1000 * meta.delay_samples / meta.sample_rate if meta.kind == "stream" else None
        cost = SystemCost(meta.card.get("parameters") or None, None, delay)
        if card is not None:
            cost = SystemCost(card.cost.parameters, card.cost.total_macs, card.delay_ms)
        return enhancer.enhance, cost, str(getattr(enhancer.model, "sha256", ""))
    from stillwave import checkpoint
    from stillwave.profiling.complexity import measure

    network, checkpoint_card = checkpoint.load(place)
    found = measure(network)
    window: Any = network.stft.n_fft
    delay = 1000 * window / network.sample_rate if network.causal else None
    return enhancer.enhance, SystemCost(found.parameters, found.total_macs, delay), checkpoint_card.sha256


def _answer(function: Function, source: str, target: str) -> dict[str, Any]:
    try:
        samples, rate = read(Path(source))
        before = os.times()
        estimate = function(samples, rate)
        after = os.times()
        write(Path(target), estimate, rate, subtype="FLOAT")
    except Exception as error:  # other recordings are still enhanced
        return {"error": fault_text(error).removeprefix(f"{source}: ")}
    return {"cpu": sum(after[:4]) - sum(before[:4]), "seconds": samples.shape[1] / rate}


if __name__ == "__main__":
    main()
