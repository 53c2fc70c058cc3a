"""Self-checks, which `GRAPHNN_CHECK=1` turns on: here, that compiling a program again gives the same plan."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from ..errors import GraphError
from ..ir.leaf import Constant
from ..ir.node import Node
from .memory import Plan, Value

__all__ = ["checking", "demand_same_plan", "fingerprint"]

_TIMES = 10
"""How often a program is compiled again."""
_LARGE = 1000
"""A program of more nodes is not, as it would take too long."""


def checking() -> bool:
    """Are self-checks turned on, by `GRAPHNN_CHECK=1` in the environment?"""
    return os.environ.get("GRAPHNN_CHECK", "") not in ("", "0")


def demand_same_plan(plan: Plan, again: Callable[[], Plan]) -> None:
    """Compile again, ten times, and compare the plans. A program of more than 1,000 nodes is not checked.

    Raises:
        GraphError: naming the first step that differs.
    """
    expected = fingerprint(plan)
    for _ in range(_TIMES if len(plan.graph.nodes) <= _LARGE else 0):
        made = fingerprint(again())
        if made != expected:
            at = next((i for i, pair in enumerate(zip(expected, made, strict=False)) if pair[0] != pair[1]), 0)
            raise GraphError(
                f"GRAPHNN_CHECK: compiled again, the same program has another plan, from entry {at} on: "
                f"{_shown(expected, at)} has become {_shown(made, at)}. "
                "A pass or the planner follows the order of a set."
            )


def fingerprint(plan: Plan) -> tuple[Any, ...]:
    """The decisions of a plan as a value, which is equal for equal plans of different nodes, also across processes."""
    numbers = {node: i for i, node in enumerate(plan.graph.schedule)}
    nodes = tuple(
        (node.op, str(node.spec), _plain(node), *(numbers[operand] for operand in node.operands), *_place(value))
        for node, value in ((node, plan.values[node]) for node in plan.graph.schedule)
    )
    steps = tuple(
        (
            numbers[step.node],
            step.scratch,
            None if step.over is None else numbers[step.over],
            None if step.into is None else step.into.name,
            *((body.slot, fingerprint(body.plan)) for body in step.bodies),
        )
        for step in plan.steps
    )
    landings = tuple(
        (parameter.name, numbers[node], plan.snapshots.get(parameter)) for parameter, node in plan.landings
    )
    return (*nodes, *steps, *landings, tuple(map(str, plan.slots)), plan.outputs_done)


def _place(value: Value) -> tuple[Any, ...]:
    return value.place, value.dense, value.slots


def _plain(node: Node) -> tuple[str, ...]:
    if isinstance(node, Constant):
        return ()
    return tuple(str(value) for value in node.attributes().values() if isinstance(value, (str, int, float, tuple)))


def _shown(entries: tuple[Any, ...], at: int) -> str:
    return repr(entries[at]) if at < len(entries) else "nothing"
