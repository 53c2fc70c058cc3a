"""Halves: kernels that round float32 to bfloat16, kept as the bits of its upper half, and back."""

from __future__ import annotations

from functools import cache

import numpy as np

from ..nests import Nest
from .maps import load_along, write_nest
from .types import register_type
from .writer import Writer

__all__ = ["from_bfloat16_kernel", "to_bfloat16_kernel"]

_FLOAT, _BITS, _HALF = np.dtype(np.float32), np.dtype(np.uint32), np.dtype(np.uint16)
_NAN = 0x7FC0


@cache
def to_bfloat16_kernel(nest: Nest) -> str:
    """The kernel that writes the upper halves of floats: to nearest, ties to even; its words are those of a map."""
    w = Writer()
    pointers = [w.word("ptr") for _ in nest.dtypes]

    def body(places: list[str], lanes: int, mask: str | None) -> None:
        kind, integers = register_type(_FLOAT, lanes), register_type(_BITS, lanes)

        def number(value: int) -> str:
            return w.constant(str(value), _BITS, lanes)

        x = load_along(w, nest, places, 1, lanes, mask)
        bits = w.put(f"bitcast {kind} {x} to {integers}")
        upper = w.put(f"lshr {integers} {bits}, {number(16)}")
        odd = w.put(f"and {integers} {upper}, {number(1)}")
        half = w.put(f"add {integers} {odd}, {number(0x7FFF)}")
        rounded = w.put(f"lshr {integers} {w.put(f'add {integers} {bits}, {half}')}, {number(16)}")
        nan = w.put(f"fcmp uno {kind} {x}, {x}")
        chosen = w.put(f"select {_truths(lanes)} {nan}, {integers} {number(_NAN)}, {integers} {rounded}")
        result = w.put(f"trunc {integers} {chosen} to {register_type(_HALF, lanes)}")
        w.store(result, places[0], _HALF, lanes, mask)

    write_nest(w, nest, pointers, body)
    return w.text()


@cache
def from_bfloat16_kernel(nest: Nest) -> str:
    """The kernel that writes the floats whose upper halves are given; its words are those of a map."""
    w = Writer()
    pointers = [w.word("ptr") for _ in nest.dtypes]

    def body(places: list[str], lanes: int, mask: str | None) -> None:
        integers = register_type(_BITS, lanes)
        upper = load_along(w, nest, places, 1, lanes, mask)
        bits = w.put(f"zext {register_type(_HALF, lanes)} {upper} to {integers}")
        shifted = w.put(f"shl {integers} {bits}, {w.constant('16', _BITS, lanes)}")
        w.store(
            w.put(f"bitcast {integers} {shifted} to {register_type(_FLOAT, lanes)}"), places[0], _FLOAT, lanes, mask
        )

    write_nest(w, nest, pointers, body)
    return w.text()


def _truths(lanes: int) -> str:
    return register_type(np.dtype(bool), lanes)
