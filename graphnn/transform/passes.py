"""Passes: what a transformation is, how it rewrites a graph, and which ones the names stand for.

A pass declares its numerics. `exact`: the same bits as without it, on the same backend. `stabilising`: more
accurate. `reassociating`: the same mathematics with another rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ..errors import GraphError
from ..ir.graph import Graph
from ..ir.node import Node

__all__ = ["Pass", "Numerics", "Rule", "rewrite", "select"]

Numerics = Literal["exact", "stabilising", "reassociating"]
Rule: TypeAlias = Callable[[Node], "Node | None"]


@dataclass(frozen=True)
class Pass:
    """A transformation with its name and numerics.

    >>> import graphnn as gn
    >>> def no_double_negation(node):
    ...     match node:
    ...         case gn.Neg(gn.Neg(x)): return x
    >>> mine = gn.Pass("no double negation", "exact", lambda graph: gn.rewrite(graph, no_double_negation))
    >>> x = gn.Input("x", ())
    >>> len(gn.compile(-(-x), passes=[mine]).plan.steps)
    0
    """

    name: str
    numerics: Numerics
    apply: Callable[[Graph], Graph]


def rewrite(graph: Graph, rule: Rule) -> Graph:
    """The graph with a rule applied to each node, operands first; the same graph when nothing changed.

    The rule gets a node whose operands are rewritten already, and returns what stands for it, or None to keep it.
    What it builds takes the node's place in the order. It is asked again about its own answer.

    Raises:
        GraphError: when an answer has another shape or dtype than the node.
    """
    replaced: dict[Node, Node] = {}
    for node in graph.nodes:
        new = node.with_operands(replaced) if replaced else node
        for _ in range(100):  # a rule that never settles is cut off rather than hanging
            answer = rule(new)
            if answer is None or answer is new:
                break
            if answer.spec != new.spec:
                raise GraphError(f"a rule replaced {new!r} by {answer!r}: the spec must stay the same.")
            new = answer
        if new is not node:
            replaced[node] = new
    return replace(graph, replaced)


def replace(graph: Graph, replaced: Mapping[Node, Node]) -> Graph:
    """The graph with its roots replaced; itself when none is."""
    if not any(root in replaced for root in (*graph.outputs.values(), *graph.updates.values())):
        return graph
    return Graph(
        {name: replaced.get(node, node) for name, node in graph.outputs.items()},
        {parameter: replaced.get(node, node) for parameter, node in graph.updates.items()},
    )


def select(passes: str | Sequence[Pass], default: Sequence[Pass]) -> tuple[Pass, ...]:
    """The passes meant: "default" (the backend's list), "exact" (the exact ones of it), "none", or those given.

    Raises:
        GraphError: for anything else.
    """
    match passes:
        case "default":
            return tuple(default)
        case "exact":
            return tuple(p for p in default if p.numerics == "exact")
        case "none":
            return ()
        case str():
            raise GraphError(f"passes {passes!r} is none of 'default', 'exact', 'none'; or pass a sequence of passes.")
    for p in passes:
        if not isinstance(p, Pass):
            raise GraphError(f"{p!r} is not a pass: use gn.Pass(name, numerics, function).")
    return tuple(passes)
