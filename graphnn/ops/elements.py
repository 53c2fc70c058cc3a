"""Elements by index: GatherElements takes an element for each index; ScatterElements writes or combines elements.

Indices are checked at every call. A negative one is refused; it does not count from the end.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from ..errors import DTypeError, GraphError, ShapeError
from ..ir.broadcast import broadcast_to, zeros_like
from ..ir.leaf import Constant
from ..ir.node import Call, Node, describe
from ..ir.spec import Dim, Spec
from .axes import read_axis
from .compare import Equal
from .elementwise import Map
from .gathering import PLACE, _Indexing, at_places, check_index
from .sample import refused, sample

__all__ = ["GatherElements", "ScatterElements"]


class _ByElement(_Indexing):
    """The base of ops with an index for each element. Its shape is that of the operand, except along the axis."""

    def check_shapes(self, shaped: Node, axis: int) -> None:
        """Refuse an index whose shape differs from that of the operand along another axis."""
        x, index = self.x, self.index
        rest = [(*node.shape[:axis], *node.shape[axis + 1 :]) for node in (x, index)]
        if x.ndim != index.ndim or rest[0] != rest[1]:
            raise ShapeError(
                f"{self.op}: {describe(x)} and index {describe(index)} differ beside axis {axis}: "
                "there must be one index for each element taken, and as many rows of them as the operand has."
            )
        if shaped.shape != index.shape:
            raise ShapeError(f"{self.op}: {describe(shaped)} and index {describe(index)} are not of one shape.")

    def scratch(self) -> tuple[Spec, ...]:
        """The position of each element in the flat array."""
        return (Spec(self.index.shape, PLACE),)

    def starts(self, axis: int) -> tuple[Spec, ...]:
        """The positions of index 0 in the flat array."""
        shape = self.index.shape
        return (Spec((*shape[:axis], 1, *shape[axis + 1 :]), PLACE),)

    def memory(self, xp: Any, index: Any, axis: int) -> tuple[Any, ...]:
        """New arrays for `scratch` and `tables`."""
        return xp.empty(index.shape, PLACE), xp.empty((*index.shape[:axis], 1, *index.shape[axis + 1 :]), PLACE)

    def places(self, xp: Any, shape: tuple[int, ...], axis: int, index: Any, memory: tuple[Any, ...]) -> list[Call]:
        """Calls that compute the position of each index in the flat operand, which has `shape`."""
        place, starts = memory
        steps = [math.prod(shape[a + 1 :]) for a in range(len(shape))]
        starts.fill(0)
        for a, n in enumerate(index.shape):
            if a != axis:
                starts += xp.arange(n).reshape((-1,) + (1,) * (index.ndim - 1 - a)) * steps[a]
        return [
            partial(xp.multiply, index, steps[axis], place, dtype=PLACE, casting="unsafe"),
            partial(xp.add, place, starts, place),
        ]


class GatherElements(_ByElement):
    """The element for each index: `GatherElements(x, index, axis=0)`. Its adjoint is ScatterElements with "add".

    As in `numpy.take_along_axis`, an index says the position along `axis`; along the other axes, the position is that
    of the index itself. Negative indices are refused.

    Raises:
        ShapeError: when there is no such axis, or shapes differ beside it.
        DTypeError: when the index is not of integers.
        LabelError: when an index lies beyond the axis, at the call.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.GatherElements([[1.0, 2.0], [3.0, 4.0]], [[1, 0], [1, 1]], axis=1))())
    [[2. 1.]
     [4. 4.]]
    """

    x: Node
    index: Node
    axis: int = 0
    indifferent = True
    adjoint = "ScatterElements"
    elements = "moved"
    onnx = "GatherElements"
    samples = (
        sample((3, "M"), ("N", "M"), dtypes=(None, "int64"), domain=(0, 2)),
        sample(("N", 3, "M"), ("N", 2, "M"), axis=1, dtypes=(None, "int32"), domain=(0, 2)),
        refused(ShapeError, (3, "M"), ("N", 2), dtypes=(None, "int64")),
        refused(ShapeError, (3,), ("N", 2), dtypes=(None, "int64")),
        refused(DTypeError, (3,), ("N",)),
    )

    @property
    def counted(self) -> Dim:
        """That of the operand."""
        return self.x.shape[self.axis]

    def infer(self) -> Spec:
        """The index's shape."""
        self.__dict__["axis"] = read_axis("GatherElements", self.axis, self.x)
        self.check_shapes(self.index, self.axis)
        check_index(self, self.index, self.counted)
        return Spec(self.index.shape, self.x.dtype)

    def tables(self) -> tuple[Spec, ...]:
        """The places of index 0."""
        return self.starts(self.axis)

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """By `take_along_axis`."""
        x, index = arrays
        self.check(index, x.shape[self.axis])
        return xp.take_along_axis(x, index.astype(PLACE, copy=False), self.axis)

    def bind(self, xp: Any, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...]) -> list[Call]:
        """Compute the positions in the flat operand, and take the elements there."""
        x, index = ins
        if not x.flags.c_contiguous:
            return super().bind(xp, ins, out, scratch)
        take = partial(x.reshape(-1).take, scratch[0], None, out, "clip")
        return [*self.places(xp, x.shape, self.axis, index, scratch), take] if x.size else []

    def vjp(self, g: Node) -> tuple[Node, None]:
        """The gradient, added up at the positions from which elements were taken."""
        return ScatterElements(zeros_like(self.x), self.index, g, self.axis, "add"), None


_UFUNCS = {"add": "add", "mul": "multiply", "max": "maximum", "min": "minimum"}


class ScatterElements(_ByElement):
    """Elements written by index: `ScatterElements(x, index, updates, axis=0, reduction="none")`.

    Each element of `updates` is written into a copy of `x`: along `axis` at the position that its index says, along the
    other axes at its own position. With the reduction "none" it replaces the element there. The positions must then
    differ: if several elements go to one position, one of them is written, though the gradient flows to all. "add",
    "mul", "max" and "min" combine it with the element there. The gradient of equal extremes is shared.

    Raises:
        ShapeError: when there is no such axis, or shapes do not fit.
        DTypeError: when the index is not of integers.
        LabelError: when an index lies beyond the axis, at the call.
        GraphError: for another reduction.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.ScatterElements([0.0, 0.0, 0.0], [2, 0], [5.0, 7.0]))())
    [7. 0. 5.]
    """

    x: Node
    index: Node
    updates: Node
    axis: int = 0
    reduction: str = "none"
    indifferent = True
    onnx = "ScatterElements"
    samples = (
        sample((3, "M"), (1, "M"), (1, "M"), dtypes=(None, "int64"), domain=(0, 2)),
        sample(("N", 3), ("N", "M"), ("N", "M"), axis=1, reduction="add", dtypes=(None, "int64"), domain=(0, 2)),
        sample((3, "M"), ("N", "M"), ("N", "M"), reduction="mul", dtypes=(None, "int32"), domain=(0.5, 2.4)),
        sample(("N", 3), ("N", "M"), ("N", "M"), axis=-1, reduction="max", dtypes=(None, "int64"), domain=(0, 2)),
        sample((3, "M"), ("N", "M"), ("N", "M"), reduction="min", dtypes=(None, "int64"), domain=(0, 2)),
        refused(ShapeError, (3, "M"), ("N", 2), ("N", 2), dtypes=(None, "int64")),
        refused(ShapeError, (3, "M"), ("N", "M"), ("M", "M"), dtypes=(None, "int64")),
        refused(DTypeError, (3,), ("N",), ("N",)),
        refused(GraphError, (3,), ("N",), ("N",), reduction="mean", dtypes=(None, "int64")),
    )

    def prepare(self) -> None:
        """Cast to one dtype; read the axis and the reduction."""
        if self.reduction not in ("none", *_UFUNCS):
            known = ", ".join(map(repr, ("none", *_UFUNCS)))
            raise GraphError(f"ScatterElements: reduction {self.reduction!r} is none of {known}.")
        dtype = np.result_type(self.x.dtype, self.updates.dtype)
        self.__dict__.update(
            x=self.x.cast(dtype),
            updates=self.updates.cast(dtype),
            axis=read_axis("ScatterElements", self.axis, self.x),
        )

    @property
    def counted(self) -> Dim:
        """That of the operand."""
        return self.x.shape[self.axis]

    @property
    def ufunc(self) -> str | None:
        """The ufunc that combines elements; None when they are replaced."""
        return _UFUNCS.get(self.reduction)

    def infer(self) -> Spec:
        """The operand's."""
        self.check_shapes(self.updates, self.axis)
        check_index(self, self.index, self.counted)
        return self.x.spec

    def overwrites(self) -> tuple[int, ...]:
        """The operand."""
        return (0,)

    def tables(self) -> tuple[Spec, ...]:
        """The places of index 0."""
        return self.starts(self.axis)

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """By the calls of `bind`, into a copy."""
        x, index, _ = arrays
        self.check(index, x.shape[self.axis])
        out = xp.array(x, order="C")
        for call in self.bind(xp, (out, *arrays[1:]), out, self.memory(xp, index, self.axis)):
            call()
        return out

    def bind(self, xp: Any, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...]) -> list[Call]:
        """Copy the operand, compute the positions in the flat result, and write or combine the elements there."""
        x, index, updates = ins
        calls: list[Call] = [] if x is out else [partial(xp.copyto, out, x)]
        if not updates.size:
            return calls
        calls += self.places(xp, out.shape, self.axis, index, scratch)
        if self.ufunc is None:
            return [*calls, partial(out.reshape(-1).put, scratch[0], updates, "clip")]
        return [*calls, at_places(xp, getattr(xp, self.ufunc), out, scratch[0], updates)]

    def vjp(self, g: Node) -> tuple[Node, None, Node]:
        """No gradient flows to elements that were replaced; elements that were combined share in it."""
        match self.reduction:
            case "none":
                dx = ScatterElements(g, self.index, zeros_like(self.updates), self.axis)
                return dx, None, self.taken(g)
            case "add":
                return g, None, self.taken(g)
            case "mul":
                return self._of_product(g)
        return self._of_extreme(g)

    def taken(self, node: Node) -> Node:
        """The elements of a value at the positions of the updates."""
        return GatherElements(node, self.index, self.axis)

    def combined(self, x: Node, updates: Node, reduction: str) -> Node:
        """Other values written at the same positions."""
        return ScatterElements(x, self.index, updates, self.axis, reduction)

    def _of_product(self, g: Node) -> tuple[Node, None, Node]:
        """The product of all other factors: by division if none is 0, and 0 if another one is."""
        x, updates = self.x, self.updates
        zero_x, zero_u = (Map("x == 0", ("x",), (node,)).cast(g.dtype) for node in (x, updates))
        safe_x, safe_u = (Map("where(x == 0, 1, x)", ("x",), (node,)) for node in (x, updates))
        product = self.combined(safe_x, safe_u, "mul")
        zeros = self.combined(zero_x, zero_u, "add")
        ones = broadcast_to(Constant(1.0).cast(g.dtype), x.shape)
        formula = "where(zeros == own, g / u, 0)"
        operands = (self.taken(zeros), zero_u, self.taken(g * product), safe_u)
        du = Map(formula, ("zeros", "own", "g", "u"), operands)
        return g * self.combined(ones, updates, "mul"), None, du

    def _of_extreme(self, g: Node) -> tuple[Node, None, Node]:
        """Equal shares to all that equal the extreme."""
        from_x = Equal(self.x, self).cast(g.dtype)
        from_u = Equal(self.updates, self.taken(self)).cast(g.dtype)
        share = g / self.combined(from_x, from_u, "add")
        return share * from_x, None, self.taken(share) * from_u
