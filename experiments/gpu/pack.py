"""Pack the training audio into archives small enough to be sent one by one to a machine with a GPU.

    python experiments/gpu/pack.py AUDIO PREPARED OUT [--most 55e6]

AUDIO holds train/ and more/ (encoded recordings and their tables), PREPARED is what experiments/data/prepare.py wrote
(of it only the simulated rooms are packed: the manifests and the decoded audio are made again on the other machine).
OUT receives part-00.tar, part-01.tar, … of at most `--most` bytes each. The same input gives the same bytes.
"""

from __future__ import annotations

import argparse
import tarfile
from collections.abc import Iterable
from pathlib import Path

from stillwave.console import track
from stillwave.files import atomic_file

FOLDERS = ("train", "more")
BLOCK = 512
"""Bytes of a tar header, and the unit that contents are padded to."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("audio", type=Path)
    parser.add_argument("prepared", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--most", type=float, default=55e6, help="bytes of an archive")
    options = parser.parse_args()
    files = [
        (path, Path("audio") / path.relative_to(options.audio)) for path in listed(options.audio, FOLDERS)
    ]
    rooms = options.prepared.resolve()
    files += [(path, Path("prepared") / path.relative_to(rooms)) for path in listed(rooms, ("rooms",))]
    for number, part in enumerate(track(parts(files, int(options.most)), "pack")):
        write(options.output / f"part-{number:02d}.tar", part)


def listed(folder: Path, names: Iterable[str]) -> list[Path]:
    """All files below the folders `names`, sorted."""
    return sorted(path for name in names for path in (folder / name).rglob("*") if path.is_file())


def parts(files: list[tuple[Path, Path]], most: int) -> list[list[tuple[Path, Path]]]:
    """Files in groups whose archives have at most `most` bytes."""
    groups: list[list[tuple[Path, Path]]] = [[]]
    used = end = 20 * BLOCK  # the end of an archive is padded to 20 blocks
    for path, name in files:
        size = BLOCK + -(-path.stat().st_size // BLOCK) * BLOCK
        if groups[-1] and used + size > most:
            groups.append([])
            used = end
        groups[-1].append((path, name))
        used += size
    return groups


def write(archive: Path, files: list[tuple[Path, Path]]) -> None:
    """Write a tar file without dates and owners."""
    with (
        atomic_file(archive) as temporary,
        tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as packed,
    ):
        for path, name in files:
            info = tarfile.TarInfo(name.as_posix())
            info.size = path.stat().st_size
            with path.open("rb") as handle:
                packed.addfile(info, handle)


if __name__ == "__main__":
    main()
