"""The `Distiller` runs student and teacher on the same input and returns the distillation losses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import zip_longest
from typing import Any

import torch
from rich.table import Table
from torch import Tensor, nn

from stillwave.distill.cache import CachedOutputs, TeacherCache
from stillwave.distill.external_teacher import ExternalTeacher, check_estimates
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
    check_disjoint,
    check_gradients,
    check_trainable,
    evaluating,
    first_tensor,
    freeze,
    precision,
)
from stillwave.distill.several_teachers import SeveralTeachers
from stillwave.distill.tap_sets import TapNames, tap_sets
from stillwave.distill.taps import Taps
from stillwave.schema import Frozen, LossConfig


class Distiller(nn.Module):
    """Runs student and teacher on the same input and compares them with a distillation method.

    The teacher is frozen: it stays in evaluation mode, also after `.train()`, and gets no gradient. It follows
    `.to(device)` but is not a submodule, so `parameters()` and `state_dict()` contain only what is trained: the student
    (`student.*`) and the connectors (`method.*`). The network to export is `.student`.

    With several processes (`torch.distributed`), features are gathered over all processes; each process returns the
    losses of the global batch.

    Args:
        teacher: The trained network, or a function from NumPy `[B, n]` and a rate to `[B, n]` (`ExternalTeacher`).
        student: The network to train; it takes the same input.
        method: Name, configuration or instance of a method.
        taps: Tap sets, `{"set": (student layers, teacher layers)}`, in network order; see `Taps` for the notation of
            layers. By default those that the `default_taps()` of both networks return.
        example: An input as used in training, for example [B, N]. The dimensions of the layers are measured with it.
            `embedding: released` requires its exact batch size and length.
        estimate: Returns the estimate [B, N] from the output of a network; applied to both. Required if a network
            returns a tuple or a dict and the method compares estimates.
        loss: Configuration of the enhancement loss; some methods use the same function.

    Attributes:
        student: The network to train.
        method: The method with its connectors.
        sets: The tap sets, {name: (student layers, teacher layers)}.
        shapes: Shapes of the tapped layers.
        cache: Teacher cache, or None; see `stillwave.distill.cache.open_cache`.

    Raises:
        DistillError: A layer does not exist, the layers do not match the method, or a network cannot run on the
            example.

    Examples:
        >>> def network(width):
        ...     return nn.Sequential(
        ...         nn.Conv1d(1, width, 16, stride=8), nn.PReLU(), nn.ConvTranspose1d(width, 1, 16, stride=8)
        ...     )
        >>> noisy, clean = torch.randn(4, 1, 800), torch.randn(4, 1, 800)
        >>> taps = {"encoder": (["1:bct"], ["1:bct"])}
        >>> distiller = Distiller(network(32), network(8), "at", taps, example=noisy)
        >>> optimiser = torch.optim.Adam([*distiller.student.parameters(), *distiller.connectors()])
        >>> estimate, losses = distiller(noisy)
        >>> estimate.shape, list(losses)
        (torch.Size([4, 1, 800]), ['encoder_1'])
        >>> loss = (estimate - clean).abs().mean() + sum(losses.values())
        >>> loss.backward()
        >>> optimiser.step()

    """

    def __init__(
        self,
        teacher: nn.Module | Callable[[Any, int], Any],
        student: nn.Module,
        method: str | Frozen | Method = "i2srf_tfckd",
        taps: TapNames | None = None,
        *,
        example: Tensor,
        estimate: Callable[[Any], Tensor] | None = None,
        loss: LossConfig | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(teacher, nn.Module) and callable(teacher):
            teacher = ExternalTeacher(teacher)
        _check_kinds(teacher, student, example)
        check_estimates(teacher, resolve_method(method))
        check_disjoint(teacher, student)
        self.student = student
        # A tuple, so that it is not registered as a submodule.
        self._teacher = (freeze(teacher),)
        self._estimate = estimate
        self.sets = tap_sets(taps, student, teacher) if resolve_method(method).uses_features else {}
        self._taps = {
            "student": Taps(student, _flat(s for s, _ in self.sets.values()), "student"),
            "teacher": Taps(teacher, _flat(t for _, t in self.sets.values()), "teacher"),
        }
        with torch.inference_mode(False):  # else connectors could not be trained
            self.shapes, dtype = self._dry_run(example, resolve_method(method), loss or LossConfig())
            check_trainable(student)  # lazy modules have their parameters only now
            self.method = build(method, self.shapes)
            self.method.to(example.device)
            if dtype == torch.float64:
                self.method.double()
        self.cache: TeacherCache | None = None

    @property
    def teacher(self) -> nn.Module:
        """The frozen teacher."""
        return self._teacher[0]

    def connectors(self) -> Iterator[nn.Parameter]:
        """Return the trainable parameters of the method; pass them to the optimiser with the student's."""
        return (p for p in self.method.parameters() if p.requires_grad)

    def forward(
        self,
        *inputs: Any,
        clean: Tensor | None = None,
        teacher_estimate: Tensor | None = None,
        **options: Any,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Run both networks on the same input.

        Args:
            *inputs: Inputs of both networks; the first is the noisy signal, for example [B, N].
            clean: Clean reference [B, N], for methods with `uses_clean`.
            teacher_estimate: The teacher's estimate [B, N] for this input, in place of running the teacher; for methods
                that compare estimates only.
            **options: Keyword arguments of both networks.

        Returns:
            The student's estimate, and the losses of the method by name.

        Raises:
            DistillError: `clean` is missing, or, while gradients are enabled, a compared layer of the student has no
                gradient.

        """
        if clean is None and self.method.uses_clean:
            raise DistillError(f"{type(self.method).__name__} requires the clean reference; pass clean=…")
        if not inputs:
            raise DistillError("pass the input of both networks as the first positional argument")
        _check_full(inputs[0], "input")
        outputs = self._run("student", self.student, inputs, options)
        if torch.is_grad_enabled() and (self.training or _trained(self.student)):
            compared = self.method.uses_estimate or not outputs.features
            check_gradients(outputs.features, outputs.estimate if compared else None)
        student = self._by_set("student", outputs)
        if teacher_estimate is None or self.sets:
            teacher = self._by_set("teacher", self._teacher_outputs(inputs, options))
        else:
            teacher = ModelOutputs({}, teacher_estimate)
        if isinstance(self.teacher, SeveralTeachers):
            teacher = ModelOutputs({}, self.teacher.combined(teacher.estimate, clean))
        signals = self.method.uses_estimate or self.method.uses_clean
        losses = self.method(
            gather_outputs(student, signals),
            gather_outputs(teacher, signals),
            gather_inputs(BatchInputs(inputs[0], clean), signals),
        )
        return student.estimate, losses

    def table(self) -> Table:
        """Return a table of the tap sets: layers, shapes (channels × frames × bins) and parameters."""
        trained = sum(p.numel() for p in self.connectors())
        caption = f"connectors, dropped after training: {trained:,} parameters"
        table = Table("set", title="Compared layers", caption=caption)
        for side in ("student", "teacher"):
            table.add_column(f"{side} layer", overflow="fold")
            table.add_column("C × T × D", justify="right", no_wrap=True)
            table.add_column("weights", justify="right", no_wrap=True)
        for name in self.sets:
            rows = zip_longest(self.shapes.student[name], self.shapes.teacher[name])
            for index, (student, teacher) in enumerate(rows):
                table.add_row("" if index else name, *_layer_cells(student), *_layer_cells(teacher))
            table.add_section()
        return table

    @torch.no_grad()
    def _teacher_outputs(self, inputs: tuple[Any, ...], options: dict[str, Any]) -> CachedOutputs:
        """Read the teacher's outputs from the cache, or compute them."""

        def compute() -> CachedOutputs:
            outputs = self._run("teacher", evaluating(self.teacher), inputs, options)
            if isinstance(outputs.estimate, Tensor):
                return outputs
            # No method compares it (see `_picked`), and the cache stores tensors only.
            tensor = first_tensor(outputs.estimate)
            return CachedOutputs(outputs.features, inputs[0].new_zeros(0) if tensor is None else tensor)

        if self.cache is None or len(inputs) > 1 or options:
            return compute()
        return self.cache.outputs(inputs[0], list(self._taps["teacher"].taps), compute)

    def _run(
        self, side: str, network: nn.Module, inputs: tuple[Any, ...], options: dict[str, Any]
    ) -> CachedOutputs:
        with self._taps[side].record() as features:
            output = network(*inputs, **options)
        return CachedOutputs(features, output if self._estimate is None else self._estimate(output))

    def _by_set(self, side: str, outputs: CachedOutputs) -> ModelOutputs:
        index = 0 if side == "student" else 1
        features = {n: [outputs.features[t] for t in names[index]] for n, names in self.sets.items()}
        return ModelOutputs(features, outputs.estimate)

    def _dry_run(self, example: Tensor, method: type[Method], loss: LossConfig) -> tuple[Shapes, torch.dtype]:
        """Return the shapes for the method, and the precision that it computes in."""
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
        """Return the estimate from a network's output."""
        if self._estimate is None:
            estimate, what = output, f"the {side} returns"
        else:
            estimate, what = self._estimate(output), f"estimate=… returns for the {side}"
        if not isinstance(estimate, Tensor):
            raise DistillError(
                f"{what} a {type(estimate).__name__}, but this method compares estimates; pass a function that returns "
                "the estimate, such as estimate=lambda output: output[0]"
            )
        return estimate

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Distiller:
        self.teacher._apply(fn, recurse)  # type: ignore[no-untyped-call]
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self


def _trained(network: nn.Module) -> bool:
    return any(p.requires_grad for p in network.parameters())


def _check_kinds(teacher: Any, student: Any, example: Any) -> None:
    for name, value, kind in (
        ("teacher", teacher, nn.Module),
        ("student", student, nn.Module),
        ("example", example, Tensor),
    ):
        if not isinstance(value, kind):
            raise DistillError(f"{name}: expected a torch {kind.__name__}, got {type(value).__name__}")
    _check_full(example, "example")


def _check_full(noisy: Any, name: str) -> None:
    if isinstance(noisy, Tensor) and noisy.numel() == 0:
        raise DistillError(
            f"{name}: the shape {list(noisy.shape)} contains no samples; pass at least one example"
        )


def _flat(lists: Iterator[tuple[str, ...]] | Any) -> list[str]:
    return [name for names in lists for name in names]


def _layer_cells(layer: Layer | None) -> tuple[str, str, str]:
    if layer is None:
        return "", "", ""
    return layer.name, f"{layer.channels} × {layer.frames} × {layer.bins}", f"{layer.parameters:,}"
