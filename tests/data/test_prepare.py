"""The script that writes the denoisers' manifests: what is held out, and what stays together."""

import importlib.util
import sys
from pathlib import Path

import pytest

from stillwave.data.manifest import Recording, read_manifest

SCRIPT = Path(__file__).parents[2] / "experiments" / "data" / "prepare.py"


@pytest.fixture(scope="module")
def prepare():
    spec = importlib.util.spec_from_file_location("prepare", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def clip(path, source="", **fields):
    return Recording(path=path, sample_rate=16000, channels=1, seconds=4, source=source, **fields)


def test_clips_of_one_original_or_of_numbered_variants_stay_together(prepare):
    clips = [
        clip("/x/noise/a/0.opus", "set:s/step1.ogg"),
        clip("/x/noise/a/1.opus", "set:s/step2.ogg ; s/door.wav"),
        clip("/x/noise/b/0.opus", "other:door.mp3"),
        clip("/x/noise/b/1.opus", "other:rain.mp3"),
    ]
    groups = [r.source for r in prepare.together(clips)]
    assert groups[0] == groups[1] == groups[2] != groups[3]


def test_noise_is_held_out_of_every_set_by_recording(prepare):
    clips = [
        clip(f"/x/noise/{s}/{i}.opus", f"{s}:{chr(97 + i // 2) * 3}{s}.ogg") for s in "pq" for i in range(12)
    ]
    kept, held = prepare.noise(clips, Path("/x"))
    assert {r.path.parent.name for r in held} == {"p", "q"}
    assert {r.source for r in kept}.isdisjoint(r.source for r in held)
    assert len(kept) + len(held) == 24


def test_of_a_long_session_the_last_quarter_is_held_out(prepare):
    session = [
        clip(f"/x/noise/s/{i:03}.opus", "s:one-name").model_copy(update={"seconds": 20.0}) for i in range(40)
    ]
    other = [clip("/x/noise/s/900.opus", "s:other.ogg"), clip("/x/noise/s/901.opus", "s:third.ogg")]
    kept, held = prepare.noise([*session, *other], Path("/x"))
    late = [r for r in held if r.source == "onename"]
    assert [r.path for r in late] == [r.path for r in session[30:]]
    assert {r.path for r in session[:30]} <= {r.path for r in kept}
    assert {r.source for r in kept}.isdisjoint(r.source for r in held)


def test_speakers_are_held_out_where_each_has_a_name(prepare):
    names = {"an4_en": 12, "picovoice_wakewords": 12, "kerstin_de": 1}
    clips = [
        clip(f"/x/speech/{corpus}/{i}-{k}.opus", speaker=f"{corpus}{i}")
        for corpus, speakers in names.items()
        for i in range(speakers)
        for k in range(2)
    ]
    kept, held = prepare.speech(clips, Path("/x"))
    assert {r.path.parent.name for r in held} == {"an4_en"}
    assert {r.speaker for r in kept}.isdisjoint(r.speaker for r in held)


def test_the_two_readers_of_whom_there_is_most_are_trained_on_at_48_khz(prepare):
    clips = [
        clip(f"/x/speech/{i}.opus", speaker=speaker, label=bandwidth)
        for i, (speaker, bandwidth) in enumerate(
            [("a", "18000"), ("b", "16000"), ("c", "24000"), ("b", "18000"), ("a", "18000"), ("d", "8000")]
        )
    ]
    kept, held = prepare.full_band_speech(clips)
    assert {r.speaker for r in kept} == {"a", "b"}
    assert [r.speaker for r in held] == ["c"]


def test_the_script_is_deterministic(prepare, tmp_path, world, monkeypatch):
    for part in ("train", "more"):
        folder = tmp_path / "audio" / part
        folder.mkdir(parents=True)
        for kind, table, head in (
            ("speech", "speech.csv", "file,speaker,language"),
            ("noise", "noise.csv", "file,class,source"),
            ("rooms", "rir.csv", "file,source,rt60_estimate,t60_est"),
        ):
            (folder / ("rir" if kind == "rooms" else kind)).symlink_to(world["folder"] / kind)
            place = "rir" if kind == "rooms" else kind
            rows = []
            for i, r in enumerate(world[kind]):
                fields = {
                    "speech": f"{r.speaker},en",
                    "noise": f"x,set:{chr(97 + i)}.wav",
                    "rooms": f"s{i},1,1",
                }
                rows.append(f"{place}/{r.path.relative_to(world['folder'] / kind)},{fields[kind]}")
            (folder / table).write_text("\n".join([head, *rows]) + "\n")
    contents = []
    for out in ("one", "two"):
        arguments = [str(tmp_path / "audio"), str(tmp_path / out), "--no-rooms", "--no-cache"]
        monkeypatch.setattr(sys, "argv", ["prepare.py", *arguments])
        monkeypatch.setattr(prepare, "FEWEST_SPEAKERS", 2)
        prepare.main()
        contents.append({file.name: file.read_bytes() for file in (tmp_path / out).iterdir()})
    assert contents[0] == contents[1]
    assert len(contents[0]) == 2 * 2 * 3 + 4 + 1
    held = read_manifest(tmp_path / "one" / "more-noise-development.jsonl")
    assert all(r.kind == "noise" and r.source for r in held)
