"""Write simulated scenes in the layout of L3DAS23 Task 1, with their parameters.

OUT/L3DAS23_Task1_SET/data/NAME_A.wav  NAME_B.wav     four channels each, 16 kHz, 16 bit
OUT/L3DAS23_Task1_SET/labels/NAME.wav  NAME.txt       the target, and the transcript if it is known
OUT/L3DAS23_Task1_SET/scenes/NAME.json                geometry, SNR, RT60, recordings: written last, so that a scene
                                                      with one is complete
OUT/L3DAS23_Task1_SET/scenes.csv                      the same as a table
OUT/L3DAS23_Task1_SET/simulation.json                 the settings, which must agree when it is continued
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stillwave.audio import write
from stillwave.console import track
from stillwave.data.decoded_cache import DecodedAudioCache
from stillwave.data.manifest import ManifestError, Recording
from stillwave.data.scenes.geometry import SceneConfig
from stillwave.data.scenes.simulate import Scene, Simulator
from stillwave.files import write_json, write_text
from stillwave.schema import SAMPLE_RATE

SETTINGS, TABLE = "simulation.json", "scenes.csv"
COLUMNS = (
    "id",
    "speaker",
    "seconds",
    "snr_db",
    "rt60",
    "absorption",
    "room",
    "distance",
    "direction",
    "yaw",
    "noises",
    "text",
)


@dataclass(frozen=True)
class Written:
    """The result of `simulate`."""

    folder: Path
    clips: int
    kept: int
    """Clips that existed before."""
    seconds: float
    """Total duration of the clips."""
    too_long: int
    """Utterances that were too long to be used."""


def simulate(
    out: Path,
    speech: Sequence[Recording],
    noise: Sequence[Recording],
    clips: int,
    *,
    subset: str = "train100",
    config: SceneConfig | None = None,
    seed: int = 0,
    jobs: int = 1,
    store: DecodedAudioCache | None = None,
) -> Written:
    """Write scenes 0 … clips − 1, except those that exist. The files are the same for any `jobs`.

    Raises ManifestError for a folder that was simulated with other settings or recordings.
    """
    from joblib import Parallel, delayed

    simulator = Simulator(speech, noise, config, seed, store)
    folder = out / f"L3DAS23_Task1_{subset}"
    _settle(folder, _settings(simulator))
    names = [f"scene_{index:06d}" for index in range(clips)]
    waiting = [index for index, name in enumerate(names) if not complete(folder, name)]
    if waiting:
        simulator.store.prepare([*simulator.speech.recordings, *noise], jobs)
        work = Parallel(n_jobs=min(jobs, len(waiting)), return_as="generator_unordered")
        done = work(delayed(_write_scene)(simulator, index, folder, names[index]) for index in waiting)
        for _ in track(done, f"simulate {folder.name}", len(waiting)):
            pass
    rows = [json.loads((folder / "scenes" / f"{name}.json").read_text(encoding="utf-8")) for name in names]
    write_text(folder / TABLE, _table(names, rows))
    seconds = sum(row["seconds"] for row in rows)
    return Written(folder, clips, clips - len(waiting), seconds, simulator.too_long)


def complete(folder: Path, name: str) -> bool:
    """Return whether all files of a scene exist; its JSON file is written last."""
    files = (f"scenes/{name}.json", f"data/{name}_A.wav", f"data/{name}_B.wav", f"labels/{name}.wav")
    return all((folder / file).is_file() for file in files)


def _write_scene(simulator: Simulator, index: int, folder: Path, name: str) -> None:
    scene: Scene = simulator(index)
    for side, channels in (("A", scene.noisy[:4]), ("B", scene.noisy[4:])):
        write(folder / "data" / f"{name}_{side}.wav", channels, SAMPLE_RATE, subtype="PCM_16")
    write(folder / "labels" / f"{name}.wav", scene.clean, SAMPLE_RATE, subtype="PCM_16")
    if scene.speech.text:
        write_text(folder / "labels" / f"{name}.txt", scene.speech.text + "\n")
    write_json(folder / "scenes" / f"{name}.json", scene.facts)


def _settings(simulator: Simulator) -> dict[str, Any]:
    kinds = {"speech": simulator.speech.recordings, "noise": simulator.noise.recordings}
    return {
        "seed": simulator.seed,
        **simulator.config.model_dump(mode="json"),
        **{kind: {"recordings": len(found), "sha256": _hash(found)} for kind, found in kinds.items()},
    }


def _hash(recordings: Sequence[Recording]) -> str:
    lines = "\n".join(f"{recording.path}\t{recording.seconds}" for recording in recordings)
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()


def _settle(folder: Path, settings: dict[str, Any]) -> None:
    """Create the folder, or raise ManifestError if it has other settings."""
    file = folder / SETTINGS
    if not file.is_file():
        if folder.is_dir() and any(folder.iterdir()):
            raise ManifestError(
                f"{folder}: contains other files than a simulated set; give another folder or --subset"
            )
        write_json(file, settings)
        return
    try:
        before = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        raise ManifestError(f"{file}: is damaged; remove the folder or give another one") from None
    other = sorted(key for key in before.keys() | settings.keys() if before.get(key) != settings.get(key))
    if other:
        raise ManifestError(
            f"{folder}: was simulated with other values of {', '.join(other)}; give the same ones, or another folder"
        )


def _table(names: Sequence[str], rows: Sequence[dict[str, Any]]) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for name, row in zip(names, rows, strict=True):
        shown = {key: " ".join(map(_cell, v)) if isinstance(v, list) else v for key, v in row.items()}
        writer.writerow({"id": name, **shown})
    return buffer.getvalue()


def _cell(value: Any) -> str:
    return Path(value).stem if isinstance(value, str) else str(value)
