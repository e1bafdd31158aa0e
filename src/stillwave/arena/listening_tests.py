"""Listening tests of other programs and of ITU-T P.835, with the clips of an arena."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from stillwave.arena.clips import CLEAN, Clip
from stillwave.evaluation import NOISY
from stillwave.files import write_text
from stillwave.reports.html import write_page
from stillwave.reports.listening import write_clip
from stillwave.reports.markup import csv_table

SCALES = {
    "sig": (
        "Speech signal",
        ("Not distorted", "Slightly distorted", "Somewhat distorted", "Fairly distorted", "Very distorted"),
    ),
    "bak": (
        "Background",
        (
            "Not noticeable",
            "Slightly noticeable",
            "Noticeable but not intrusive",
            "Somewhat intrusive",
            "Very intrusive",
        ),
    ),
    "ovrl": ("Overall", ("Excellent", "Good", "Fair", "Poor", "Bad")),
}
"""The scales of P.835, from 5 to 1."""
_STIMULI = "configs/resources/stillwave"


def write_webmushra(folder: Path, clips: Sequence[Clip]) -> Path:
    """Write `configs/stillwave.yaml` and its stimuli, to be copied into the folder of webMUSHRA; return the file.

    With clean references it is a MUSHRA test (BS.1534) with an anchor at 3.5 kHz, otherwise a rating on five grades.
    """
    pages: list[Any] = ["random"]
    for number, clip in enumerate(clips):
        files = {}
        for name, samples in clip.versions.items():
            safe = re.sub(r"[^A-Za-z0-9._-]+", "_", name)
            files[name] = f"{_STIMULI}/{number:02d}/{safe}.wav"
            write_clip(folder / files[name], samples, clip.rate)
        pages.append(_page(f"recording_{number:02d}", files))
    config = {
        "testname": "Speech enhancement",
        "testId": "stillwave",
        "bufferSize": 2048,
        "stopOnErrors": True,
        "showButtonPreviousPage": True,
        "remoteService": "service/write.php",
        "pages": [
            _WELCOME,
            pages,
            {
                "type": "finish",
                "name": "Thank you",
                "content": "",
                "showResults": False,
                "writeResults": True,
            },
        ],
    }
    file = folder / "configs" / "stillwave.yaml"
    write_text(file, yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
    return file


_WELCOME = {
    "type": "generic",
    "id": "welcome",
    "name": "Welcome",
    "content": "Use headphones. Set the level once and keep it. Rate the versions of each recording.",
}


def _page(identifier: str, files: dict[str, str]) -> dict[str, Any]:
    head = {
        "id": identifier,
        "name": "Rate the versions",
        "content": "Rate the overall quality of each version.",
    }
    stimuli = {name: file for name, file in files.items() if name != CLEAN}
    if CLEAN not in files:
        response = [{"value": str(5 - i), "label": label} for i, label in enumerate(SCALES["ovrl"][1])]
        return {
            "type": "likert_multi_stimulus",
            **head,
            "mustRate": True,
            "stimuli": stimuli,
            "response": response,
        }
    anchors = {"createAnchor35": True, "createAnchor70": False}
    settings = {"showWaveform": False, "enableLooping": True, "randomize": True, "showConditionNames": False}
    return {"type": "mushra", **head, **settings, "reference": files[CLEAN], **anchors, "stimuli": stimuli}


def write_p835(folder: Path, clips: Sequence[Clip], seed: int) -> Path:
    """Write a rating form of ITU-T P.835 with its clips, and two tables; return the form.

    Clips have neutral names and a random order. `key.csv` has recording and system of each; `rating_clips.csv` lists
    the clips in a column `rating_clips`, as the P.808 Toolkit reads it.
    """
    versions = [(clip, name) for clip in clips for name in (NOISY, *clip.systems)]
    order = np.random.default_rng([seed, len(versions)]).permutation(len(versions))
    rows, boxes = [], []
    for number, place in enumerate(order):
        clip, name = versions[place]
        file = f"clips/{number:03d}.wav"
        write_clip(folder / file, clip.versions[name], clip.rate)
        rows.append((file, clip.id, name))
        scales = ("sig", "bak", "ovrl") if number % 2 == 0 else ("bak", "sig", "ovrl")
        boxes.append({"file": file, "scales": scales})
    write_text(folder / "key.csv", csv_table(("clip", "recording", "system"), rows))
    write_text(folder / "rating_clips.csv", csv_table(("rating_clips",), [(file,) for file, _, _ in rows]))
    context = {"boxes": boxes, "scales": SCALES}
    return write_page(folder / "index.html", "stillwave.arena", context, template="p835.html")
