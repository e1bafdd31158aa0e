"""Run every benchmark and put what they print into docs/benchmarks.md: no figure there is typed by hand.

    python benchmarks/all.py --audio AUDIO --checkpoint RUN [--work scratch] [--graphs PEERS] [--only mixer evaluation]

AUDIO holds train/ (speech/, noise/, rir/), and test/, test_diverse/ and fullband/test/ (noisy/, clean/,
mixtures.csv); RUN is a trained network; WORK is where `sizes.py` trains its networks. A section that is not run keeps
what it held before.
"""

from __future__ import annotations

import argparse
import datetime
import re
import subprocess
import sys
from pathlib import Path

from stillwave.files import write_text

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
INTRO = """# Benchmarks

Written by `benchmarks/all.py`; every section states the command, machine and date. The machines were shared with
other programs: ratios within one run, medians and ranges are reliable, single times are not.
"""


def main() -> None:
    options = _options()
    sections = _read()
    for name, title, arguments in _plan(options):
        if options.only and name not in options.only:
            continue
        command = [sys.executable, f"benchmarks/{name}.py", *arguments]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{name} failed:\n{done.stderr}")
        names = {
            str(options.graphs): "PEERS",
            str(options.audio): "AUDIO",
            str(options.checkpoint): "RUN",
            str(options.work): "WORK",
        }
        shown = " ".join(["python", *(_named(part, names) for part in command[1:])])
        day = datetime.date.today().isoformat()
        sections[title] = f"`{shown}`, {day}\n\n{_demote(done.stdout.strip())}\n"
        write_text(PAGE, INTRO + "".join(f"\n## {title}\n\n{text}" for title, text in sections.items()))


def _plan(options: argparse.Namespace) -> list[tuple[str, str, list[str]]]:
    audio, threads = options.audio, str(options.threads)
    return [
        (
            "distillation_step",
            "Distillation loss",
            ["--threads", threads, "--repeats", "3"],
        ),
        ("methods", "Training step by method", ["--threads", "1"]),
        ("teacher_cache", "Teacher cache", ["--threads", "1"]),
        ("network_step", "Training step by network", ["--threads", threads]),
        ("busy_cores", "Busy cores", []),
        ("latency", "Streaming latency", []),
        *_streaming_cost(options.graphs),
        ("io_binding", "I/O binding", []),
        ("ladspa_plugin", "Plug-in", []),
        ("export_forms", "Export precision", _forms(options)),
        ("base_install", "Base install", []),
        (
            "simulation",
            "Simulated scenes",
            [str(audio / "train/speech.csv"), str(audio / "train/noise.csv"), "--scenes", "200"],
        ),
        ("recogniser", "Speech recogniser", [str(audio / "test")]),
        ("mixer", "Mixing", [str(audio / "train")]),
        ("evaluation", "Scoring in parallel", ["--folder", str(audio / "test")]),
        (
            "enhance_blocks",
            "Long recordings in windows",
            [str(options.checkpoint), str(audio / "test/noisy"), "--clean", str(audio / "test/clean")],
        ),
        ("files", "Speed of files", ["weights/bsrnn-m"]),
        ("keep_clean", "Clean recordings", [str(audio)]),
        ("overlap", "Overlap of parts", [str(options.work / "asr" / "train-noisy" / "noisy")]),
    ]


def _streaming_cost(graphs: Path | None) -> list[tuple[str, str, list[str]]]:
    if graphs is None:
        return []
    return [
        ("streaming_cost", "Streaming cost", ["--graphs", str(graphs)]),
        ("streaming_cost", "Streaming cost under load", ["--graphs", str(graphs), "--load", "1"]),
    ]


def _forms(options: argparse.Namespace) -> list[str]:
    """Networks that `sizes.py` trained are scored; those of its mixtures that they were chosen by calibrate."""
    runs = options.work / "sizes" / "runs"
    trained = [f"{name}={runs / name / 'none' / 'seed-0'}" for name in ("bsrnn-s", "bsrnn-m", "dpdcrn-xs")]
    noisy = options.work / "material" / "development" / "noisy"
    return [str(noisy), "--on", str(options.audio / "test"), "--trained", *trained]


def _named(argument: str, names: dict[str, str]) -> str:
    """An argument with the user's own folders called by what they stand for."""
    before, equals, path = argument.rpartition("=")
    for folder, name in names.items():
        if path == folder or path.startswith(f"{folder}/"):
            return before + equals + name + path[len(folder) :]
    return argument


def _demote(text: str) -> str:
    """Headings one level below the section's."""
    return re.sub(r"^#+", lambda found: "#" * min(6, len(found[0]) + 2), text, flags=re.MULTILINE)


def _read() -> dict[str, str]:
    if not PAGE.exists():
        return {}
    parts = re.split(r"^## (.+)\n\n", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {title: text.rstrip() + "\n" for title, text in zip(parts[1::2], parts[2::2], strict=True)}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--audio", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("scratch"))
    parser.add_argument("--graphs", type=Path, help="streaming graphs of peers, see streaming_cost.py")
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
