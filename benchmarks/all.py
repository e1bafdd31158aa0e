"""Run benchmarks and write what they print to docs/benchmarks.md, of which no part is written by hand.

    python benchmarks/all.py --audio AUDIO --graphs PEERS [--core 0] [--only NAME ...] [-- OPTION ...]

NAME is a section's heading ("I/O binding") or its script (`io_binding`); other sections keep their text. AUDIO
contains train/ (speech/, noise/, rir/), and test/, test_diverse/ and fullband/test/ (noisy/, clean/, mixtures.csv),
PEERS the graphs that streaming_cost.py reads. With `--core` all sections but those that measure several cores run on
that core. What follows `--` is passed to the script of the one section that `--only` names.

Each section starts with its command, the date, the processor and the load (1 minute) before it.
"""

from __future__ import annotations

import argparse
import datetime
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from stillwave.files import write_text
from stillwave.profiling.latency import machine

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
INTRO = """# Benchmarks

Written by `benchmarks/all.py`; every section states its command, date and machine, and the load before it. The machines
were shared with other programs: ratios within one run, medians and ranges are reliable, single times are not.
"""


class Section(NamedTuple):
    """A heading, the script in `benchmarks/` that prints the text, and its arguments, which may start with a folder."""

    title: str
    script: str
    arguments: str = ""
    several_cores: bool = False


SECTIONS = (
    Section("Distillation loss", "distillation_step", "--threads 2 --repeats 3", several_cores=True),
    Section("Mixing", "mixer", "AUDIO/train", several_cores=True),
    Section("Scoring in parallel", "evaluation", "--folder AUDIO/test", several_cores=True),
    Section("Teacher cache", "teacher_cache", "--threads 1"),
    Section("Training step by method", "methods", "--threads 1"),
    Section("Training step by network", "network_step", "--threads 1"),
    Section("Training throughput", "training_step", "--batch 6 --repeats 15"),
    Section("Busy cores", "busy_cores", several_cores=True),
    Section(
        "Streaming latency",
        "latency",
        "--presets dpdcrn-m dpdcrn-s dpdcrn-xs bsrnn-m bsrnn-s bsrnn-xs --frames 800 --streams 64 --processor-time",
    ),
    Section("Streaming cost", "streaming_cost", "--graphs PEERS --seconds 60"),
    Section(
        "Streaming cost under load",
        "streaming_cost",
        "--graphs PEERS --seconds 30 --load 1 --models bsrnn-xs bsrnn-m",
    ),
    Section("I/O binding", "io_binding"),
    Section(
        "Export precision",
        "export_forms",
        "AUDIO/test_diverse/noisy --on AUDIO/test --trained bsrnn-xs=weights/bsrnn-xs bsrnn-s=weights/bsrnn-s "
        "bsrnn-m=weights/bsrnn-m",
    ),
    Section("Base install", "base_install"),
    Section("Simulated scenes", "simulation", "AUDIO/train/speech.csv AUDIO/train/noise.csv --scenes 200"),
    Section(
        "Speed of files",
        "files",
        "weights/bsrnn-m --seconds 60 --repeats 100 --files 32",
        several_cores=True,
    ),
    Section(
        "Long recordings in windows",
        "enhance_blocks",
        "weights/denoiser-teacher AUDIO/test/noisy --clean AUDIO/test/clean",
    ),
    Section("Clean recordings", "keep_clean", "AUDIO"),
    Section("Overlap of parts", "overlap", "AUDIO/test_diverse/noisy"),
    Section("Speech recogniser", "recogniser", "AUDIO/test"),
)


def main() -> None:
    options = _options()
    folders = {"AUDIO": options.audio, "PEERS": options.graphs}
    for section in _chosen(options.only):
        shown = _command(section, options.core, options.rest)
        facts, day = machine(), datetime.date.today().isoformat()
        done = subprocess.run(
            [_argument(part, folders, section) for part in shown],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(
                f"benchmarks/{section.script}.py: ended with status {done.returncode}; {PAGE} is unchanged"
            )
        where = f"{facts['processor']}, {facts['cores']} cores, load {facts.get('load', '–')}"
        _write(section.title, f"`{' '.join(shown)}`, {day}; {where}\n\n{_demote(done.stdout.strip())}\n")


def _chosen(names: list[str]) -> list[Section]:
    """Return the sections with these headings or scripts, all for none."""
    known = {name for section in SECTIONS for name in (section.title, section.script)}
    for name in names:
        if name not in known:
            sys.exit(f"--only {name}: no such section; one of {', '.join(sorted(known))}")
    return [s for s in SECTIONS if not names or s.title in names or s.script in names]


def _command(section: Section, core: int | None, rest: list[str]) -> list[str]:
    """Return the command as it is shown."""
    pinned = [] if core is None or section.several_cores else ["taskset", "-c", str(core)]
    return [*pinned, "python", f"benchmarks/{section.script}.py", *section.arguments.split(), *rest]


def _argument(part: str, folders: dict[str, Path | None], section: Section) -> str:
    """Return an argument of a command as it is run."""
    if part == "python":
        return sys.executable
    name, slash, path = part.partition("/")
    if name not in folders:
        return part
    folder = folders[name]
    if folder is None:
        sys.exit(f"{section.title}: needs {name}; give {'--audio' if name == 'AUDIO' else '--graphs'} {name}")
    return f"{folder.resolve()}{slash}{path}"


def _write(title: str, text: str) -> None:
    """Replace one section of the page. Sections of other headings than those of `SECTIONS` are dropped."""
    found = {**_read(), title: text}
    ordered = [(section.title, found[section.title]) for section in SECTIONS if section.title in found]
    write_text(PAGE, INTRO + "".join(f"\n## {heading}\n\n{body}" for heading, body in ordered))


def _read() -> dict[str, str]:
    """Return the sections of the page by heading."""
    if not PAGE.exists():
        return {}
    parts = re.split(r"^## (.+)\n\n", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {title: text.rstrip() + "\n" for title, text in zip(parts[1::2], parts[2::2], strict=True)}


def _demote(text: str) -> str:
    """Return text with its headings one level below a section's."""
    return re.sub(r"^#+", lambda found: "#" * min(6, len(found[0]) + 2), text, flags=re.MULTILINE)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--audio", type=Path, help="recordings")
    parser.add_argument("--graphs", type=Path, help="streaming graphs of peers, see streaming_cost.py")
    parser.add_argument("--core", type=int, help="run sections of one core on this one, with taskset")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="headings or scripts")
    parser.add_argument("rest", nargs="*", metavar="OPTION", help="after --: options for the one script")
    options = parser.parse_args()
    if options.rest and len(_chosen(options.only)) != 1:
        parser.error(f"{options.rest[0]}: options after -- are for one section; name one with --only")
    if options.core is not None and not shutil.which("taskset"):
        parser.error("--core: taskset is not installed; install util-linux or leave out --core")
    return options


if __name__ == "__main__":
    main()
