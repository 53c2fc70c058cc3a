"""Reports as text: the stages of a compilation, plans, programs and profiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..ir.graph import Graph
from ..ir.node import Node
from ..plan.memory import Plan, Step
from .ledger import Ledger
from .listing import list_graph
from .memory import show_slots
from .text import apply, names, spec

__all__ = ["explain", "list_calls", "list_plan", "list_profile"]


def explain(stages: Sequence[tuple[str, str, Graph]], plan: Plan, ledger: Ledger) -> str:
    """The graph after each stage of a compilation, or a remark that nothing changed; then the plan and its ledger."""
    parts = []
    before: Graph | None = None
    for name, numerics, graph in stages:
        if graph is before:
            parts.append(f"== {name} ({numerics}): (unchanged)")
        else:
            how = f" ({numerics}): {len(before.nodes)} -> {len(graph.nodes)} nodes" if before is not None else ""
            parts.append(f"== {name}{how}\n{list_graph(graph)}")
        before = graph
    return "\n\n".join([*parts, f"== plan\n{list_plan(plan)}", f"== {ledger}"])


def list_plan(plan: Plan) -> str:
    """The listing of a plan: inputs, values known before the run, views, steps with their slots, and all slots."""
    called = names(plan.graph.schedule)
    inputs = [(called[node], spec(node), f"slot {plan.values[node].slots[0]}") for node in plan.graph.inputs.values()]
    static = [_call(node, called) for node in plan.static if called[node].startswith("%")]
    views = [_call(node, called) for node in plan.graph.schedule if plan.values[node].is_view]
    steps = [(*_call(step.node, called), _where(step, plan)) for step in plan.steps]
    done = plan.outputs_done if plan.graph.updates else len(steps)
    inside = [_inside(step) for step in plan.steps]
    landings = [f"  {called[p]} <- {called[node]}, copied at the end" for p, node in plan.landings]
    lines = [f"plan: {len(plan.steps)} steps, {len(plan.slots)} slots"]
    widths = _widths([*static, *views, *steps])
    for heading, body in (
        ("inputs", _columns(inputs, _widths(inputs))),
        ("before the run", _columns(static, widths)),
        ("views", _columns(views, widths)),
        ("steps", _with_bodies(_columns(steps[:done], widths), inside[:done])),
        (
            "steps, once the outputs are complete",
            [*_with_bodies(_columns(steps[done:], widths), inside[done:]), *landings],
        ),
        ("slots", [f"  {i}: {text}" for i, text in enumerate(show_slots(plan))]),
    ):
        if body:
            lines += ["", heading, *body]
    return "\n".join(lines)


def _with_bodies(lines: Sequence[str], inside: Sequence[Sequence[str]]) -> list[str]:
    return [text for line, bodies in zip(lines, inside, strict=True) for text in (line, *bodies)]


def _inside(step: Step) -> list[str]:
    """The plans of the bodies that a step runs, indented; each numbers its own slots."""
    lines = []
    for body, planned in zip(step.node.bodies(), step.bodies, strict=True):
        called = names((*body.placeholders, *(n for n in body.graph.nodes if n not in body.placeholders)))
        lines.append(f"  | {len(planned.plan.steps)} steps in slot {planned.slot}, with slots of their own")
        for inner in planned.plan.steps:
            what, shape = _call(inner.node, called)
            lines.append(f"  |   {what}   {shape}   {_where(inner, planned.plan)}")
            lines += [f"  |   {text[2:]}" for text in _inside(inner)]
    return lines


def _call(node: Node, called: Mapping[Node, str]) -> tuple[str, str]:
    return f"{called[node]} = {apply(node, called)}", spec(node)


def _where(step: Step, plan: Plan) -> str:
    if step.into is not None:
        where = f"into {step.into.name}"
    else:
        where = f"slot {', '.join(map(str, plan.values[step.node].slots))}" + (
            " in place" if step.over is not None else ""
        )
    return where + (f", scratch {', '.join(map(str, step.scratch))}" if step.scratch else "")


def _widths(rows: Sequence[tuple[str, ...]]) -> list[int]:
    columns = max(map(len, rows), default=0)
    return [max((min(len(row[i]), 60) for row in rows if i < len(row)), default=0) for i in range(columns)]


def _columns(rows: Sequence[tuple[str, ...]], widths: list[int]) -> list[str]:
    return [
        "  " + "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip() for row in rows
    ]


def list_calls(plan: Plan) -> str:
    """The program of an interpreting backend, with a line for each step."""
    called = names(plan.graph.schedule)
    lines = []
    for step in plan.steps:
        target = f"{called[step.into]}[...]" if step.into is not None else called[step.node]
        lines.append(f"{target} = {apply(step.node, called)}")
    lines += [f"{called[p]}[...] = {called[node]}" for p, node in plan.landings]
    return "\n".join(lines)


def list_profile(plan: Plan, seconds: Sequence[float]) -> str:
    """The steps with their time and their share of the whole, the slowest first."""
    called = names(plan.graph.schedule)
    total = sum(seconds)
    rows = []
    for step, time in sorted(zip(plan.steps, seconds, strict=True), key=lambda pair: -pair[1]):
        share = 100 * time / total if total else 0.0
        rows.append((f"{time * 1e6:8.2f} us {share:5.1f} %", *_call(step.node, called), str(step.node.origin)))
    return "\n".join([f"{total * 1e6:.2f} us in {len(plan.steps)} steps", *_columns(rows, _widths(rows))])
