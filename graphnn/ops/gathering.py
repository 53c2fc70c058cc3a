"""Slices by index: Gather, its adjoint ScatterAdd, and Embedding.

Indices are checked at every call. A negative one is refused; it does not count from the end.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from ..errors import DTypeError, ShapeError
from ..ir.labels import check_labels
from ..ir.leaf import Constant
from ..ir.node import Call, Node, describe
from ..ir.spec import Dim, Size, Spec, as_dim
from .axes import read_axis
from .composite import Composite
from .sample import refused, sample

__all__ = ["Gather", "ScatterAdd", "Embedding"]

PLACE = np.dtype(np.intp)


def check_index(node: Node, index: Node, n: Dim) -> None:
    """Refuse an index that is not of integers, and a constant index that is out of range."""
    if index.dtype.kind not in "iu":
        raise DTypeError(f"{node.op}: index {describe(index)} must be integers; declare the input with dtype='int64'.")
    if isinstance(index, Constant) and isinstance(n, int):
        check_labels(index.value, n, f"index {describe(index)}", node)


class _Indexing(Node):
    """The base of ops that read or write elements at positions along one axis."""

    x: Node
    index: Node
    indexes = True

    @property
    def counted(self) -> Dim:
        """The size of the axis along which indices count."""
        raise NotImplementedError

    def class_labels(self, sizes: Mapping[str, int]) -> tuple[Node, int]:
        """The index, and the size of the axis."""
        n = self.counted
        return self.index, n if isinstance(n, int) else n(sizes)

    def check(self, index: Any, n: int) -> None:
        """Refuse an index that is out of range. `forward` calls it, as it may be used where nothing else checks."""
        check_labels(index, n, self.index.label, self)


class Gather(_Indexing):
    """Slices by index: `Gather(x, index, axis=0)`, as in `x[index]`. Its adjoint is ScatterAdd.

    `index` holds integers. Its axes, of any number, take the place of `axis` in the result. An index may occur several
    times. Negative indices are refused; for the last slice, write `x[-1]` with a number.

    Raises:
        ShapeError: when there is no such axis.
        DTypeError: when the index is not of integers.
        LabelError: when an index lies beyond the axis, at the call.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Gather([[1.0, 2.0], [3.0, 4.0]], [1, 1, 0]))())
    [[3. 4.]
     [3. 4.]
     [1. 2.]]
    """

    x: Node
    index: Node
    axis: int = 0
    indifferent = True
    adjoint = "ScatterAdd"
    elements = "moved"
    onnx = "Gather"
    samples = (
        sample((3, "M"), ("N",), dtypes=(None, "int64"), domain=(0, 2)),
        sample(("N", 3, "M"), ("K", 2), axis=1, dtypes=(None, "int64"), domain=(0, 2)),
        sample(("M", 3), (), axis=-1, dtypes=(None, "int32"), domain=(0, 2)),
        refused(ShapeError, (), ("N",), dtypes=(None, "int64"), culprits=("x0",)),
        refused(DTypeError, (3,), ("N",)),
    )

    def infer(self) -> Spec:
        """The shape with the axes of the index in place of the axis."""
        axis = self.__dict__["axis"] = read_axis("Gather", self.axis, self.x)
        check_index(self, self.index, self.counted)
        return Spec((*self.x.shape[:axis], *self.index.shape, *self.x.shape[axis + 1 :]), self.x.dtype)

    @property
    def counted(self) -> Dim:
        """That of the operand."""
        return self.x.shape[self.axis]

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """By `take`."""
        x, index = arrays
        self.check(index, x.shape[self.axis])
        return xp.take(x, index, self.axis)

    def bind(self, xp: Any, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...]) -> list[Call]:
        """One call. The index is checked before, so that clipping changes nothing; it saves a buffer in NumPy."""
        x, index = ins
        return [partial(x.take, index, self.axis, out, "clip")] if x.size else []

    def vjp(self, g: Node) -> tuple[Node, None]:
        """The gradient, added up at the slices that were taken."""
        return ScatterAdd(g, self.index, self.counted, self.axis), None


class ScatterAdd(_Indexing):
    """Slices added up by index: `ScatterAdd(x, index, n, axis=0)`. Its adjoint is Gather.

    The result has n slices along `axis`, which are zero at first. Each index says to which of them its slice of `x` is
    added. The axes of `x` from `axis` on are those of `index`. It is the gradient of Gather.

    Raises:
        ShapeError: when the index does not fit the operand.
        DTypeError: when the index is not of integers.
        LabelError: when an index is outside 0..n-1, at the call.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.ScatterAdd([1.0, 2.0, 4.0], [0, 2, 0], 3))())
    [5. 0. 2.]
    """

    x: Node
    index: Node
    n: Any
    axis: int = 0
    indifferent = True
    adjoint = "Gather"
    elements = "moved"
    samples = (
        sample(("N", "M"), ("N",), n=3, dtypes=(None, "int64"), domain=(0, 2)),
        sample(("N", "K", 2, "M"), ("K", 2), n=3, axis=1, dtypes=(None, "int64"), domain=(0, 2)),
        sample(("M",), (), n=3, axis=1, dtypes=(None, "int32"), domain=(0, 2)),
        refused(ShapeError, ("N", "M"), ("M",), n=3, dtypes=(None, "int64")),
        refused(DTypeError, ("N",), ("N",), n=3),
    )

    def prepare(self) -> None:
        """Read the size and the axis, which counts in the result."""
        self.__dict__["n"] = as_dim(self.n)
        ndim = self.x.ndim - self.index.ndim + 1
        if not -ndim <= self.axis < ndim:
            raise ShapeError(
                f"ScatterAdd: index {describe(self.index)} does not stand in {describe(self.x)} "
                f"from axis {self.axis} on."
            )
        self.__dict__["axis"] = self.axis % ndim

    def infer(self) -> Spec:
        """The shape with n in place of the axes of the index."""
        x, axis, end = self.x, self.axis, self.axis + self.index.ndim
        check_index(self, self.index, self.n)
        if x.shape[axis:end] != self.index.shape:
            raise ShapeError(
                f"ScatterAdd: index {describe(self.index)} does not stand in {describe(x)} from axis {axis} on: "
                "there must be one slice for each index."
            )
        return Spec((*x.shape[:axis], self.n, *x.shape[end:]), x.dtype)

    @property
    def counted(self) -> Dim:
        """The size of the axis in the result."""
        return self.n  # type: ignore[no-any-return]  # `prepare` made it a dimension

    def at(self, sizes: Mapping[str, int]) -> Node:
        """The node with n as a number."""
        return self.with_fields(n=self.n(sizes)) if isinstance(self.n, Size) else self

    def scratch(self) -> tuple[Spec, ...]:
        """The position of each element in the flat result."""
        return (Spec(self.x.shape, PLACE),)

    def tables(self) -> tuple[Spec, ...]:
        """The positions of the slice of index 0."""
        x, axis, ndim = self.x.shape, self.axis, self.index.ndim
        return (Spec((*x[:axis], *(1,) * ndim, *x[axis + ndim :]), PLACE),)

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """By the calls of `bind`, into a new array."""
        x, index = arrays
        self.check(index, self.n)
        out = xp.empty((*x.shape[: self.axis], self.n, *x.shape[self.axis + index.ndim :]), x.dtype)
        outer, inner = x.shape[: self.axis], x.shape[self.axis + index.ndim :]
        memory = xp.empty(x.shape, PLACE), xp.empty((*outer, *(1,) * index.ndim, *inner), PLACE)
        for call in self.bind(xp, arrays, out, memory):
            call()
        return out

    def bind(self, xp: Any, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...]) -> list[Call]:
        """Compute the position of each element in the flat result, and add the elements there."""
        x, index = ins
        place, starts = scratch
        outer, inner = x.shape[: self.axis], x.shape[self.axis + index.ndim :]
        row = math.prod(inner)
        places = xp.arange(math.prod(outer))[:, None] * (self.n * row) + xp.arange(row)
        starts[...] = places.reshape(starts.shape)
        spread = index.reshape(index.shape + (1,) * len(inner))
        return [
            partial(out.fill, 0),
            partial(xp.multiply, spread, row, place, dtype=PLACE, casting="unsafe"),
            partial(xp.add, place, starts, place),
            at_places(xp, xp.add, out, place, x),
        ]

    def vjp(self, g: Node) -> tuple[Node, None]:
        """The gradient of the slice to which each was added."""
        return Gather(g, self.index, self.axis), None


def at_places(xp: Any, ufunc: Any, out: Any, place: Any, x: Any) -> Call:
    """The call that combines elements into a flat result. For rows, NumPy is several times faster."""
    if x.flags.c_contiguous:
        return partial(ufunc.at, out.reshape(-1), place.reshape(-1), x.reshape(-1))
    return partial(ufunc.at, out.reshape(-1), place, x)


class Embedding(Composite):
    """The rows of a table for some indices: `Embedding(index, W)` of integers (...) and W (n, d) is (..., d).

    It is made of Gather. The gradient of the table is a ScatterAdd, which is zero for rows that do not occur.

    Raises:
        ShapeError: when W is not a table.
        DTypeError: when the index is not of integers.
        LabelError: when an index is outside 0..n-1, at the call.

    >>> import graphnn as gn
    >>> words, W = gn.Input("words", ("N", "T"), dtype="int64"), gn.Parameter("W", [[0.0] * 8] * 100)
    >>> gn.Embedding(words, W).spec
    Spec(shape=(N, T, 8), dtype=dtype('float32'))
    """

    index: Node
    W: Node
    indexes = True
    samples = (
        sample(("N", "M"), (3, "K"), dtypes=("int64",), domain=(0, 2)),
        sample((), (3, 2), dtypes=("int32",), domain=(0, 2)),
        refused(ShapeError, ("N",), (3,), dtypes=("int64",)),
        refused(DTypeError, ("N",), (3, 2)),
    )

    def prepare(self) -> None:
        """Check both."""
        if self.W.ndim != 2:
            raise ShapeError(
                f"Embedding: {describe(self.W)} is not a table: its rows are what index {describe(self.index)} picks."
            )
        check_index(self, self.index, self.W.shape[0])

    def class_labels(self, sizes: Mapping[str, int]) -> tuple[Node, int]:
        """The index; there are as many places as rows."""
        return self.index, self.W.spec.concrete(sizes)[0]

    def expand(self) -> Node:
        """A Gather."""
        return Gather(self.W, self.index)
