"""The trial of an epilogue: a small product that shows whether the library computes the same as graphnn's op.

The library's documentation leaves two questions open. Its ReLU is max(x, 0), but what is the ReLU of NaN? If it were
0, the NaN would be hidden from every check. Its mask has a bit for each element, but what is the bit of 0? If it were
1, ReLU would have another slope at 0. So the first time that a program could use an epilogue, the device computes a
product with it. The factors are small whole numbers, which are exact in every precision, and there are NaN,
infinities and zeros among the results. It is assumed, and not proved, that the library's other kernels for this
epilogue do the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np

from ..kernels import DType
from .layouts import Epilogue, Matrix, Product, matrix_of

__all__ = ["Memory", "refusal"]

ROWS, INNER, COLUMNS = 24, 32, 256


class Memory(Protocol):
    """What a trial needs of a device: its memory, and the stream that uses it."""

    stream: Any

    def allocate(self, size: int) -> Any:
        """Allocate `size` bytes, which begin at address `.ptr`."""

    def upload(self, address: int, source: np.ndarray) -> None:
        """Copy an array to the device."""

    def download(self, target: np.ndarray, address: int) -> None:
        """Copy from the device into an array, after all earlier work on the stream is done."""


def refusal(
    planned: Callable[[Product], Callable[..., None] | None],
    memory: Memory,
    epilogue: Epilogue,
    dtype: DType,
    precision: str,
) -> str | None:
    """The reason why an epilogue cannot be used for products of a dtype in a precision; None if the trial succeeds.

    `planned` returns the call that computes a product, or None if the library has no algorithm for it.
    """
    given = _numbers(dtype)
    held = memory.allocate(sum(array.nbytes for array in given.values()))
    places: dict[str, int] = {}
    end = int(held.ptr)
    for name, array in given.items():
        memory.upload(end, array)
        places[name], end = end, end + array.nbytes
    x, w, out = (_layout(given[name], places[name]) for name in ("x", "w", "out"))
    vector = places["vector"] if epilogue & (Epilogue.BIAS | Epilogue.SUMS) else 0
    mask = places["mask"] if epilogue & Epilogue.MASK else 0
    call = planned(Product(x, w, out, dtype, precision, epilogue=epilogue, vector=vector, mask=mask))
    if call is None:
        return "there is no algorithm for it"
    try:
        call(places["x"], places["w"], places["out"], memory.stream.ptr)
    except RuntimeError as error:
        return str(error)
    found = {name: np.empty_like(array) for name, array in given.items()}
    for name, array in found.items():
        memory.download(array, places[name])
    compared = _after_drelu if Epilogue.DRELU in epilogue else _after_relu
    return next((said for said in map(_difference, compared(given, found, epilogue)) if said), None)


def _numbers(dtype: DType) -> dict[str, np.ndarray]:
    """The arrays of the trial: factors, a bias, a random mask, and a result full of -9, to be overwritten."""
    rng = np.random.default_rng(0)
    x, w = (rng.integers(-2, 3, shape).astype(dtype) for shape in ((ROWS, INNER), (INNER, COLUMNS)))
    x[3, 5], x[4, 0] = np.nan, np.inf
    x[7] = 0  # so the product is 0 here, and stays 0 where the bias is 0
    return {
        "x": x,
        "w": w,
        "out": np.full((ROWS, COLUMNS), -9, dtype),
        "vector": (np.arange(COLUMNS) % 3 - 1).astype(dtype),
        "mask": rng.integers(0, 256, (ROWS, COLUMNS // 8)).astype(np.uint8),
    }


def _layout(array: np.ndarray, address: int) -> Matrix:
    found = matrix_of(array, address, 0)
    assert found is not None
    return found


Comparison = tuple[str, np.ndarray, np.ndarray, np.ndarray]
"""What is compared, in words; the values before the epilogue; the values found; the values expected."""


def _product(given: dict[str, np.ndarray]) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # infinity times 0
        product: np.ndarray = given["x"] @ given["w"]
    return product


def _after_relu(given: dict[str, np.ndarray], found: dict[str, np.ndarray], epilogue: Epilogue) -> Iterator[Comparison]:
    before = _product(given) + (given["vector"] if Epilogue.BIAS in epilogue else 0)
    yield "it makes", before, found["out"], np.maximum(before, 0)
    if Epilogue.MASK in epilogue:
        yield "its mask says", before, _bits(found["mask"]), before > 0


def _after_drelu(
    given: dict[str, np.ndarray], found: dict[str, np.ndarray], epilogue: Epilogue
) -> Iterator[Comparison]:
    before, out = _product(given), found["out"]
    yield "it makes", before, out, np.where(_bits(given["mask"]), before, 0)
    if Epilogue.SUMS in epilogue:
        sums = out.sum(axis=0)
        yield "the sum of such a column is", sums, found["vector"], sums


def _bits(mask: np.ndarray) -> np.ndarray:
    return np.unpackbits(mask, axis=1, bitorder="little").astype(bool)


def _difference(comparison: Comparison) -> str:
    """A sentence about the first element that differs from what is expected; empty if none does."""
    what, source, found, expected = comparison
    wrong = ~((found == expected) | ((found != found) & (expected != expected)))
    if not wrong.any():
        return ""
    return f"of {source[wrong][0]} {what} {found[wrong][0]}, not {expected[wrong][0]}"
