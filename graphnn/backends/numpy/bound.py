"""A plan bound to memory for one set of sizes: its steps as calls without arguments."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np

from ...errors import BackendError, GraphNNError
from ...ir.labels import check_labels
from ...ir.leaf import Input
from ...ir.node import Call, Node, describe
from ...plan.checking import checking
from ...plan.memory import Plan, Step
from ...plan.usage import show_sizes
from ..placed import Placed
from .calls import Calls, check_finite, watch
from .check import checked_run

__all__ = ["Bound"]


class Bound(Placed):
    """The steps of a plan as calls, for one set of sizes."""

    def __init__(
        self,
        plan: Plan,
        arena: np.ndarray,
        sizes: dict[str, int],
        check_finite: str | None,
        offsets: Sequence[int] | None = None,
        given: Mapping[Node, Any] | None = None,
    ) -> None:
        super().__init__(plan, arena, sizes, offsets, given)
        self.check_finite = check_finite
        self.by_step = [self._calls(i, step, self.arrays) for i, step in enumerate(plan.steps)]
        self.unchecked = checking()

    def _calls(self, i: int, step: Step, arrays: Mapping[Node, Any]) -> list[Call]:
        node = step.node.at(self.sizes)
        ins = tuple([arrays[operand] for operand in step.node.operands])
        out = arrays[step.node]
        calls = self.numpy_calls(i, step, node, ins, out)
        checked = step.node.class_labels(self.sizes)
        if checked and not isinstance(checked[0], Input):  # the labels of an input are checked when it is fed
            labels, classes = checked
            check = partial(check_labels, arrays[labels], classes, labels.label, step.node)
            if labels.static:
                check()
            else:
                calls.insert(0, check)
        if self.check_finite == "all":
            results = out if isinstance(out, tuple) else (out,)
            calls += [partial(check_finite, result, step.node) for result in results if result.dtype.kind == "f"]
        return calls

    def bind_body(self, plan: Plan, offsets: Sequence[int], given: Mapping[Any, Any]) -> BoundBody:
        """Bind a body of a loop or branch."""
        return BoundBody(Bound(plan, self.arena, self.sizes, self.check_finite, offsets, given))

    def calls(self, feeds: Mapping[Node, np.ndarray] | None = None) -> Calls:
        """All calls of a run, in order. With `feeds`, they read the inputs from there instead of the arena."""
        if feeds is None:
            return self.plain
        local: dict[Node, Any] = dict(feeds)
        arrays: Mapping[Node, Any] = ChainMap(local, self.arrays)
        for node in self._views_of_inputs:
            local[node] = self.view(node, arrays)
        by_step = list(self.by_step)
        for i in self._reading_inputs:
            by_step[i] = self._calls(i, self.plan.steps[i], arrays)
        return self._gathered(by_step, arrays)

    @cached_property
    def plain(self) -> Calls:
        """The calls that read the inputs from the arena."""
        return self._gathered(self.by_step, self.arrays)

    @cached_property
    def _views_of_inputs(self) -> list[Node]:
        return [v.node for v in self.plan.values.values() if v.is_view and v.place == "input"]

    @cached_property
    def _reading_inputs(self) -> list[int]:
        """The steps that read inputs, and have to be bound again when these are elsewhere."""
        values = self.plan.values
        steps = enumerate(self.plan.steps)
        return [i for i, step in steps if any(values[operand].place == "input" for operand in step.node.operands)]

    def _gathered(self, by_step: list[list[Call]], arrays: Mapping[Node, Any]) -> Calls:
        done = self.plan.outputs_done
        return Calls(
            before=_flat(by_step[:done]),
            after=_flat(by_step[done:]),
            lands=[partial(np.copyto, target, source) for target, source in self.landings(arrays)],
            outputs=[arrays[node] for node in self.plan.graph.outputs.values()],
            scalars=self.watched(self.check_finite, arrays),
            by_step=by_step,
            arrays=arrays,
        )

    def run(self, calls: Calls, take_outputs: Call) -> None:
        """Run once: compute the outputs, check the loss, call `take_outputs`, and write the updates.

        The outputs are taken before the updates, because an output may be the old value of a parameter.
        """
        if self.unchecked:
            checked_run(self, calls, take_outputs)
            self.unchecked = False
            return
        call: Call | None = None
        try:
            for call in calls.before:
                call()
            watch(calls)
            take_outputs()
            for call in calls.after:
                call()
            for call in calls.lands:
                call()
        except GraphNNError:
            raise
        except Exception as error:
            raise self._explained(error, call, calls) from error

    def _explained(self, error: Exception, failed: Call | None, calls: Calls) -> BackendError:
        """The error for a failed call, which names the node of its step."""
        for step, group in zip(self.plan.steps, calls.by_step, strict=True):
            if any(call is failed for call in group):
                return self.failure(step.node, error)
        return BackendError(f"numpy: an update failed: {error}")

    def failure(self, node: Node, error: Exception) -> BackendError:
        """The error for a failed step."""
        at = f" with {show_sizes(self.sizes)}" if self.sizes else ""
        return BackendError(f"numpy: {describe(node)} failed{at}: {error}")


def _flat(groups: Iterable[list[Call]]) -> list[Call]:
    return [call for group in groups for call in group]


class BoundBody:
    """The body of a loop or branch as calls, in the arena of the program around it."""

    def __init__(self, bound: Bound) -> None:
        bound.unchecked = False  # a check would fill the arena with garbage, and the program around has values there
        self.arrays: Mapping[Node, Any] = bound.arrays
        self.results: Sequence[Any] = bound.outputs
        self._bound, self._calls = bound, bound.calls()

    def run(self) -> None:
        """Compute the results."""
        self._bound.run(self._calls, _nothing)


def _nothing() -> None:
    return None
