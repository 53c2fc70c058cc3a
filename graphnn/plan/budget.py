"""Plans within a memory budget: other orders of the steps, and values that are computed again instead of kept.

Candidates are tried in order of the time that they cost, and the first that fits is taken: the plan as it is; an order
of steps that needs less memory; plans that compute elementwise values, casts and views again; plans that compute any
values again. All of them give the same bits, since the same ops are applied to the same values.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from ..errors import BackendError
from ..ir.node import Node
from ..transform.recompute import is_anything, is_cheap, recompute
from .memory import Plan, make_plan
from .schedule import in_order
from .usage import live_bytes, show_largest, show_sizes

__all__ = ["fit", "lean_order"]

_SEGMENTS = (2, 4, 8, 16, 32)


def fit(plan: Plan, sizes: Mapping[str, int], budget: int, extra: Callable[[Plan], int]) -> Plan:
    """The first candidate whose arena and `extra` bytes together stay within the budget, for given sizes.

    Raises:
        BackendError: when no candidate fits; the message names the smallest budget for which one would.
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
        yield make_plan(in_order(graph, order))
    for may in (is_cheap, is_anything):
        for segments in _SEGMENTS:
            for order in orders:
                peak = _turning_point(order, plan, sizes)
                cuts = _cuts(order, plan, sizes, peak, segments)
                if len(cuts) == segments:
                    again = recompute(order, graph, peak, cuts, may)
                    if again is not None:
                        yield make_plan(in_order(*again))


def _turning_point(order: Sequence[Node], plan: Plan, sizes: Mapping[str, int]) -> int:
    """The position at which the forward half ends; without a backward half, that of the most memory in use."""
    roles = plan.graph.roles
    if "backward" in roles.values():
        return 1 + max(i for i, node in enumerate(order) if roles[node] == "forward" and node.operands)
    live = live_bytes(plan, sizes)[:-1]
    peak = plan.steps[live.index(max(live))].node if live else order[-1]
    return order.index(peak)


def _cuts(order: Sequence[Node], plan: Plan, sizes: Mapping[str, int], peak: int, segments: int) -> list[int]:
    """The positions at which segments begin.

    The segments keep about the same number of bytes each for after the peak, and few bytes are passed on between them.
    """
    size = {node: _bytes(node, plan, sizes) for node in order[:peak]}
    read_late = {operand for node in order[peak:] for operand in node.operands}
    kept = list(accumulate(size[node] if node in read_late else 0 for node in order[:peak]))
    if not kept or not kept[-1]:
        return [0]
    crossing = _crossing(order[:peak], size)
    cuts, width = [0], max(1, peak // (2 * segments))
    for s in range(1, segments):
        target = bisect_left(kept, kept[-1] * s / segments)
        near = range(max(cuts[-1] + 1, target - width), min(peak, target + width))
        if not near:
            break
        cuts.append(min(near, key=lambda i: (crossing[i], abs(i - target))))
    return cuts


def _crossing(early: Sequence[Node], size: Mapping[Node, int]) -> list[int]:
    """For each position between the early steps, the bytes of values from before it that steps after it read."""
    last_reader = {node: i for i, node in enumerate(early)}
    for i, node in enumerate(early):
        last_reader.update((operand, i) for operand in node.operands if operand in last_reader)
    change = [0] * (len(early) + 1)
    for i, node in enumerate(early):
        change[i + 1] += size[node]
        change[min(max(last_reader[node], i + 1) + 1, len(early))] -= size[node]
    return list(accumulate(change))


def _bytes(node: Node, plan: Plan, sizes: Mapping[str, int]) -> int:
    """The bytes that it takes to keep a value: none for views, and for what is not in the arena."""
    value = plan.values[node]
    return sum(spec.bytes(sizes) for spec in node.specs) if value.place == "arena" and not value.is_view else 0


def lean_order(plan: Plan, sizes: Mapping[str, int]) -> tuple[Node, ...]:
    """An order for little memory: of the nodes that are ready, the one that frees most or takes least runs first."""
    return _LeanOrder(plan, sizes).order()


class _LeanOrder:
    """The search for that order: nodes run one after the other, and each makes others ready."""

    def __init__(self, plan: Plan, sizes: Mapping[str, int]) -> None:
        self.values, self.schedule = plan.values, plan.graph.schedule
        self.place = {node: i for i, node in enumerate(self.schedule)}
        self.size = {node: _bytes(node, plan, sizes) for node in self.schedule}
        self.kept = {self.values[node].base for node in (*plan.graph.outputs.values(), *plan.graph.updates.values())}
        self.users: dict[Node, list[Node]] = {node: [] for node in self.schedule}
        self.missing: dict[Node, int] = {}
        """How many operands of each node have not run yet."""
        self.readers: dict[Node, set[Node]] = {}
        """The nodes that have still to read each base."""
        self.ready: list[tuple[int, int]] = []
        """A heap of the nodes whose operands have run: the cost of each when it was put here, and its place."""
        for node in self.schedule:
            operands = dict.fromkeys(node.operands)
            self.missing[node] = len(operands)
            for operand in operands:
                self.users[operand].append(node)
                self.readers.setdefault(self.values[operand].base, set()).add(node)

    def order(self) -> tuple[Node, ...]:
        for node in self.schedule:
            if not self.missing[node]:
                self._push(node)
        order: dict[Node, None] = {}
        while self.ready:
            promised, i = heapq.heappop(self.ready)
            node = self.schedule[i]
            if node in order:
                continue
            if self._cost(node) < promised:  # its operands have fewer readers by now: it comes further ahead
                self._push(node)
                continue
            order[node] = None
            self._run(node)
        return tuple(order)

    def _run(self, node: Node) -> None:
        for base in self._bases(node):
            self.readers[base].discard(node)
            if len(self.readers[base]) == 1:  # the last reader will free it: rank that one anew
                [reader] = self.readers[base]
                if not self.missing[reader]:
                    self._push(reader)
        for user in self.users[node]:
            self.missing[user] -= 1
            if not self.missing[user]:
                self._push(user)

    def _push(self, node: Node) -> None:
        heapq.heappush(self.ready, (self._cost(node), self.place[node]))

    def _cost(self, node: Node) -> int:
        """The bytes that the node takes, minus those that it frees."""
        freed = (base for base in self._bases(node) if base not in self.kept and self.readers[base] == {node})
        return self.size[node] - sum(self.size[base] for base in freed)

    def _bases(self, node: Node) -> Iterable[Node]:
        return dict.fromkeys(self.values[operand].base for operand in node.operands)
