"""Two networks and a method: the student's estimate and the losses that pull it towards the teacher."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

import torch
from rich.table import Table
from torch import Tensor, nn

from stillwave.distill.cache import CachedOutputs, TeacherCache
from stillwave.distill.gather import gather_inputs, gather_outputs, processes
from stillwave.distill.method import (
    BatchInputs,
    DistillError,
    Layer,
    Method,
    ModelOutputs,
    Shapes,
    build,
    resolve_method,
)
from stillwave.distill.networks import (
    check_taught,
    check_trainable,
    evaluating,
    first_tensor,
    freeze,
    precision,
)
from stillwave.distill.taps import Taps
from stillwave.errors import nearest
from stillwave.schema import Frozen, LossConfig, TapSet

TapNames = Mapping[str, TapSet | tuple[Sequence[str], Sequence[str]]]


class Distiller(nn.Module):
    """Runs student and teacher on the same input and compares what is tapped of both.

    The teacher is frozen here: `requires_grad` off, evaluation mode always (after `.train()` too), no
    gradient. It follows `.to(device)` but is no submodule, so that `parameters()`, `state_dict()` and
    DistributedDataParallel hold what is trained and nothing else: `student.*` and the connectors, `method.*`.
    What is exported is `.student`.

    With several processes (`torch.distributed` initialised) features are gathered first, so losses are those
    of the global batch on each; see `gather.py`.

    Args:
        teacher: any network.
        student: any network that takes the same input.
        method: a method's name, configuration, or a `Method`.
        taps: for each set the layers of both, {"set": (student layers, teacher layers)} in network order (see
            `taps.py` for how a layer is written); by default both networks' `default_taps()`.
        example: an input such as training gives (for `embedding: released`, of its very size).
        estimate: picks the estimate [B, N] from what a network returns, for both networks; needed where they return
            tuples or dicts and the method compares estimates, as in `estimate=lambda output: output["clean"]`.
        loss: the enhancement loss beside which the method works; some methods use the same functional.

    Raises:
        DistillError: at construction, for whatever does not fit together.

    """

    def __init__(
        self,
        teacher: nn.Module,
        student: nn.Module,
        method: str | Frozen | Method = "i2srf_tfckd",
        taps: TapNames | None = None,
        *,
        example: Tensor,
        estimate: Callable[[Any], Tensor] | None = None,
        loss: LossConfig | None = None,
    ) -> None:
        super().__init__()
        _check_kinds(teacher, student, example)
        _check_apart(teacher, student)
        self.student = student
        # In a tuple, so that it is not registered.
        self._teacher = (freeze(teacher),)
        self._estimate = estimate
        self.sets = _sets(taps, student, teacher) if resolve_method(method).uses_features else {}
        self._taps = {
            "student": Taps(student, _flat(s for s, _ in self.sets.values()), "student"),
            "teacher": Taps(teacher, _flat(t for _, t in self.sets.values()), "teacher"),
        }
        with torch.inference_mode(False):  # else connectors that are made within it could not be trained
            self.shapes, dtype = self._dry_run(example, resolve_method(method), loss or LossConfig())
            check_trainable(student)  # here, since lazy modules have their parameters now
            self.method = build(method, self.shapes)
            self.method.to(example.device)
            if dtype == torch.float64:
                self.method.double()
        self.cache: TeacherCache | None = None
        """Where the teacher's answers are kept, if they are (`cache.open_cache`)."""

    @property
    def teacher(self) -> nn.Module:
        """The frozen network."""
        return self._teacher[0]

    def connectors(self) -> Iterator[nn.Parameter]:
        """What the method trains besides the student; give it to the optimiser too."""
        return (p for p in self.method.parameters() if p.requires_grad)

    def forward(
        self, *inputs: Any, clean: Tensor | None = None, **options: Any
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Both networks on the same input: the student's estimate and the method's named losses.

        `clean` is for the methods that compare both estimates with it. Raises DistillError if it is missed, and, while
        gradients are on, for a tapped layer of the student that gives none: the losses would look as usual while
        nothing is taught.
        """
        if clean is None and self.method.uses_clean:
            raise DistillError(f"{type(self.method).__name__} compares with the clean speech; give clean=…")
        if not inputs:
            raise DistillError("give the input that both networks take as the first argument, without a name")
        _check_full(inputs[0], "input")
        answer = self._run("student", self.student, inputs, options)
        if torch.is_grad_enabled() and (self.training or _trained(self.student)):
            compared = self.method.uses_estimate or not answer.features
            check_taught(answer.features, answer.estimate if compared else None)
        of_student = self._observed("student", answer)
        of_teacher = self._observed("teacher", self._taught(inputs, options))
        whole = self.method.uses_estimate
        given = gather_inputs(BatchInputs(inputs[0], clean), whole)
        return of_student.estimate, self.method(
            gather_outputs(of_student, whole), gather_outputs(of_teacher, whole), given
        )

    def table(self) -> Table:
        """The taps, their shapes (channels × frames × bins) and parameters, to be printed."""
        trained = sum(p.numel() for p in self.connectors())
        caption = f"connectors, dropped after training: {trained:,} parameters"
        table = Table("set", title="What is compared", caption=caption)
        for side in ("student", "teacher"):
            table.add_column(f"{side} layer", overflow="fold")
            table.add_column("C × T × D", justify="right", no_wrap=True)
            table.add_column("weights", justify="right", no_wrap=True)
        for name in self.sets:
            rows = zip_longest(self.shapes.student[name], self.shapes.teacher[name])
            for index, (student, teacher) in enumerate(rows):
                table.add_row("" if index else name, *_cells(student), *_cells(teacher))
            table.add_section()
        return table

    @torch.no_grad()
    def _taught(self, inputs: tuple[Any, ...], options: dict[str, Any]) -> CachedOutputs:
        """What the teacher says, if it has not been kept."""

        def ask() -> CachedOutputs:
            answer = self._run("teacher", evaluating(self.teacher), inputs, options)
            if isinstance(answer.estimate, Tensor):
                return answer
            # No method is there that compares this (see `_picked`), and the cache keeps tensors.
            found = first_tensor(answer.estimate)
            return CachedOutputs(answer.features, inputs[0].new_zeros(0) if found is None else found)

        if self.cache is None or len(inputs) > 1 or options:
            return ask()
        return self.cache.answer(inputs[0], list(self._taps["teacher"].taps), ask)

    def _run(
        self, side: str, network: nn.Module, inputs: tuple[Any, ...], options: dict[str, Any]
    ) -> CachedOutputs:
        with self._taps[side].record() as found:
            output = network(*inputs, **options)
        return CachedOutputs(found, output if self._estimate is None else self._estimate(output))

    def _observed(self, side: str, answer: CachedOutputs) -> ModelOutputs:
        index = 0 if side == "student" else 1
        features = {n: [answer.features[t] for t in names[index]] for n, names in self.sets.items()}
        return ModelOutputs(features, answer.estimate)

    def _dry_run(self, example: Tensor, method: type[Method], loss: LossConfig) -> tuple[Shapes, torch.dtype]:
        """What the method is built for, and what it computes in."""
        compared: list[dict[str, Tensor]] = []
        layers = []
        for side, taps in self._taps.items():
            features, output = taps.dry_run(example)
            layers.append(taps.layers(features))
            compared.append({f"layer '{name}'": feature for name, feature in features.items()})
            if method.uses_estimate:
                compared[-1]["estimate"] = self._picked(side, output)
        student, teacher = layers
        shapes = Shapes(
            batch=len(example) * processes(),
            student={name: tuple(student[tap] for tap in s) for name, (s, _) in self.sets.items()},
            teacher={name: tuple(teacher[tap] for tap in t) for name, (_, t) in self.sets.items()},
            loss=loss,
        )
        return shapes, precision(*compared)

    def _picked(self, side: str, output: Any) -> Tensor:
        """The estimate that a network's output holds. Raises DistillError."""
        if self._estimate is None:
            estimate, how = output, f"the {side} returns"
        else:
            estimate, how = self._estimate(output), f"estimate picks from the {side}'s output"
        if not isinstance(estimate, Tensor):
            raise DistillError(
                f"{how} a {type(estimate).__name__}, and this method compares estimates; pass what picks the estimate, "
                "as estimate=lambda output: output[0]"
            )
        return estimate

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Distiller:
        self.teacher._apply(fn, recurse)  # type: ignore[no-untyped-call]
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self


def _trained(network: nn.Module) -> bool:
    return any(p.requires_grad for p in network.parameters())


def _check_kinds(teacher: Any, student: Any, example: Any) -> None:
    for name, given, kind in (
        ("teacher", teacher, nn.Module),
        ("student", student, nn.Module),
        ("example", example, Tensor),
    ):
        if not isinstance(given, kind):
            raise DistillError(f"{name}: expected a torch {kind.__name__}, got {type(given).__name__}")
    _check_full(example, "example")


def _check_full(noisy: Any, name: str) -> None:
    if isinstance(noisy, Tensor) and noisy.numel() == 0:
        raise DistillError(
            f"{name}: the shape {list(noisy.shape)} holds no samples; give at least one example"
        )


def _check_apart(teacher: nn.Module, student: nn.Module) -> None:
    theirs = {id(p) for p in teacher.parameters()}
    if teacher is student or any(id(p) in theirs for p in student.parameters()):
        raise DistillError(
            "teacher and student share parameters: the frozen teacher would freeze the student; copy it"
        )


def _sets(
    taps: TapNames | None, student: nn.Module, teacher: nn.Module
) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    if taps is None:
        return _default_sets(student, teacher)
    if not isinstance(taps, Mapping):
        raise DistillError(
            f"taps: expected {{'set': (student layers, teacher layers)}}, got {type(taps).__name__}"
        )
    sets = {}
    for name, given in taps.items():
        pair = (given.student, given.teacher) if isinstance(given, TapSet) else given
        if not _two_lists(pair):
            raise DistillError(f"set '{name}' must be two lists of layers: (student layers, teacher layers)")
        sets[name] = tuple(pair[0]), tuple(pair[1])
        for side, layers in zip(("student", "teacher"), sets[name], strict=True):
            if not layers:
                raise DistillError(f"set '{name}' names no {side} layer; name at least one of each network")
    if not sets:
        raise DistillError(
            "taps name no set; give at least one, as {'encoder': (student layers, teacher layers)}"
        )
    return sets


def _two_lists(pair: Any) -> bool:
    """Whether it is two lists of names."""
    return (
        isinstance(pair, Sequence)
        and len(pair) == 2
        and all(isinstance(side, Sequence) and not isinstance(side, str) for side in pair)
        and all(isinstance(layer, str) for side in pair for layer in side)
    )


def _default_sets(
    student: nn.Module, teacher: nn.Module
) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    for role, network in (("student", student), ("teacher", teacher)):
        if not hasattr(network, "default_taps"):
            raise DistillError(
                f"the {role} ({type(network).__name__}) has no default_taps(); "
                "give taps={'set': (student layers, teacher layers)}"
            )
    of_student, of_teacher = student.default_taps(), teacher.default_taps()  # type: ignore[operator]
    for name in {**of_student, **of_teacher}:
        if name not in of_student or name not in of_teacher:
            side = "student" if name not in of_student else "teacher"
            known = of_student if side == "student" else of_teacher
            raise DistillError(
                f"the {side}'s default taps have no set '{name}'; {nearest(name, known)}; give taps"
            )
    return _sets({name: (of_student[name], of_teacher[name]) for name in of_student}, student, teacher)


def _flat(lists: Iterator[tuple[str, ...]] | Any) -> list[str]:
    return [name for names in lists for name in names]


def _cells(layer: Layer | None) -> tuple[str, str, str]:
    if layer is None:
        return "", "", ""
    return layer.name, f"{layer.channels} × {layer.frames} × {layer.bins}", f"{layer.parameters:,}"
