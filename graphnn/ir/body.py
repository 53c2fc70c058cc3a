"""Bodies: the graphs that a loop or branch runs, each a frozen pair of placeholders and results.

A body is closed. A node from outside that it reads is an operand of the loop or branch, and a placeholder inside the
body. So a body can be printed, rewritten, planned and differentiated by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from .context import like
from .graph import Graph
from .leaf import Input, Parameter
from .node import Item, Node
from .spec import Dim, Shape, Spec
from .walk import walk

__all__ = ["Body", "BodyArrays", "Placeholder", "Program", "close", "sizes_of"]


class Placeholder(Node):
    """A value that a body is given when it runs."""

    name: str
    size: Any
    kind: Any
    random = True  # two placeholders of one spec are never the same value

    def infer(self) -> Spec:
        """As declared."""
        return Spec(self.size, self.kind)

    @property
    def label(self) -> str:
        """The name, quoted."""
        return f"'{self.name}'"


@dataclass(frozen=True)
class Body:
    """A graph over placeholders: its node fills its `own`, and the `captured` ones stand for values from outside."""

    own: tuple[Placeholder, ...]
    captured: tuple[Placeholder, ...]
    results: tuple[Node, ...]

    @property
    def placeholders(self) -> tuple[Placeholder, ...]:
        """All placeholders."""
        return (*self.own, *self.captured)

    @cached_property
    def graph(self) -> Graph:
        """The graph of the results, whose outputs are named 0, 1 and so on."""
        return Graph({str(i): node for i, node in enumerate(self.results)})

    @cached_property
    def used(self) -> frozenset[Node]:
        """The placeholders that the results depend on."""
        return frozenset(self.placeholders).intersection(self.graph.nodes)

    @cached_property
    def room(self) -> tuple[Dim, ...]:
        """The dimensions that must not be negative: see `Node.room`."""
        return room_of(self.graph.nodes)

    def work(self) -> tuple[Shape, ...]:
        """The operations of one run, without those of views and of values known before the run: see `Node.work`."""
        nodes = [node for node in self.graph.nodes if node.operands and not node.static and node.view(True) is None]
        return tuple(shape for node in nodes for shape in node.work())

    def rewritten(self, apply: Callable[[Graph], Graph]) -> Body:
        """The body after a transformation of its graph; itself when the graph stays the same."""
        graph = apply(self.graph)
        return self if graph is self.graph else Body(self.own, self.captured, tuple(graph.outputs.values()))


class BodyArrays(Protocol):
    """The arrays of a body that is bound to memory."""

    @property
    def arrays(self) -> Mapping[Node, Any]:
        """The arrays of those placeholders on which the results depend."""
        ...

    @property
    def results(self) -> Sequence[Any]:
        """The arrays of the results."""
        ...


class Program(BodyArrays, Protocol):
    """A body that is bound to memory: fill the arrays of its placeholders, run it, and read those of its results."""

    def run(self) -> None:
        """Compute the results."""
        ...


def close(
    results: Sequence[Node], own: Sequence[Placeholder], inside: frozenset[Node], hoist: bool
) -> tuple[Body, tuple[Node, ...]]:
    """The body with these results and `own` placeholders, and the nodes from outside that it captures.

    `inside` are the nodes that were built for the body. With `hoist`, nodes that do not depend on its own placeholders
    are left outside, where they are computed once. Views stay inside: they cost nothing, and what they view may be
    smaller.
    """
    kept: set[Node] = set(own)
    depends: set[Node] = set(own)
    outside: dict[Node, None] = {}
    # Of what was built before the body only those nodes matter that it reads directly.
    order = walk(results, needs=lambda node: node.operands if node in inside else ())
    for node in order:
        if node in depends or node.static:
            kept.add(node)
            continue
        if any(operand in depends for operand in node.operands):
            depends.add(node)
        elif not _stays(node, inside, hoist) or (isinstance(node, Item) and node.node not in kept):
            continue
        kept.add(node)
    for node in order:
        if node in kept and not node.static:
            outside.update(dict.fromkeys(operand for operand in node.operands if operand not in kept))
    outside.update(dict.fromkeys(node for node in results if node not in kept))
    replaced: dict[Node, Node] = {node: _stand_in(node, i) for i, node in enumerate(outside)}
    captured = tuple(node for node in replaced.values() if isinstance(node, Placeholder))
    for node in order:
        if node in kept and (new := node.with_operands(replaced)) is not node:
            replaced[node] = new
    return Body(tuple(own), captured, tuple(replaced.get(node, node) for node in results)), tuple(outside)


def _stays(node: Node, inside: frozenset[Node], hoist: bool) -> bool:
    """Does a node that depends on none of the own placeholders belong to the body?"""
    if node not in inside or isinstance(node, (Input, Parameter, Placeholder)):
        return False
    return not hoist or (node.view(True) is not None and not isinstance(node, Item))


def _stand_in(node: Node, i: int) -> Placeholder:
    name = node.name if isinstance(node, (Input, Parameter, Placeholder)) else f"captured{i}"
    with like(node):  # declared when the node was, so that it comes before its users
        return Placeholder(name, node.shape, node.dtype)


def sizes_of(node: Node, arrays: Sequence[Any]) -> dict[str, int]:
    """The named sizes that a node was bound for, and those that the shapes of its operands tell."""
    sizes: dict[str, int] = dict(node.__dict__.get("_sizes", {}))
    for operand, array in zip(node.operands, arrays, strict=True):
        operand.spec.unify(array.shape, sizes, operand.label, dict.fromkeys(operand.spec.sizes, operand.label))
    return sizes


def room_of(nodes: Iterable[Node]) -> tuple[Dim, ...]:
    """The dimensions of nodes inside another, and what they ask for by `room`: none of them may be negative."""
    nodes = tuple(nodes)
    shapes = [spec.shape for node in nodes for spec in node.specs]
    return tuple(dim for dims in (*shapes, *(node.room() for node in nodes)) for dim in dims)
