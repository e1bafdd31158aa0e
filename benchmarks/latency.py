"""What a frame costs as it streams: every causal preset with random weights, on every engine, on one core.

    python benchmarks/latency.py [--presets dpdcrn-xs bsrnn-xs] [--frames 2000] [--rounds 8]

The weights do not matter for the time, so no training is needed; `stillwave latency` measures any network the same
way. The picture goes to docs/pictures/. The page has a note if other programs used the core; `--processor-time` counts
processor time instead of the clock's, which they change less.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from stillwave.files import write_text
from stillwave.profiling.latency import Latency, measure
from stillwave.profiling.latency_backends import BACKENDS, TITLES
from stillwave.profiling.latency_figures import draw
from stillwave.profiling.latency_tables import markdown
from stillwave.schema import PRESETS

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
TARGETS = {"-xs": 0.8, "-s": 2.0, "-m": 4.0}
"""Greatest median of a frame that a size may take, in ms on a server's core; p99 is to stay under half the hop."""
MEMORY = 80.0
"""MB above the interpreter that the smallest may take."""


def main() -> None:
    options = arguments()
    found = measure(
        options.presets,
        backends=options.backends,
        frames=options.frames,
        rounds=options.rounds,
        streams=options.streams,
        processor_time=options.processor_time,
        progress=lambda what, done, total: print(f"{what} ({done} of {total})", file=sys.stderr),
    )
    if options.json:
        print(json.dumps(found.as_dict(), indent=2))
        return
    with tempfile.TemporaryDirectory() as folder:
        svg = draw(found, Path(folder) / "latency")[-1]
        write_text(options.pictures / "latency.svg", svg.read_text(encoding="utf-8"))
    print(markdown(found, "pictures/latency.svg"))
    print("**Against the targets**\n")
    print("\n".join(verdicts(found)))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    causal = [name for name, config in PRESETS.items() if config.causal]
    parser.add_argument("--presets", nargs="+", default=causal)
    parser.add_argument("--backends", nargs="+", default=list(BACKENDS))
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--streams", type=int, default=256, help="most streams in one batch; 0 for none")
    parser.add_argument("--processor-time", action="store_true", help="not that of the clock")
    parser.add_argument("--pictures", type=Path, default=PICTURES)
    parser.add_argument("--json", action="store_true", help="JSON instead of the page; no picture")
    return parser.parse_args()


def verdicts(found: Latency) -> list[str]:
    """The best engine of each preset against what it should take."""
    lines = ["| network | best engine | median | at most | p99 | under | memory | under |"]
    lines.append("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name in dict.fromkeys(row.model for row in found.rows):
        best = min((row for row in found.rows if row.model == name), key=lambda row: row.frame.median)
        target = next((most for size, most in TARGETS.items() if name.endswith(size)), None)
        memory = "–" if best.memory_bytes is None else f"{best.memory_bytes / 1e6:.0f} MB"
        cells = (
            name,
            TITLES[best.backend],
            f"{1e3 * best.frame.median:.2f} ms",
            "–" if target is None else f"{target} ms",
            f"{1e3 * best.frame.p99:.2f} ms",
            f"{500 * best.hop_seconds:g} ms",
            memory,
            f"{MEMORY:.0f} MB" if name.endswith("-xs") else "–",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return lines


if __name__ == "__main__":
    main()
