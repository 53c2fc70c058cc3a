"""Summaries of arrays for a page: a few numbers are written out, many become a histogram and a heat map."""

from __future__ import annotations

from base64 import b64encode
from math import log, prod
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
    """A summary of an array as values for JSON: `spec`, `bytes`, and its extremes and mean, `low`, `high` and `mean`.

    Up to 64 elements are the list `numbers`. Of more that differ there is `histogram`, counts in 24 equal steps from
    `low` to `high`, and with two axes or more `heat`: rows of cells as bytes in base 64, 128 for zero, 1 and 255 for
    the largest magnitude of a cell, 0 where something is not finite. Its first `down` axes are rows, the others
    columns, whichever comes nearest to a square. `odd` counts elements that are not finite; all else leaves them out.

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
        if not few and low < high:
            told["histogram"] = _histogram(finite / scale)
        if not few and (low < high or odd) and values.ndim > 1:
            told |= _heat(values / scale)
    return told


def _number(value: np.generic) -> float | int | str:
    """A number with as few digits as needed; as text, if JSON or a browser cannot hold it."""
    if value.dtype.kind == "f":
        return float(str(value)) if np.isfinite(value) else str(value)
    return int(value) if value.dtype.kind in "iu" and abs(int(value)) <= _EXACT else str(value)


def _histogram(values: np.ndarray) -> list[int]:
    low, high = values.min(), values.max()
    places = np.minimum((values - low) / (high - low) * _BINS, _BINS - 1).astype(np.intp)
    return [int(count) for count in np.bincount(places, minlength=_BINS)]


def _heat(values: np.ndarray) -> dict[str, Any]:
    shape = values.shape
    down = min(range(1, len(shape)), key=lambda axes: abs(log(prod(shape[:axes]) / prod(shape[axes:]))))
    cells = values.reshape(prod(shape[:down]), -1)
    with np.errstate(invalid="ignore"):  # infinities of both signs in one block
        for axis in (0, 1):
            size = cells.shape[axis]
            starts = np.arange(min(size, _CELLS)) * size // min(size, _CELLS)
            blocks = np.diff(starts, append=size)
            cells = np.add.reduceat(cells, starts, axis=axis) / (blocks if axis else blocks[:, None])
        largest = np.abs(cells[np.isfinite(cells)]).max(initial=0.0) or 1.0
        codes = np.where(np.isfinite(cells), np.rint(cells / largest * 127) + 128, 0).astype(np.uint8)
    return {"heat": b64encode(codes.tobytes()).decode(), "rows": codes.shape[0], "down": down}
