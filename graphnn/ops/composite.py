"""Composites: ops that are made of other ops."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..ir.body import room_of
from ..ir.context import like
from ..ir.differentiate import pullback
from ..ir.node import Node
from ..ir.spec import Dim
from ..ir.walk import evaluate, walk

__all__ = ["Composite"]


class Composite(Node):
    """The base of ops made of simpler ones: a class with operands and an `expand` that builds the result.

    Spec, value and gradient follow from the expansion. A picture draws the expansion in a box with the name of the op.
    Define `vjp` only if there is a better rule than the chain rule. An op with several results returns a tuple.

    >>> import graphnn as gn
    >>> class Cube(gn.Composite):
    ...     x: gn.Node
    ...     def expand(self):
    ...         return self.x * self.x * self.x
    >>> x = gn.Input("x", ())
    >>> float(gn.compile(gn.grad(Cube(x), x))(x=2.0))
    12.0
    """

    def expand(self) -> Node | tuple[Node, ...]:
        """The result, or several, built from the operands."""
        raise NotImplementedError(f"{self.op} does not say what it is made of: define expand(self).")

    @property
    def expansion(self) -> Node | tuple[Node, ...]:
        """The result of `expand`, which is called once, so that forward and backward share its nodes."""
        known: Node | tuple[Node, ...] | None = self.__dict__.get("_expansion")
        if known is None:
            with like(self, inside=self.op):
                known = self.__dict__["_expansion"] = self.expand()
        return known

    @property
    def results(self) -> tuple[Node, ...]:
        """The nodes of the expansion that are results: one, or several."""
        built = self.expansion
        return built if isinstance(built, tuple) else (built,)

    @property
    def inner(self) -> list[Node]:
        """The nodes of the expansion, operands before users."""
        known: list[Node] | None = self.__dict__.get("_inner")
        if known is None:
            operands = frozenset(self.operands)
            known = [node for node in walk(self.results, operands) if node not in operands]
            self.__dict__["_inner"] = known
        return known

    def infer(self) -> Any:
        """The specs of the expansion."""
        built = self.expansion
        return tuple(node.spec for node in built) if isinstance(built, tuple) else built.spec

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """The expansion's value, computed node by node."""
        sizes: dict[str, int] = dict(self.__dict__.get("_sizes", {}))
        for operand, array in zip(self.operands, arrays, strict=True):
            operand.spec.unify(array.shape, sizes, operand.label, {})
        values = evaluate(self.results, dict(zip(self.operands, arrays, strict=True)), xp, sizes)
        return tuple(values) if isinstance(self.expansion, tuple) else values[0]

    def state_updates(self) -> Mapping[Any, Node]:
        """Those of the nodes it is made of."""
        found: dict[Any, Node] = {}
        for node in self.inner:
            found.update(node.state_updates())
        return found

    def vjp(self, g: Any) -> Node | tuple[Node | None, ...]:
        """The chain rule through the expansion."""
        upstream = g if isinstance(self.expansion, tuple) else (g,)
        reached = [(node, back) for node, back in zip(self.results, upstream, strict=True) if back is not None]
        outputs, sent = [node for node, _ in reached], [back for _, back in reached]
        ends = dict.fromkeys(self.operands)
        found = pullback(outputs, sent, self.operands, frozenset(ends), (*ends, *self.inner))
        # The gradient of an operand that occurs twice is that of both: it counts once.
        return tuple(None if node in self.operands[:i] else found[i] for i, node in enumerate(self.operands))

    def at(self, sizes: Mapping[str, int]) -> Node:
        """The node with named sizes that the operands do not tell."""
        return self.with_fields(_sizes=dict(sizes))

    def room(self) -> tuple[Dim, ...]:
        """What the parts ask for, and their sizes."""
        return room_of(self.inner)
