"""Make a trained network one of those that ship: float and int8 files, each compared with its source, and the card.

    python benchmarks/package_weights.py RUN --name bsrnn-s --on AUDIO/test_diverse --on AUDIO/test
    python benchmarks/package_weights.py RUN --name bsrnn-s --scores scores.json --failures failures.txt
    python benchmarks/package_weights.py --name bsrnn-s --on AUDIO/test_diverse --on AUDIO/test    # the scores alone

RUN is a run folder (its best checkpoint is taken) or a checkpoint; without one, the model of this name that ships gets
new scores. Scores come from `--on`, folders of noisy and clean recordings, the most diverse first, or from the JSON of
`stillwave evaluate NAME NAME-int8 --json`, or are left out. failures.txt holds a sentence a line. Which model is the
default is a line of src/stillwave/pretrained/__init__.py.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from model_cards import origin  # type: ignore[import-not-found]
from stillwave import checkpoint
from stillwave.card import Cost, File, Mean, ModelCard, Precision, Reach, TestScores, read_card
from stillwave.errors import StillwaveError
from stillwave.exporting.export import export
from stillwave.files import atomic_file, write_json
from stillwave.inference.onnx_model import read
from stillwave.models import PRESETS
from stillwave.pretrained import SHIPPED
from stillwave.pretrained.registry import INT8, ModelRegistry
from stillwave.profiling.complexity import count_frame_macs, measure

ROOT = Path(__file__).parents[1]
METRICS = "pesq_wb,pesq_nb,stoi,si_sdr"
NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


def main() -> None:
    options = arguments()
    try:
        card = package(options) if options.run else rescored(options)
    except StillwaveError as error:
        sys.exit(str(error))
    sizes = ", ".join(f"{file.name} {file.bytes / 1e3:.0f} kB" for file in card.files.values())
    print(f"{card.name}: {sizes}; {card.training.hours} h of mixtures, {card.training.updates} updates")
    missing = [key for key in ("hours", "wall_hours", "hardware") if getattr(card.training, key) is None]
    missing += [] if card.git else ["commit"]
    missing += [] if card.tests else ["scores"]
    if missing:
        print(f"not recorded: {', '.join(missing)}", file=sys.stderr)


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("run", type=Path, nargs="?", help="run folder or checkpoint")
    parser.add_argument("--name", required=True, help="what it will be called: lower case, digits, hyphens")
    parser.add_argument("--weights", type=Path, help="a checkpoint made of RUN elsewhere (an average, say)")
    parser.add_argument("--title", help="a line about it; by default its network and method")
    parser.add_argument(
        "--on",
        type=Path,
        action="append",
        default=[],
        help="test set to score on: noisy/ and clean/; repeat it",
    )
    parser.add_argument("--metrics", default=METRICS, help="with --on")
    parser.add_argument("--scores", type=Path, help="JSON of `stillwave evaluate`, in place of --on")
    parser.add_argument(
        "--test-set",
        action="append",
        default=[],
        help="the test set in words, for the card, once for each; by default the folder's name",
    )
    parser.add_argument("--failures", type=Path, help="known failures, a sentence a line")
    parser.add_argument("--data", type=Path, default=ROOT / "benchmarks" / "model_cards" / "data.yaml")
    parser.add_argument("--commit", help="of the code that trained it, where the run did not record it")
    parser.add_argument(
        "--began-with", type=Path, help="card of the shipped model whose weights the run began with"
    )
    parser.add_argument("--averaged", help="how --weights were averaged, in words")
    parser.add_argument("--hardware", help="that trained it, in words, where the run says too little")
    parser.add_argument("--into", type=Path, default=SHIPPED.folder, help="folder of models")
    parser.add_argument("--jobs", type=int, help="processes that score")
    options = parser.parse_args(given)
    if not NAME.fullmatch(options.name) or options.name.endswith(INT8):
        parser.error(f"--name {options.name}: lower case, digits and hyphens, and not '{INT8}' at the end")
    if options.test_set and len(options.test_set) != len(options.on or [options.scores]):
        parser.error("--test-set: give it once for each test set")
    if options.run is None and not options.on:
        parser.error("give RUN, or --on to score the model of this name that ships")
    return options


def package(options: argparse.Namespace) -> ModelCard:
    """Write the files and the card, the card last; whatever was there under the name is replaced."""
    run = origin.Run.of(options.run, options.weights)
    network, _ = checkpoint.load(run.place)
    began = read_card(options.began_with, ModelCard) if options.began_with else None
    training = origin.training(run, options.hardware, began.training if began else None)
    training = training.model_copy(update={"averaged": options.averaged})
    licence, sources = origin.data(options.data, run)
    data = origin.summary(sources)
    with tempfile.TemporaryDirectory() as scratch:
        made = exported(run, data, options.name, Path(scratch))
        card = ModelCard(
            name=options.name,
            title=options.title or _title(run.card.model, training.method),
            **_facts(run, options, began),
            data=data,
            preset=_preset(run.card.model),
            hop=network.stft.hop,
            delay_ms=1000 * network.stft.n_fft / network.sample_rate,
            training=training,
            sources=sources,
            cost=_cost(network),
            tests=_scores(options, made),
            failures=tuple(_sentences(options.failures)),
            licence=licence,
            files={precision: _file(path) for precision, path in made.items()},
        )
        for path in made.values():
            with atomic_file(options.into / path.name) as temporary:
                shutil.copyfile(path, temporary)
        write_json(options.into / f"{card.name}.json", card.model_dump(mode="json"))
    shelf = ModelRegistry(options.into, options.name)
    for name in (options.name, options.name + INT8):
        read(shelf.find(name))
    return card


def _facts(run: origin.Run, options: argparse.Namespace, began: ModelCard | None) -> dict[str, Any]:
    facts: dict[str, Any] = origin.checkpoint_facts(run, options.commit)
    return {**facts, "teacher": facts["teacher"] or (began.teacher if began else None)}


def exported(run: origin.Run, data: str, name: str, folder: Path) -> dict[Precision, Path]:
    """Both files, from a copy of the checkpoint whose card holds no paths of this machine."""
    copy = origin.copied(run, data, folder / "checkpoint")
    whole, small = folder / f"{name}.onnx", folder / f"{name}.int8.onnx"
    export(copy, whole)
    export(copy, small, precision="int8")
    return {"float": whole, "int8": small}


def _title(config: Any, method: str) -> str:
    kind = {
        "bsrnn": "band-split recurrent network",
        "dpdcrn": "dual-path convolutional recurrent network",
        "framenet": "frame-wise recurrent network",
    }
    made = "trained alone" if method == "none" else f"distilled ({method})"
    return f"causal {kind.get(config.name, config.name)}, {made}"


def _preset(config: Any) -> str | None:
    return next((name for name, known in PRESETS.items() if known == config), None)


def _cost(network: Any) -> Cost:
    found = measure(network)
    return Cost(
        parameters=found.parameters,
        size_bytes=found.size_bytes,
        seconds=found.seconds,
        macs=found.macs,
        frame_macs=count_frame_macs(network),
        receptive_field=Reach(past=found.receptive_field.past, future=found.receptive_field.future),
        state_bytes=found.state_bytes,
    )


def _file(path: Path) -> File:
    data = path.read_bytes()
    return File(name=path.name, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def _sentences(file: Path | None) -> list[str]:
    lines = file.read_text(encoding="utf-8").splitlines() if file else []
    return [line.strip().removeprefix("- ") for line in lines if line.strip()]


def rescored(options: argparse.Namespace) -> ModelCard:
    """Write new scores into the card of a model that ships."""
    file = options.into / f"{options.name}.json"
    card = read_card(file, ModelCard)
    made = {precision: options.into / found.name for precision, found in card.files.items()}
    card = card.model_copy(update={"tests": _scores(options, made)})
    write_json(file, card.model_dump(mode="json"))
    return card


def _scores(options: argparse.Namespace, made: dict[Precision, Path]) -> tuple[TestScores, ...]:
    aliases = {options.name: "float", options.name + INT8: "int8"}
    if options.scores is not None:
        summary = json.loads(options.scores.read_text(encoding="utf-8"))
        return (scores_of(summary, aliases, *(options.test_set or [options.scores.stem])),)
    names = options.test_set or [folder.name for folder in options.on]
    return tuple(
        scores_of(_evaluated(options, folder, made), aliases, name)
        for folder, name in zip(options.on, names, strict=True)
    )


def scores_of(summary: dict[str, Any], aliases: dict[str, str], test_set: str) -> TestScores:
    """A card's scores from those of `stillwave evaluate`; systems other than the input and this model stay out."""
    systems: dict[str, dict[str, Mean]] = {}
    for system, metrics in summary["means"].items():
        name = aliases.get(system, system)
        if name in ("noisy", "float", "int8"):
            found = {metric: cell["interval"] for metric, cell in metrics.items() if cell["interval"]}
            systems[name] = {
                metric: Mean(mean=value["mean"], low=value["low"], high=value["high"])
                for metric, value in found.items()
            }
    if "float" not in systems:
        known = ", ".join(summary["means"])
        raise StillwaveError(f"the scores are of {known}; they must hold '{next(iter(aliases))}' or 'float'")
    return TestScores(test_set=test_set, recordings=summary["recordings"], systems=systems)


def _evaluated(options: argparse.Namespace, folder: Path, made: dict[Precision, Path]) -> dict[str, Any]:
    from stillwave.evaluation import score_pairs, summarise
    from stillwave.evaluation.inputs import from_checkpoints
    from stillwave.reports.markup import json_values

    with tempfile.TemporaryDirectory() as work:
        items = from_checkpoints(
            folder, {str(precision): path for precision, path in made.items()}, Path(work), "cpu"
        )
        found: dict[str, Any] = json_values(
            summarise(score_pairs(items, options.metrics.split(","), options.jobs))
        )
    return found


if __name__ == "__main__":
    main()
