"""The upper or lower triangle of matrices: Trilu."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ..errors import ShapeError
from ..ir.node import Call, Node, describe
from ..ir.spec import Spec
from .sample import refused, sample

__all__ = ["Trilu"]


class Trilu(Node):
    """The upper or the lower triangle, zeros elsewhere: `Trilu(x, upper=True, k=0)`. Its adjoint is Trilu.

    `x` is a matrix, or has matrices along its last two axes. The triangle begins at the diagonal with offset `k`, which
    belongs to it. 0 is the main diagonal, and positive offsets are above it.

    Raises:
        ShapeError: when the operand has fewer than two axes.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Trilu([[1.0, 2.0], [3.0, 4.0]], upper=False))())
    [[1. 0.]
     [3. 4.]]
    """

    x: Node
    upper: bool = True
    k: int = 0
    indifferent = True
    adjoint = "Trilu"
    elements = "moved"
    onnx = "Trilu"
    samples = (
        sample(("N", "M")),
        sample(("N", "M"), upper=False, k=1),
        sample(("B", "N", "N"), k=-1),
        refused(ShapeError, ("N",)),
    )

    def infer(self) -> Spec:
        """The operand's."""
        if self.x.ndim < 2:
            raise ShapeError(f"Trilu: {describe(self.x)} is not a matrix: it needs two axes at least.")
        return self.x.spec

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """By `triu` or `tril`."""
        return (xp.triu if self.upper else xp.tril)(arrays[0], self.k)

    def bind(self, xp: Any, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...]) -> list[Call]:
        """Zeros, then a copy where a mask that was made once says so."""
        self.fill_mask(xp, scratch[-1])
        return [partial(out.fill, 0), partial(xp.copyto, out, ins[0], "no", scratch[-1])]

    def fill_mask(self, xp: Any, mask: Any) -> None:
        """Write which elements of a matrix belong to the triangle."""
        below = xp.tri(*mask.shape, self.k - 1 if self.upper else self.k, dtype=bool)
        mask[...] = ~below if self.upper else below

    def tables(self) -> tuple[Spec, ...]:
        """Which elements of a matrix belong to the triangle."""
        return (Spec(self.x.shape[-2:], np.dtype(np.bool_)),)

    def vjp(self, g: Node) -> Node:
        """The same triangle of the gradient."""
        return Trilu(g, self.upper, self.k)
