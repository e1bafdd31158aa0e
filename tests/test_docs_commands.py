"""Commands that the documentation shows: all are understood, and those that take seconds offline run as written.

They run in order, in a folder with the files that the pages name. Training is limited to one or two updates of short
segments; everything else is as printed.
"""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import soundfile
import typer
from typer.testing import CliRunner

from stillwave import checkpoint, models, pretrained, recipe
from stillwave.cli import build
from stillwave.schema import ModelConfig

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", *sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md"))]

RUN = ("docs/how-to/data.md", "docs/how-to/train.md")
RUN_WITH_NETWORKS = (
    *("README.md", "docs/index.md", "docs/how-to/enhance.md", "docs/how-to/evaluate.md"),
    *("docs/how-to/latency.md", "docs/how-to/models.md", "docs/how-to/distill.md"),
    *("docs/how-to/export.md", "docs/faq.md", "docs/how-to/word-error-rate.md"),
)
OTHER_PAGES = {
    "docs/how-to/arena.md": "starts processes of peers; tests/arena",
    "docs/quickstart.md": "minutes; tests/quickstart",
    "docs/how-to/adapt.md": "trains on recordings; tests/adaptation",
    "docs/how-to/compare.md": "trains a grid; tests/compare",
    "docs/how-to/gpu.md": "needs a GPU",
    "docs/how-to/multichannel.md": "needs corpora and an extra; tests/data, tests/baselines",
    "docs/how-to/streaming.md": "needs sound devices; tests/live",
    "docs/how-to/system-audio.md": "needs a sound server; tests/ladspa, tests/live",
    "docs/how-to/web.md": "serves until it is stopped; tests/web/test_docs.py runs its examples",
}
NOT_RUN = {
    "stillwave latency": "measures for minutes; tests/cli/test_cli_latency.py runs it",
    "stillwave live": "needs sound devices",
    "stillwave evaluate runs/student --on L3DAS23_Task1_dev": "needs a recogniser that is not a package",
    "stillwave evaluate runs/student --on test/ --recogniser models": "needs a model of faster-whisper",
    "stillwave evaluate bsrnn-m --on test/ --recogniser faster-whisper": "needs a recogniser that is not a package",
    "stillwave enhance calls/ -o for-asr/ --for asr --guard": "needs a model of faster-whisper",
    "stillwave enhance SET/SIDE": "needs a test set",
    "stillwave evaluate --clean SET/clean": "needs a test set",
    "stillwave web": "serves until it is stopped; tests/web runs it",
    "stillwave enhance talk.mp4": "needs ffmpeg",
    "stillwave enhance lecture.wav -o lecture.m4a": "needs ffmpeg",
    "stillwave export": "compares graphs for some seconds; tests/cli/test_cli_export.py runs it",
    "stillwave distill": "trains; tests/cli/test_cli_distill.py runs it",
    "stillwave check": "needs data; tests/cli/test_cli_check.py runs it",
    "stillwave explain": "needs a finished run; tests/explain/test_cli_explain.py runs it",
    "stillwave train my-recipe.yaml": "trains a large network",
    "stillwave data rooms": "200 simulated rooms take minutes, and an extra",
    "torchrun": "starts processes; tests/training/test_distributed.py does that",
}
SHORT = [
    *("train.batch_size=2", "train.tensorboard=false", "train.device=cpu", "optimiser.warmup_steps=1"),
    *("data.segment_seconds=0.25", "data.development_items=1", "data.workers=0", "model.channels=8"),
]


def commands(page: str) -> list[str]:
    """The lines of indented and shell blocks that call `stillwave`, without comments, continued lines joined."""
    text = (ROOT / page).read_text(encoding="utf-8").replace("\\\n", " ")
    fenced = re.findall(r"```(?:sh|bash|console)\n(.*?)```", text, flags=re.DOTALL)
    plain = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    lines = [line.strip() for line in plain.splitlines() if line.startswith("    ")]
    lines += [line.strip().removeprefix("$ ") for block in fenced for line in block.splitlines()]
    return [line for line in lines if re.match(r"(stillwave|torchrun) [a-z-]", line)]


def arguments(command: str) -> list[str]:
    """What follows `stillwave`, up to a redirection."""
    words = shlex.split(command, comments=True)
    end = next((i for i, word in enumerate(words) if word in (">", "|", "2>", "&")), len(words))
    return words[1:end]


def faults(page: str) -> list[str]:
    """Commands of a page that name no verb, or options and values that the verb does not take."""
    found, root = [], typer.main.get_command(build())
    for command in (command for command in commands(page) if not command.startswith("torchrun")):
        words, current, name = arguments(command), root, "stillwave"
        while (verbs := getattr(current, "commands", None)) and words and words[0] in verbs:
            name = words.pop(0)
            current = verbs[name]
        if verbs and words and not words[0].startswith("-"):
            found.append(f"{page}: {command}: there is no verb '{words[0]}'")
        try:
            current.make_context(name, words)
        except Exception as error:  # of the click that typer brings, whose place depends on its version
            if type(error).__name__ != "Exit":  # --help
                found.append(f"{page}: {command}: {getattr(error, 'message', error)!r}")
    return found


def test_every_page_with_commands_is_run_or_has_a_reason() -> None:
    assert {page for page in PAGES if commands(page)} == {*RUN, *RUN_WITH_NETWORKS, *OTHER_PAGES}


def test_every_command_is_valid() -> None:
    assert [fault for page in PAGES for fault in faults(page)] == []
    assert sum(len(commands(page)) for page in PAGES) > 50


def recordings(folder: Path, names: list[str], level: float, seconds: float) -> None:
    for number, name in enumerate(names):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng([number, len(str(folder))])
        soundfile.write(file, level * rng.standard_normal(int(16_000 * seconds)).clip(-3, 3) / 3, 16_000)


def prepare(here: Path) -> None:
    """Write the recordings that the pages name."""
    recordings(here / "my/speech", [f"s{s}/{s}{u}.wav" for s in range(8) for u in range(2)], 0.3, 0.6)
    recordings(here / "my/noise", [f"street/n{n}.wav" for n in range(6)], 0.1, 0.6)
    listed = "".join(f"noise/street/n{n}.wav,tape{n},street\n" for n in range(6))
    (here / "my/noise.csv").write_text("path,original,type\n" + listed)
    dns = here / "DNS-Challenge/datasets"
    recordings(dns / "clean", ["book_00000_chp_0001_reader_00001_0_seg0.wav"], 0.3, 0.6)
    recordings(dns / "noise", ["door_001_1.wav"], 0.1, 0.6)
    recordings(here / "VoiceBank-DEMAND/clean_trainset_28spk_wav", ["p226_001.wav"], 0.3, 0.6)


def prepare_networks(here: Path) -> None:
    """Recordings to enhance and to score, small untrained networks, and the checkpoints of the repository."""
    recordings(here, ["noisy.wav"], 0.3, 0.6)
    for folder in ("test", "mixtures", "."):
        for side in ("noisy", "clean", "enhanced"):
            recordings(here / folder / side, ["a.wav", "b.wav"], 0.3, 0.6)
    recordings(here / "out", ["a.wav", "b.wav"], 0.3, 0.6)
    (here / "mixtures/mixtures.csv").write_text("id,snr_db,language,rir\na,0,de,\nb,5,en,hall.wav\n")
    recordings(here / "L3DAS23_Task1_test/data", [f"{name}_{m}.wav" for name in "ab" for m in "AB"], 0.3, 0.6)
    config = ModelConfig(name="bsrnn", channels=8, blocks=1, bands=8, causal=True, norm="frame")
    for name in ("student", "teacher", "distilled"):
        checkpoint.save(here / "runs" / name, models.build(config), checkpoint.Card(model=config))
    shutil.copyfile(pretrained.locate("bsrnn-xs"), here / "student.onnx")
    (here / "weights").symlink_to(ROOT / "weights")
    (here / "my_package").mkdir()
    (here / "my_package/models.py").write_text("def denoiser(x):\n    return 0.5 * x\n")


def run_in_order(pages: tuple[str, ...]) -> list[str]:
    """Run the commands of pages, each in a folder without what an earlier one made of noisy.wav; those that ran."""
    app, ran = build(), []
    for page in pages:
        for command in commands(page):
            if any(command.startswith(left_out) for left_out in NOT_RUN):
                continue
            Path("noisy-enhanced.wav").unlink(missing_ok=True)
            result = CliRunner().invoke(app, arguments(command))
            assert result.exit_code == 0, f"{page}: {command}\n{result.output}\n{result.exception!r}"
            ran.append(command)
    return ran


def shortened(load):
    """Return `recipe.load` with small networks and one or two updates."""

    def loaded(path, overrides=(), **options):
        kept = [override for override in overrides if not override.startswith("train.steps")]
        steps = 2 if len(kept) < len(overrides) else 1
        return load(path, [*SHORT, *kept, f"train.steps={steps}"], **options)

    return loaded


def test_the_pages_on_data_and_training_run_as_written(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(recipe, "load", shortened(recipe.load))
    prepare(tmp_path)
    assert len(run_in_order(RUN)) > 14
    for made in ("speech-train.jsonl", "dns-noise.jsonl", "mixtures/mixtures.csv", "runs/teacher/log.jsonl"):
        assert (tmp_path / made).exists(), made
    assert "restarts:\n  - 1\n" in (tmp_path / "runs/teacher/recipe.yaml").read_text()


def test_the_pages_on_networks_run_as_written(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(tmp_path)
    prepare_networks(tmp_path)
    ran = run_in_order(RUN_WITH_NETWORKS)
    verbs = {command.split()[1] for command in ran}
    assert verbs == {"enhance", "evaluate", "methods", "models", "probe", "submission"}
    assert len(ran) > 14
    assert (tmp_path / "scores").is_dir()
