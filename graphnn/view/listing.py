"""Listings: graphs, plans and profiles as text that people read and golden tests pin.

Nothing here depends on when or where a graph was declared: names are given in order, source lines carry the file's
name only, and the text is the same in every run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..ir.graph import Graph
from ..ir.leaf import Constant, Count, Input, Parameter
from ..ir.node import Node
from ..ir.spec import Spec
from ..plan.memory import Plan, Step, Value

__all__ = ["Names", "explain", "list_calls", "list_graph", "list_plan", "list_profile", "show_call"]


class Names:
    """A name for every node: its own, its number when it is a scalar constant, else `%0`, `%1` and so on."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._of: dict[Node, str] = {}
        count = 0
        for node in nodes:
            own = _own_name(node)
            if own is None:
                own = f"%{count}"
                count += 1
            self._of[node] = own

    def __getitem__(self, node: Node) -> str:
        return self._of[node]


def _own_name(node: Node) -> str | None:
    match node:
        case Input() | Parameter():
            return node.name
        case Constant(value) if not value.ndim:
            return f"{value.item():.6g}" if value.dtype.kind == "f" else str(value.item())
        case Count():
            return "·".join(map(str, node.dims))
    return None


def show_spec(node: Node) -> str:
    """`f32[N, 2]`; for several results, each."""
    return str(node.spec) if isinstance(node.spec, Spec) else "(" + ", ".join(map(str, node.spec)) + ")"


def show_call(node: Node, names: Names) -> str:
    """`Sum(%3, axis=(0,), keepdims=True)`: operands by name, attributes that are not at their default."""
    parts = [names[operand] for operand in node.operands]
    if isinstance(node, Constant):
        parts.append(_show_array(node.value))
    else:
        defaults = {f.name: f.default for f in node.__dataclass_fields__.values()}  # type: ignore[attr-defined]
        parts += [
            f"{name}={show_value(value)}"
            for name, value in node.attributes().items()
            if not _same(value, defaults.get(name)) and value is not None
        ]
    return f"{node.op}({', '.join(parts)})"


def _same(value: Any, default: Any) -> bool:
    return type(value) is type(default) and bool(value == default)


def show_value(value: Any) -> str:
    """An attribute as it would be written."""
    if isinstance(value, np.dtype):
        return value.name
    if isinstance(value, tuple):
        return "(" + ", ".join(map(show_value, value)) + ("," if len(value) == 1 else "") + ")"
    return str(value) if not isinstance(value, str) else repr(value)


def _show_array(array: np.ndarray) -> str:
    flat = ", ".join(f"{v:.6g}" if array.dtype.kind == "f" else str(v) for v in array.reshape(-1)[:4].tolist())
    return f"{flat}{', ...' if array.size > 4 else ''}"


def list_graph(graph: Graph) -> str:
    """The listing of a graph: inputs, parameters, then forward, backward and update nodes, outputs and updates."""
    names = Names(graph.nodes)
    by_serial = {node.serial: node for node in reversed(graph.nodes)}
    takes = ", ".join(f"{node.name}: {node.spec}" for node in graph.inputs.values())
    lines = [f"graph({takes}) -> {', '.join(graph.outputs)}"]
    rows = [(p.name, "Parameter" if p.trainable else "Parameter, not trained", str(p.spec), str(p.origin))
            for p in graph.parameters.values()]  # fmt: skip
    lines += _table(rows, "  {} = {}")
    for role in ("forward", "backward", "update"):
        rows = []
        for node in graph.nodes:
            if graph.roles[node] == role and names[node].startswith("%"):
                call = show_call(node, names)
                partner = by_serial.get(node.adjoint_of) if node.adjoint_of is not None else None
                note = f"adjoint of {names[partner]}" if partner is not None else str(node.origin)
                rows.append((names[node], call, show_spec(node), note))
        if rows:
            lines += [role, *_table(rows, "  {} = {}")]
    lines += [f"output {name} = {names[node]}" for name, node in graph.outputs.items() if names[node] != name]
    lines += [f"update {parameter.name} <- {names[node]}" for parameter, node in graph.updates.items()]
    return "\n".join(lines)


def _table(rows: Sequence[tuple[str, ...]], head: str) -> list[str]:
    """Rows in columns: a name and a call as `head` says, then the rest aligned."""
    if not rows:
        return []
    name_width = max(len(row[0]) for row in rows)
    call_width = min(60, max(len(row[1]) for row in rows))
    widths = [max(len(row[i]) for row in rows) for i in range(2, len(rows[0]))]
    lines = []
    for name, call, *rest in rows:
        cells = "  ".join(cell.ljust(width) for cell, width in zip(rest, widths, strict=True))
        lines.append((head.format(name.ljust(name_width), call.ljust(call_width)) + "  " + cells).rstrip())
    return lines


# Plans ---------------------------------------------------------------------------------------------------------------


def list_plan(plan: Plan) -> str:
    """The listing of a plan: what is static, each step with where it writes, and where updates land."""
    names = Names(plan.graph.schedule)
    inputs = [f"  {node.name}: {node.spec} in slot {plan.values[node].slots[0]}" for node in plan.graph.inputs.values()]
    lines = [f"plan: {len(plan.steps)} steps, {len(plan.slots)} slots", *inputs]
    static = [node for node in plan.static if names[node].startswith("%")]
    if static:
        lines.append("before the run")
        lines += _table([(names[n], show_call(n, names), show_spec(n)) for n in static], "  {} = {}")
    views = [node for node in plan.graph.schedule if plan.values[node].is_view]
    if views:
        lines.append("views")
        lines += _table([(names[n], show_call(n, names), show_spec(n)) for n in views], "  {} = {}")
    lines.append("steps")
    rows = [(names[s.node], show_call(s.node, names), show_spec(s.node), _where(s, plan.values)) for s in plan.steps]
    table = _table(rows, "  {} = {}")
    table.insert(plan.outputs_done, "  -- outputs are complete; updates may land --") if plan.graph.updates else None
    lines += table
    lines += [f"land {p.name} <- {names[node]}" for p, node in plan.landings]
    lines += ["slots", *(f"  {i}: {size} bytes" for i, size in enumerate(plan.slots))]
    return "\n".join(lines)


def _where(step: Step, values: Any) -> str:
    if step.into is not None:
        where = f"into {step.into.name}"
    else:
        value: Value = values[step.node]
        where = "slot " + ", ".join(map(str, value.slots)) + (" in place" if step.over is not None else "")
    return where + (f", scratch {', '.join(map(str, step.scratch))}" if step.scratch else "")


def list_calls(plan: Plan) -> str:
    """The program of an interpreting backend: one line a step, in order."""
    names = Names(plan.graph.schedule)
    lines = [f"{names[step.node]} = {show_call(step.node, names)}" for step in plan.steps]
    lines += [f"{p.name}[...] = {names[node]}" for p, node in plan.landings]
    return "\n".join(lines)


def list_profile(plan: Plan, seconds: Sequence[float]) -> str:
    """The steps with their time and share, the slowest first."""
    names = Names(plan.graph.schedule)
    total = sum(seconds) or 1.0
    lines = [f"{sum(seconds) * 1e6:.2f} us in {len(plan.steps)} steps"]
    for step, time in sorted(zip(plan.steps, seconds, strict=True), key=lambda pair: -pair[1]):
        call = show_call(step.node, names)
        lines.append(f"{time * 1e6:9.2f} us {100 * time / total:5.1f} %  {call}  {show_spec(step.node)}  {step.node.origin}")
    return "\n".join(lines)


def explain(stages: Sequence[tuple[str, str, Graph]], plan: Plan) -> str:
    """Each stage of a compile: the graph after it, or that it changed nothing; then the plan."""
    parts = []
    before: Graph | None = None
    for name, numerics, graph in stages:
        if before is not None and graph is before:
            parts.append(f"== {name} ({numerics}): (unchanged)")
        else:
            title = f"{name} ({numerics}): {len(before.nodes)} -> {len(graph.nodes)} nodes" if before else name
            parts.append(f"== {title}\n{list_graph(graph)}")
        before = graph
    return "\n\n".join([*parts, f"== plan\n{list_plan(plan)}"])
