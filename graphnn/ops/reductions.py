"""Reductions over any axes: Sum, Mean, Max, Min."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import numpy as np

from ..errors import DTypeError, ShapeError
from ..ir.broadcast import broadcast_to
from ..ir.leaf import count_of
from ..ir.node import Call, Node, describe
from ..ir.spec import Dim, Shape, Size, Spec
from .axes import read_axes
from .compare import Equal
from .composite import Composite
from .sample import refused, sample
from .shape import Reshape
from .ufuncs import ufunc_call

__all__ = ["Sum", "Mean", "Max", "Min"]

SAMPLES = (
    sample(("N", "M")),
    sample(("N", "M"), axis=0),
    sample(("N", "M"), axis=-1, keepdims=True),
    sample(("N", "M", "K"), axis=(0, 2)),
    sample(()),
    refused(ShapeError, ("N", "M"), axis=2),
    refused(ShapeError, ("N", "M"), axis=(0, -2)),
)
"""The samples of any reduction."""
NOT_EMPTY = tuple(s if s.error else replace(s, least={"N": 1, "M": 1, "K": 1}) for s in SAMPLES)
"""The samples of a reduction that needs at least one element."""

_FEW = 4
"""Rows of at most so many elements are reduced column by column."""
_SHORT, _MANY = 16, 400
"""So are rows of at most 16 elements, unless they are summed, if there are at least 400 rows."""
_SUMMED = 64
"""Rows of at most so many elements are summed as a product with ones; longer rows would lose accuracy that way."""


class Reduction(Node):
    """The base of reductions by a ufunc."""

    x: Node
    axis: int | tuple[int, ...] | None = None
    keepdims: bool = False
    ufunc: ClassVar[str] = ""
    by_specs = True

    def prepare(self) -> None:
        """Read the axes."""
        self.__dict__["axis"] = read_axes(self.op, self.axis, self.x)

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes reduced, in rising order."""
        return self.axis  # type: ignore[return-value]  # `prepare` made it a tuple

    def infer(self) -> Spec:
        """The other axes; with `keepdims`, the reduced ones as size 1."""
        kept = self.kept()
        shape = kept if self.keepdims else tuple(d for a, d in enumerate(kept) if a not in self.axes)
        return Spec(shape, self.result_dtype())

    def result_dtype(self) -> np.dtype[Any]:
        """The operand's."""
        return self.x.dtype

    def kept(self) -> Shape:
        """The shape with reduced axes as size 1."""
        return tuple(1 if a in self.axes else dim for a, dim in enumerate(self.x.shape))

    def spread(self, node: Node) -> Node:
        """A value of the shape of this node, repeated to the shape of the operand."""
        kept = node if self.keepdims else Reshape(node, self.kept())
        return broadcast_to(kept, self.x.shape)

    def work(self) -> tuple[Shape, ...]:
        """One operation for each element reduced."""
        return (self.x.shape,)

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """By the ufunc's `reduce`."""
        return getattr(xp, self.ufunc).reduce(arrays[0], axis=self.axes, dtype=self.dtype, keepdims=self.keepdims)

    def bind(self, xp: Any, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...]) -> list[Call]:
        """One call; for short rows a call a column, which is faster, and adds a few elements in the same order."""
        x = ins[0]
        axes = self.axes[0] if len(self.axes) == 1 else self.axes
        if axes == x.ndim - 1 > 0 and self._by_columns(x) and x.dtype == out.dtype:
            total = out[..., 0] if self.keepdims else out
            first, *others = (x[..., i] for i in range(x.shape[-1]))
            return [ufunc_call(xp, self.ufunc, [total if i else first, c], total) for i, c in enumerate(others)]
        return [partial(getattr(xp, self.ufunc).reduce, x, axes, self.dtype, out, self.keepdims)]

    def _by_columns(self, x: Any) -> bool:
        n = x.shape[-1]
        return 2 <= n <= _FEW or (self.ufunc != "add" and 2 <= n <= _SHORT and x.size >= _MANY * n)


class Sum(Reduction, method="sum", role="sum"):
    """The sum over axes: `Sum(x, axis=None, keepdims=False)`. Its adjoint is Repeat.

    `axis` is None for all axes, a number, or a tuple. Integers and bools are summed as 64-bit integers, as in NumPy.

    Raises:
        ShapeError: when there is no such axis, or one is named twice.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Sum([[1.0, 2.0], [3.0, 4.0]], axis=0))())
    [4. 6.]
    """

    ufunc = "add"
    adjoint = "Repeat"
    onnx = "ReduceSum"
    elements = "moved"
    samples = SAMPLES

    def result_dtype(self) -> np.dtype[Any]:
        """Floats stay; integers become 64-bit ones."""
        return widened(self.x.dtype)

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """By `add.reduce`, or as `bind`."""
        x = arrays[0]
        if not self._by_product(x):
            return super().forward(xp, x)
        [axis] = self.axes
        out = xp.empty((*x.shape[:axis], *(1,) * self.keepdims, *x.shape[axis + 1 :]), x.dtype)
        for call in self.bind(xp, (x,), out, (xp.empty(x.shape[axis], x.dtype),)):
            call()
        return out

    def bind(self, xp: Any, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...]) -> list[Call]:
        """A sum of rows, as for the gradient of a bias, and the sums of short rows are products with ones.

        BLAS takes a tenth to a half of the time of a reduction.
        """
        x = ins[0]
        if not self._by_product(x):
            return super().bind(xp, ins, out, scratch)
        ones = scratch[-1]
        ones.fill(1)
        if self.axes == (x.ndim - 1,):
            return [partial(xp.dot, x.reshape(-1, len(ones)), ones, out.reshape(-1))]
        if x.ndim == 2:
            return [partial(xp.dot, ones, x, out.reshape(-1))]
        return [partial(xp.matmul, ones, x, out.reshape(*x.shape[:-2], x.shape[-1]))]

    def tables(self) -> tuple[Spec, ...]:
        """The ones, where the sum is a product with them."""
        return (Spec((self.x.shape[self.axes[0]],), self.dtype),) if self._is_product() else ()

    def _is_product(self) -> bool:
        x, dtype = self.x, self.dtype
        if dtype.kind != "f" or dtype.itemsize < 4 or len(self.axes) != 1 or x.ndim < 2:
            return False
        n = x.shape[-1]
        return self.axes == (x.ndim - 2,) or (isinstance(n, int) and _FEW < n <= _SUMMED and self.axes == (x.ndim - 1,))

    def _by_product(self, x: Any) -> bool:
        return self._is_product() and bool(x.flags.c_contiguous)

    def vjp(self, g: Node) -> Node:
        """The upstream gradient, repeated along the axes."""
        return self.spread(g)


class Max(Reduction, method="max"):
    """The maximum over axes: `Max(x, axis=None, keepdims=False)`. Equal maxima share the gradient.

    The maximum is NaN if an element is.

    Raises:
        ShapeError: when there is no such axis, or it is empty: at the call, for an axis of a named size.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Max([[1.0, 5.0], [3.0, 4.0]], axis=1))())
    [5. 4.]
    """

    ufunc = "maximum"
    onnx = "ReduceMax"
    samples = (*NOT_EMPTY, refused(ShapeError, (0, 2), axis=0))

    def infer(self) -> Spec:
        """The other axes; the reduced ones must not be empty."""
        require_elements(self.op, self.x, self.axes, "maximum")
        return super().infer()

    def room(self) -> tuple[Dim, ...]:
        """One element at least along each axis reduced."""
        return at_least_one(self.x, self.axes)

    def vjp(self, g: Node) -> Node:
        """The upstream gradient at the maximum, divided equally among equal maxima."""
        return _shared(self, g)


class Min(Reduction, method="min"):
    """The minimum over axes: `Min(x, axis=None, keepdims=False)`. Equal minima share the gradient.

    The minimum is NaN if an element is.

    Raises:
        ShapeError: when there is no such axis, or it is empty: at the call, for an axis of a named size.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Min([[1.0, 5.0], [3.0, 4.0]], axis=1))())
    [1. 3.]
    """

    ufunc = "minimum"
    onnx = "ReduceMin"
    samples = Max.samples

    def infer(self) -> Spec:
        """The other axes; the reduced ones must not be empty."""
        require_elements(self.op, self.x, self.axes, "minimum")
        return super().infer()

    def room(self) -> tuple[Dim, ...]:
        """One element at least along each axis reduced."""
        return at_least_one(self.x, self.axes)

    def vjp(self, g: Node) -> Node:
        """The upstream gradient at the minimum, divided equally among equal minima."""
        return _shared(self, g)


def widened(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype in which NumPy adds and multiplies: floats stay, and integers and bools become 64-bit integers."""
    return dtype if dtype.kind == "f" else np.dtype(np.uint64 if dtype.kind == "u" else np.int64)


def require_elements(op: str, x: Node, axes: tuple[int, ...], wanted: str) -> None:
    """Refuse an axis without elements, which has no extreme."""
    for a in axes:
        if x.shape[a] == 0:
            raise ShapeError(f"{op}: {describe(x)} is empty along axis {a}, so it has no {wanted}.")


def at_least_one(x: Node, axes: tuple[int, ...]) -> tuple[Dim, ...]:
    """The named sizes of some axes, each minus 1: not negative where the axis has an element."""
    return tuple(dim - 1 for dim in (x.shape[a] for a in axes) if isinstance(dim, Size))


def _shared(node: Max | Min, g: Node) -> Node:
    """The upstream gradient, divided equally among all elements that equal the extreme."""
    found = Equal(node.x, node.spread(node)).cast(g.dtype)
    return node.spread(g) * found / node.spread(Sum(found, node.axes, node.keepdims))


class Mean(Composite, method="mean"):
    """The mean over axes: `Mean(x, axis=None, keepdims=False)`.

    The mean of integers is a float. The mean of no elements is NaN.

    Raises:
        ShapeError: when there is no such axis, or one is named twice.
        DTypeError: for bools.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Mean([[1.0, 2.0], [3.0, 5.0]], axis=1))())
    [1.5 4. ]
    """

    x: Node
    axis: int | tuple[int, ...] | None = None
    keepdims: bool = False
    onnx = "ReduceMean"
    samples = NOT_EMPTY

    def prepare(self) -> None:
        """Write the axes out."""
        if self.x.dtype.kind == "b":
            raise DTypeError(f"Mean: {describe(self.x)} is of bools; cast it first, as in x.astype('float32').")
        self.__dict__["axis"] = read_axes("Mean", self.axis, self.x)

    def expand(self) -> Node:
        """`Sum / Count`."""
        total = Sum(self.x, self.axis, self.keepdims)
        axes: tuple[int, ...] = self.axis  # type: ignore[assignment]  # `prepare` made it a tuple
        return total / count_of(tuple(self.x.shape[a] for a in axes), total.dtype)
