"""Rectified: a product with ReLU on its way out, and the product of the way back with ReLU's gradient on its own.

What the way back needs of the way forth is which elements were positive: a bit for each, in the place of the whole
array that ReLU has read. Libraries compute both as part of a product. The pass `epilogues` makes such steps, users do
not.
Source: NVIDIA, cuBLAS documentation, `cublasLtEpilogue_t`: RELU_AUX_BIAS and DRELU_BGRAD.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ShapeError
from ..ir.node import Call, Node
from ..ir.spec import Shape, Spec

__all__ = ["GatedProduct", "RectifiedProduct", "positive"]

LINE = 128
"""Columns of which a mask takes whole rows."""


def positive(x: np.ndarray) -> np.ndarray:
    """The mask of a matrix: a bit for each element, 1 where it is positive; the first of eight is the lowest."""
    return np.packbits(x > 0, axis=1, bitorder="little")


class RectifiedProduct(Node):
    """`maximum(x @ W + b, 0)`; with `masked` its mask too, as a second result: bits, eight in a byte.

    `x` is (N, K), `W` (K, M), `b` a row (1, M) or None; a mask is uint8 of (N, M / 8), M being a multiple of 128.

    Raises:
        ShapeError: when a mask is asked for, and M is another number.

    >>> import graphnn as gn
    >>> from graphnn.transform.rectified import RectifiedProduct
    >>> x, w, b = gn.Constant([[1.0, 2.0]]), gn.Constant([[3.0, -3.0], [4.0, -4.0]]), gn.Constant([[100.0, 0.0]])
    >>> print(gn.compile(RectifiedProduct(x, w, b))())
    [[111.   0.]]
    """

    x: Node
    W: Node
    b: Node | None = None
    masked: bool = False

    def infer(self) -> Any:
        """That of the product, and of its mask."""
        rows, columns = self.x.shape[0], self.W.shape[1]
        result = Spec((rows, columns), self.x.dtype)
        if not self.masked:
            return result
        if not isinstance(columns, int) or columns % LINE:
            raise ShapeError(f"RectifiedProduct: a mask has rows of {LINE} bits, and the product {columns} columns.")
        return result, Spec((rows, columns // 8), np.dtype(np.uint8))

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """As written."""
        x, w, *b = arrays
        product = xp.matmul(x, w)
        result = xp.maximum(product + b[0] if b else product, 0)
        return (result, positive(result)) if self.masked else result

    def bind(self, xp: Any, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...]) -> list[Call]:
        """`forward`, and a copy of each result."""
        return _copied(self, xp, ins, out if self.masked else (out,))

    def work(self) -> tuple[Shape, ...]:
        """That of the product, an addition and a comparison for each element."""
        rows, inner, columns = *self.x.shape, self.W.shape[1]
        return ((2, rows, columns, inner), (2, rows, columns))


class GatedProduct(Node):
    """`x @ W` where a mask has 1, and 0 elsewhere; with `summed` the sums of its columns too, as a row (1, M).

    `x` is (N, K), `W` (K, M), `mask` as `RectifiedProduct` has it. NaN becomes 0 there too, as libraries have it,
    where the gradient of ReLU by itself, times 0, would keep it.

    >>> import graphnn as gn
    >>> from graphnn.transform.rectified import GatedProduct
    >>> mask = gn.Constant([[5]], dtype="uint8")
    >>> print(gn.compile(GatedProduct([[1.0]], [[2.0] * 8], mask))())
    [[2. 0. 2. 0. 0. 0. 0. 0.]]
    """

    x: Node
    W: Node
    mask: Node
    summed: bool = False

    def infer(self) -> Any:
        """That of the product, and of a row."""
        rows, columns = self.x.shape[0], self.W.shape[1]
        result = Spec((rows, columns), self.x.dtype)
        return (result, Spec((1, columns), self.x.dtype)) if self.summed else result

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """The product, or 0."""
        x, w, mask = arrays
        result = xp.where(np.unpackbits(mask, axis=1, bitorder="little"), xp.matmul(x, w), 0)
        return (result, xp.sum(result, axis=0, keepdims=True)) if self.summed else result

    def bind(self, xp: Any, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...]) -> list[Call]:
        """`forward`, and a copy of each result."""
        return _copied(self, xp, ins, out if self.summed else (out,))

    def work(self) -> tuple[Shape, ...]:
        """That of the product, a choice for each element, and an addition where they are summed."""
        rows, inner, columns = *self.x.shape, self.W.shape[1]
        return ((2, rows, columns, inner), (1 + self.summed, rows, columns))


def _copied(node: Node, xp: Any, ins: tuple[Any, ...], targets: tuple[Any, ...]) -> list[Call]:
    def compute() -> None:
        made = node.forward(xp, *ins)
        for target, value in zip(targets, made if isinstance(made, tuple) else (made,), strict=True):
            target[...] = value

    return [compute]
