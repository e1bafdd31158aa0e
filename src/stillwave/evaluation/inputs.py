"""The recordings to score: folders paired by file name, or mixtures enhanced with checkpoints."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from stillwave.audio import Samples, read, write
from stillwave.console import track
from stillwave.data.corpora.dns2020 import mixture_facts
from stillwave.data.multichannel import load_noisy
from stillwave.data.pair_sets import Pair, by_name, read_pairs
from stillwave.errors import StillwaveError, fault_text, nearest
from stillwave.evaluation.scoring import NOISY, Item
from stillwave.evaluation.transcripts import texts_of
from stillwave.files import as_path, printable
from stillwave.schema import SAMPLE_RATE

if TYPE_CHECKING:
    from stillwave.inference import Enhancer


def from_folders(
    clean: Path, enhanced: Mapping[str, Path], noisy: Path | None = None, texts: bool = False
) -> list[Item]:
    """Pair files of folders by name.

    Names are compared without suffix and with sub-folders, or by the `fileid_N` of the DNS Challenge. A file without a
    counterpart is an item with a problem.

    Args:
        clean: The folder of the clean references.
        enhanced: By system, the folder of its estimates; `noisy` is the unprocessed input.
        noisy: The folder of the noisy input.
        texts: Read the known texts of the references.

    Returns:
        The recordings, by name.

    Raises:
        StillwaveError: A folder is missing or empty, or `noisy` is given twice.

    """
    if noisy and NOISY in enhanced:
        raise StillwaveError(
            f"--enhanced {enhanced[NOISY]}: the name '{NOISY}' belongs to --noisy; write NAME=DIR with another name"
        )
    sides = {**({NOISY: noisy} if noisy else {}), **enhanced}
    by_id = any("clean_fileid_" in path.name for path in by_name(clean).values())
    references = by_name(clean, by_id)
    found = {system: by_name(folder, by_id) for system, folder in sides.items()}
    names = sorted(references.keys() | {name for files in found.values() for name in files})
    known = texts_of(clean, references) if texts else {}
    return [
        Item(
            id=name,
            clean=references.get(name),
            estimates={system: files[name] for system, files in found.items() if name in files},
            snr_db=_stated_snr(found[NOISY].get(name)) if NOISY in found else None,
            problems={
                s: f"{sides[s]} contains no file of this name" for s, f in found.items() if name not in f
            },
            text=known.get(name, ""),
        )
        for name in names
    ]


def with_estimates(items: Sequence[Item], folders: Mapping[str, Path]) -> list[Item]:
    """Add estimates that other programs wrote, paired by name.

    Args:
        items: The recordings.
        folders: By system, the folder of its estimates.

    Returns:
        The recordings; one without a counterpart has a problem.

    Raises:
        StillwaveError: A folder is missing or empty, or a system is there already.

    """
    taken = {system for item in items for system in (*item.estimates, *item.problems)} & folders.keys()
    if taken:
        name = sorted(taken)[0]
        raise StillwaveError(
            f"--enhanced {folders[name]}: the name '{name}' is taken; write NAME=DIR with another name"
        )
    found = {system: by_name(folder) for system, folder in folders.items()}
    return [
        replace(
            item,
            estimates={
                **item.estimates,
                **{s: files[item.id] for s, files in found.items() if item.id in files},
            },
            problems={
                **item.problems,
                **{
                    s: f"{folders[s]} contains no file of this name" for s in found if item.id not in found[s]
                },
            },
        )
        for item in items
    ]


def labels_of(folder: Path, columns: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return labels of the recordings of a folder with `mixtures.csv`.

    Args:
        folder: The folder of mixtures.
        columns: Columns of `mixtures.csv`; `reverberant` is `yes` where the column `rir` names a room.

    Returns:
        By column, the label of each recording; an empty text if the cell is empty.

    Raises:
        StillwaveError: The table or a column is missing.

    """
    if not columns:
        return {}
    table = folder / "mixtures.csv"
    try:
        with table.open(newline="", encoding="utf-8-sig") as handle:
            rows = list(csv.DictReader(handle))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or fault_text(error)
        raise StillwaveError(f"--by: {table}: cannot be read ({reason})") from None
    known = [name for name in (rows[0] if rows else {}) if name and name != "id"]
    known += ["reverberant"] if "rir" in known else []
    for column in columns:
        if column not in known:
            raise StillwaveError(f"--by {column}: {table} has no such column; {nearest(column, known)}")
    derived = {"reverberant": lambda row: "yes" if row["rir"] else "no"}
    return {
        column: {row["id"]: derived[column](row) if column in derived else row[column] or "" for row in rows}
        for column in columns
    }


def _stated_snr(noisy: Path | None) -> float | None:
    """Return the SNR in a file name of the DNS Challenge."""
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
    """Enhance the pairs of a folder with each checkpoint.

    Args:
        folder: The mixtures, as `stillwave data mix` writes them.
        models: By system, a checkpoint, run folder or model name.
        work: The folder for the estimates, `work/SYSTEM/ID.wav`.
        device: The device of PyTorch; by default the best available.
        quiet: Show no progress bar.
        texts: Read the known texts of pairs whose text is not in the manifest.
        jobs: How many recordings are enhanced at once by models that use one core each. The estimates do not depend
            on it.

    Returns:
        The recordings, with `noisy` and each checkpoint as systems. A recording that cannot be enhanced is an item
        with a problem.

    Raises:
        StillwaveError: A folder without pairs, or a checkpoint that cannot be loaded.

    """
    from stillwave.inference import load

    if NOISY in models:
        raise StillwaveError(f"{models[NOISY]}: '{NOISY}' is the unprocessed system; write NAME=PATH")
    pairs = read_pairs(folder)
    enhancers = {name: load(path, device) for name, path in models.items()}
    unknown = {pair.id: pair.clean for pair in pairs if not pair.text} if texts else {}
    known = texts_of(folder / "clean", unknown)
    items = [
        Item(
            p.id,
            p.clean,
            {NOISY: _one_channel(p, work)},
            _finite(p.snr_db),
            text=p.text or known.get(p.id, ""),
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
    """Write an estimate and return its file, or the reason of a failure."""
    target = folder / f"{pair.id}.wav"
    try:
        samples, rate = _input(pair, enhancer.microphones)
        write(target, enhancer.enhance(samples, rate), rate, subtype="FLOAT")
    except Exception as error:  # other recordings are still enhanced
        return _cause(error, pair)
    return target


def _input(pair: Pair, microphones: int) -> tuple[Samples, int]:
    """Read as many channels of a multichannel pair as the network has inputs."""
    return read(pair.noisy) if pair.channels == 1 else (load_noisy(pair, microphones), SAMPLE_RATE)


def _one_channel(pair: Pair, work: Path) -> Path:
    """Return the noisy file to score; of a multichannel pair the first channel (W of microphone A)."""
    if pair.channels == 1:
        return pair.noisy
    target = work / NOISY / f"{pair.id}.wav"
    try:
        write(target, load_noisy(pair, 1), SAMPLE_RATE, subtype="FLOAT")
    except Exception:
        return pair.noisy  # scoring reports the reason
    return target


def _finite(snr_db: float | None) -> float | None:
    return snr_db if snr_db is not None and math.isfinite(snr_db) else None


def _cause(error: Exception, pair: Pair) -> str:
    return printable("not enhanced: " + fault_text(error).removeprefix(f"{pair.noisy}: "))


def named(values: Sequence[str]) -> dict[str, Path]:
    """Parse `NAME=PATH` or `PATH` (named by its last part). Raises StillwaveError for a repeated or invalid name.

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
            raise StillwaveError(
                f"{value}: '{name}' is not a valid name of a system; write NAME=PATH with a plain name"
            )
        result[name] = as_path(path)
    return result
