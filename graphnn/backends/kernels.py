"""What the backends that generate kernels have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

__all__ = ["DType", "Fold", "NoKernel", "fold"]

DType: TypeAlias = np.dtype[Any]


class NoKernel(Exception):  # noqa: N818 - it is an answer, and no user sees it
    """There is no kernel for a step, for the reason given; it runs on NumPy."""


@dataclass(frozen=True)
class Fold:
    """A reduction by a function of two values: its ufunc; the dtypes of elements, running value and result."""

    ufunc: str
    source: DType
    carried: DType
    result: DType


def fold(ufunc: str, source: DType, result: DType) -> Fold:
    """The fold of a ufunc. Half floats are carried in single precision, as in NumPy."""
    carried = np.dtype(np.float32) if result.kind == "f" and result.itemsize == 2 else result
    return Fold(ufunc, source, carried, result)
