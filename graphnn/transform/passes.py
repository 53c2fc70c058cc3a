"""Passes: transformations of graphs, and the lists of passes that `gn.compile` knows by name.

A pass declares its numerics, which is what it may do to results. `exact`: nothing, every bit stays the same on the same
backend. `stabilising`: make them more accurate. `reassociating`: round them differently, by the same mathematics.
`rounding`: compute them with fewer digits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from ..errors import GraphError
from ..ir.graph import Graph
from .bodies import through_bodies
from .record import Record, recording
from .rewrite import Rule, Rules, rewrite

__all__ = ["Numerics", "Pass", "Rule", "Rules", "made_of", "rewrite", "select"]

Numerics = Literal["exact", "stabilising", "reassociating", "rounding"]


@dataclass(frozen=True)
class Pass:
    """A transformation of graphs: `apply` takes a graph and returns a graph. It is applied to bodies too.

    A `required` pass runs whatever passes are asked for, because the backend cannot run the graph without it. A pass
    that `fuses` makes one step of several, and calls `note` to say why neighbours were not fused.

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
    required: bool = False
    fuses: bool = False

    def run(self, graph: Graph, limit: int | None = None) -> tuple[Graph, Record]:
        """The graph after the pass, and a record of what it did. With `limit`, its rules replace only so many nodes."""
        with recording(Record(self.numerics == "exact", self.fuses, limit)) as record:
            return self._through(graph), record

    def _through(self, graph: Graph) -> Graph:
        return through_bodies(self.apply(graph), self._through)


def made_of(name: str, numerics: Numerics, rules: Rules) -> Pass:
    """A pass that applies rules to each node, operands first."""
    return Pass(name, numerics, lambda graph: rewrite(graph, rules, exact=numerics == "exact"))


def select(passes: str | Sequence[Pass], default: Sequence[Pass]) -> tuple[Pass, ...]:
    """The passes that are meant: "default" (the backend's list), "exact" (its exact ones), "none", or a given sequence.

    "none" keeps the passes that the backend requires. A given sequence is followed by those that it lacks.

    Raises:
        GraphError: for anything else.
    """
    required = tuple(p for p in default if p.required)
    match passes:
        case "default":
            return tuple(default)
        case "exact":
            return tuple(p for p in default if p.numerics == "exact")
        case "none":
            return required
        case _ if isinstance(passes, str) or not isinstance(passes, Sequence):
            raise GraphError(f"passes {passes!r} is none of 'default', 'exact', 'none'; or pass a sequence of passes.")
    for p in passes:
        if not isinstance(p, Pass):
            raise GraphError(f"{p!r} is not a pass: use gn.Pass(name, numerics, function).")
    return (*passes, *(p for p in required if p not in passes))
