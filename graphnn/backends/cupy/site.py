"""The site: where a program lies on the device, and who multiplies large matrices there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import prod

import numpy as np

from ..kernels import DType
from .blaslt import BlasLt
from .layouts import Epilogue, Product, even_steps, matrix_of

__all__ = ["Address", "Multiply", "Site"]

LARGE = 32**3
"""Multiplications from which a product is left to the library. Not measured: it awaits a GPU."""


class Address(int):
    """A word that is an address."""


@dataclass(frozen=True)
class Multiply:
    """A product by the library, which is given the stream to run on."""

    run: Callable[[int], None]
    onto: bool
    """Is it added to what is there, an update that nothing could hold back?"""
    epilogue: Epilogue = Epilogue.NONE
    code: int = 0


@dataclass(frozen=True)
class Site:
    """What lowering asks of the device: called with an array of the host's twin, it says where that begins."""

    address: Callable[[np.ndarray], int]
    workspace: np.ndarray
    """What stands for the workspace of the device."""
    library: BlasLt | None = None
    precision: str = "float32"
    folds: bool = True
    """May updates be folded into products of the library, which do not ask whether a check has stopped the program?"""

    def __call__(self, array: np.ndarray) -> Address:
        """Where an array begins on the device."""
        return Address(self.address(array))

    def partials(self, shape: tuple[int, ...], dtype: DType) -> np.ndarray:
        """An array of the workspace, whose values last from a launch to the next."""
        return self.workspace[: prod(shape) * dtype.itemsize].view(dtype).reshape(shape)

    def multiply(
        self,
        x: np.ndarray,
        w: np.ndarray,
        out: np.ndarray,
        alpha: np.ndarray | None = None,
        epilogue: Epilogue = Epilogue.NONE,
        vector: np.ndarray | None = None,
        mask: np.ndarray | None = None,
    ) -> Multiply | None:
        """`x @ w` into `out`, with `alpha` added to it times that, with an epilogue with that done to it; of matrices,
        or of stacks of them.

        None where the library does not do it.
        """
        halves = out.itemsize == 2  # a scalar for them would have to be of single precision
        if self.library is None or out.dtype.kind != "f" or (alpha is not None and (halves or not self.folds)):
            return None
        arrays, steps = (x, w, out), even_steps(out.shape[:-2], (x, w, out))
        if steps is None or out.size * x.shape[-1] < LARGE:
            return None
        addresses = [self(array) for array in arrays]
        a, b, c = map(matrix_of, arrays, addresses, steps[1])
        if a is None or b is None or c is None or c.transposed:
            return None
        if vector is not None and vector.strides[-1] != vector.itemsize and vector.size > 1:
            return None
        beside = [0 if array is None else self(array) for array in (vector, mask)]
        product = Product(a, b, c, out.dtype, self.precision, alpha is not None, steps[0], epilogue, *beside)
        made = self.library.multiply(product)
        given = (*addresses, *(() if alpha is None else (self(alpha),)))
        return None if made is None else Multiply(partial(made, *given), alpha is not None, epilogue)
