"""Linear algebra: MatMul, Dot, Outer, Affine."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ..errors import ShapeError
from ..ir.broadcast import broadcast_shape, broadcast_to
from ..ir.node import Call, Node, describe
from ..ir.spec import Shape, Size, Spec
from .composite import Composite
from .einsum import Einsum
from .reductions import Sum
from .sample import refused, sample
from .shape import Reshape, Transpose

__all__ = ["MatMul", "Dot", "Outer", "Affine"]


class MatMul(Node, infix="@"):
    """The matrix product `x @ W` of (..., n, k) and (..., k, m): (..., n, m).

    Inner sizes must agree. Leading axes are batches, and broadcast. A vector counts as a row on the left, and as a
    column on the right.

    Raises:
        ShapeError: when inner sizes differ, naming both operands and the size that was meant; or for a scalar.

    >>> import graphnn as gn
    >>> x, W = gn.Input("x", ("N", 2)), gn.Parameter("W", [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    >>> gn.MatMul(x, W).spec
    Spec(shape=(N, 3), dtype=dtype('float32'))
    """

    x: Node
    W: Node
    by_specs = True
    samples = (
        sample(("N", "K"), ("K", "M")),
        sample(("B", "N", "K"), ("B", "K", "M")),
        sample(("B", "N", "K"), ("K", "M")),
        sample(("K",), ("K", "M")),
        sample(("N", "K"), ("K",)),
        sample(("K",), ("K",)),
        refused(ShapeError, ("N", 2), (3, "M")),
        refused(ShapeError, (), (3, "M"), culprits=("x0",)),
        refused(ShapeError, (2, "N", "K"), (3, "K", "M")),
    )

    def prepare(self) -> None:
        """Cast to one dtype, check the inner sizes, and repeat batches. A matrix W for all batches is not repeated."""
        x, W = self.x, self.W
        for operand in (x, W):
            if not operand.ndim:
                raise ShapeError(f"MatMul: {describe(operand)} is a scalar; use * to scale.")
        inner, rows = x.shape[-1], W.shape[-2 if W.ndim > 1 else 0]
        if inner != rows:
            raise ShapeError(f"MatMul: inner sizes differ: {describe(x)} @ {describe(W)}. {_mend(x, W)}")
        dtype = np.result_type(x.dtype, W.dtype)
        x, W = x.cast(dtype), W.cast(dtype)
        if x.ndim > 1 and W.ndim > 1 and x.shape[:-2] != W.shape[:-2] and not (W.ndim == 2 < x.ndim):
            batches = broadcast_shape("MatMul", {"x": _Batch.of(x), "W": _Batch.of(W)})
            x, W = broadcast_to(x, (*batches, *x.shape[-2:])), broadcast_to(W, (*batches, *W.shape[-2:]))
        self.__dict__.update(x=x, W=W)

    def infer(self) -> Spec:
        """Batches, rows, columns."""
        x, W = self.x.shape, self.W.shape
        rows = x[:-1] if self.x.ndim > 1 else W[:-2]
        return Spec((*rows, *W[-1:]) if self.W.ndim > 1 else rows, self.x.dtype)

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """By `matmul`."""
        return xp.matmul(*arrays)

    def work(self) -> tuple[Shape, ...]:
        """A multiplication and an addition for each element of the result and of the inner size."""
        return ((2, *self.shape, self.x.shape[-1]),)

    def bind(self, xp: Any, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...]) -> list[Call]:
        """One call: `dot` for two matrices, which is faster to call, else `matmul`.

        Dense batches times one matrix are the rows of a single product.
        """
        x, W = ins
        if x.ndim > W.ndim == 2 and x.size and out.size and x.flags.c_contiguous and out.flags.c_contiguous:
            x, out = x.reshape(-1, x.shape[-1]), out.reshape(-1, out.shape[-1])
        # With an inner size of 1 `dot` leaves out what is multiplied by 0, and inf * 0 would not be NaN.
        plain = x.ndim == W.ndim == 2 and len(W) != 1
        return [partial(xp.dot if plain else xp.matmul, x, W, out)]

    def vjp(self, g: Node) -> tuple[Node, Node]:
        """`g @ W.T` and `x.T @ g`."""
        x, W = self.x, self.W
        if x.ndim > W.ndim == 2:  # the gradients of all batches, summed in the product itself
            batches = "abcdefghij"[: x.ndim - 1]
            return g @ swap(W), Einsum(f"{batches}k,{batches}m->km", x, g)
        if x.ndim > 1 and W.ndim > 1:
            return g @ swap(W), swap(x) @ g
        # Vectors become the rows and columns they stand for.
        rows = x if x.ndim > 1 else Reshape(x, (1, *x.shape))
        columns = W if W.ndim > 1 else Reshape(W, (*W.shape, 1))
        upstream = Reshape(g, (rows @ columns).shape)
        dx, dW = upstream @ swap(columns), swap(rows) @ upstream
        return _shrink(dx, x), _shrink(dW, W)


class _Batch:
    """The batch axes of an operand, with the attributes that `broadcast_shape` needs."""

    def __init__(self, node: Node) -> None:
        self.shape, self.spec, self.label, self.origin = node.shape[:-2], node.spec, node.label, node.origin

    @staticmethod
    def of(node: Node) -> Any:
        return _Batch(node)


def swap(x: Node) -> Node:
    """The last two axes exchanged."""
    return Transpose(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


def _shrink(g: Node, operand: Node) -> Node:
    """A gradient brought to the shape of the operand, by sums over the batches that a vector was multiplied with."""
    if operand.ndim == 1 and g.ndim > 2:
        g = Sum(g, tuple(range(g.ndim - 2)))
    return Reshape(g, operand.shape)


def _mend(x: Node, W: Node) -> str:  # noqa: N803 - the mathematics' own letter
    a, b = x.shape[-1], W.shape[-2 if W.ndim > 1 else 0]
    if isinstance(a, Size) and isinstance(b, Size) and a.name != b.name:
        return f"If '{a.name}' and '{b.name}' are the same size, declare both with one name."
    if W.ndim > 1 and W.shape[-1] == a:
        return f"{W.label} should have {a} rows; it has them as columns: did you mean {W.label}.T?".replace(
            "'.T", ".T'"
        )
    return f"{W.label} should have {a} rows."


class Dot(Composite):
    """The dot product of two vectors: `[1, 2, 3] · [4, 5, 6] = 32`, the sum of products.

    Raises:
        ShapeError: unless both are vectors of one length.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Dot([1, 2, 3], [4, 5, 6]))())
    32
    """

    x: Node
    y: Node
    samples = (sample(("N",), ("N",)), refused(ShapeError, (2,), (3,)), refused(ShapeError, ("N", 2), (2,)))

    def prepare(self) -> None:
        """Check that both are vectors of one length."""
        if self.x.ndim != 1 or self.y.ndim != 1 or self.x.shape != self.y.shape:
            raise ShapeError(
                f"Dot: {describe(self.x)} · {describe(self.y)}: both must be vectors of one length; "
                "for matrices use gn.MatMul."
            )

    def expand(self) -> Node:
        """A matrix product of two vectors."""
        return MatMul(self.x, self.y)


class Outer(Composite):
    """The outer product of two vectors: the matrix of all products, `x[i] * y[j]`.

    Raises:
        ShapeError: unless both are vectors.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Outer([1, 2], [3, 4, 5]))())
    [[ 3  4  5]
     [ 6  8 10]]
    """

    x: Node
    y: Node
    samples = (sample(("N",), ("M",)), sample(("N",), (3,)), refused(ShapeError, ("N", 2), (2,)))

    def prepare(self) -> None:
        """Check that both are vectors."""
        if self.x.ndim != 1 or self.y.ndim != 1:
            raise ShapeError(
                f"Outer: {describe(self.x)} and {describe(self.y)}: both must be vectors; for more axes use gn.Einsum."
            )

    def expand(self) -> Node:
        """A column times a row."""
        return Reshape(self.x, (*self.x.shape, 1)) * Reshape(self.y, (1, *self.y.shape))


class Affine(Composite):
    """The affine map `x @ W + b` of (..., k), (k, m) and a bias (m,) or (1, m): MatMul, Repeat of the bias, Add.

    Its gradients are `dx = g @ W.T`, `dW = x.T @ g`, `db = sum(g, axis=0)`.

    Raises:
        ShapeError: when inner sizes differ, or the bias does not fit.

    >>> import graphnn as gn
    >>> x = gn.Input("x", ("N", 2))
    >>> gn.Affine(x, [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], [0.0, 0.0, 1.0]).spec
    Spec(shape=(N, 3), dtype=dtype('float32'))
    """

    x: Node
    W: Node
    b: Node
    samples = (
        sample(("N", "K"), ("K", "M"), ("M",)),
        sample(("N", "K"), ("K", "M"), (1, "M")),
        refused(ShapeError, ("N", 2), (3, "M"), ("M",)),
        refused(ShapeError, ("N", "K"), ("K", 3), (2,)),
    )

    def prepare(self) -> None:
        """Check the bias against the columns."""
        columns = self.W.shape[-1:]
        if self.b.shape not in (columns, (1, *columns)):
            raise ShapeError(
                f"Affine: the bias {describe(self.b)} does not fit {describe(self.W)}: "
                f"it should have one value a column, {', '.join(map(str, columns))} in all."
            )

    def expand(self) -> Node:
        """`x @ W + b`."""
        return MatMul(self.x, self.W) + self.b
