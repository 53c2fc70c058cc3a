"""What the backends that write kernels of their own share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

__all__ = ["DType", "Fold", "NoKernel", "fold"]

DType: TypeAlias = np.dtype[Any]


class NoKernel(Exception):  # noqa: N818 - it says what there is not; never seen by a user
    """There is no kernel for this: the step runs on NumPy, for the reason given."""


@dataclass(frozen=True)
class Fold:
    """A function of two values, folded over many: its ufunc, what it is carried in, and what comes out."""

    ufunc: str
    source: DType
    carried: DType
    result: DType


def fold(ufunc: str, source: DType, result: DType) -> Fold:
    """The fold of a ufunc; of halves in single precision, as NumPy does."""
    carried = np.dtype(np.float32) if result.kind == "f" and result.itemsize == 2 else result
    return Fold(ufunc, source, carried, result)
