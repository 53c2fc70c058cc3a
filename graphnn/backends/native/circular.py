"""Circular functions: sin, cos and tan as arithmetic on vectors, and the C library for what that cannot do.

x is brought into a quadrant, x = k pi/2 + r with |r| <= pi/4, where two polynomials are the sine and the cosine.
pi/2 is taken in parts of so few bits that whole multiples of them are exact. Single precision is computed in double.
Arguments so large, or so close to a multiple, that the parts do not do are computed one by one by the C library.
Source: FreeBSD's k_sin.c, k_cos.c, k_sinf.c and k_cosf.c; W. Cody and W. Waite, Software Manual for the Elementary
Functions, Prentice-Hall 1980.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from .mathematics import Arithmetic, call_library
from .types import DType, register_type, splat

__all__ = ["FUNCTIONS"]

_SINGLE, _DOUBLE, _WHOLE = np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.int64)
_MAGIC = 1.5 * 2.0**52
"""Adding it rounds to a whole number and leaves that in the low bits."""
_QUARTER = 1.57079632673412561417
"""The first 33 bits of pi/2."""
_LARGEST = 2.0**19
"""Up to here multiples of the parts are exact."""
_CLOSEST = 2.0**-40
"""From here on enough digits of r are right."""


@dataclass(frozen=True)
class _Precision:
    rest: tuple[float, ...]
    """What remains of pi/2."""
    sine: tuple[float, ...]
    """(sin r - r) / r^3, in powers of r^2."""
    cosine: tuple[float, ...]
    """(cos r - 1) / r^2, in powers of r^2."""


_PRECISIONS = {
    4: _Precision(
        (6.07710050650619224932e-11,),
        (-0.166666666416265235595, 0.0083333293858894631756, -0.000198393348360966317347, 2.7183114939898219064e-06),
        (-0.499999997251031003120, 0.0416666233237390631894, -0.00138867637746099294692, 2.43904487962774090654e-05),
    ),
    8: _Precision(
        (6.07710050630396597660e-11, 2.02226624879595063154e-21),
        (
            -1.66666666666666324348e-01, 8.33333333332248946124e-03, -1.98412698298579493134e-04,
            2.75573137070700676789e-06, -2.50507602534068634195e-08, 1.58969099521155010221e-10,
        ),
        (
            -0.5, 4.16666666666666019037e-02, -1.38888888888741095749e-03, 2.48015872894767294178e-05,
            -2.75573143513906633035e-07, 2.08757232129817482790e-09, -1.13596475577881948265e-11,
        ),
    ),
}  # fmt: skip


def _by_arithmetic(name: str, a: Arithmetic, x: str) -> str:
    """The function, of one vector or element."""
    w, dtype, lanes = a.w, a.dtype, a.lanes
    circle = _Circle(Arithmetic(w, _DOUBLE, lanes, a.fused), w.converted(x, dtype, _DOUBLE, lanes), dtype)
    result = w.variable(a.kind, w.converted(getattr(circle, name)(), _DOUBLE, dtype, lanes))
    with w.when(w.anywhere(circle.hard, lanes)):
        exact, easy = call_library(w, name, dtype, lanes, [x]), w.put(f"load {a.kind}, ptr {result}")
        w.do(f"store {a.kind} {a.select(circle.hard, exact, easy)}, ptr {result}")
    return w.put(f"load {a.kind}, ptr {result}")


class _Circle:
    """An angle in double precision: its quadrant, and the sine and cosine of what is left."""

    def __init__(self, a: Arithmetic, x: str, dtype: DType) -> None:
        self.a, self.x, self.precision = a, x, _PRECISIONS[dtype.itemsize]
        self.whole = register_type(_WHOLE, a.lanes)
        size = a.w.call("fabs", _DOUBLE, a.lanes, x)
        shifted = a.fma(size, a.num(2 / np.pi), a.num(_MAGIC))
        self.quadrant = a.w.put(f"bitcast {a.kind} {shifted} to {self.whole}")
        self.r, self.low = self._reduced(size, a.op("fsub", a.num(_MAGIC), shifted))
        self.hard = a.test("ogt", size, a.num(_LARGEST))
        if self.low is not None:
            self.hard = self._or_close(size)

    def sin(self) -> str:
        """The sine, of the sign of the angle."""
        return self._with_sign_of(self._in_quadrant(self.quadrant, self._sine(), self._cosine()))

    def cos(self) -> str:
        """The cosine, the sine a quadrant further on."""
        further = self.a.w.put(f"add {self.whole} {self.quadrant}, {splat('1', _WHOLE, self.a.lanes)}")
        return self._in_quadrant(further, self._sine(), self._cosine())

    def tan(self) -> str:
        """The tangent, in every second quadrant minus the cotangent."""
        a, sine, cosine = self.a, self._sine(), self._cosine()
        odd = self._odd(self.quadrant)
        above, below = a.select(odd, cosine, sine), a.select(odd, a.negative(sine), cosine)
        return self._with_sign_of(a.op("fdiv", above, below))

    def _reduced(self, x: str, minus_k: str) -> tuple[str, str | None]:
        """r, in double precision alone or with what it lacks."""
        a = self.a
        first = a.fma(minus_k, a.num(_QUARTER), x)
        if len(self.precision.rest) == 1:
            return a.fma(minus_k, a.num(self.precision.rest[0]), first), None
        second, third = (a.op("fmul", minus_k, a.num(part)) for part in self.precision.rest)
        near = a.op("fadd", first, second)
        lost = a.op("fadd", a.op("fadd", a.op("fsub", first, near), second), third)
        r = a.op("fadd", near, lost)
        return r, a.op("fadd", a.op("fsub", near, r), lost)

    def _or_close(self, size: str) -> str:
        """Large, or so close to a multiple of pi/2, other than 0, that r has too few digits."""
        a, truth = self.a, register_type(np.dtype(bool), self.a.lanes)
        close = a.test("olt", a.w.call("fabs", _DOUBLE, a.lanes, self.r), a.num(_CLOSEST))
        turned = a.w.put(f"and {truth} {close}, {a.test('ogt', size, a.num(1))}")
        return a.w.put(f"or {truth} {self.hard}, {turned}")

    def _sine(self) -> str:
        a, r = self.a, self.r
        square = a.op("fmul", r, r)
        cube = a.op("fmul", square, r)
        first, *others = self.precision.sine
        rest = a.polynomial(square, tuple(others))
        if self.low is None:
            return a.fma(cube, a.fma(rest, square, a.num(first)), r)
        half = a.op("fsub", a.op("fmul", self.low, a.num(0.5)), a.op("fmul", cube, rest))
        lacking = a.op("fsub", a.op("fmul", square, half), self.low)
        return a.op("fsub", r, a.op("fsub", lacking, a.op("fmul", cube, a.num(first))))

    def _cosine(self) -> str:
        a, r = self.a, self.r
        square = a.op("fmul", r, r)
        half, *others = self.precision.cosine
        if self.low is None:
            return a.fma(square, a.polynomial(square, self.precision.cosine), a.num(1))
        taken = a.op("fmul", square, a.num(-half))
        most = a.op("fsub", a.num(1), taken)
        lost = a.op("fsub", a.op("fsub", a.num(1), most), taken)
        more = a.op("fmul", square, a.op("fmul", square, a.polynomial(square, tuple(others))))
        return a.op("fadd", most, a.op("fadd", lost, a.op("fsub", more, a.op("fmul", r, self.low))))

    def _odd(self, quadrant: str) -> str:
        return self.a.w.put(f"trunc {self.whole} {quadrant} to {register_type(np.dtype(bool), self.a.lanes)}")

    def _in_quadrant(self, quadrant: str, sine: str, cosine: str) -> str:
        """The sine of the whole angle: of the third and fourth quadrant negative."""
        a, w = self.a, self.a.w
        value = a.select(self._odd(quadrant), cosine, sine)
        half = w.put(f"and {self.whole} {quadrant}, {splat('2', _WHOLE, a.lanes)}")
        sign = w.put(f"shl {self.whole} {half}, {splat('62', _WHOLE, a.lanes)}")
        bits = w.put(f"xor {self.whole} {w.put(f'bitcast {a.kind} {value} to {self.whole}')}, {sign}")
        return w.put(f"bitcast {self.whole} {bits} to {a.kind}")

    def _with_sign_of(self, value: str) -> str:
        """Minus the value where the angle is negative."""
        a, w = self.a, self.a.w
        lowest = splat(str(-(1 << 63)), _WHOLE, a.lanes)
        sign = w.put(f"and {self.whole} {w.put(f'bitcast {a.kind} {self.x} to {self.whole}')}, {lowest}")
        bits = w.put(f"xor {self.whole} {w.put(f'bitcast {a.kind} {value} to {self.whole}')}, {sign}")
        return w.put(f"bitcast {self.whole} {bits} to {a.kind}")


FUNCTIONS: dict[str, Callable[[Arithmetic, str], str]] = {
    name: partial(_by_arithmetic, name) for name in ("sin", "cos", "tan")
}
"""By their names in the language of formulas."""
