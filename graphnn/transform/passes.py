"""Passes: what a transformation is, and which ones the names stand for.

A pass declares its numerics. `exact`: the same bits as without it, on the same backend. `stabilising`: more
accurate. `reassociating`: the same mathematics with another rounding. `rounding`: the same in fewer digits.
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
    """A transformation with its name and numerics; `apply` takes a graph and gives one. It is applied to bodies too.

    A required pass runs whatever passes are asked for: without it the backend could not run the graph. One that
    fuses brings steps together, and says by `note` why neighbours stay apart.

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

    def run(self, graph: Graph, answers: int | None = None) -> tuple[Graph, Record]:
        """The graph after it, and what it did; with `answers`, after only so many answers of its rules."""
        with recording(Record(self.numerics == "exact", self.fuses, answers)) as record:
            return self._through(graph), record

    def _through(self, graph: Graph) -> Graph:
        return through_bodies(self.apply(graph), self._through)


def made_of(name: str, numerics: Numerics, rules: Rules) -> Pass:
    """The pass that applies rules to each node, operands first."""
    return Pass(name, numerics, lambda graph: rewrite(graph, rules, exact=numerics == "exact"))


def select(passes: str | Sequence[Pass], default: Sequence[Pass]) -> tuple[Pass, ...]:
    """The passes meant: "default" (the backend's list), "exact" (the exact ones of it), "none", or those given.

    "none" keeps those that the backend requires, and they follow those given where they are not among them.

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
        case str():
            raise GraphError(f"passes {passes!r} is none of 'default', 'exact', 'none'; or pass a sequence of passes.")
    for p in passes:
        if not isinstance(p, Pass):
            raise GraphError(f"{p!r} is not a pass: use gn.Pass(name, numerics, function).")
    return (*passes, *(p for p in required if p not in passes))
