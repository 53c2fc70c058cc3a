"""A plan within a budget: another order of the steps, then values computed again instead of kept, or a refusal.

Candidates are tried in order of what they cost in time, and the first that fits is taken: the plan as it is; an
order that keeps less alive; elementwise values, casts and views computed again; then anything computed again. All
of them give the bits of the plan as it is, since the same ops see the same values.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate

from ..errors import BackendError
from ..ir.node import Node
from ..transform.recompute import is_anything, is_cheap, recompute
from .memory import Plan, make_plan
from .usage import live_bytes, show_largest, show_sizes

__all__ = ["fit", "lean_order"]

_SEGMENTS = (2, 4, 8, 16, 32)


def fit(plan: Plan, sizes: Mapping[str, int], budget: int, extra: Callable[[Plan], int]) -> Plan:
    """The first candidate whose arena, and `extra` beside it, stay within the budget for given sizes.

    Raises:
        BackendError: with the smallest budget for which there is a candidate.
    """
    least: tuple[int, Plan] | None = None
    for candidate in _candidates(plan, sizes):
        needed = candidate.offsets(sizes)[1] + extra(candidate)
        if needed <= budget:
            return candidate
        if least is None or needed < least[0]:
            least = needed, candidate
    assert least is not None
    at = f" for {show_sizes(sizes)}" if sizes else ""
    raise BackendError(
        f"memory_budget: {budget} bytes do not hold the program{at}, with any order or recomputation tried: the "
        f"smallest budget found is {least[0]} bytes. The largest values: {show_largest(least[1], sizes)}."
    )


def _candidates(plan: Plan, sizes: Mapping[str, int]) -> Iterator[Plan]:
    yield plan
    graph = plan.graph
    orders = list(dict.fromkeys((graph.schedule, lean_order(plan, sizes))))
    for order in orders[1:]:
        yield make_plan(graph.in_order(order))
    for may in (is_cheap, is_anything):
        for segments in _SEGMENTS:
            for order in orders:
                peak = _turning_point(order, plan, sizes)
                cuts = _cuts(order, plan, sizes, peak, segments)
                if len(cuts) == segments:
                    again = recompute(order, graph, peak, cuts, may)
                    if again is not graph:
                        yield make_plan(again)


def _turning_point(order: Sequence[Node], plan: Plan, sizes: Mapping[str, int]) -> int:
    """The place where the forward pass ends; without a backward one, where the most is alive."""
    roles = plan.graph.roles
    if "backward" in roles.values():
        return 1 + max(i for i, node in enumerate(order) if roles[node] == "forward" and node.operands)
    live = live_bytes(plan, sizes)[:-1]
    peak = plan.steps[live.index(max(live))].node if live else order[-1]
    return order.index(peak)


def _cuts(order: Sequence[Node], plan: Plan, sizes: Mapping[str, int], peak: int, segments: int) -> list[int]:
    """Where segments begin that keep about as many bytes each for after the peak, near which little crosses."""
    late = set(order[peak:])
    place = {node: i for i, node in enumerate(order)}
    last_early, read_late = dict.fromkeys(order[:peak], 0), set()
    for node in order:
        for operand in node.operands:
            if node in late:
                read_late.add(operand)
            elif operand in last_early:
                last_early[operand] = place[node]
    size = {node: _bytes(node, plan, sizes) for node in order[:peak]}
    kept = list(accumulate(size[node] if node in read_late else 0 for node in order[:peak]))
    crossing = [0] * (peak + 1)
    for i, node in enumerate(order[:peak]):
        crossing[i + 1] += size[node]
        if last_early[node] > i:
            crossing[min(last_early[node] + 1, peak)] -= size[node]
        else:
            crossing[min(i + 2, peak)] -= size[node]
    crossing = list(accumulate(crossing))
    if not kept or not kept[-1]:
        return [0]
    cuts, width = [0], max(1, peak // (2 * segments))
    for s in range(1, segments):
        target = bisect_left(kept, kept[-1] * s / segments)
        near = range(max(cuts[-1] + 1, target - width), min(peak, target + width))
        if not near:
            break
        cuts.append(min(near, key=lambda i: (crossing[i], abs(i - target))))
    return cuts


def _bytes(node: Node, plan: Plan, sizes: Mapping[str, int]) -> int:
    """What keeping a value costs: nothing for views and for what is there anyway."""
    value = plan.values[node]
    return sum(spec.bytes(sizes) for spec in node.specs) if value.place == "arena" and not value.is_view else 0


def lean_order(plan: Plan, sizes: Mapping[str, int]) -> tuple[Node, ...]:
    """An order in which, of the nodes that are ready, the one that frees the most or takes the least runs first."""
    schedule = plan.graph.schedule
    place = {node: i for i, node in enumerate(schedule)}
    users: dict[Node, list[Node]] = {node: [] for node in schedule}
    waits: dict[Node, int] = {}
    readers: dict[Node, set[Node]] = {}
    kept = {plan.values[node].base for node in (*plan.graph.outputs.values(), *plan.graph.updates.values())}
    for node in schedule:
        operands = dict.fromkeys(node.operands)
        waits[node] = len(operands)
        for operand in operands:
            users[operand].append(node)
            readers.setdefault(plan.values[operand].base, set()).add(node)
    size = {node: _bytes(node, plan, sizes) for node in schedule}

    def cost(node: Node) -> int:
        bases = dict.fromkeys(plan.values[operand].base for operand in node.operands)
        return size[node] - sum(size[base] for base in bases if base not in kept and readers[base] == {node})

    ready = [(cost(node), place[node]) for node in schedule if not waits[node]]
    heapq.heapify(ready)
    order: list[Node] = []
    done: set[Node] = set()
    while ready:
        promised, i = heapq.heappop(ready)
        node = schedule[i]
        if node in done:
            continue
        now = cost(node)
        if now < promised:  # since it was put there others have read what it reads: look again, further ahead
            heapq.heappush(ready, (now, i))
            continue
        done.add(node)
        order.append(node)
        for base in dict.fromkeys(plan.values[operand].base for operand in node.operands):
            readers[base].discard(node)
            if len(readers[base]) == 1:  # whoever is left frees it: let it be seen at once
                [reader] = readers[base]
                if not waits[reader]:
                    heapq.heappush(ready, (cost(reader), place[reader]))
        for user in users[node]:
            waits[user] -= 1
            if not waits[user]:
                heapq.heappush(ready, (cost(user), place[user]))
    return tuple(order)
