"""Half floats: float32 values that are stored in 16 bits, as float16 or bfloat16, and widened again to compute with.

NumPy has no bfloat16. It is the upper half of a float32, so it is stored here as an unsigned integer of 16 bits. It has
the range of float32, and 8 significant binary digits where float16 has 11.
Source: D. Kalamkar et al., A Study of BFLOAT16 for Deep Learning Training, 2019, arXiv:1905.12322.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import numpy as np

from ..errors import DTypeError
from ..ir.node import Call, Node, describe
from ..ir.spec import Spec
from ..ops.structure import Cast

__all__ = ["FromBFloat16", "Half", "ToBFloat16", "narrow", "widen"]

Half = Literal["float16", "bfloat16"]

_BITS, _FLOAT, _HALF = np.dtype(np.uint32), np.dtype(np.float32), np.dtype(np.uint16)
_NAN = 0x7FC0


def narrow(x: Node, half: Half) -> Node:
    """A float32 value in 16 bits, rounded to nearest, ties to even."""
    return Cast(x, "float16") if half == "float16" else ToBFloat16(x)


def widen(kept: Node, half: Half) -> Node:
    """The float32 value that is stored in 16 bits."""
    return Cast(kept, "float32") if half == "float16" else FromBFloat16(kept)


class ToBFloat16(Node):
    """Float32 values as bfloat16, rounded to nearest, ties to even. A pass makes it, not users.

    >>> import graphnn as gn
    >>> from graphnn.transform.halves import FromBFloat16, ToBFloat16
    >>> print(gn.compile(FromBFloat16(ToBFloat16(gn.Constant([1.0, 3.14159, 0.1]))))())
    [1.         3.140625   0.10009766]
    """

    x: Node
    indifferent = True
    elements = "alike"

    def infer(self) -> Spec:
        """The operand's shape."""
        if self.x.dtype != _FLOAT:
            raise DTypeError(f"ToBFloat16: {describe(self.x)} is not float32.")
        return Spec(self.x.shape, _HALF)

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """Round the bits at the last one that is kept, and cut off the rest."""
        x = xp.asarray(arrays[0])
        bits = x.view(_BITS)
        rounded = (bits + (0x7FFF + (bits >> 16 & 1))) >> 16
        return xp.where(xp.isnan(x), _BITS.type(_NAN), rounded).astype(_HALF)

    def scratch(self) -> tuple[Spec, ...]:
        """The bits, and where the values are NaN."""
        return (Spec(self.shape, _BITS), Spec(self.shape, np.dtype(bool)))

    def bind(self, xp: Any, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...]) -> list[Call]:
        """As `forward`, in place."""
        [x], (bits, nan) = ins, scratch
        one, sixteen, half = _BITS.type(1), _BITS.type(16), _BITS.type(0x7FFF)
        return [
            partial(xp.right_shift, x.view(_BITS), sixteen, bits),
            partial(xp.bitwise_and, bits, one, bits),
            partial(xp.add, bits, half, bits),
            partial(xp.add, bits, x.view(_BITS), bits),
            partial(xp.right_shift, bits, sixteen, bits),
            partial(xp.copyto, out, bits, "unsafe"),
            partial(xp.isnan, x, nan),
            partial(xp.copyto, out, _HALF.type(_NAN), "same_kind", nan),
        ]


class FromBFloat16(Node):
    """Bfloat16 values as float32. A pass makes it, not users."""

    bits: Node
    indifferent = True
    elements = "alike"

    def infer(self) -> Spec:
        """The operand's shape."""
        if self.bits.dtype != _HALF:
            raise DTypeError(f"FromBFloat16: {describe(self.bits)} is not uint16.")
        return Spec(self.bits.shape, _FLOAT)

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """The bits, with 16 zeros after them."""
        return (xp.asarray(arrays[0]).astype(_BITS) << 16).view(_FLOAT)

    def bind(self, xp: Any, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...]) -> list[Call]:
        """As `forward`, in place."""
        bits = out.view(_BITS)
        return [partial(xp.copyto, bits, ins[0]), partial(xp.left_shift, bits, _BITS.type(16), bits)]
