"""Types: NumPy's dtypes as LLVM's, in memory and in registers, alone and as vectors; and conversions between them."""

from __future__ import annotations

import numpy as np

from ..kernels import DType, NoKernel

__all__ = [
    "DType", "LANES", "NoKernel", "convert", "lanes_of", "memory_type", "number", "register_type", "splat",
    "vectors_of",
]  # fmt: skip

LANES = 64
"""Bytes of a vector as the kernels write it, whatever the processor has: LLVM splits it into those of the machine."""

_FLOATS = {2: "half", 4: "float", 8: "double"}


def memory_type(dtype: DType) -> str:
    """The LLVM type of an element in memory."""
    return _FLOATS[dtype.itemsize] if dtype.kind == "f" else f"i{8 * dtype.itemsize}"


def register_type(dtype: DType, lanes: int = 1) -> str:
    """The LLVM type of a value, or of a vector of so many."""
    one = "i1" if dtype.kind == "b" else memory_type(dtype)
    return one if lanes == 1 else f"<{lanes} x {one}>"


def lanes_of(*dtypes: DType) -> int:
    """How many elements the kernels treat at once, by the widest of their dtypes; half floats count as the floats
    they are computed in."""
    return LANES // max(4, *(dtype.itemsize for dtype in dtypes)) if dtypes else LANES // 8


def vectors_of(count: int, lanes: int) -> list[tuple[int, int]]:
    """So many elements as vectors, each with its first element and its lanes: whole ones, then a half and the rest.

    LLVM keeps a vector of an odd number of lanes in registers badly when it is longer than the processor's.

    >>> from graphnn.backends.native.types import vectors_of
    >>> vectors_of(29, 16)
    [(0, 16), (16, 8), (24, 5)]
    """
    half, first = lanes // 2, 0
    found: list[tuple[int, int]] = []
    while first < count:
        left = count - first
        size = lanes if left >= lanes else half if left > half > 0 else left
        found.append((first, size))
        first += size
    return found


def number(value: float, dtype: DType) -> str:
    """A number as LLVM writes it in a dtype."""
    if dtype.kind == "b":
        return "true" if value else "false"
    if dtype.kind != "f":
        return str(int(np.array(value).astype(dtype)))
    if dtype.itemsize == 2:
        return f"0xH{np.float16(value).view(np.uint16):04X}"
    exact = np.float32(value) if dtype.itemsize == 4 else np.float64(value)  # a float is written as its double
    return f"0x{np.float64(exact).view(np.uint64):016X}"


def splat(text: str, dtype: DType, lanes: int) -> str:
    """A number in every lane."""
    return text if lanes == 1 else f"splat ({register_type(dtype)} {text})"


def convert(source: DType, target: DType, lanes: int) -> list[str]:
    """The instructions, each with `{}` for what it converts, that make a value of one dtype one of another.

    A float beyond the range of an integer becomes the nearest one, NaN becomes 0 (in C both are undefined).
    """
    if source == target:
        return []
    a, b = register_type(source, lanes), register_type(target, lanes)
    zero = splat(number(0, source), source, lanes)
    match source.kind, target.kind:
        case ("f", "b"):
            return [f"fcmp une {a} {{}}, {zero}"]
        case (_, "b"):
            return [f"icmp ne {a} {{}}, {zero}"]
        case ("f", "f"):
            return [f"{'fpext' if target.itemsize > source.itemsize else 'fptrunc'} {a} {{}} to {b}"]
        case ("f", kind):
            sign = "s" if kind == "i" else "u"
            return [f"call {b} @llvm.fpto{sign}i.sat.{suffix(target, lanes)}.{suffix(source, lanes)}({a} {{}})"]
        case ("i", "f"):
            return [f"sitofp {a} {{}} to {b}"]
        case (_, "f"):
            return [f"uitofp {a} {{}} to {b}"]
    if source.kind != "b" and target.itemsize < source.itemsize:
        return [f"trunc {a} {{}} to {b}"]
    if source.kind != "b" and target.itemsize == source.itemsize:
        return []
    return [f"{'sext' if source.kind == 'i' else 'zext'} {a} {{}} to {b}"]


def suffix(dtype: DType, lanes: int) -> str:
    """How the name of an intrinsic says its type: `f64`, `v8f32`."""
    one = "i1" if dtype.kind == "b" else f"{'f' if dtype.kind == 'f' else 'i'}{8 * dtype.itemsize}"
    return one if lanes == 1 else f"v{lanes}{one}"
