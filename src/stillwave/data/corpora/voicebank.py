"""VoiceBank+DEMAND (Valentini-Botinhao, 2017, doi 10.7488/ds/2117): 28 or 56 speakers to train, two to test,
48 kHz.

    clean_trainset_28spk_wav/p226_001.wav   noisy_trainset_28spk_wav/p226_001.wav
    clean_testset_wav/p232_001.wav          noisy_testset_wav/p232_001.wav
    trainset_28spk_txt/p226_001.txt         testset_txt/p232_001.txt
    log_testset.txt                         lines such as "p232_001 bus 17.5": name, noise, SNR in dB

Noise is published only in the noisy files, so a scan returns speech; `pair_sets.read_pairs` reads the pairs.
"""

from __future__ import annotations

import re
from pathlib import Path

KINDS = ("speech",)
LAYOUT = "clean_trainset_28spk_wav/ (or _56spk_, or clean_trainset_wav/)"

_CLEAN_TRAIN = re.compile(r"^clean_trainset(_\d+spk)?_wav$")
_SPEAKER = re.compile(r"^(p\d+)_")


def kind_of(path: Path) -> str:
    """Return `speech` for the clean training folder; empty for others."""
    return "speech" if any(_CLEAN_TRAIN.match(part) for part in path.parts[:-1]) else ""


def describe(path: Path) -> dict[str, str] | str:
    """Return the speaker of a clean training file, or why a file is skipped.

    Examples:
        >>> describe(Path("clean_trainset_28spk_wav/p226_001.wav"))
        {'licence': 'CC-BY-4.0', 'speaker': 'p226'}

    """
    if not kind_of(path):
        folders = "/".join(path.parts[:-1])
        return (
            "test set"
            if "testset" in folders
            else "noisy half of a pair"
            if "noisy" in folders
            else "not speech"
        )
    speaker = speaker_of(path.stem)
    return {"licence": "CC-BY-4.0", **({"speaker": speaker} if speaker else {})}


def speaker_of(stem: str) -> str:
    """Return `p232` of `p232_001`; empty for other names."""
    found = _SPEAKER.match(stem)
    return found.group(1) if found else ""


def read_log(path: Path) -> dict[str, tuple[str, float]]:
    """Read name → (noise, SNR in dB) from `log_testset.txt`; empty if there is none. Other lines are skipped."""
    if not path.is_file():
        return {}
    rows = (line.split() for line in path.read_text(encoding="utf-8", errors="replace").splitlines())
    return {row[0]: (row[1], float(row[2])) for row in rows if len(row) == 3 and _number(row[2])}


def _number(text: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?", text) is not None
