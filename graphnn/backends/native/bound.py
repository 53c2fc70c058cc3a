"""A plan bound to kernels and memory, for one set of sizes: tapes, and NumPy calls for what has no kernel.

`before` makes the outputs and looks whether they are finite, `after` lands updates. Each is a list of parts, tapes
and NumPy calls in turn; a program without NumPy calls has one tape in each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from ...errors import BackendError, GraphNNError
from ...ir.labels import check_labels
from ...ir.leaf import Input
from ...ir.node import Call, Node, describe
from ...plan.memory import Plan, Step
from ..numpy.calls import check_finite, not_finite
from ..placed import Placed
from .driver import finite_kernel
from .lower import copy, lower, lower_check
from .tape import Invocation, Tape, address_of
from .types import NoKernel

__all__ = ["Bound", "Part"]


@dataclass(frozen=True)
class _Work:
    """One thing to do: kernels, or NumPy calls; the step it belongs to, and the error when a kernel stops there."""

    step: int | None
    kernels: tuple[Invocation, ...] = ()
    calls: tuple[Call, ...] = ()
    error: Call | None = None


@dataclass(frozen=True)
class Part:
    """A tape, with the work that each entry belongs to; or NumPy calls."""

    tape: Tape
    works: Sequence[_Work]


Parts: TypeAlias = "list[Part | _Work]"


class Bound(Placed):
    """The plan's steps for one set of sizes."""

    def __init__(
        self,
        plan: Plan,
        arena: np.ndarray,
        sizes: dict[str, int],
        check: str | None,
        offsets: Sequence[int] | None = None,
        given: Mapping[Node, Any] | None = None,
    ) -> None:
        super().__init__(plan, arena, sizes, offsets, given)
        self.check = check
        self.reasons: dict[Node, str] = {}
        """Why a step runs on NumPy."""
        works = [self._work(i, step) for i, step in enumerate(plan.steps)]
        done = plan.outputs_done
        watch = [self._watch(name, node, array) for name, node, array in self.watched(check)]
        self.before = _parts([*(w for group in works[:done] for w in group), *watch])
        self.after = _parts([*(w for group in works[done:] for w in group), *self._landings()])
        self.works = works

    @property
    def whole(self) -> bool:
        """Is it all in kernels, so that a loop need not enter Python?"""
        return all(isinstance(part, Part) for part in (*self.before, *self.after))

    def _work(self, i: int, step: Step) -> list[_Work]:
        node = step.node.at(self.sizes)
        ins = tuple(self.arrays[operand] for operand in step.node.operands)
        out = self.arrays[step.node]
        works = self._label_check(i, step)
        try:
            works.append(_Work(i, tuple(lower(node, ins, out, step.node))))
        except NoKernel as reason:
            self.reasons[step.node] = str(reason)
            works.append(_Work(i, calls=tuple(self.numpy_calls(i, step, node, ins, out))))
        if self.check == "all":
            for array in out if isinstance(out, tuple) else (out,):
                if array.dtype.kind == "f":
                    works.append(_Work(i, _finite(array), error=partial(check_finite, array, step.node)))
        return works

    def bind_body(self, plan: Plan, offsets: Sequence[int], given: Mapping[Any, Any]) -> BoundBody:
        """The tapes of a body."""
        return BoundBody(Bound(plan, self.arena, self.sizes, self.check, offsets, given))

    def _label_check(self, i: int, step: Step) -> list[_Work]:
        found = step.node.class_labels(self.sizes)
        if not found or isinstance(found[0], Input):  # those of inputs are checked when they are fed
            return []
        labels, classes = found
        check = partial(check_labels, self.arrays[labels], classes, labels.label, step.node)
        if labels.static:
            check()
            return []
        try:
            return [_Work(i, tuple(lower_check(self.arrays[labels], classes)), error=check)]
        except NoKernel:
            return [_Work(i, calls=(check,))]

    def _watch(self, name: str, node: Node, array: np.ndarray) -> _Work:
        def fail() -> None:
            raise not_finite(name, node, array)

        return _Work(None, _finite(array), error=fail)

    def _landings(self) -> list[_Work]:
        return [_Work(None, tuple(copy(source.shape, target, source))) for target, source in self.landings()]

    # Running -----------------------------------------------------------------------------------------------------

    def run(self, parts: Parts) -> None:
        """Run the parts in order.

        Raises:
            LabelError, NonFiniteError: from the check that stopped it.
            BackendError: naming the node, when a NumPy call fails.
        """
        for part in parts:
            if isinstance(part, Part):
                stopped = part.tape.run()
                if stopped:
                    self.fail(part, stopped)
            else:
                self._call(part)

    def fail(self, part: Part, entry: int) -> None:
        """Raise the error of the entry that stopped a tape, counted from 1."""
        work = part.works[entry - 1]
        if work.error is not None:
            work.error()
        raise BackendError("native: a kernel stopped without a reason.")

    def _call(self, work: _Work) -> None:
        try:
            for call in work.calls:
                call()
        except GraphNNError:
            raise
        except Exception as error:
            assert work.step is not None
            at = ", ".join(f"{name}={size}" for name, size in self.sizes.items())
            node = self.plan.steps[work.step].node
            raise BackendError(f"native: {describe(node)} failed{at and f' with {at}'}: {error}") from error

    def tapes(self) -> list[Tape]:
        """All tapes."""
        return [part.tape for part in (*self.before, *self.after) if isinstance(part, Part)]

    def by_step(self) -> list[list[Part | _Work]]:
        """The parts of each step of the plan, to be timed."""
        return [_parts(group) for group in self.works]


class BoundBody:
    """The body of a loop or branch as tapes, in the arena of the program around it."""

    def __init__(self, bound: Bound) -> None:
        self.arrays: Mapping[Node, Any] = bound.arrays
        self.results: Sequence[Any] = bound.outputs
        self._bound, self._parts = bound, [*bound.before, *bound.after]

    def run(self) -> None:
        """Compute the results."""
        self._bound.run(self._parts)


def _finite(array: np.ndarray) -> tuple[Invocation, ...]:
    return (Invocation(finite_kernel(array.dtype), [address_of(array), array.size]),) if array.size else ()


def _parts(works: Sequence[_Work]) -> Any:
    """Work in order, with neighbouring kernels on one tape."""
    parts: list[Any] = []
    tape: list[tuple[Invocation, _Work]] = []

    def close() -> None:
        if tape:
            parts.append(Part(Tape([call for call, _ in tape]), [work for _, work in tape]))
            tape.clear()

    for work in works:
        tape.extend((call, work) for call in work.kernels)
        if work.calls:
            close()
            parts.append(work)
    close()
    return parts
