"""What the command line means: models, peers, files, programs and folders."""

from __future__ import annotations

import numpy as np
import pytest

from stillwave.arena.systems import ArenaSystem, parse
from stillwave.audio import write
from stillwave.errors import StillwaveError


def kinds(*values):
    return [(system.name, system.kind) for system in parse(values)]


def test_kinds_and_names(tmp_path):
    write(tmp_path / "out" / "a.wav", np.zeros((1, 100), np.float32), 16_000)
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "recipe.yaml").write_text("")
    (tmp_path / "net.pt").write_bytes(b"")
    assert kinds(
        "bsrnn-xs",
        "rnnoise",
        "dfn3=deepfilternet3",
        "python:mine:enhance",
        "cmd: /usr/bin/tool --x=1 {in} {out}",
    ) == [
        ("bsrnn-xs", "model"),
        ("rnnoise", "external"),
        ("dfn3", "external"),
        ("enhance", "external"),
        ("tool", "command"),
    ]
    assert kinds(str(tmp_path / "out"), str(tmp_path / "run")) == [("out", "outputs"), ("run", "model")]
    assert kinds(str(tmp_path / "net.pt")) == [("net", "external")]


def test_a_file_is_ours_or_of_others(tmp_path):
    from stillwave import pretrained

    (tmp_path / "net.onnx").write_bytes(b"no graph of ours")
    assert kinds(str(tmp_path / "net.onnx")) == [("net", "external")]
    assert kinds(f"mine={pretrained.find('bsrnn-xs')}") == [("mine", "model")]


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(StillwaveError, match="is empty; a folder is a checkpoint, a run, or estimates"):
        parse([str(tmp_path)])


def test_a_command_keeps_its_equals_signs():
    assert parse(["cmd: tool --mode=fast {in} {out}"]) == [
        ArenaSystem("tool", "cmd: tool --mode=fast {in} {out}", "command")
    ]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((), "give one or more systems"),
        (("a=rnnoise", "a=nsnet2"), "the name 'a' is given twice"),
        (("noisy=rnnoise",), "'noisy' cannot be the name of a system"),
        (("cmd:",), "cannot be the name of a system"),
        (("cmd: tool '{in} {out}",), r"cmd: tool '.*: cannot be split into words \(No closing quotation\)"),
        (("outputs/",), "outputs/: there is no such file or folder"),
        (("mine=absent/run",), "absent/run: there is no such file or folder"),
    ],
)
def test_names_are_checked(values, message):
    with pytest.raises(StillwaveError, match=message):
        parse(values)
