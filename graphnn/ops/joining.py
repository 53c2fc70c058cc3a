"""Joining and splitting along an axis: Concat, Stack, Split."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import accumulate
from typing import Any

import numpy as np

from ..errors import GraphError, ShapeError
from ..ir.broadcast import zeros_like
from ..ir.dtype import constant_array
from ..ir.node import Call, Node, describe
from ..ir.spec import Dim, Shape, Spec, as_dim
from .axes import read_axis
from .composite import Composite
from .reshaping import Unsqueeze
from .sample import refused, sample

__all__ = ["Concat", "Stack", "Split"]


def _agreed(op: str, values: Any) -> tuple[Node, ...]:
    """Several operands with arrays made constants, cast to one dtype by Cast nodes."""
    if isinstance(values, Node) or not isinstance(values, (tuple, list)) or not values:
        raise GraphError(f"{op} joins several nodes: pass a tuple of one or more, as in gn.{op}((x, y)).")
    beside = tuple(v.dtype for v in values if isinstance(v, Node))
    nodes = [v if isinstance(v, Node) else Node.roles["constant"](constant_array(v, beside)) for v in values]
    dtype = np.result_type(*(node.dtype for node in nodes))
    return tuple(node.cast(dtype) for node in nodes)


class Concat(Node):
    """Values joined along an existing axis: `Concat((x, y), axis=0)`. Its adjoint is Split.

    Along the axis, the sizes are added; all other sizes must be equal. Different dtypes are cast to one.

    Raises:
        ShapeError: when there is no such axis, the other sizes differ, or the sum is not of the form k·N + c.
        GraphError: when there is nothing to join.

    >>> import graphnn as gn
    >>> x, y = gn.Input("x", ("N", 3)), gn.Input("y", ("N", 4))
    >>> gn.Concat((x, y), axis=1).spec, gn.Concat((x, x)).spec.shape
    (Spec(shape=(N, 7), dtype=dtype('float32')), (2N, 3))
    """

    values: tuple[Node, ...]
    axis: int = 0
    indifferent = True
    adjoint = "Split"
    elements = "moved"
    onnx = "Concat"
    samples = (
        sample(("N", 3), ("N", 4), axis=1, packed=True),
        sample(("N", "M"), (2, "M"), ("N", "M"), packed=True),
        sample((2, "N", 3), (2, "N", 1), axis=-1, packed=True),
        sample(("N",), packed=True),
        refused(ShapeError, ("N", 3), ("N", 4), packed=True),
        refused(ShapeError, ("N",), ("M",), packed=True),
        refused(ShapeError, ("N", 3), ("N",), axis=1, packed=True),
        refused(ShapeError, (), (), packed=True),
    )

    def prepare(self) -> None:
        """Agree on a dtype, and read the axis."""
        values = self.__dict__["values"] = _agreed("Concat", self.values)
        first = values[0]
        if not first.ndim:
            others = " and ".join(map(describe, values[:2]))
            raise ShapeError(f"Concat: {others} have no axis to be joined along; use gn.Stack.")
        self.__dict__["axis"] = read_axis("Concat", self.axis, first)

    def infer(self) -> Spec:
        """The sum along the axis; the other sizes as they are."""
        first, axis = self.values[0], self.axis
        for other in self.values[1:]:
            rest = [(*node.shape[:axis], *node.shape[axis + 1 :]) for node in (first, other)]
            if first.ndim != other.ndim or rest[0] != rest[1]:
                raise ShapeError(
                    f"Concat: {describe(first)} and {describe(other)} differ beside axis {axis}: "
                    "only along the axis of joining may sizes differ."
                )
        total: Dim = 0
        for node in self.values:
            try:
                total = node.shape[axis] + total
            except ShapeError as error:
                raise ShapeError(f"Concat: {describe(first)} and {describe(node)} along axis {axis}: {error}") from None
        return Spec((*first.shape[:axis], total, *first.shape[axis + 1 :]), first.dtype)

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """By `concatenate`."""
        return xp.concatenate(arrays, axis=self.axis)

    def bind(self, xp: Any, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...]) -> list[Call]:
        """One copy for each operand."""
        return [
            partial(xp.copyto, place, x)
            for x, place in zip(ins, _parts(out, [x.shape[self.axis] for x in ins], self.axis), strict=True)
        ]

    def vjp(self, g: Node) -> tuple[Node, ...]:
        """The parts of the gradient."""
        return tuple(Split(g, tuple(node.shape[self.axis] for node in self.values), self.axis))


class Stack(Composite):
    """Values of the same shape joined along a new axis: `Stack((x, y), axis=0)`. It is made of Unsqueeze and Concat.

    `axis` is that of the result.

    Raises:
        ShapeError: when the result has no such axis, or shapes differ.
        GraphError: when there is nothing to join.

    >>> import graphnn as gn
    >>> x, y = gn.Input("x", ("N",)), gn.Input("y", ("N",))
    >>> gn.Stack((x, y), axis=1).spec
    Spec(shape=(N, 2), dtype=dtype('float32'))
    """

    values: tuple[Node, ...]
    axis: int = 0
    adjoint = "Split"
    samples = (
        sample(("N", "M"), ("N", "M"), packed=True),
        sample(("N", "M"), ("N", "M"), ("N", "M"), axis=-1, packed=True),
        sample((), (), packed=True),
        refused(ShapeError, ("N",), ("M",), packed=True),
        refused(ShapeError, ("N",), ("N",), axis=2, packed=True),
    )

    def prepare(self) -> None:
        """Agree on a dtype; check that shapes are equal."""
        values = self.__dict__["values"] = _agreed("Stack", self.values)
        for other in values[1:]:
            if other.shape != values[0].shape:
                raise ShapeError(f"Stack: {describe(values[0])} and {describe(other)} are not of one shape.")
        ndim = values[0].ndim + 1
        if not -ndim <= self.axis < ndim:
            shown = " and ".join(map(describe, values[:2]))
            raise ShapeError(f"Stack: there is no axis {self.axis} in what {shown} become, which has {ndim} axes.")
        self.__dict__["axis"] = self.axis % ndim

    def expand(self) -> Node:
        """Each with the new axis, joined along it."""
        return Concat(tuple(Unsqueeze(x, self.axis) for x in self.values), self.axis)


class Split(Node):
    """The parts of a value along an axis: `a, b = Split(x, parts, axis=0)`. Its adjoint is Concat.

    `parts` is the number of equal parts, or a tuple of their sizes, which must add up to that of the axis. The parts
    are views, which cost nothing.

    Raises:
        ShapeError: when there is no such axis, it does not part so evenly, or sizes do not add up to it.

    >>> import graphnn as gn
    >>> a, b = gn.Split(gn.Input("x", ("N", 7)), (3, 4), axis=1)
    >>> a.shape, b.shape
    ((N, 3), (N, 4))
    """

    x: Node
    parts: Any
    axis: int = 0
    indifferent = True
    adjoint = "Concat"
    onnx = "Split"
    samples = (
        sample(("N", 6), parts=3, axis=1),
        sample(("N", 6), parts=(1, 5), axis=-1),
        sample((4, "N"), parts=(1, 0, 3)),
        sample(("N", "M"), parts=1),
        refused(ShapeError, ("N", 6), parts=4, axis=1),
        refused(ShapeError, ("N", 6), parts=2),
        refused(ShapeError, ("N", 6), parts=(2, 3), axis=1),
        refused(ShapeError, (), parts=2),
    )

    def prepare(self) -> None:
        """Write the sizes of the parts out."""
        x = self.x
        axis = self.__dict__["axis"] = read_axis("Split", self.axis, x)
        whole = x.shape[axis]
        if isinstance(self.parts, (tuple, list)):
            parts = tuple(map(as_dim, self.parts))
        else:
            if isinstance(self.parts, bool) or not isinstance(self.parts, (int, np.integer)) or self.parts < 1:
                raise ShapeError(f"Split: {self.parts!r} parts of {describe(x)}: it must be a number, or their sizes.")
            parts = _equal_parts(x, axis, int(self.parts))
        if _sum(parts) != whole:
            sizes = " + ".join(map(str, parts))
            raise ShapeError(f"Split: axis {axis} of {describe(x)} has size {whole}, which is not {sizes}.")
        self.__dict__["parts"] = parts

    def infer(self) -> Any:
        """One spec a part."""
        shape, axis = self.x.shape, self.axis
        return tuple(Spec((*shape[:axis], n, *shape[axis + 1 :]), self.x.dtype) for n in self.parts)

    def at(self, sizes: Mapping[str, int]) -> Node:
        """With the sizes of the parts in numbers."""
        return self.with_fields(parts=Spec(self.parts, self.x.dtype).concrete(sizes))

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """Views."""
        return _parts(arrays[0], self.parts, self.axis)

    def view(self, dense: bool) -> bool | None:
        """Always; the parts are dense if the axis is the first."""
        return dense and (len(self.parts) == 1 or all(dim == 1 for dim in self.x.shape[: self.axis]))

    def vjp(self, g: Any) -> Node | None:
        """The gradients joined, with zeros for a part that has none."""
        if all(part is None for part in g):
            return None
        return Concat(
            tuple(zeros_like(y) if part is None else part for y, part in zip(self, g, strict=True)), self.axis
        )


def _equal_parts(x: Node, axis: int, n: int) -> Shape:
    whole = x.shape[axis]
    try:
        if isinstance(whole, int) and whole % n:
            raise ShapeError(f"{whole} is not a multiple of {n}.")
        return (whole // n,) * n
    except ShapeError as error:
        raise ShapeError(
            f"Split: axis {axis} of {describe(x)} does not part into {n} equal parts: {error} "
            "Give their sizes instead, as in parts=(2, 3)."
        ) from None


def _parts(whole: Any, sizes: Any, axis: int) -> tuple[Any, ...]:
    ends = list(accumulate(sizes))
    before = (slice(None),) * axis
    return tuple(whole[(*before, slice(end - n, end))] for n, end in zip(sizes, ends, strict=True))


def _sum(parts: Shape) -> Dim | None:
    """Their sum; None when it is not of the form k·N + c."""
    total: Dim = 0
    for part in parts:
        try:
            total = part + total
        except ShapeError:
            return None
    return total
