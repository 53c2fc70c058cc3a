"""Mathematics: exp, log, tanh and their kin as arithmetic on vectors, written into the loops that need them.

Each function is a range reduction and a polynomial, the same instructions in every lane, so an element's bits
depend neither on where it stands in an array nor on the processor's vectors; the C library's vector functions
differ from its scalar ones in the last bits. Errors are below 2 units in the last place (4 for tanh), over the
whole range, with NaN, infinities, subnormal numbers and zeros as NumPy has them.

The polynomials interpolate at Chebyshev points: (e^r - 1 - r - r²/2) / r³ for |r| <= log(2)/2, and
(2 artanh(s) - 2s) / s³ over s² for s = f / (2 + f), 1 + f in [√½, √2].
Source: J.-M. Muller, Elementary Functions: Algorithms and Implementation, 3rd edition, Birkhäuser 2016.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .types import DType, number, register_type, splat
from .writer import Writer

__all__ = ["FUNCTIONS", "Arithmetic", "call_library"]


@dataclass(frozen=True)
class _Precision:
    """The constants of one float format."""

    bits: int
    mantissa: int
    bias: int
    exp_top: float
    """Beyond this exp overflows."""
    exp_bottom: float
    """Below this it is 0."""
    minus_one: float
    """Below this expm1 is -1."""
    saturated: float
    """From here on tanh is 1."""
    log2_high: float
    """log 2 in so few bits that whole multiples of it are exact."""
    log2_low: float
    exp: tuple[float, ...]
    log: tuple[float, ...]


_PRECISIONS = {
    4: _Precision(
        32, 23, 127, 89.0, -104.0, -18.0, 10.0, 0.693115234375, 3.1946184945309415e-05,
        (0.16666630825049947, 0.04166662187959276, 0.008357200194034502, 0.0013918713754205803),
        (0.6666666655449666, 0.4000012184016053, 0.28550820775753505, 0.233304683103737),
    ),
    8: _Precision(
        64, 52, 1023, 710.0, -746.0, -40.0, 22.0, 0.6931471803691238, 1.9082149292705877e-10,
        (
            0.16666666666666666, 0.041666666666651364, 0.008333333333332157, 0.0013888888905871442,
            0.00019841269854330845, 2.4801536408869822e-05, 2.755728008253529e-06, 2.7613795662346626e-07,
            2.5095546064622e-08,
        ),
        (
            0.666666666666667, 0.39999999999899505, 0.2857142862597575, 0.22222211134751835, 0.18182889128412458,
            0.15331721495826012, 0.1461645097955211,
        ),
    ),
}  # fmt: skip


class Arithmetic:
    """Arithmetic on vectors of one float dtype, and the functions built on it."""

    def __init__(self, w: Writer, dtype: DType, lanes: int, fused: bool) -> None:
        self.w, self.dtype, self.lanes, self.fused = w, dtype, lanes, fused
        self.kind = register_type(dtype, lanes)
        self._p = _PRECISIONS[dtype.itemsize]
        self._integer = np.dtype(f"i{dtype.itemsize}")
        self._whole = register_type(self._integer, lanes)
        self._magic = 1.5 * 2.0**self._p.mantissa  # adding it rounds to a whole number and leaves that in the low bits

    # Building blocks ---------------------------------------------------------------------------------------------

    def num(self, value: float) -> str:
        """A number in every lane."""
        return splat(number(value, self.dtype), self.dtype, self.lanes)

    def _int(self, value: int) -> str:
        return splat(str(value), self._integer, self.lanes)

    def op(self, name: str, x: str, y: str) -> str:
        """`fadd`, `fsub`, `fmul` or `fdiv`."""
        return self.w.put(f"{name} {self.kind} {x}, {y}")

    def fma(self, x: str, y: str, z: str) -> str:
        """`x * y + z`, in one rounding where the processor has it."""
        if self.fused:
            return self.w.call("fma", self.dtype, self.lanes, x, y, z)
        return self.op("fadd", self.op("fmul", x, y), z)

    def negative(self, x: str) -> str:
        """`-x`."""
        return self.w.put(f"fneg {self.kind} {x}")

    def test(self, how: str, x: str, y: str) -> str:
        """A comparison: `olt`, `oeq`, `uno` and so on."""
        return self.w.put(f"fcmp {how} {self.kind} {x}, {y}")

    def select(self, condition: str, x: str, y: str) -> str:
        """`x` where the condition holds, else `y`."""
        truth = "i1" if self.lanes == 1 else f"<{self.lanes} x i1>"
        return self.w.put(f"select {truth} {condition}, {self.kind} {x}, {self.kind} {y}")

    def _whole_op(self, name: str, x: str, y: str) -> str:
        return self.w.put(f"{name} {self._whole} {x}, {y}")

    def _as_whole(self, x: str) -> str:
        return self.w.put(f"bitcast {self.kind} {x} to {self._whole}")

    def _as_float(self, x: str) -> str:
        return self.w.put(f"bitcast {self._whole} {x} to {self.kind}")

    def _bits(self, value: float) -> int:
        return int(self.dtype.type(value).view(self._integer))

    def polynomial(self, x: str, coefficients: tuple[float, ...]) -> str:
        """The sum of the coefficients times powers of x, from the lowest."""
        total = self.num(coefficients[-1])
        for c in reversed(coefficients[:-1]):
            total = self.fma(total, x, self.num(c))
        return total

    def _between(self, x: str, low: float, high: float) -> str:
        x = self.select(self.test("ogt", x, self.num(high)), self.num(high), x)  # NaN passes both
        return self.select(self.test("olt", x, self.num(low)), self.num(low), x)

    def _power_of_two(self, k: str) -> str:
        return self._as_float(
            self._whole_op("shl", self._whole_op("add", k, self._int(self._p.bias)), self._int(self._p.mantissa))
        )

    def _reduced(self, x: str) -> tuple[str, str]:
        """A whole number k and e^r - 1, with x = k log 2 + r."""
        p = self._p
        shifted = self.fma(x, self.num(1.4426950408889634), self.num(self._magic))
        k = self._whole_op("sub", self._as_whole(shifted), self._int(self._bits(self._magic)))
        minus_k = self.op("fsub", self.num(self._magic), shifted)
        r = self.fma(minus_k, self.num(p.log2_low), self.fma(minus_k, self.num(p.log2_high), x))
        tail = self.fma(self.polynomial(r, p.exp), r, self.num(0.5))
        return k, self.fma(self.op("fmul", r, r), tail, r)

    # Functions ---------------------------------------------------------------------------------------------------

    def exp(self, x: str) -> str:
        """The exponential; scaled in two steps, so that results at both ends of the range are right."""
        k, y = self._reduced(self._between(x, self._p.exp_bottom, self._p.exp_top))
        half = self._whole_op(
            "sub", self._whole_op("lshr", self._whole_op("add", k, self._int(4096)), self._int(1)), self._int(2048)
        )
        y = self.op("fmul", self.op("fadd", y, self.num(1)), self._power_of_two(half))
        return self.op("fmul", y, self._power_of_two(self._whole_op("sub", k, half)))

    def expm1(self, x: str) -> str:
        """`e^x - 1`, accurate near 0."""
        k, y = self._reduced(self._between(x, self._p.minus_one, self._p.exp_top))
        s = self._power_of_two(self._whole_op("sub", k, self._int(1)))
        y = self.fma(s, y, self.op("fsub", s, self.num(0.5)))
        return self.w.call("copysign", self.dtype, self.lanes, self.op("fadd", y, y), x)

    def tanh(self, x: str) -> str:
        """The hyperbolic tangent, `t / (t + 2)` with `t = e^2|x| - 1`."""
        a = self.w.call("fabs", self.dtype, self.lanes, x)
        a = self.select(self.test("ogt", a, self.num(self._p.saturated)), self.num(self._p.saturated), a)
        t = self.expm1(self.op("fadd", a, a))
        return self.w.call("copysign", self.dtype, self.lanes, self.op("fdiv", t, self.op("fadd", t, self.num(2))), x)

    def log(self, x: str) -> str:
        """The natural logarithm."""
        p = self._p
        small = self.test("olt", x, self.num(np.finfo(self.dtype).tiny))
        scaled = self.select(small, self.op("fmul", x, self.num(2.0**p.mantissa)), x)
        root, one = self._bits(np.sqrt(0.5)), p.bias << p.mantissa
        bits = self._as_whole(scaled)
        exponent = self._whole_op("lshr", self._whole_op("add", bits, self._int(one - root)), self._int(p.mantissa))
        m = self._as_float(
            self._whole_op(
                "sub",
                bits,
                self._whole_op("shl", self._whole_op("sub", exponent, self._int(p.bias)), self._int(p.mantissa)),
            )
        )
        k = self.op(
            "fsub",
            self._as_float(self._whole_op("add", exponent, self._int(self._bits(self._magic) - p.bias))),
            self.num(self._magic),
        )
        k = self.op("fsub", k, self.select(small, self.num(p.mantissa), self.num(0)))
        f = self.op("fsub", m, self.num(1))
        s = self.op("fdiv", f, self.op("fadd", f, self.num(2)))
        t = self.op("fmul", s, s)
        halves = self.op("fmul", self.op("fmul", f, f), self.num(0.5))
        rest = self.fma(self.polynomial(t, p.log), t, halves)
        low = self.fma(k, self.num(p.log2_low), self.op("fmul", s, rest))
        y = self.fma(k, self.num(p.log2_high), self.op("fsub", f, self.op("fsub", halves, low)))
        y = self.select(self.test("oeq", x, self.num(np.inf)), x, y)
        below = self.select(self.test("oeq", x, self.num(0)), self.num(-np.inf), self.num(np.nan))
        return self.select(self.test("ogt", x, self.num(0)), y, below)

    def log1p(self, x: str) -> str:
        """`log(1 + x)`, accurate near 0: what rounding took from `1 + x` is added as its derivative says."""
        u = self.op("fadd", x, self.num(1))
        lost = self.op("fdiv", self.op("fsub", x, self.op("fsub", u, self.num(1))), u)
        y = self.op("fadd", self.log(u), lost)
        edge = self.select(self.test("oeq", u, self.num(0)), self.num(-np.inf), y)
        y = self.select(self.test("oeq", x, self.num(np.inf)), x, edge)
        return self.w.call("copysign", self.dtype, self.lanes, y, x)


def call_library(w: Writer, name: str, dtype: DType, lanes: int, given: Sequence[str]) -> str:
    """The C library's function, lane by lane."""
    one, kind = register_type(dtype), register_type(dtype, lanes)
    called = name if dtype.itemsize == 8 else f"{name}f"
    if lanes == 1:
        return w.put(f"call {one} @{called}({', '.join(f'{one} {x}' for x in given)})")
    result = "poison"
    for lane in range(lanes):
        parts = [w.put(f"extractelement {kind} {x}, i64 {lane}") for x in given]
        value = w.put(f"call {one} @{called}({', '.join(f'{one} {x}' for x in parts)})")
        result = w.put(f"insertelement {kind} {result}, {one} {value}, i64 {lane}")
    return result


FUNCTIONS: dict[str, Callable[[Arithmetic, str], str]] = {
    "exp": Arithmetic.exp,
    "expm1": Arithmetic.expm1,
    "tanh": Arithmetic.tanh,
    "log": Arithmetic.log,
    "log1p": Arithmetic.log1p,
}
"""By their names in the language of formulas."""
