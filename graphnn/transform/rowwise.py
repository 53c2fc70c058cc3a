"""Rows: one step in place of several steps over the same rows, such as a softmax with its loss and its gradient.

All values of a row are computed while the row is in the cache: the largest score, the sum of the exponentials, and all
that follows from both. The passes `rows` and `columns` make such steps, not users.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..ir.body import Placeholder
from ..ir.context import like
from ..ir.leaf import scalar_constant
from ..ir.node import Call, Item, Node
from ..ir.spec import Shape

__all__ = ["RowBody", "Rows", "as_one_step", "float_of", "in_order"]


@dataclass(frozen=True, eq=False)
class RowBody:
    """The steps over a row, in order, as nodes over placeholders; and those of them that are results.

    `operands` are the placeholders of the step's operands. A scalar that is known before the run is its own
    placeholder.
    """

    operands: tuple[Node, ...]
    steps: tuple[Node, ...]
    results: tuple[Node, ...]

    @property
    def computed(self) -> tuple[Node, ...]:
        """The steps that are not views."""
        return tuple(step for step in self.steps if step.view(True) is None)

    def __repr__(self) -> str:
        return " ".join(step.op for step in self.computed)


class Rows(Node):
    """Several results over the same rows, computed row by row."""

    values: tuple[Node, ...]
    body: RowBody

    def infer(self) -> Any:
        """The specs of the results."""
        return tuple(result.spec for result in self.body.results)

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """Compute one step after the other."""
        known = dict(zip(self.body.operands, arrays, strict=True))
        for step in self.body.steps:
            known[step] = step.forward(xp, *(known[operand] for operand in step.operands))
        return tuple(known[result] for result in self.body.results)

    def bind(self, xp: Any, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...]) -> list[Call]:
        """`forward`, and a copy of each result."""

        def compute() -> None:
            for target, value in zip(out, self.forward(xp, *ins), strict=True):
                target[...] = value

        return [compute]

    def work(self) -> tuple[Shape, ...]:
        """The operations of the steps."""
        return tuple(shape for step in self.body.computed for shape in step.work())

    def class_labels(self, sizes: Mapping[str, int]) -> tuple[Node, int] | None:
        """The labels of the steps: `rows` groups only steps that have the same."""
        for step in self.body.steps:
            found = step.class_labels(sizes)
            if found:
                return self.values[self.body.operands.index(found[0])], found[1]
        return None


def as_one_step(
    members: Sequence[Node], results: Sequence[Node], replaced: Mapping[Node, Node], place: Node
) -> dict[Node, Node]:
    """One step in place of several, at the position of the node `place`: the new node for each of the `results`."""
    inside: dict[Node, Node] = {}
    own = set(members)
    outside = tuple(dict.fromkeys(x for member in members for x in member.operands if x not in own))
    inside.update((x, _stand_in(x, i)) for i, x in enumerate(outside))
    for member in members:
        inside[member] = member.with_operands(inside)
    body = RowBody(*(tuple(inside[node] for node in nodes) for nodes in (outside, members, results)))
    with like(place):
        made = in_order(Rows(tuple(replaced.get(x, x) for x in outside), body))
    with like(made):
        return {result: Item(made, i) for i, result in enumerate(results)}


def _stand_in(x: Node, i: int) -> Node:
    if scalar_constant(x):
        return x
    with like(x):
        return Placeholder(f"x{i}", x.shape, x.dtype)


def in_order(node: Node) -> Node:
    """The node, with its position moved behind those of its operands if need be."""
    latest = max((x.serial for x in node.operands), default=node.serial)
    return node if latest <= node.serial else node.with_fields(birth=node.birth._replace(serial=latest))


def float_of(node: Node) -> np.dtype[Any] | None:
    """The float dtype of a step and all its operands, conditions excepted; None if there are several dtypes."""
    dtypes = {x.dtype for x in (node, *node.operands) if x.dtype.kind != "b"}
    return dtypes.pop() if len(dtypes) == 1 else None
