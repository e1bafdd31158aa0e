"""Read and write fixed mixtures: folders of noisy files and their clean references.

    FOLDER/noisy/ID.flac   FOLDER/clean/ID.flac
    FOLDER/mixtures.csv    id, speaker, snr_db, noise, rir, seconds, text

Written as 24-bit FLAC: a target at −50 dBFS has 16 bits.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from stillwave.audio import Samples
from stillwave.console import track
from stillwave.data.corpora import dns2020, voicebank
from stillwave.data.manifest import ManifestError
from stillwave.data.mixing import Mixer
from stillwave.data.mixture import Mixture, MixtureRecord
from stillwave.data.multichannel import MOST_APART, check_channels, frames_of, load_noisy
from stillwave.data.pair_manifest import Pair as Pair
from stillwave.data.pair_manifest import read_pair_manifest
from stillwave.data.scan import SUFFIXES
from stillwave.files import atomic_folder, printable, walk, write_text
from stillwave.schema import SAMPLE_RATE

COLUMNS = ("id", "speaker", "snr_db", "noise", "rir", "seconds", "text")
"""Of `mixtures.csv`, as far as a `Pair` has them."""
WRITTEN = (*COLUMNS, "noise_class")
"""Of `mixtures.csv` as `write_mixtures` writes it; scores can be grouped by any of them."""


def read_pairs(folder: Path | str, *, must_exist: bool = True) -> list[Pair]:
    """Return the pairs of a folder, sorted by id, in any of these layouts:

    - `mixtures.csv` with `noisy/` and `clean/`, as `write_mixtures` makes them;
    - a synthetic test set of the DNS Challenge 2020, paired by `fileid_N`;
    - VoiceBank+DEMAND, its test set (`clean_testset_wav/`, `noisy_testset_wav/`);
    - a set of L3DAS22 or L3DAS23, with microphone B where there is one;
    - `noisy/` and `clean/` with files of the same names.

    Or of a manifest of pairs, in its order (`stillwave data scan --corpus l3das23`), all of whose files `must_exist`.

    Raises ManifestError for another layout, or a file without a counterpart.
    """
    folder = Path(folder)
    if folder.is_file():
        return read_pair_manifest(folder, must_exist=must_exist)
    if not folder.is_dir():
        raise ManifestError(f"{folder}: there is no such folder")
    if (folder / "mixtures.csv").is_file():
        return _listed(folder)
    if (folder / "clean_testset_wav").is_dir():
        return _voicebank(folder)
    if (folder / "data").is_dir() and (folder / "labels").is_dir():
        return _l3das(folder)
    if not ((folder / "noisy").is_dir() and (folder / "clean").is_dir()):
        raise ManifestError(
            f"{folder}: contains neither noisy/ and clean/, nor mixtures.csv, nor a known test set"
        )
    by_id = any(path.name.startswith("clean_fileid_") for path in by_name(folder / "clean").values())
    pairs, unpaired = pair_folders(folder / "noisy", folder / "clean", by_file_id=by_id)
    _refuse_unpaired(folder, unpaired)
    return pairs


def pair_folders(
    noisy: Path | str, clean: Path | str, *, by_file_id: bool = False
) -> tuple[list[Pair], list[Path]]:
    """Pair two folders by file name without suffix (sub-folders count), or by `fileid_N`.

    Returns the pairs, sorted by id, and the files that have no counterpart.
    Raises ManifestError if a folder has no recordings, or two files of the same name.
    """
    sides = [by_name(Path(side), by_file_id) for side in (noisy, clean)]
    common = sorted(sides[0].keys() & sides[1].keys(), key=_natural)
    unpaired = [path for side in sides for name, path in side.items() if name not in common]
    pairs = [
        Pair.model_validate(
            {
                "id": name,
                "noisy": sides[0][name],
                "clean": sides[1][name],
                **dns2020.mixture_facts(sides[0][name].stem),
            }
        )
        for name in common
    ]
    return pairs, unpaired


def load_pair(pair: Pair, microphones: int = 1) -> Mixture:
    """Decode a pair at 16 kHz, cut to the shorter signal if the lengths differ by at most 20 ms.

    Noisy is the first channel `[N]`; with several `microphones` `[M, N]`, of a recording at 16 kHz.
    Raises ManifestError for a larger difference, AudioError if a file cannot be read.
    """
    if microphones > 1:
        check_channels([pair], microphones)
        frames = frames_of(pair, microphones)
        return _mixture(pair, load_noisy(pair, microphones, 0, frames), _first(pair.clean)[:frames])
    noisy, clean = _first(pair.noisy), _first(pair.clean)
    if abs(len(noisy) - len(clean)) > MOST_APART:
        raise ManifestError(
            f"{pair.noisy}: lasts {len(noisy) / SAMPLE_RATE:.3f} s and {pair.clean} "
            f"{len(clean) / SAMPLE_RATE:.3f} s; the two must be aligned"
        )
    frames = min(len(noisy), len(clean))
    return _mixture(pair, noisy[:frames], clean[:frames])


def _first(path: Path) -> Samples:
    from stillwave.audio import read

    first: Samples = read(path, sample_rate=SAMPLE_RATE)[0][0]
    return first


def _mixture(pair: Pair, noisy: Samples, clean: Samples) -> Mixture:
    facts = MixtureRecord(
        snr_db=float("nan") if pair.snr_db is None else pair.snr_db,
        level_dbfs=10 * float(np.log10(max(float(np.mean(np.square(noisy))), 1e-20))),
        speaker=pair.speaker,
        speech=(str(pair.clean),),
        noises=(pair.noise,),
        room=pair.rir or None,
        effects=(),
        text=pair.text,
    )
    return Mixture(noisy, clean, facts)


def write_mixtures(mixer: Mixer, count: int, folder: Path | str) -> None:
    """Write mixtures 0 … count − 1 of epoch 0 to `folder`, atomically; an existing folder is replaced."""
    from stillwave.audio import write

    rows = []
    digits = max(3, len(str(count - 1)))
    with atomic_folder(folder) as work:
        for index in track(range(count), "mix"):
            mixture = mixer(0, index)
            name = f"{index:0{digits}d}"
            for side in ("noisy", "clean"):
                samples = getattr(mixture, side)
                write(work / side / f"{name}.flac", samples, mixer.store.rate, subtype="PCM_24")
            rows.append(_row(name, mixture, mixer.store.rate))
        write_text(work / "mixtures.csv", _table(rows))


def _row(name: str, mixture: Mixture, rate: int) -> tuple[object, ...]:
    facts = mixture.facts
    noise = "+".join(dict.fromkeys(Path(path).stem for path in facts.noises))
    room = Path(facts.room).stem if facts.room else ""
    seconds = round(len(mixture.noisy) / rate, 4)
    classes = "+".join(facts.noise_classes)
    return name, facts.speaker, round(facts.snr_db, 2), noise, room, seconds, facts.text, classes


def _table(rows: Iterable[Sequence[object]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(WRITTEN)
    writer.writerows(rows)
    return buffer.getvalue()


def _listed(folder: Path) -> list[Pair]:
    table = folder / "mixtures.csv"
    try:
        with table.open(newline="", encoding="utf-8-sig") as handle:
            rows = list(csv.DictReader(handle))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ManifestError(f"{table}: cannot be read as a CSV file: {error}") from None
    if not rows or "id" not in rows[0]:
        raise ManifestError(f"{table}: {'has no column id' if rows else 'lists no mixtures'}")
    sides = {side: by_name(folder / side) for side in ("noisy", "clean")}
    return [_pair(row, sides, f"{table}, line {i}") for i, row in enumerate(rows, 2)]


def _pair(row: Mapping[str, str | None], sides: dict[str, dict[str, Path]], where: str) -> Pair:
    name = row["id"] or ""
    for side, files in sides.items():
        if name not in files:
            raise ManifestError(f"{where}: there is no {side}/{name}.flac (nor .wav)")
    fields = {key: row[key] for key in COLUMNS if row.get(key)}
    try:
        return Pair.model_validate({**fields, "noisy": sides["noisy"][name], "clean": sides["clean"][name]})
    except ValidationError as error:
        first = error.errors()[0]
        raise ManifestError(
            f"{where}: column '{first['loc'][0]}' is {first['input']!r}, not a number"
        ) from None


def _voicebank(folder: Path) -> list[Pair]:
    pairs, unpaired = pair_folders(folder / "noisy_testset_wav", folder / "clean_testset_wav")
    _refuse_unpaired(folder, unpaired)
    log = voicebank.read_log(folder / "log_testset.txt")
    return [_with_log(pair, log, folder / "testset_txt" / f"{pair.id}.txt") for pair in pairs]


def _l3das(folder: Path) -> list[Pair]:
    """Read a set by headers only; raise ManifestError for a faulty clip."""
    from stillwave.data.corpora import l3das23

    both = any((folder / "data").glob("*_B.wav"))
    found = l3das23.scan_pairs(folder, microphones=2 if both else 1, decode=False)
    if found.skipped:
        path, reason, detail = found.skipped[0]
        more = f", and {len(found.skipped) - 1} more" if found.skipped[1:] else ""
        raise ManifestError(
            f"{path}: {reason}{f' ({detail})' if detail else ''}{more}; "
            "`stillwave data scan --corpus l3das23` makes a manifest without such clips"
        )
    return found.pairs


def _with_log(pair: Pair, log: dict[str, tuple[str, float]], text: Path) -> Pair:
    noise, snr_db = log.get(pair.id, ("", None))
    transcript = text.read_text(encoding="utf-8", errors="replace").strip() if text.is_file() else ""
    known = {"speaker": voicebank.speaker_of(pair.id), "noise": noise, "snr_db": snr_db, "text": transcript}
    return pair.model_copy(update=known)


def by_name(folder: Path, by_file_id: bool = False) -> dict[str, Path]:
    """Return name without suffix → file, of all sub-folders."""
    if not folder.is_dir():
        raise ManifestError(f"{folder}: there is no such folder")
    found: dict[str, Path] = {}
    for path in walk(folder).files:
        if path.suffix.lower() not in SUFFIXES:
            continue
        plain = printable(path.relative_to(folder).with_suffix("").as_posix())
        name = (dns2020.file_id(path.name) or plain) if by_file_id else plain
        if name in found:
            raise ManifestError(f"{path}: has the same name as {found[name]}; rename one of them")
        found[name] = path
    if not found:
        raise ManifestError(f"{folder}: contains no recordings")
    return found


def _refuse_unpaired(folder: Path, unpaired: Sequence[Path]) -> None:
    if unpaired:
        others = f" and {len(unpaired) - 1} more" if len(unpaired) > 1 else ""
        raise ManifestError(
            f"{unpaired[0]}{others}: no counterpart of the same name in {folder}; a broken link is none: "
            "add it, or remove this file"
        )


def _natural(name: str) -> tuple[int, str]:
    """Sort numbers by value, before other names."""
    return (int(name), "") if name.isdecimal() else (2**62, name)
