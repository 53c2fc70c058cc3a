"""Memory as text: the formula or the bytes, the timeline of the steps, and the largest values with their lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..ir.node import describe
from ..ir.polynomial import Polynomial, bytes_of
from ..ir.spec import Spec
from ..plan.arena import Slot, Whole
from ..plan.memory import Plan
from ..plan.usage import largest, live_bytes, live_formulas, show_bytes, show_sizes
from .text import names

__all__ = ["list_formula", "list_memory", "show_slots"]

_ROWS = 40
"""Lines of a timeline; a longer plan shows the step that needs the most of each stretch."""
_BAR = 30
_PARTS = 6
"""Terms of a maximum that are written out."""
_TYPICAL = 128
"""The number that stands for every named size where values are to be put in order before any is known."""


def list_memory(plan: Plan, sizes: Mapping[str, int], parts: Mapping[str, int]) -> str:
    """The bytes of each part for given sizes, the timeline, and the largest values."""
    live = live_bytes(plan, sizes)
    peak = max(live)
    at = f" for {show_sizes(sizes)}" if sizes else ""
    lines = [f"memory{at}: {sum(parts.values())} bytes ({show_bytes(sum(parts.values()))})"]
    lines += [f"  {name:<10}{number:>14}" for name, number in parts.items()]
    lines[1] += f"   at least {peak} for this order of steps"
    rows = _stretches(live)
    shown = [show_bytes(live[i]) for i in rows]
    width = max(map(len, shown))
    bars = ["█" * max(1, round(_BAR * live[i] / peak)) if live[i] else "" for i in rows]
    called = _steps(plan)
    lines += ["", "in use at each step"]
    lines += [
        f"  {i:>6}  {amount:>{width}}  {bar:<{_BAR}}  {called[i]}".rstrip()
        for i, amount, bar in zip(rows, shown, bars, strict=True)
    ]
    lines += ["", "the largest values"]
    lines += [f"  {show_bytes(number):>10}  {describe(node)}" for node, number in largest(plan, sizes)]
    return "\n".join(lines)


def list_formula(plan: Plan, state: int, kept: Sequence[Spec], workspace: int) -> str:
    """The memory before any size is known: slots, timeline and values as formulas of the named sizes."""
    typical = dict.fromkeys(plan.graph.sizes, _TYPICAL)
    live = live_formulas(plan)
    numbers = [formula(typical) for formula in live]
    peak = live[numbers.index(max(numbers))]
    constants = Polynomial.total(bytes_of(spec) for spec in kept)
    rows, called = _stretches(numbers), _steps(plan)
    width = max(len(str(live[i])) for i in rows)
    values = [
        (describe(node), Polynomial.total(bytes_of(spec) for spec in node.specs)) for node, _ in largest(plan, typical)
    ]
    return "\n".join(
        [
            f"arena     = {_slots(plan)} bytes, each ⌈⌉ rounded up to a multiple of 64",
            f"            at least {peak} bytes for this order of steps",
            f"state     = {state} bytes",
            f"constants = {constants} bytes",
            *([f"workspace = {workspace} bytes"] if workspace else []),
            "",
            "in use at each step, in bytes",
            *(f"  {i:>6}  {live[i]!s:<{width}}  {called[i]}" for i in rows),
            "",
            "the largest values, in bytes",
            *(f"  {size}   {name}" for name, size in values),
        ]
    )


def _slots(plan: Plan) -> str:
    """The sum of the slots that are not parts of others, with equal ones counted."""
    counted: dict[str, int] = {}
    for slot, formula in zip(plan.slots, _lengths(plan), strict=True):
        if not slot.inside and formula:
            counted[formula] = counted.get(formula, 0) + 1
    return " + ".join(f"{n}·{slot}" if n > 1 else slot for slot, n in counted.items()) or "0"


def _lengths(plan: Plan) -> list[str]:
    """The length of each slot as a formula: the largest of its values."""
    lengths = [""] * len(plan.slots)
    for i in range(len(plan.slots) - 1, -1, -1):
        slot = plan.slots[i]
        sizes = _largest(slot)
        sums = [" + ".join(text for text in (lengths[low], lengths[high]) if text) for low, high in slot.pairs]
        parts = list(dict.fromkeys([*(f"⌈{size}⌉" for size in sizes), *sums]))
        parts = parts if len(parts) <= _PARTS else [*parts[:_PARTS], f"{len(parts) - _PARTS} more"]
        lengths[i] = f"max({', '.join(parts)})" if len(parts) > 1 else parts[0] if parts else ""
    return lengths


def _largest(slot: Slot) -> list[Polynomial | Whole]:
    """The sizes of the buffers in a slot, without those that are never larger than another one."""
    plain = [size for size in slot.sizes if isinstance(size, Polynomial)]
    return [s for s in slot.sizes if s not in plain or not any(o is not s and o.covers(s) for o in plain)]


def show_slots(plan: Plan) -> list[str]:
    """Each slot as text: the bytes of its largest buffers, or the slots inside it."""
    begins = {high: low for slot in plan.slots for low, high in slot.pairs}
    hosts = {low: i for i, slot in enumerate(plan.slots) for low, _ in slot.pairs}
    lines = []
    for i, slot in enumerate(plan.slots):
        sizes = list(map(str, _largest(slot)))
        where = f", in {hosts[i]}" if i in hosts else f", behind {begins[i]}" if i in begins else ""
        lines.append((f"{' or '.join(sizes)} bytes" if sizes else "the rest") + where)
    return lines


def _steps(plan: Plan) -> list[str]:
    called = names(plan.graph.schedule)
    steps = [f"{called[step.node]} {step.node.op} ({step.node.origin})" for step in plan.steps]
    return [*steps, "updates land" if plan.graph.updates else "outputs are taken"]


def _stretches(live: Sequence[int]) -> list[int]:
    """The steps that a timeline shows: all of them, or of each stretch of steps the one that needs most memory."""
    length = -(-len(live) // _ROWS)
    stretches = [range(start, min(start + length, len(live))) for start in range(0, len(live), length)]
    return [max(stretch, key=lambda i: live[i]) for stretch in stretches]
