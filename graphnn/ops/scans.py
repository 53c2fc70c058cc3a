"""Scans along an axis: the running sum (CumSum), the running product (CumProd), and Prod, which uses the latter."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import numpy as np

from ..errors import ShapeError
from ..ir.broadcast import broadcast_to
from ..ir.leaf import Constant
from ..ir.node import Call, Node
from ..ir.spec import Spec
from .axes import read_axis
from .elementwise import Map
from .reductions import SAMPLES, Reduction, Sum, widened
from .sample import refused, sample
from .shape import Reshape
from .triangle import Trilu

__all__ = ["CumSum", "CumProd", "Prod"]

_CUMULATIVE = (
    sample(("N", "M"), axis=0),
    sample(("N", "M"), axis=-1, exclusive=True),
    sample(("N", "M", "K"), axis=1, reverse=True),
    sample(("N",), exclusive=True, reverse=True),
    sample((2, "M")),
    sample(()),
    refused(ShapeError, ("N", "M"), axis=2),
    refused(ShapeError, ("N", "M")),
)


class _Cumulative(Node):
    """The base of scans: an axis, the end at which they begin, and whether an element includes itself."""

    x: Node
    axis: int | None = None
    exclusive: bool = False
    reverse: bool = False
    ufunc: ClassVar[str]
    start: ClassVar[int]

    def prepare(self) -> None:
        """Read the axis; without one, all elements are reshaped to one row."""
        if self.axis is None:
            self.__dict__.update(x=self.x if self.x.ndim == 1 else Reshape(self.x, -1), axis=0)
        self.__dict__["axis"] = read_axis(self.op, self.axis, self.x)

    def infer(self) -> Spec:
        """The operand's shape; integers become 64-bit ones."""
        return Spec(self.x.shape, widened(self.x.dtype))

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """By the calls of `bind`, into a new array."""
        out = xp.empty(arrays[0].shape, self.dtype)
        for call in self.bind(xp, arrays, out, ()):
            call()
        return out

    def bind(self, xp: Any, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...]) -> list[Call]:
        """NumPy's scan over a view with the axis first, in the wanted direction, with the wanted offset."""
        x, y = (xp.moveaxis(array, self.axis, 0) for array in (ins[0], out))
        if self.reverse:
            x, y = x[::-1], y[::-1]
        accumulate = getattr(xp, self.ufunc).accumulate
        if not self.exclusive:
            return [partial(accumulate, x, 0, self.dtype, y)]
        return [partial(y[:1].fill, self.start), partial(accumulate, x[:-1], 0, self.dtype, y[1:])]


class CumSum(_Cumulative, method="cumsum"):
    """The running sum along an axis: `CumSum(x, axis=None, exclusive=False, reverse=False)`.

    With `exclusive`, the sum at an element does not include it. With `reverse`, sums begin at the end of the axis.
    Without an axis, all elements are one row, in C order. Integers and bools are summed as 64-bit integers. Its adjoint
    is CumSum in the opposite direction.

    Raises:
        ShapeError: when there is no such axis; without one, when the number of elements is not k·N + c.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.CumSum([1.0, 2.0, 4.0]))(), gn.compile(gn.CumSum([1.0, 2.0, 4.0], exclusive=True))())
    [1. 3. 7.] [0. 1. 3.]
    """

    ufunc = "add"
    start = 0
    indifferent = True
    adjoint = "CumSum"
    elements = "moved"
    onnx = "CumSum"
    samples = _CUMULATIVE

    def vjp(self, g: Node) -> Node:
        """The running sum of the gradient, in the opposite direction."""
        return CumSum(g, self.axis, self.exclusive, not self.reverse)


class CumProd(_Cumulative, method="cumprod"):
    """The running product along an axis: `CumProd(x, axis=None, exclusive=False, reverse=False)`.

    With `exclusive`, the product at an element does not include it. With `reverse`, products begin at the end of the
    axis. Integers are multiplied as 64-bit integers. The gradient has no division, so it is right for zeros too. Its
    memory grows with the square of the size of the axis.

    Raises:
        ShapeError: when there is no such axis; without one, when the number of elements is not k·N + c.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.CumProd([2.0, 3.0, 4.0]))(), gn.compile(gn.CumProd([2.0, 3.0, 4.0], exclusive=True))())
    [ 2.  6. 24.] [1. 2. 6.]
    """

    ufunc = "multiply"
    start = 1
    indifferent = True
    onnx = "CumProd"
    samples = _CUMULATIVE

    def vjp(self, g: Node) -> Node:
        """For each element, a sum over the products that include it: the other factors, times the gradient."""
        axis: int = self.axis  # type: ignore[assignment]  # `prepare` made it a number
        shape = self.x.shape
        n, rows = shape[axis], (*shape[:axis], shape[axis], *shape[axis:])

        def over_rows(node: Node) -> Node:
            return broadcast_to(Reshape(node, (*shape[:axis], 1, *shape[axis:])), rows)

        def square(upper: bool, k: int = 0) -> Node:
            return Trilu(broadcast_to(Constant(True), (n, n)), upper, k)

        def placed(mask: Node) -> Node:
            return broadcast_to(Reshape(mask, (n, n, *(1,) * (len(shape) - axis - 1))), rows)

        itself = placed(Trilu(square(upper=True), upper=False))
        others = Map("where(itself, 1, x)", ("itself", "x"), (itself, over_rows(self.x)))
        without = CumProd(others, axis + 1, self.exclusive, self.reverse)
        first = int(self.exclusive)
        counted = placed(square(upper=False, k=-first) if self.reverse else square(upper=True, k=first))
        sent = Map("where(counted, g * y, 0)", ("counted", "g", "y"), (counted, over_rows(g), without))
        return Sum(sent, axis + 1)


class Prod(Reduction, method="prod"):
    """The product over axes: `Prod(x, axis=None, keepdims=False)`. The product of no elements is 1.

    Integers and bools are multiplied as 64-bit integers. The gradient of an element is the product of all others. It
    has no division, so it is right for zeros too.

    Raises:
        ShapeError: when there is no such axis, or one is named twice.

    >>> import graphnn as gn
    >>> x = gn.Parameter("x", [3.0, 0.0, 5.0])
    >>> print(gn.compile(gn.grad(gn.Prod(x), x))())
    [ 0. 15.  0.]
    """

    ufunc = "multiply"
    onnx = "ReduceProd"
    samples = SAMPLES

    def result_dtype(self) -> np.dtype[Any]:
        """Floats stay; integers become 64-bit ones."""
        return widened(self.x.dtype)

    def vjp(self, g: Node) -> Node:
        """The upstream gradient times the product of what comes before and of what comes after, axis by axis."""
        if not self.axes:
            return g
        g = g if self.keepdims else Reshape(g, self.kept())
        if len(self.axes) > 1:
            last = Prod(self.x, self.axes[-1], keepdims=True)
            return last.vjp(Prod(last, self.axes[:-1], keepdims=True).vjp(g))
        [axis] = self.axes
        before = CumProd(self.x, axis, exclusive=True)
        return broadcast_to(g, self.x.shape) * (before * CumProd(self.x, axis, exclusive=True, reverse=True))
