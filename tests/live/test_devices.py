"""Sound devices by number and name, and the verb `live`, with a sound library that has no hardware."""

from __future__ import annotations

import json
import os
import sys

import fake_sound
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from stillwave.cli import guard
from stillwave.cli.live import live
from stillwave.errors import AudioError, MissingExtraError, StillwaveError
from stillwave.inference.stream import Stream
from stillwave.live.devices import devices, find, running
from stillwave.live.keyboard import keyboard
from stillwave.live.meters import counts, decibels, output_state, table
from stillwave.live.processor import LiveProcessor


@pytest.fixture
def sound(monkeypatch):
    made = fake_sound.module(
        fake_sound.device("Built-in Microphone", 2, 0),
        fake_sound.device("Built-in Speaker", 0, 2, 44_100.0),
        fake_sound.device("USB Headset", 1, 1, 16_000.0),
        fake_sound.device("USB Headset (virtual)", 0, 8),
    )
    monkeypatch.setitem(sys.modules, "sounddevice", made)
    return made


@pytest.fixture
def run():
    app = typer.Typer()
    app.command()(guard(live))
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_devices_are_listed_with_their_defaults(sound):
    found = devices()
    assert [(d.number, d.inputs, d.outputs, d.rate, d.default) for d in found] == [
        (0, 2, 0, 48_000, ("input",)), (1, 0, 2, 44_100, ("output",)), (2, 1, 1, 16_000, ()), (3, 0, 8, 48_000, ())
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "kind", "number"),
    [(None, "input", 0), (None, "output", 1), ("2", "input", 2), ("headset", "input", 2), ("USB Headset", "output", 2),
     ("virtual", "output", 3)],
)  # fmt: skip
def test_a_device_by_number_or_name(sound, wanted, kind, number):
    assert find(wanted, kind).number == number


@pytest.mark.parametrize(
    ("wanted", "kind", "words"),
    [
        (
            "usb",
            "output",
            r"'usb' .*output .*\(2: USB Headset; 3: USB Headset \(virtual\)\)",
        ),
        ("1", "input", r"'1' .*input .*\(0: Built-in Microphone; 2: USB Headset\)"),
        ("none", "output", r"'none' .*output .*\(1: Built-in Speaker; "),
    ],
)
def test_an_ambiguous_or_unknown_device_is_refused(sound, wanted, kind, words):
    with pytest.raises(AudioError, match=words):
        find(wanted, kind)


def test_without_devices_the_error_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", fake_sound.module(default=(-1, -1)))
    with pytest.raises(AudioError, match=r"no input device.*--list"):
        find(None, "input")


def test_without_the_library_the_error_names_the_extra_or_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MissingExtraError) as caught:
        devices()
    assert caught.value.extra == "live"

    def missing(name):
        raise OSError("PortAudio library not found")

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(StillwaveError, match=r"PortAudio.*apt install libportaudio2"):
        devices()


SINKS = "12\tclean_speech\tPipeWire\tfloat32le 2ch 48000Hz\tIDLE\n"
SOURCES = (
    "7\tclean_speech.monitor\tPipeWire\tfloat32le 2ch 48000Hz\tIDLE\n"
    "9\talsa_input.usb-Mic\tmodule-alsa-card.c\ts16le 1ch 44100Hz\tRUNNING\n"
    "no row\n"
)


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A sound server with one sink, which a `pactl` lists, beside a sound card."""
    program = tmp_path / "pactl"
    program.write_text(f"#!/bin/sh\n[ $3 = sinks ] && printf '{SINKS}' || printf '{SOURCES}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    made = fake_sound.module(fake_sound.device("hw:0", 2, 2), fake_sound.device("pulse", 32, 32))
    monkeypatch.setitem(sys.modules, "sounddevice", made)
    return made


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
def test_sinks_and_sources_of_the_sound_server_are_devices(server) -> None:
    found = [(d.number, d.name, d.inputs, d.outputs, d.rate, d.through) for d in devices()]
    assert found[:2] == [(0, "hw:0", 2, 2, 48_000, None), (1, "pulse", 32, 32, 48_000, None)]
    assert found[2:] == [
        (2, "clean_speech.monitor", 2, 0, 48_000, 1),
        (3, "alsa_input.usb-Mic", 1, 0, 44_100, 1),
        (4, "clean_speech", 0, 2, 48_000, 1),
    ]
    assert find("clean", "output").number == 4


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
def test_live_opens_sinks_and_sources_by_name(server, run, file, monkeypatch) -> None:
    opened = []

    class Stream(server.Stream):
        def __init__(self, **options):
            opened.append((os.environ["PULSE_SOURCE"], os.environ["PULSE_SINK"], options["device"]))
            super().__init__(**options)

    monkeypatch.setattr(server, "Stream", Stream)
    monkeypatch.setenv("PULSE_SINK", "another")
    result = run("-m", file, "-i", "usb", "-o", "clean_speech", "--seconds", 0.1)
    assert result.exit_code == 0, result.stderr
    assert opened == [("alsa_input.usb-Mic", "clean_speech", (1, 1))]
    assert os.environ["PULSE_SINK"] == "another"
    assert "PULSE_SOURCE" not in os.environ


def test_without_pactl_the_sound_server_has_no_devices(server, monkeypatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert [device.name for device in devices()] == ["hw:0", "pulse"]


def test_live_runs_and_counts(sound, run, file):
    result = run("-m", file, "--seconds", 0.5, "--block-ms", 20, "--lag", 3, "--json")
    assert result.exit_code == 0, result.stderr
    figures = json.loads(result.stdout)
    assert figures["blocks"] > 0
    assert "Built-in Microphone → Built-in Speaker, 44100 Hz, 116 ms" in result.stderr
    assert "device faults" in result.stderr
    (options,) = fake_sound.Stream.opened
    assert (options["samplerate"], options["blocksize"], options["device"]) == (44_100, 882, (0, 1))
    assert options["channels"] == (1, 2)


def test_live_uses_the_named_devices_and_rate(sound, run, file):
    result = run("-m", file, "-i", "headset", "-o", 3, "--rate", 16_000, "--seconds", 0.1)
    assert result.exit_code == 0, result.stderr
    (options,) = fake_sound.Stream.opened
    assert (options["samplerate"], options["blocksize"], options["device"]) == (16_000, 160, (2, 3))


def test_every_output_channel_gets_the_signal(sound, file):
    from stillwave.inference import load

    lane = LiveProcessor(load(file).open(16_000), 160)
    lane.bypass = True
    with running(lane, find(None, "input"), find(None, "output")) as opened:
        while len(opened.heard) < 20:
            pass
    given = np.concatenate(opened.heard)
    assert np.isfinite(given).all()
    assert np.array_equal(given[:, 0], given[:, 1])
    assert np.abs(given).max() == pytest.approx(0.5, rel=0.01)


def test_device_faults_are_counted_without_stopping(sound, file):
    from stillwave.inference import load

    sound.Stream.broken = 7
    lane = LiveProcessor(load(file).open(16_000), 160)
    with running(lane, find(None, "input"), find(None, "output")) as opened:
        while len(opened.heard) < 20:
            pass
    assert lane.statistics.device_faults == 7


def test_devices_that_cannot_be_opened_are_reported(sound, run, file):
    sound.Stream.refused = "Invalid sample rate"
    result = run("-m", file, "--seconds", 1)
    assert result.exit_code == 2
    message = " ".join(result.stderr.split())
    assert (
        "Built-in Microphone and Built-in Speaker cannot be opened at 44100 Hz: Invalid sample rate"
        in message
    )


def test_too_few_microphones_are_refused(sound):
    class Eight:
        sample_rate, microphones, n_fft, hop, fingerprint = 16_000, 8, 512, 256, ""

        def begin(self, streams):
            return {}

    with (
        pytest.raises(AudioError, match=r"Built-in Microphone: .*2 channels.* 8 microphones"),
        running(LiveProcessor(Stream(Eight()), 160), find(None, "input"), find(None, "output")),
    ):
        pass


def test_an_error_of_the_network_is_reported(sound, run, file, monkeypatch):
    from stillwave.inference.backend import OnnxBackend

    def fail(self, spectrum, state):
        raise StillwaveError("the exported network failed: because")

    monkeypatch.setattr(OnnxBackend, "step", fail)
    result = run("-m", file, "--seconds", 30)
    assert result.exit_code == 2
    assert "the exported network failed: because" in result.stderr


def test_the_list_needs_no_model(sound, run):
    rows = json.loads(run("--list", "--json").stdout)
    assert [row["name"] for row in rows][:2] == ["Built-in Microphone", "Built-in Speaker"]
    assert "USB Headset" in run("--list").stdout


def test_without_a_model_the_default_is_used(sound, run):
    result = run("--seconds", 0.2, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["blocks"] > 0


def test_b_toggles_bypass_and_q_quits(sound, run, file, monkeypatch):
    from contextlib import contextmanager

    pressed = iter(["b", "", "B", "b", "q"])
    lanes = []

    @contextmanager
    def typed():
        yield lambda: next(pressed)

    monkeypatch.setattr("stillwave.live.keyboard.keyboard", typed)
    monkeypatch.setattr("stillwave.live.meters.table", lambda lane: lanes.append(lane.bypass) or "")
    assert run("-m", file).exit_code == 0
    assert lanes == [False, True, True, False, True]  # drawn once before the first key


def test_without_a_terminal_no_keys_are_read(monkeypatch):
    monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: PTH123, SIM115
    with keyboard() as pressed:
        assert pressed() == ""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_keys_are_read_one_by_one_from_a_terminal(monkeypatch):
    import os
    import pty
    import termios

    ours, theirs = pty.openpty()
    monkeypatch.setattr("sys.stdin", os.fdopen(theirs, "r"))
    before = termios.tcgetattr(theirs)
    with keyboard() as pressed:
        assert pressed() == ""
        os.write(ours, b"bq")
        assert (pressed(), pressed(), pressed()) == ("b", "q", "")
    assert termios.tcgetattr(theirs) == before


def test_meters_show_the_played_signal(file):
    from rich.console import Console

    from stillwave.inference import load

    lane = LiveProcessor(load(file).open(16_000), 160)
    assert output_state(lane).startswith("dry")
    lane.statistics.clean = True
    assert output_state(lane) == "clean"
    lane.bypass = True
    assert output_state(lane) == "bypassed"
    lane.statistics.late, lane.statistics.blocks, lane.statistics.peak_in = 3, 100, 1.0
    assert counts(lane.statistics) == "3 of 100 blocks late, 0 fallbacks to dry, 0 skipped, 0 device faults"
    assert (decibels(1), decibels(0), decibels(0.1)) == (0, -60, pytest.approx(-20))
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    console.print(table(lane))
    assert "0 dB" in console.export_text()


def test_help_shows_an_example(run):
    assert "stillwave live --list" in run("--help").stdout
