"""Functions of the public API that combine several packages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from stillwave import pretrained
from stillwave.errors import MissingExtraError
from stillwave.files import as_path

if TYPE_CHECKING:
    from stillwave.adaptation import Adapted
    from stillwave.evaluation import Scores
    from stillwave.exporting.export import ExportReport
    from stillwave.schema import Recipe


def list_models() -> list[str]:
    """Return the names of the shipped models, sorted.

    `NAME-int8` is the same network with 8-bit weights.

    Examples:
        >>> import stillwave
        >>> "bsrnn-s" in stillwave.list_models()
        True

    """
    return pretrained.names()


def train(
    recipe: Path | str | Recipe,
    output: Path | str,
    *,
    overrides: Sequence[str] = (),
    teacher: Path | str | Callable[..., Any] | None = None,
    teacher_command: str | None = None,
    quiet: bool = False,
    extend: bool = False,
    allow_changed_data: bool = False,
) -> Path:
    """Train a network by a recipe, with a teacher if the recipe has a `distill` section.

    The same call resumes an interrupted run; a finished run is left as it is.

    Args:
        recipe: a recipe file, the name of a shipped recipe, or a loaded recipe.
        output: the run folder.
        overrides: `KEY=VALUE` of keys of the recipe, as in `"train.steps=200"`; not for a loaded recipe.
        teacher: checkpoint or run folder of the teacher, or another that `distill.teacher` may name; a function from
            NumPy float32 `[B, n]` and a rate to `[B, n]`, or a `torch.nn.Module`, that a module defines; default:
            `distill.teacher` of the recipe.
        teacher_command: a program as the teacher, `"tool {in} {out}"`.
        quiet: show no progress.
        extend: extend a finished run to a larger `train.steps`; the learning rate restarts where it ended.
        allow_changed_data: resume although the lists of recordings have changed.

    Returns:
        The folder of the best checkpoint, or of the last if the run has no development set.

    Raises:
        StillwaveError: an error in the recipe, its data or the run folder.
        MissingExtraError: the extra `train` is not installed.

    Examples:
        >>> import stillwave
        >>> best = stillwave.train(  # doctest: +SKIP
        ...     "small-student", "runs/student", teacher="runs/teacher", overrides=["train.steps=2000"]
        ... )

    """
    from stillwave.external.function import place_of
    from stillwave.recipe import load

    if isinstance(recipe, str | Path):
        named = None if teacher is None else place_of(teacher) if callable(teacher) else str(teacher)
        recipe = load(recipe, overrides, teacher=named, teacher_command=teacher_command)
    elif overrides or teacher is not None or teacher_command is not None:
        raise ValueError("overrides and teacher apply to a recipe file or name, not to a loaded recipe")
    with _needs("stillwave.train", "train"):
        from stillwave.training import train as run
    return run(recipe, output, quiet=quiet, extend=extend, allow_changed_data=allow_changed_data)


def adapt(
    recordings: Path | str,
    output: Path | str,
    *,
    model: Path | str = "bsrnn-xs",
    teacher: Path | str | Callable[..., Any] | None = None,
    data: Path | str | None = None,
    share: float = 0.5,
    remixed: float = 0.0,
    strength: float = 0.25,
    steps: int = 300,
    seed: int = 0,
    quiet: bool = True,
) -> Adapted:
    """Specialise a model for a place or a microphone, from noisy recordings without clean references.

    A teacher separates the recordings; the model learns its estimates. The same call resumes an interrupted adaptation;
    a finished one is returned as it is.

    Args:
        recordings: a folder of noisy recordings with speech, a minute or more in all; at most an hour is used.
        output: the folder of the result, which `load` and `export` take.
        model: name of a shipped model, or a checkpoint or run folder.
        teacher: what separates the recordings: a checkpoint or run folder, the name of a shipped model or of a peer, a
            function from NumPy float32 `[B, n]` and a rate to `[B, n]` that a module defines, or `"self"` for the model
            itself, which then follows the student; default: the shipped teacher.
        data: a recipe whose training examples are mixed in.
        share: share of the examples that `data` provides.
        remixed: share of the other examples whose noise is that of another part of the recordings.
        strength: share of the way from the weights of the model to the trained ones that is taken.
        steps: number of updates.
        seed: random seed of the held-out recordings and of the training.
        quiet: show no progress.

    Returns:
        The folder of the checkpoint, and what changed on held-out recordings, by measures without a reference.

    Raises:
        StillwaveError: recordings, model, teacher or folder cannot be used.
        MissingExtraError: the extra `train` is not installed.

    Examples:
        >>> import stillwave
        >>> result = stillwave.adapt("kitchen/", "kitchen-model")  # doctest: +SKIP
        >>> print(result.verdict)  # doctest: +SKIP
        >>> enhancer = stillwave.load(result.checkpoint)  # doctest: +SKIP

    """
    from stillwave.external.function import place_of

    with _needs("stillwave.adapt", "train"):
        from stillwave.adaptation import Settings
        from stillwave.adaptation import adapt as run
    named = None if teacher is None else place_of(teacher) if callable(teacher) else str(teacher)
    settings = Settings(
        recordings=as_path(recordings, "recordings"),
        output=as_path(output, "output"),
        model=str(model),
        teacher=named,
        data=None if data is None else str(data),
        share=share,
        remixed=remixed,
        steps=steps,
        strength=strength,
        seed=seed,
    )
    return run(settings, quiet=quiet)


def evaluate(
    estimates: Path | str | Mapping[str, Path | str],
    references: Path | str,
    *,
    noisy: Path | str | None = None,
    metrics: Sequence[str] | None = None,
    jobs: int | None = None,
    quiet: bool = True,
) -> Scores:
    """Score folders of enhanced recordings against a folder of clean references.

    Files are paired by name, sub-folders included. A file that cannot be scored has a reason in place of a score.

    Args:
        estimates: a folder of enhanced recordings, or one for each system by name.
        references: the folder of clean recordings.
        noisy: the folder of noisy recordings, scored as the system `noisy`.
        metrics: names of metrics, as in `["pesq_wb", "stoi"]`; default: PESQ, STOI, ESTOI, SI-SDR, CSIG, CBAK and COVL.
        jobs: number of processes; default: one per core. Scores do not depend on it.
        quiet: show no progress.

    Returns:
        The scores, a row for each recording and system; `stillwave.evaluation.summarise` computes means,
        confidence intervals and paired differences.

    Raises:
        StillwaveError: a folder that is missing or empty, or an unknown metric.
        MissingExtraError: the extra `eval` is not installed.

    Examples:
        >>> import stillwave
        >>> scores = stillwave.evaluate("enhanced/", "clean/", noisy="noisy/")  # doctest: +SKIP
        >>> scores.systems  # doctest: +SKIP
        ('noisy', 'enhanced')

    """
    with _needs("stillwave.evaluate", "eval"):
        from stillwave.evaluation import DEFAULT, score_pairs
        from stillwave.evaluation.inputs import from_folders

    systems = estimates if isinstance(estimates, Mapping) else {as_path(estimates).resolve().name: estimates}
    folders = {name: as_path(folder) for name, folder in systems.items()}
    items = from_folders(as_path(references), folders, None if noisy is None else as_path(noisy))
    return score_pairs(items, DEFAULT if metrics is None else metrics, jobs, quiet)


def export(
    model: Path | str,
    path: Path | str,
    *,
    offline: bool = False,
    precision: Literal["float32", "float16", "int8"] = "float32",
    overwrite: bool = False,
) -> ExportReport:
    """Write a trained network as one ONNX file, after comparing it with its source.

    Args:
        model: a checkpoint or run folder.
        path: the file to write.
        offline: write a graph from waveform to waveform with the STFT inside, for any network; default: a
            streaming graph from spectrum frames and states to frames and states, for a causal network.
        precision: precision of the weights.
        overwrite: replace an existing file.

    Returns:
        Kind, size and states of the graph, and its largest difference from the source.

    Raises:
        StillwaveError: a checkpoint that cannot be read, an existing file, or a graph whose output differs.
        MissingExtraError: the extra `export` is not installed.

    Examples:
        >>> import stillwave
        >>> report = stillwave.export("runs/student", "student.onnx")  # doctest: +SKIP
        >>> report.kind, report.precision  # doctest: +SKIP
        ('stream', 'float32')

    """
    with _needs("stillwave.export", "export"):
        from stillwave.exporting.export import export as write
    return write(
        as_path(model, "model"), as_path(path), offline=offline, precision=precision, overwrite=overwrite
    )


@contextmanager
def _needs(feature: str, extra: str) -> Iterator[None]:
    """Turn the failed import of a dependency into MissingExtraError."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("stillwave"):
            raise
        raise MissingExtraError(feature, extra) from None
