"""`killer.py RUN [KEY=VALUE ...] -- POINT ...`: trains the toy recipe in one killed process after the other.

Each POINT, `place:count`, is where a process ends itself by SIGKILL (nothing can tidy up after that): the
count-th time that it comes to the place. The last process is left alone. Processes are forked from one that
has imported everything, which is what makes the test quick.
"""

import os
import signal
import sys
from pathlib import Path

import torch
import torch._dynamo  # AdamW imports it at its first step: once here, not in each process
from toy import train_toy

from stillwave import checkpoint, files
from stillwave.training import run_log, sources, state, train_state  # noqa: F401


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def at(owner, name, count, *, instead=None, after=False):
    """Replace `owner.name` by itself, but for the count-th call."""
    original, calls = getattr(owner, name), []

    def counted(*args, **kwargs):
        calls.append(0)
        if len(calls) == count and instead is not None:
            instead(*args)
        if len(calls) == count and not after:
            die()
        result = original(*args, **kwargs)
        if len(calls) == count:
            die()
        return result

    setattr(owner, name, counted)


def half_a_line(run):
    """Return a function that writes half a line to the log of a run, and dies."""

    def write(*_):
        with (Path(run) / "log.jsonl").open("a") as file:
            file.write('{"kind": "train", "st')
        die()

    return write


def half_a_file(file, tensors):
    file.write_bytes(b"\0" * 1000)
    die()


def arm(point, run):
    place, _, count = point.partition(":")
    n = int(count or 1)
    match place:
        case "step":
            at(train_state.TrainState, "step", n, after=True)
        case "tensors":
            at(checkpoint, "write_tensors", n, instead=half_a_file)
        case "line":
            at(run_log.RunLog, "write", n, instead=half_a_line(run))
        case "rename":
            at(files.os, "rename", n)
        case "renamed":
            at(files.os, "rename", n, after=True)
        case "best":
            at(state, "save_best", n, after=True)
        case "prune":
            at(state.shutil, "rmtree", n)
        case _:
            raise SystemExit(f"no such place: {place}")


def attempt(run, overrides, point):
    child = os.fork()
    if child == 0:
        try:
            if point:
                arm(point, run)
            train_toy(run, *overrides)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]


if __name__ == "__main__":
    torch.set_num_threads(1)
    cut = sys.argv.index("--")
    run, *overrides = sys.argv[1:cut]
    for point in sys.argv[cut + 1 :]:
        status = attempt(run, overrides, point)
        if not (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL):
            raise SystemExit(f"{point}: was not killed there (status {status})")
    raise SystemExit(attempt(run, overrides, None) != 0)
