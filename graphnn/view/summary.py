"""Arrays made small enough for a page: a few are written out, many become a histogram and a heat map."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import numpy as np

from ..ir.spec import Spec

__all__ = ["summarise"]

_FEW = 64
"""So many numbers are written out."""
_BINS = 24
_CELLS = 32
"""A heat map has at most so many rows and columns; each cell is the mean of a block."""
_EXACT = 2**53
"""Browsers count exactly up to here."""


def summarise(array: np.ndarray) -> dict[str, Any]:
    """An array as what JSON can hold: `spec`, `bytes`, and its extremes and mean, `low`, `high` and `mean`.

    Up to 64 elements are the list `numbers`. Of more there is `histogram`, counts in 24 equal steps from `low` to
    `high`, and of matrices `heat`: rows of cells as bytes in base 64, 128 for zero, 1 and 255 for the largest
    magnitude, 0 where something is not finite. `odd` counts elements that are not finite; the rest leaves them out.

    >>> import numpy as np
    >>> summarise(np.array([[1.0, np.nan]]))
    {'spec': 'f64[1, 2]', 'bytes': 16, 'numbers': [1.0, 'nan'], 'odd': 1, 'low': 1.0, 'high': 1.0, 'mean': 1.0}
    """
    told: dict[str, Any] = {"spec": str(Spec(array.shape, array.dtype)), "bytes": array.nbytes}
    few = array.size <= _FEW
    if few:
        told["numbers"] = [_number(value) for value in array.ravel()]
    values = array.astype(np.float64)
    finite = values[np.isfinite(values)]
    if odd := values.size - finite.size:
        told["odd"] = odd
    if finite.size:
        low, high = float(finite.min()), float(finite.max())
        scale = max(abs(low), abs(high)) or 1.0  # sums of scaled values do not overflow
        mean = min(max(float((finite / scale).mean()) * scale, low), high)
        told |= {"low": low, "high": high, "mean": mean}
        if not few:
            told |= {"histogram": _histogram(finite / scale), **_heat(values, scale)}
    return told


def _number(value: np.generic) -> float | int | str:
    """In as few digits as tell it from its neighbours; as text where JSON or a browser has no such number."""
    if value.dtype.kind == "f":
        return float(str(value)) if np.isfinite(value) else str(value)
    return int(value) if value.dtype.kind in "iu" and abs(int(value)) <= _EXACT else str(value)


def _histogram(values: np.ndarray) -> list[int]:
    low, high = values.min(), values.max()
    if low == high:
        return [values.size]
    places = np.minimum((values - low) / (high - low) * _BINS, _BINS - 1).astype(np.intp)
    return [int(count) for count in np.bincount(places, minlength=_BINS)]


def _heat(values: np.ndarray, scale: float) -> dict[str, Any]:
    if values.ndim < 2:
        return {}
    cells = values.reshape(-1, values.shape[-1]) / scale
    with np.errstate(invalid="ignore"):  # infinities of both signs in one block
        for axis in (0, 1):
            size = cells.shape[axis]
            starts = np.arange(min(size, _CELLS)) * size // min(size, _CELLS)
            blocks = np.diff(starts, append=size)
            cells = np.add.reduceat(cells, starts, axis=axis) / (blocks if axis else blocks[:, None])
        codes = np.where(np.isfinite(cells), np.rint(cells * 127) + 128, 0).astype(np.uint8)
    return {"heat": b64encode(codes.tobytes()).decode(), "rows": codes.shape[0]}
