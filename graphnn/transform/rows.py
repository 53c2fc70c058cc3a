"""Grouping by rows: reductions along short rows, and the steps around them that work on the same rows, become one step.

A kernel then goes over the rows once: a softmax, its loss and its gradient are one loop. Each reduction keeps its
order, so the bits are those of separate steps. Only rows of a fixed width are grouped, since a kernel keeps values of a
row on its stack.

Levels say which steps may become one. When a value leaves the rows, goes through a step of another kind and comes back,
it comes back on a higher level. So steps of the same level never wait for each other by way of a step outside the
group.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..ir.graph import Graph
from ..ir.node import Node
from ..ir.spec import Spec
from ..ops.elementwise import Elementwise
from ..ops.indexing import OneHot, Pick
from ..ops.reductions import Reduction
from ..ops.shape import Repeat, Reshape
from .passes import Pass
from .record import Fired, current, note
from .rowwise import as_one_step, float_of, in_order

__all__ = ["rows"]

WIDEST = 4096
"""The most elements of a row."""


@dataclass
class _Group:
    """Steps over the same rows, in order."""

    rows: Spec
    members: list[Node] = field(default_factory=list)

    @property
    def pays(self) -> bool:
        """Is it worth a step: does it reduce rows, and compute something else too?"""
        computed = [node for node in self.members if node.view(True) is None]
        return len(computed) > 1 and any(isinstance(node, Reduction) for node in computed)

    @property
    def labels(self) -> list[Node]:
        """The operands that hold class labels, each once."""
        return list(dict.fromkeys(node.target for node in self.members if isinstance(node, (Pick, OneHot))))


def _apply(graph: Graph) -> Graph:
    domains = _domains(graph)
    if not any(isinstance(node, Reduction) for node in domains):
        return graph
    levels = _levels(graph, domains)
    group_of = _groups(graph, domains, levels)
    if not group_of:
        return graph
    return _rebuilt(graph, levels, group_of)


# Which steps work on rows -----------------------------------------------------------------------------------------


def _domains(graph: Graph) -> dict[Node, Spec]:
    """The steps that may be part of a group, each with the spec of all the rows that it works on."""
    folded = {node.x.spec for node in graph.nodes if isinstance(node, Reduction) and _folds_rows(node)}
    domains: dict[Node, Spec] = {}
    for node in graph.nodes if folded else ():
        rows = None if node.static or node.random else _domain(node, domains)
        if rows is not None and rows in folded:
            domains[node] = rows
    return domains


def _domain(node: Node, domains: dict[Node, Spec]) -> Spec | None:
    match node:
        case Reduction(x=x) if _folds_rows(node):
            return x.spec
        case Pick(x=x) if x.ndim > 1:
            return x.spec
        case OneHot(axis=-1) if node.ndim > 1:
            return node.spec
        case Repeat(x=x) if x in domains and node.axis == node.ndim - 1 and node.shape == domains[x].shape:
            return domains[x]
        case Reshape(x=x) if x in domains and _is_row(x, domains[x]) and _is_row(node, domains[x]):
            return domains[x]
        case Elementwise() if (dtype := float_of(node)) is not None:
            beside = {domains[x] for x in node.operands if x in domains and _is_row(node, domains[x])}
            if not beside:
                return Spec(node.shape, dtype)
            rows = beside.pop()
            return None if beside or rows.dtype != dtype else rows
    return None


def _folds_rows(node: Reduction) -> bool:
    x = node.x
    fits = x.ndim > 1 and isinstance(x.shape[-1], int) and 2 <= x.shape[-1] <= WIDEST
    plain = x.dtype.kind == "f" and x.dtype.itemsize >= 4 and node.dtype == x.dtype
    return fits and plain and node.axes == (x.ndim - 1,)


def _is_row(node: Node, rows: Spec) -> bool:
    """Does the node have one value for each row?"""
    return node.shape in (rows.shape[:-1], (*rows.shape[:-1], 1))


# Which of them may be one -----------------------------------------------------------------------------------------


def _levels(graph: Graph, domains: dict[Node, Spec]) -> dict[Node, int]:
    """The level of each node: how often the values that it needs have left their rows; as high as its readers allow."""
    levels: dict[Node, int] = {}
    for node in graph.nodes:
        mine = domains.get(node)
        levels[node] = max(
            (levels[x] + (x in domains and domains[x] != mine) for x in node.operands),
            default=0,
        )
    seen = set(graph.roots)
    latest: dict[Node, int] = {}
    for node in reversed(graph.nodes):
        mine = domains.get(node)
        if mine is not None and node in latest and node not in seen:
            levels[node] = max(levels[node], latest[node])
        for x in node.operands:
            if domains.get(x) == mine:
                latest[x] = min(latest.get(x, levels[node]), levels[node])
            else:
                seen.add(x)
    return levels


def _groups(graph: Graph, domains: dict[Node, Spec], levels: dict[Node, int]) -> dict[Node, _Group]:
    """The groups that are worth a step, by each of their members."""
    group_of: dict[Node, _Group] = {}
    for node in graph.nodes:
        if node not in domains:
            continue
        mine = _Group(domains[node])
        for x in node.operands:
            theirs = group_of.get(x)
            if theirs is None or theirs is mine or theirs.rows != mine.rows:
                continue
            if levels[x] != levels[node]:
                note(node, x, "what lies between them is no step of the same rows")
                continue
            small, large = sorted((mine, theirs), key=lambda group: len(group.members))
            large.members += small.members
            group_of.update(dict.fromkeys(small.members, large))
            mine = large
        mine.members.append(node)
        group_of[node] = mine
    groups = {id(group): group for group in group_of.values()}
    paying = {key for key, group in groups.items() if group.pays and _same_labels(group)}
    return {node: group for node, group in group_of.items() if id(group) in paying}


def _same_labels(group: _Group) -> bool:
    labels = group.labels
    for other in labels[1:]:
        note(labels[0], other, "a loop over rows checks one array of labels, and these are two")
    return len(labels) < 2


# The graph with groups as steps -----------------------------------------------------------------------------------


def _rebuilt(graph: Graph, levels: dict[Node, int], group_of: dict[Node, _Group]) -> Graph:
    read = _read_outside(graph, group_of)
    record = current()
    place = {node: i for i, node in enumerate(graph.nodes)}
    replaced: dict[Node, Node] = {}
    done: set[int] = set()
    for node in sorted(graph.nodes, key=lambda node: (levels[node], node in group_of)):
        group = group_of.get(node)
        if group is None:
            new = node.with_operands(replaced)
            if new is not node:
                replaced[node] = in_order(new)
        elif id(group) not in done:
            done.add(id(group))
            group.members.sort(key=place.__getitem__)
            results = _made(group, read, replaced)
            made = next(iter(results.values())).operands[0]
            replaced |= results
            for member in group.members:
                record.fired.append(Fired("one loop over rows", member, member, made))
                if member not in read:
                    replaced[member] = made
                elif member not in results:  # a view, which is built again outside the group
                    replaced[member] = in_order(member.with_operands(replaced))
    record.moves.append(replaced)
    return graph.replaced(replaced)


def _read_outside(graph: Graph, group_of: dict[Node, _Group]) -> set[Node]:
    """The members that are outputs, or that steps outside their group read, directly or through views."""
    read = set(graph.roots)
    for node in reversed(graph.nodes):
        for x in node.operands:
            if group_of.get(x) is not group_of.get(node) or (node in read and node.view(True) is not None):
                read.add(x)
    return read


def _made(group: _Group, read: set[Node], replaced: dict[Node, Node]) -> dict[Node, Node]:
    """The new node for each member that is read outside the group."""
    results = [member for member in group.members if member in read and member.view(True) is None]
    first = next(member for member in group.members if isinstance(member, Reduction))
    return as_one_step(group.members, results, replaced, first)


rows = Pass("rows", "exact", _apply, fuses=True)
