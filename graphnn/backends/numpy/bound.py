"""A plan bound to memory: the steps as calls without arguments, for one set of sizes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ...errors import BackendError, GraphNNError, NonFiniteError
from ...ir.labels import check_labels
from ...ir.leaf import Input
from ...ir.node import Call, Node, describe
from ...plan.memory import Plan, Step
from ..placed import Placed

__all__ = ["Bound", "Calls", "check_finite", "not_finite"]


class Calls(NamedTuple):
    """A step as calls: those that make the outputs, those after which updates may land, and all by step of the plan."""

    before: list[Call]
    after: list[Call]
    by_step: list[list[Call]]


class Bound(Placed):
    """The plan's steps as calls, for one set of sizes."""

    def __init__(self, plan: Plan, arena: np.ndarray, sizes: dict[str, int], check_finite: str | None) -> None:
        super().__init__(plan, arena, sizes)
        self.check_finite = check_finite
        self.by_step = [self._calls(i, step, self.arrays) for i, step in enumerate(plan.steps)]
        self.lands: list[Call] = [partial(np.copyto, target, source) for target, source in self.landings()]
        self.scalars = self.watched(check_finite)

    def _calls(self, i: int, step: Step, arrays: Mapping[Node, Any]) -> list[Call]:
        node = step.node.at(self.sizes)
        ins = tuple(arrays[operand] for operand in step.node.operands)
        out = arrays[step.node]
        calls = list(node.bind(np, ins, out, self.working_memory(i, step, node)))
        checked = step.node.class_labels(self.sizes)
        if checked and not isinstance(checked[0], Input):  # those of inputs are checked when they are fed
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

    def calls(self, feeds: Mapping[Node, np.ndarray] | None = None) -> Calls:
        """All calls of a step, in order; with `feeds`, reading the inputs there instead."""
        by_step = self.by_step if feeds is None else self._rebound(feeds)
        done = self.plan.outputs_done
        return Calls(_flat(by_step[:done]), _flat(by_step[done:]) + self.lands, by_step)

    def _rebound(self, feeds: Mapping[Node, np.ndarray]) -> list[list[Call]]:
        """The calls with some inputs elsewhere: only the steps that read one are bound again."""
        plan = self.plan
        arrays: dict[Node, Any] = {**self.arrays, **feeds}
        for node, value in plan.values.items():
            if value.is_view and value.base in feeds:
                arrays[node] = self.view(node, arrays)
        return [
            self._calls(i, step, arrays) if any(plan.values[op].base in feeds for op in step.node.operands) else calls
            for i, (step, calls) in enumerate(zip(plan.steps, self.by_step, strict=True))
        ]

    def run(self, calls: Calls, take_outputs: Call) -> None:
        """One step: compute, look at the loss, take the outputs (old values of parameters, it may be), then update."""
        call: Call | None = None
        try:
            for call in calls.before:
                call()
            for name, node, array in self.scalars:
                if not math.isfinite(array):
                    raise not_finite(name, node, array)
            take_outputs()
            for call in calls.after:
                call()
        except GraphNNError:
            raise
        except Exception as error:
            raise self._explained(error, call, calls) from error

    def _explained(self, error: Exception, failed: Call | None, calls: Calls) -> BackendError:
        """The error of a call, with the node it belongs to."""
        for step, group in zip(self.plan.steps, calls.by_step, strict=True):
            if any(call is failed for call in group):
                at = ", ".join(f"{name}={size}" for name, size in self.sizes.items())
                return BackendError(f"numpy: {describe(step.node)} failed{at and f' with {at}'}: {error}")
        return BackendError(f"numpy: an update failed: {error}")


def not_finite(name: str, node: Node, value: Any) -> NonFiniteError:
    """The error for a watched output."""
    return NonFiniteError(
        f"output '{name}', {describe(node)}, is {float(value)}. The parameters keep their values from before this "
        "step. Likely causes: a learning rate too large, or a logarithm or division near zero; "
        'compile with check_finite="all" to find the first node that is not finite.'
    )


def check_finite(array: np.ndarray, node: Node) -> None:
    """Refuse a value that is NaN or infinite somewhere."""
    if not np.isfinite(array).all():
        raise NonFiniteError(
            f"{describe(node)} is not finite. Its operands: {', '.join(map(describe, node.operands))}."
        )


def _flat(groups: Iterable[list[Call]]) -> list[Call]:
    return [call for group in groups for call in group]
