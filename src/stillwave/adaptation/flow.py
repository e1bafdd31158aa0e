"""Adapt a network to a place: read, separate, remix, train, average, compare, write a checkpoint. Resumable."""

from __future__ import annotations

import copy
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from stillwave import checkpoint, pretrained, provenance, shipped_checkpoints
from stillwave.adaptation.averages import moved, weights_sha256
from stillwave.adaptation.no_reference import compare, verdict
from stillwave.adaptation.recordings import PIECE, Material, check_folder, collect
from stillwave.adaptation.remixes import Pieces, Remixes, judge
from stillwave.adaptation.separation import Separator, from_network, open_teacher, separate
from stillwave.adaptation.settings import ROUND, WORK, Adapted, Settings
from stillwave.adaptation.training import Budget, ordinary, round_recipe, train_round
from stillwave.audio import Samples
from stillwave.card import Card
from stillwave.console import no_display, note
from stillwave.data.dataset import Source
from stillwave.errors import CheckpointError, StillwaveError
from stillwave.files import locked
from stillwave.output_paths import make_folder
from stillwave.schema import SAMPLE_RATE

SELF = "self"
"""Name of the network itself as its teacher."""
LEAST_PIECES = 15
"""Pieces of speech, and of noise, that are needed."""
Say = Callable[[str], None]


def adapt(settings: Settings, *, quiet: bool = False) -> Adapted:
    """Adapt a network to the place of the recordings, or resume an interrupted adaptation.

    Raises:
        StillwaveError: The recordings, the model, the teacher or the output folder cannot be used.
        Stopped: After Ctrl-C, SIGTERM or SIGHUP during training; the same call resumes.

    """
    start = starting_point(settings.model)
    settings.check()
    if (result := settings.finished()) is not None:
        return result
    with no_display(quiet):
        inputs = _opened(settings, start)
        make_folder(settings.output)
        with locked(settings.output, "another process adapts here; wait or give another folder"):
            settings.claim()
            return settings.finished() or _adapt(settings, inputs, _silent if quiet else note, quiet=quiet)


class _Inputs(NamedTuple):
    """What an adaptation reads beside the recordings of the place."""

    start: Path
    """Checkpoint of the model."""
    teacher: Separator | None
    """None for the model itself."""
    others: Source | None
    """Examples of a recipe that are mixed in."""


def _opened(settings: Settings, start: Path) -> _Inputs:
    """Open teacher and recipe, so that a wrong name is reported before the recordings are read."""
    check_folder(settings.recordings, settings.output)
    others = None if settings.data is None else ordinary(settings.data, settings.seed)
    if settings.teacher == SELF:
        return _Inputs(start, None, others)
    return _Inputs(start, open_teacher(settings.teacher or str(shipped_checkpoints.teacher())), others)


def starting_point(model: str) -> Path:
    """Return the checkpoint that `model` means: of a shipped model, or a checkpoint or run folder.

    Raises CheckpointError if there is none, or if it is for several microphones.
    """
    name = model if Path(model).exists() else model.removesuffix(pretrained.INT8)
    place = (
        shipped_checkpoints.find(name)
        if name in pretrained.names() and not Path(name).exists()
        else Path(model)
    )
    if place.is_file():
        raise CheckpointError(
            f"{model}: is an exported file, which cannot be trained; give its checkpoint folder"
        )
    if not place.exists():
        raise pretrained.SHIPPED.unknown(model)
    card = checkpoint.read_card(checkpoint.resolve(place))
    if card.model.microphones != 1 or card.sample_rate != SAMPLE_RATE:
        raise CheckpointError(
            f"{model}: expects {card.model.microphones} microphone(s) at {card.sample_rate} Hz; "
            f"only networks for one microphone at {SAMPLE_RATE} Hz can be adapted"
        )
    return checkpoint.resolve(place)


def _adapt(settings: Settings, inputs: _Inputs, say: Say, *, quiet: bool) -> Adapted:
    work = settings.output / WORK
    work.mkdir(exist_ok=True)
    material = collect(settings.recordings, work, settings.seed, settings.output)
    _report_recordings(material, say)
    if settings.data is not None:
        say(f"{100 * settings.share:.3g} % of the examples are mixed in from the recipe {settings.data}")
    trained, speech, pieces = _trained(settings, inputs, material, work, say, quiet=quiet)
    original, card = checkpoint.load(inputs.start)
    weights = moved(original.state_dict(), checkpoint.load(trained)[0].state_dict(), settings.strength)
    adapted = copy.deepcopy(original)
    adapted.load_state_dict(weights)
    changes = compare(material, speech, *(from_network("", "", one).estimate for one in (original, adapted)))
    place = settings.output / "checkpoints" / f"best_{settings.steps:08d}"
    checkpoint.save(place, adapted, _card(settings, card, material))
    result = Adapted(
        place,
        verdict(changes),
        changes,
        material.seconds(held_out=False),
        material.seconds(held_out=True),
        material.unusable,
        pieces.left_out,
    )
    settings.record(result)
    shutil.rmtree(work, ignore_errors=True)
    return result


def _trained(
    settings: Settings, inputs: _Inputs, material: Material, work: Path, say: Say, *, quiet: bool
) -> tuple[Path, Samples, Pieces]:
    """Run all rounds; return the last checkpoint, the first estimates of speech, and their pieces."""
    start, teacher, others = inputs
    follows = teacher is None
    rounds = settings.rounds if follows else 1
    budget = Budget(math.ceil(settings.steps / rounds), settings.learning_rate)
    network, card = checkpoint.load(start)
    first: tuple[Samples, Pieces] | None = None
    for number in range(1, rounds + 1):
        separator = teacher or from_network("the model itself", weights_sha256(network), network)
        speech = separate(material, separator, work / f"speech-{number}.f32")
        pieces = judge(material, speech)
        _check(pieces, settings, say)
        first = first or (speech, pieces)
        recipe = round_recipe(card, start, settings.recordings, settings.seed + number, budget)
        remixes = Remixes(material, speech, pieces, settings.seed + number, settings.remixed)
        start = train_round(recipe, work / ROUND.format(number), remixes, others, settings.share, quiet)
        if follows:
            student = checkpoint.load(start)[0].state_dict()
            network.load_state_dict(moved(network.state_dict(), student, 1 - settings.decay))
    assert first is not None
    return start, *first


def _report_recordings(material: Material, say: Say) -> None:
    for sentence in material.unusable:
        say(f"skipped: {sentence}")
    say(
        f"{material.seconds(held_out=False) / 60:.1f} min to train on, {material.seconds(held_out=True) / 60:.1f} min "
        f"held out; {len(material.unusable)} recordings skipped, {material.unread} not needed"
    )


def _check(pieces: Pieces, settings: Settings, say: Say) -> None:
    """Report what gives no speech or no noise. Raise StillwaveError if too little gives either."""
    reasons = "".join(f"; {reason}: {count}" for reason, count in pieces.left_out.items())
    say(
        f"{len(pieces.starts)} pieces of {PIECE / SAMPLE_RATE:.0f} s: {len(pieces.speech)} give speech, "
        f"{len(pieces.noise)} give noise{reasons}"
    )
    for kind, numbers in (("speech", pieces.speech), ("noise", pieces.noise)):
        if len(numbers) < LEAST_PIECES:
            raise StillwaveError(
                f"{settings.recordings}: {len(numbers)} pieces of {PIECE / SAMPLE_RATE:.0f} s give {kind}, and "
                f"{LEAST_PIECES} are needed{reasons}; add recordings of the place with speech and noise"
            )


def _card(settings: Settings, card: Card, material: Material) -> Card:
    minutes = material.seconds(held_out=False) / 60
    teacher = settings.teacher or shipped_checkpoints.TEACHER
    learnt = "remixes of the estimates" if settings.remixed else "the estimates"
    mixed_in = "" if settings.data is None else f", with a share of {settings.share:g} of {settings.data}"
    return card.model_copy(
        update={
            "step": settings.steps,
            "scores": {},
            "data": f"{card.data}; adapted to {minutes:.1f} min of {settings.recordings.name} with {learnt} of "
            f"{teacher}{mixed_in}",
            "versions": provenance.versions(),
            "git": provenance.git(),
        }
    )


def _silent(_: str) -> None:
    pass
