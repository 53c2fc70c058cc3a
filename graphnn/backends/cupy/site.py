"""The site: what lowering knows of the device. It gives addresses of arrays, and has the library multiply matrices."""

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
"""A product with at least so many multiplications is left to the library. Not measured: it awaits a GPU."""


class Address(int):
    """A word (an argument of a kernel) that is an address on the device, and not a number."""


@dataclass(frozen=True)
class Multiply:
    """A product of matrices that the library computes. `run` is called with the stream to run on."""

    run: Callable[[int], None]
    onto: bool
    """Is the product added to what `out` holds? It then updates a parameter, and no failed check can stop it."""
    epilogue: Epilogue = Epilogue.NONE
    code: int = 0


@dataclass(frozen=True)
class Site:
    """What lowering asks of the device. Called with an array of the host, it gives the array's address on the device.

    Each array of a program on the host has its counterpart on the device; see `mirror`.
    """

    address: Callable[[np.ndarray], int]
    workspace: np.ndarray
    """The array on the host that mirrors the workspace, the scratch memory that all programs share."""
    library: BlasLt | None = None
    precision: str = "float32"
    folds: bool = True
    """May the library's products update parameters? They run even when a check has stopped the program."""

    def __call__(self, array: np.ndarray) -> Address:
        """The address on the device of an array's first element."""
        return Address(self.address(array))

    def partials(self, shape: tuple[int, ...], dtype: DType) -> np.ndarray:
        """An array in the workspace for partial results. Its values last until the next launch, and no longer."""
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
        """The call of the library that writes `x @ w` into `out`, for matrices or stacks of matrices.

        With `alpha`, a scalar on the device, it adds `alpha * (x @ w)` to `out` instead. An epilogue is applied to
        the product before it is written. It may need `vector`, a bias to add or the place for sums of columns, and
        `mask`, a bit for each element.

        None when the library cannot compute this product, or when the product is too small to be worth it.
        """
        halves = out.itemsize == 2  # their `alpha` would have to be in single precision
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
