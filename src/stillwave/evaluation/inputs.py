"""What is scored: anybody's folders, paired by file name, or fixed mixtures run through checkpoints."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from stillwave.audio import read, write
from stillwave.console import track
from stillwave.data.corpora.dns2020 import mixture_facts
from stillwave.data.multichannel import Samples, load_noisy
from stillwave.data.pair_sets import Pair, by_name, read_pairs
from stillwave.errors import StillwaveError, fault_text
from stillwave.evaluation.reference_text import texts_of
from stillwave.evaluation.scoring import NOISY, Item
from stillwave.files import as_path, printable
from stillwave.schema import SAMPLE_RATE

if TYPE_CHECKING:
    from stillwave.inference import Enhancer


def from_folders(
    clean: Path, enhanced: Mapping[str, Path], noisy: Path | None = None, texts: bool = False
) -> list[Item]:
    """Pair folders by file name without suffix (sub-folders count), or by the DNS Challenge's `fileid_N`.

    A file that is on one side only is an item with a problem, so that it is counted. `texts`: look for what is said
    (`texts.py`). A system called `noisy` is the unprocessed one, as `noisy` is. Raises StillwaveError for a folder that
    is absent or empty, and for both.
    """
    if noisy and NOISY in enhanced:
        raise StillwaveError(
            f"--enhanced {enhanced[NOISY]}: would be called '{NOISY}', as the folder of --noisy is; write NAME=DIR"
        )
    sides = {**({NOISY: noisy} if noisy else {}), **enhanced}
    by_id = any("clean_fileid_" in path.name for path in by_name(clean).values())
    references = by_name(clean, by_id)
    found = {system: by_name(folder, by_id) for system, folder in sides.items()}
    names = sorted(references.keys() | {name for files in found.values() for name in files})
    said = texts_of(clean, references) if texts else {}
    return [
        Item(
            id=name,
            clean=references.get(name),
            estimates={system: files[name] for system, files in found.items() if name in files},
            snr_db=_stated_snr(found[NOISY].get(name)) if NOISY in found else None,
            problems={s: f"{sides[s]} holds no file of this name" for s, f in found.items() if name not in f},
            text=said.get(name, ""),
        )
        for name in names
    ]


def _stated_snr(noisy: Path | None) -> float | None:
    """The SNR in a file's name, as the DNS Challenge states it."""
    stated = mixture_facts(noisy.stem).get("snr_db") if noisy else None
    return float(stated) if stated else None


def from_checkpoints(
    folder: Path,
    models: Mapping[str, Path],
    work: Path,
    device: str | None = None,
    quiet: bool = False,
    texts: bool = False,
    jobs: int = 1,
) -> list[Item]:
    """The pairs of `folder`, noisy and as each checkpoint enhances them; estimates go to `work/SYSTEM/ID.wav`.

    `texts`: look for what is said where the pairs do not know. `jobs` recordings are enhanced at the same time, with
    the same bytes for any number; a checkpoint, which uses all cores by itself, takes one after the other. Raises
    StillwaveError for a folder without pairs or a faulty checkpoint; a recording that cannot be enhanced is an item
    with a problem.
    """
    from stillwave.inference import load

    if NOISY in models:
        raise StillwaveError(f"{models[NOISY]}: '{NOISY}' is the unprocessed system; write NAME=PATH")
    pairs = read_pairs(folder)
    enhancers = {name: load(path, device) for name, path in models.items()}
    unknown = {pair.id: pair.clean for pair in pairs if not pair.text} if texts else {}
    said = texts_of(folder / "clean", unknown)
    items = [
        Item(
            p.id, p.clean, {NOISY: _one_channel(p, work)}, _known(p.snr_db), text=p.text or said.get(p.id, "")
        )
        for p in pairs
    ]
    for name, enhancer in enhancers.items():
        with ThreadPoolExecutor(jobs if enhancer.concurrent else 1) as pool:
            results = pool.map(partial(_enhanced, enhancer, work / name), pairs)
            if not quiet:
                results = track(results, f"enhance with {name}", total=len(pairs))
            for index, (item, found) in enumerate(zip(items, results, strict=True)):
                if isinstance(found, Path):
                    items[index] = replace(item, estimates={**item.estimates, name: found})
                else:
                    items[index] = replace(item, problems={**item.problems, name: found})
    return items


def _enhanced(enhancer: Enhancer, folder: Path, pair: Pair) -> Path | str:
    """The file of an estimate, or why there is none."""
    target = folder / f"{pair.id}.wav"
    try:
        samples, rate = _heard(pair, enhancer.microphones)
        write(target, enhancer.enhance(samples, rate), rate, subtype="FLOAT")
    except Exception as error:  # one file's fault is that file's; the others go on
        return _cause(error, pair)
    return target


def _heard(pair: Pair, microphones: int) -> tuple[Samples, int]:
    """What a network takes of a pair: of several channels as many as it has inputs."""
    return read(pair.noisy) if pair.channels == 1 else (load_noisy(pair, microphones), SAMPLE_RATE)


def _one_channel(pair: Pair, work: Path) -> Path:
    """The noisy recording that is scored: of several channels the first (W of microphone A), as a file of its own."""
    if pair.channels == 1:
        return pair.noisy
    target = work / NOISY / f"{pair.id}.wav"
    try:
        write(target, load_noisy(pair, 1), SAMPLE_RATE, subtype="FLOAT")
    except Exception:
        return pair.noisy  # scoring says what is wrong with it
    return target


def _known(snr_db: float | None) -> float | None:
    return snr_db if snr_db is not None and math.isfinite(snr_db) else None


def _cause(error: Exception, pair: Pair) -> str:
    return printable("not enhanced: " + fault_text(error).removeprefix(f"{pair.noisy}: "))


def named(values: Sequence[str]) -> dict[str, Path]:
    """`NAME=PATH` or `PATH` (whose last part is the name) to name → path. Raises StillwaveError for a name given twice.

    Examples:
        >>> named(["mine=out/a", "runs/student"])
        {'mine': PosixPath('out/a'), 'student': PosixPath('runs/student')}

    """
    result: dict[str, Path] = {}
    for value in values:
        name, equals, path = value.partition("=")
        if not equals:
            name, path = printable(Path(value).resolve().name), value
        if name in result:
            raise StillwaveError(
                f"{value}: the name '{name}' is given twice; write NAME=PATH with another name"
            )
        if not name or "/" in name or name.startswith("."):
            raise StillwaveError(f"{value}: '{name}' cannot name a system; write NAME=PATH with a plain name")
        result[name] = as_path(path)
    return result
