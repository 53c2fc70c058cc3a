"""Works: a plan for one set of sizes as a list of things to do, each of which calls kernels or NumPy.

The works are the steps of the plan, the checks before and after them, and the copies that write updates at the end.
They are the same for all backends that generate kernels; by which kernels an op is computed is up to the backend.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import numpy as np

from ..errors import BackendError, GraphNNError
from ..ir.labels import check_labels
from ..ir.leaf import Input
from ..ir.node import Call, Node, describe
from ..ir.spec import Dim
from ..plan.memory import Plan, Step
from ..plan.usage import show_sizes
from .kernels import NoKernel
from .numpy.calls import check_finite, not_finite
from .placed import Placed

__all__ = ["Work", "Works"]

Kernel = TypeVar("Kernel")
"""The call of a kernel, as the backend has it."""


@dataclass(frozen=True)
class Work(Generic[Kernel]):
    """One thing to do, by kernels or by NumPy calls, for a step of the plan or for none."""

    step: int | None
    kernels: tuple[Kernel, ...] = ()
    calls: tuple[Call, ...] = ()
    error: Call | None = None
    """Raises the error when one of the kernels stops the program."""
    operands: tuple[np.ndarray, ...] = ()
    """The arrays that NumPy calls read; `results` are those that they write."""
    results: tuple[np.ndarray, ...] = ()


class Works(Placed, Generic[Kernel]):
    """The works of a plan for one set of sizes. A backend defines by which kernels an op is computed."""

    backend: str
    """The backend's name, for errors."""

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
        """For each step that runs on NumPy, the reason."""
        self.works = [self._work(i, step) for i, step in enumerate(plan.steps)]
        done = plan.outputs_done
        watch = [self._watch(name, node, array) for name, node, array in self.watched(check)]
        self.works_before = [*(w for group in self.works[:done] for w in group), *watch]
        """The works that compute the outputs, and check that they are finite."""
        self.works_after = [*(w for group in self.works[done:] for w in group), *self._landings()]
        """The works after the outputs are taken: the remaining steps, and the copies that write updates."""

    # What a backend says -----------------------------------------------------------------------------------------

    def lower(
        self, node: Node, ins: tuple[Any, ...], out: Any, declared: Node, working: tuple[np.ndarray, ...]
    ) -> Sequence[Kernel]:
        """The kernels that write the value of a node into `out`. NoKernel is raised if there are none.

        `working` holds the arrays for the op's scratch, which is used by other steps too, and those for its tables.
        """
        raise NotImplementedError

    def lower_bodies(self, i: int, step: Step, node: Node, ins: tuple[Any, ...], out: Any) -> Work[Kernel]:
        """The work of the i-th step, a loop or branch. NoKernel is raised unless its bodies are all in kernels."""
        raise NoKernel("the op has no kernel")

    def copy(self, dims: tuple[Dim, ...], target: np.ndarray, source: np.ndarray) -> Sequence[Kernel]:
        """The kernels that copy an array of any layout."""
        raise NotImplementedError

    def lower_check(self, dims: tuple[Dim, ...], labels: np.ndarray, classes: int) -> Sequence[Kernel]:
        """The kernels that stop the program when a label is out of range."""
        raise NotImplementedError

    def finite(self, array: np.ndarray) -> Sequence[Kernel]:
        """The kernels that stop the program when an element is not finite."""
        raise NotImplementedError

    # The works ---------------------------------------------------------------------------------------------------

    def _work(self, i: int, step: Step) -> list[Work[Kernel]]:
        node = step.node.at(self.sizes)
        ins = tuple(self.arrays[operand] for operand in step.node.operands)
        out = self.arrays[step.node]
        results = out if isinstance(out, tuple) else (out,)
        works = self._label_check(i, step)
        try:
            if step.bodies:
                works.append(self.lower_bodies(i, step, node, ins, out))
            else:
                kernels = self.lower(node, ins, out, step.node, self.working_memory(i, step, node))
                works.append(Work(i, tuple(kernels)))
        except NoKernel as reason:
            self.reasons[step.node] = str(reason)
            calls = tuple(self.numpy_calls(i, step, node, ins, out))
            works.append(Work(i, calls=calls, operands=tuple(_flat(ins)), results=results))
        if self.check == "all":
            for array in results:
                if array.dtype.kind == "f":
                    works.append(self._finite(i, array, partial(check_finite, array, step.node)))
        return works

    def _label_check(self, i: int, step: Step) -> list[Work[Kernel]]:
        found = step.node.class_labels(self.sizes)
        if not found or isinstance(found[0], Input):  # those of inputs are checked when they are fed
            return []
        labels, classes = found
        array = self.arrays[labels]
        check = partial(check_labels, array, classes, labels.label, step.node)
        if labels.static:
            check()
            return []
        try:
            return [Work(i, tuple(self.lower_check(labels.shape, array, classes)), error=check, operands=(array,))]
        except NoKernel as reason:
            self.reasons[step.node] = f"the check of its labels: {reason}"
            return [Work(i, calls=(check,), operands=(array,))]

    def _watch(self, name: str, node: Node, array: np.ndarray) -> Work[Kernel]:
        def fail() -> None:
            raise not_finite(name, node, array)

        return self._finite(None, array, fail)

    def _finite(self, step: int | None, array: np.ndarray, error: Call) -> Work[Kernel]:
        kernels = tuple(self.finite(array)) if array.size else ()
        return Work(step, kernels, error=error, operands=(array,))

    def _landings(self) -> list[Work[Kernel]]:
        return [Work(None, tuple(self.copy(source.shape, target, source))) for target, source in self.landings()]

    # Errors ------------------------------------------------------------------------------------------------------

    def call(self, work: Work[Kernel]) -> None:
        """Run the NumPy calls of a work.

        Raises:
            BackendError: when a call fails; the message names the node.
        """
        try:
            for call in work.calls:
                call()
        except GraphNNError:
            raise
        except Exception as error:
            assert work.step is not None
            at = f" with {show_sizes(self.sizes)}" if self.sizes else ""
            node = self.plan.steps[work.step].node
            raise BackendError(f"{self.backend}: {describe(node)} failed{at}: {error}") from error

    def fail(self, work: Work[Kernel]) -> None:
        """Raise the error of a work whose kernel stopped the program.

        Raises:
            LabelError, NonFiniteError: for the check that failed.
            BackendError: naming the node that cannot be computed from its operands, with NumPy's words.
        """
        if work.error is not None:
            work.error()
        elif work.step is not None:
            step = self.plan.steps[work.step]
            ins = tuple(self.arrays[operand] for operand in step.node.operands)
            calls = self.numpy_calls(work.step, step, step.node.at(self.sizes), ins, self.arrays[step.node])
            self.call(Work(work.step, calls=tuple(calls)))
        raise BackendError(f"{self.backend}: a kernel stopped without a reason.")


def _flat(ins: Iterable[Any]) -> Iterable[np.ndarray]:
    """The arrays of operands, one by one: an operand with several results has several."""
    for array in ins:
        yield from array if isinstance(array, tuple) else (array,)
