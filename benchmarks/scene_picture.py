"""A simulated scene from above, and the channels of its microphones: docs/pictures/scene.svg.

stillwave data simulate -o sim --speech speech.jsonl --noise noise.jsonl --clips 1
python benchmarks/scene_picture.py sim/L3DAS23_Task1_train100 scene_000000 docs/pictures/scene.svg
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from stillwave.audio import read
from stillwave.data.scenes.ambisonics import CHANNELS, about_z


def from_above(axis: Any, facts: dict[str, Any]) -> None:
    """The room, who is where, and which way the microphones look."""
    length, width, _ = facts["room"]
    a, b, speech = (np.array(facts[key]) for key in ("microphone_a", "microphone_b", "speech_position"))
    axis.plot([0, length, length, 0, 0], [0, 0, width, width, 0], color="black")
    axis.plot([a[0], speech[0]], [a[1], speech[1]], ":", color="tab:green")
    axis.plot(*speech[:2], "o", color="tab:green", label="talker")
    for number, noise in enumerate(facts["noise_positions"]):
        axis.plot(*noise[:2], "x", color="tab:red", label="noise" if not number else None)
    for name, place in (("A", a), ("B", b)):
        axis.plot(
            *place[:2], "s", color="tab:blue", markersize=4, label="microphones A, B" if name == "A" else None
        )
    for name, vector in (("x", (0.7, 0, 0)), ("y", (0, 0.7, 0))):
        step = about_z(facts["yaw"]) @ np.array(vector)
        axis.annotate("", a[:2] + step[:2], a[:2], arrowprops={"arrowstyle": "->", "color": "tab:blue"})
        axis.text(*(a + 1.15 * step)[:2], name, color="tab:blue", ha="center", va="center")
    axis.set(
        aspect="equal",
        xlabel="m",
        ylabel="m",
        title=f"RT60 {facts['rt60']:.2f} s, SNR {facts['snr_db']:.1f} dB",
    )
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3, fontsize=7, frameon=False)


def channels(axis: Any, rows: Any, clean: Any, rate: int) -> None:
    """All channels under one another, at one scale, and the target."""
    step = np.abs(rows).max()
    names = [f"{name} {side}" for side in "AB" for name in CHANNELS]
    every = max(1, rows.shape[1] // 3000)
    time = np.arange(0, rows.shape[1], every) / rate
    for number, (row, name) in enumerate(zip([*rows, clean], [*names, "target"], strict=True)):
        colour = "tab:green" if name == "target" else "tab:blue"
        axis.plot(time, row[::every] / step - 1.5 * number, color=colour, linewidth=0.4, rasterized=True)
        axis.text(-0.02 * time[-1], -1.5 * number, name, ha="right", va="center", fontsize=8)
    axis.set(yticks=[], xlim=(0, time[-1]), xlabel="s", title="what the microphones hear, and the target")


def main() -> None:
    from matplotlib.figure import Figure

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("set", type=Path)
    parser.add_argument("name")
    parser.add_argument("picture", type=Path)
    arguments = parser.parse_args()
    facts = json.loads((arguments.set / "scenes" / f"{arguments.name}.json").read_text(encoding="utf-8"))
    sides = [read(arguments.set / "data" / f"{arguments.name}_{side}.wav") for side in "AB"]
    clean = read(arguments.set / "labels" / f"{arguments.name}.wav")[0][0]
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.3])
    from_above(left, facts)
    channels(right, np.concatenate([samples for samples, _ in sides]), clean, sides[0][1])
    figure.savefig(arguments.picture, dpi=110, metadata={"Date": None})


if __name__ == "__main__":
    main()
