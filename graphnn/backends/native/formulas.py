"""Formulas: the language of elementwise ops written as LLVM instructions, for one element or for a vector of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ...ir.formula import Apply, Formula, Literal, Name, dtypes, signature
from .circular import FUNCTIONS as CIRCULAR
from .mathematics import FUNCTIONS as MATHEMATICS
from .mathematics import Arithmetic, call_library
from .types import DType, NoKernel, number, register_type, splat
from .writer import Writer

__all__ = ["Register", "write_formula"]

_FLOAT = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
_BITS = {"and_": "and", "or_": "or", "xor": "xor"}
_INTEGER = {"add": "add", "sub": "sub", "mul": "mul", **_BITS}
_BOOL = {"add": "or", "mul": "and", "maximum": "or", "minimum": "and", **_BITS}
_COMPARISON = {
    "less": ("olt", "slt", "ult"), "less_equal": ("ole", "sle", "ule"), "greater": ("ogt", "sgt", "ugt"),
    "greater_equal": ("oge", "sge", "uge"), "equal": ("oeq", "eq", "eq"), "not_equal": ("une", "ne", "ne"),
}  # fmt: skip
_WRITTEN = {**MATHEMATICS, **CIRCULAR}
"""Functions that are arithmetic on vectors."""
_LIBRARY = {
    "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arctan2": "atan2",
    "sinh": "sinh", "cosh": "cosh", "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh", "erf": "erf",
    "erfc": "erfc", "pow": "pow", "fmod": "fmod",
}  # fmt: skip
"""Functions that the C library computes, one element at a time."""
_INTRINSIC = {"sqrt": "sqrt", "abs": "fabs", "floor": "floor", "ceil": "ceil", "rint": "roundeven"}


@dataclass(frozen=True)
class Register:
    """A value in a kernel: its name in the text, and its dtype."""

    text: str
    dtype: DType


def write_formula(
    w: Writer, formula: Formula, values: Mapping[str, Register], lanes: int, result: DType, fused: bool
) -> Register:
    """The formula's value, from those of its names; each of its parts is computed once.

    Raises:
        NoKernel: for a function that there are no instructions for.
    """
    return _Formula(w, lanes, fused).write(formula, values, result)


class _Formula:
    """Writes one formula."""

    def __init__(self, w: Writer, lanes: int, fused: bool) -> None:
        self.w, self.lanes, self.fused = w, lanes, fused

    def write(self, formula: Formula, values: Mapping[str, Register], result: DType) -> Register:
        kinds = dtypes(formula, tuple((name, register.dtype) for name, register in values.items()))
        made: dict[Formula, Register] = {}
        for part in formula.parts():
            match part:
                case Name(name=word):
                    made[part] = values[word]
                case Literal():
                    pass  # written where it is used, in the dtype it meets
                case Apply(function="where", arguments=(condition, x, y)):
                    chosen = result if isinstance(kinds[part], type) else np.dtype(kinds[part])
                    made[part] = self._where(condition, x, y, chosen, made)
                case Apply(function=function, arguments=arguments):
                    takes, gives = signature(function, tuple(kinds[a] for a in arguments))
                    given = [self._as(a, kind, made) for a, kind in zip(arguments, takes, strict=True)]
                    literals = tuple(isinstance(a, Literal) for a in arguments)
                    made[part] = Register(self.apply(function, takes[0], given, arguments, literals), gives)
        return Register(self._as(formula, result, made), result)

    def _as(self, part: Formula, dtype: DType, made: Mapping[Formula, Register]) -> str:
        if isinstance(part, Literal):
            return splat(number(part.value, dtype), dtype, self.lanes)
        return self.w.converted(made[part].text, made[part].dtype, dtype, self.lanes)

    def _where(
        self, condition: Formula, x: Formula, y: Formula, dtype: DType, made: Mapping[Formula, Register]
    ) -> Register:
        chosen = self._as(condition, np.dtype(bool), made)
        return Register(self._select(chosen, self._as(x, dtype, made), self._as(y, dtype, made), dtype), dtype)

    def _select(self, condition: str, x: str, y: str, dtype: DType) -> str:
        truth, kind = register_type(np.dtype(bool), self.lanes), register_type(dtype, self.lanes)
        return self.w.put(f"select {truth} {condition}, {kind} {x}, {kind} {y}")

    def apply(
        self, function: str, dtype: DType, given: list[str], arguments: tuple[Formula, ...], literal: tuple[bool, ...]
    ) -> str:
        """A function of values of one dtype."""
        kind = register_type(dtype, self.lanes)
        if function in _COMPARISON:
            floats, signed, unsigned = _COMPARISON[function]
            how = {"f": f"fcmp {floats}", "i": f"icmp {signed}"}.get(dtype.kind, f"icmp {unsigned}")
            return self.w.put(f"{how} {kind} {given[0]}, {given[1]}")
        if dtype.kind == "f":
            return self._float(function, dtype, given, arguments, literal)
        table = _BOOL if dtype.kind == "b" else _INTEGER
        if function in table:
            return self.w.put(f"{table[function]} {kind} {given[0]}, {given[1]}")
        if function == "not_":
            return self.w.put(
                f"xor {kind} {given[0]}, {splat('true' if dtype.kind == 'b' else '-1', dtype, self.lanes)}"
            )
        if function == "abs" and dtype.kind == "b":
            return given[0]
        if function in ("isnan", "isinf"):
            return splat("false", np.dtype(bool), self.lanes)
        if dtype.kind in "iu":
            return self._integer(function, dtype, given)
        raise NoKernel(f"{function} of {dtype}")

    def _integer(self, function: str, dtype: DType, given: list[str]) -> str:
        kind, sign = register_type(dtype, self.lanes), "s" if dtype.kind == "i" else "u"
        zero, one = (splat(str(n), dtype, self.lanes) for n in (0, 1))
        match function:
            case "neg":
                return self.w.put(f"sub {kind} {zero}, {given[0]}")
            case "maximum" | "minimum":
                return self.w.call(f"{sign}{function[:3]}", dtype, self.lanes, *given)
            case "floor" | "ceil" | "rint":
                return given[0]
            case "mod" | "fmod":
                return self._integer_remainder(dtype, given, floored=function == "mod")
            case "abs":
                negative = self.w.put(f"sub {kind} {zero}, {given[0]}")
                return given[0] if sign == "u" else self.w.call("smax", dtype, self.lanes, given[0], negative)
            case "pow":
                return self._integer_power(dtype, *given)
            case "sign":
                capped = self.w.call(f"{sign}min", dtype, self.lanes, given[0], one)
                low = splat("-1", dtype, self.lanes)
                return capped if sign == "u" else self.w.call("smax", dtype, self.lanes, capped, low)
        raise NoKernel(f"{function} of {dtype}")

    def _integer_power(self, dtype: DType, x: str, y: str) -> str:
        """The power by squaring, modulo 2 to the bits, as NumPy has it; a negative exponent stops the program.

        Source: D. Knuth, The Art of Computer Programming, volume 2, section 4.6.3.
        """
        w, kind, truth = self.w, register_type(dtype, self.lanes), register_type(np.dtype(bool), self.lanes)
        zero, one = (splat(str(n), dtype, self.lanes) for n in (0, 1))
        if dtype.kind == "i":
            w.leave(w.anywhere(w.put(f"icmp slt {kind} {y}, {zero}"), self.lanes), "1")
        power, square, left = (w.variable(kind, start) for start in (one, x, y))
        with w.repeat() as done:
            bits = w.put(f"load {kind}, ptr {left}")
            w.go_when(w.put(f"xor i1 {w.anywhere(w.put(f'icmp ne {kind} {bits}, {zero}'), self.lanes)}, true"), done)
            by, so_far = w.put(f"load {kind}, ptr {square}"), w.put(f"load {kind}, ptr {power}")
            odd = w.put(f"trunc {kind} {bits} to {truth}")
            w.do(f"store {kind} {self._select(odd, w.put(f'mul {kind} {so_far}, {by}'), so_far, dtype)}, ptr {power}")
            w.do(f"store {kind} {w.put(f'mul {kind} {by}, {by}')}, ptr {square}")
            w.do(f"store {kind} {w.put(f'lshr {kind} {bits}, {one}')}, ptr {left}")
        return w.put(f"load {kind}, ptr {power}")

    def _integer_remainder(self, dtype: DType, given: list[str], floored: bool) -> str:
        """The remainder; 0 by 0, and by -1, where the processor would stop. Floored, it has the divisor's sign."""
        kind, truth = register_type(dtype, self.lanes), register_type(np.dtype(bool), self.lanes)
        x, y = given
        zero, one = (splat(str(n), dtype, self.lanes) for n in (0, 1))
        unsafe = self.w.put(f"icmp eq {kind} {y}, {zero}")
        if dtype.kind == "u":
            rest = self.w.put(f"urem {kind} {x}, {self._select(unsafe, one, y, dtype)}")
            return self._select(unsafe, zero, rest, dtype)
        minus = self.w.put(f"icmp eq {kind} {y}, {splat('-1', dtype, self.lanes)}")
        either = self.w.put(f"or {truth} {unsafe}, {minus}")
        rest = self.w.put(f"srem {kind} {x}, {self._select(either, one, y, dtype)}")
        if not floored:
            return rest
        signs = self.w.put(f"icmp slt {kind} {self.w.put(f'xor {kind} {rest}, {y}')}, {zero}")
        left = self.w.put(f"icmp ne {kind} {rest}, {zero}")
        wrong = self.w.put(f"and {truth} {signs}, {left}")
        return self._select(wrong, self.w.put(f"add {kind} {rest}, {y}"), rest, dtype)

    def _float_remainder(self, dtype: DType, given: list[str]) -> str:
        """The remainder with the divisor's sign, which a zero has too."""
        kind, truth = register_type(dtype, self.lanes), register_type(np.dtype(bool), self.lanes)
        y = given[1]
        zero = splat(number(0, dtype), dtype, self.lanes)
        rest = call_library(self.w, "fmod", dtype, self.lanes, given)
        below = [self.w.put(f"fcmp olt {kind} {value}, {zero}") for value in (rest, y)]
        differ = self.w.put(f"xor {truth} {below[0]}, {below[1]}")
        moved = self._select(differ, self.w.put(f"fadd {kind} {rest}, {y}"), rest, dtype)
        none = self.w.put(f"fcmp oeq {kind} {rest}, {zero}")
        return self._select(none, self.w.call("copysign", dtype, self.lanes, zero, y), moved, dtype)

    def _float(
        self, function: str, dtype: DType, given: list[str], arguments: tuple[Formula, ...], literal: tuple[bool, ...]
    ) -> str:
        kind = register_type(dtype, self.lanes)
        if function in _FLOAT:
            return self.w.put(f"{_FLOAT[function]} {kind} {given[0]}, {given[1]}")
        if function in _INTRINSIC:
            return self.w.call(_INTRINSIC[function], dtype, self.lanes, given[0])
        match function:
            case "neg":
                return self.w.put(f"fneg {kind} {given[0]}")
            case "maximum" | "minimum":
                return self._extreme(function, dtype, given, literal[1])
            case "isnan":
                return self.w.put(f"fcmp uno {kind} {given[0]}, {given[0]}")
            case "isinf":
                size = self.w.call("fabs", dtype, self.lanes, given[0])
                return self.w.put(f"fcmp oeq {kind} {size}, {splat(number(np.inf, dtype), dtype, self.lanes)}")
            case "sign":
                return self._sign(dtype, given[0])
            case "pow" if literal[1] and isinstance(arguments[1], Literal) and arguments[1].value in (0, 1, 2, -1, 0.5):
                return self._easy_power(float(arguments[1].value), dtype, given[0])
        if dtype.itemsize == 2:  # computed in single precision and rounded, as NumPy does
            single = np.dtype(np.float32)
            wide = [self.w.converted(x, dtype, single, self.lanes) for x in given]
            return self.w.converted(self._float(function, single, wide, arguments, literal), single, dtype, self.lanes)
        if function == "mod":
            return self._float_remainder(dtype, given)
        if function in _WRITTEN:
            return _WRITTEN[function](Arithmetic(self.w, dtype, self.lanes, self.fused), given[0])
        if function in _LIBRARY:
            return call_library(self.w, _LIBRARY[function], dtype, self.lanes, given)
        raise NoKernel(f"there are no instructions for {function}")

    def _extreme(self, function: str, dtype: DType, given: list[str], plain: bool) -> str:
        """The larger or smaller of two, NaN if one is; `plain` when the second is known not to be NaN."""
        x, y = given
        kind = register_type(dtype, self.lanes)
        how = "ge" if function == "maximum" else "le"
        if plain:
            return self._select(self.w.put(f"fcmp u{how} {kind} {x}, {y}"), x, y, dtype)
        nan = self.w.put(f"fcmp uno {kind} {x}, {x}")
        first = self.w.put(f"fcmp o{how} {kind} {x}, {y}")
        chosen = self.w.put(f"or {register_type(np.dtype(bool), self.lanes)} {first}, {nan}")
        return self._select(chosen, x, y, dtype)

    def _sign(self, dtype: DType, x: str) -> str:
        kind = register_type(dtype, self.lanes)
        zero, one = (splat(number(n, dtype), dtype, self.lanes) for n in (0, 1))
        signed = self.w.call("copysign", dtype, self.lanes, one, x)
        moved = self.w.put(f"fcmp one {kind} {x}, {zero}")  # false for zero and for NaN
        nan_or_zero = self.w.put(f"fadd {kind} {x}, {zero}")
        return self._select(moved, signed, nan_or_zero, dtype)

    def _easy_power(self, exponent: float, dtype: DType, x: str) -> str:
        """The powers that NumPy computes without its `pow` too."""
        kind = register_type(dtype, self.lanes)
        one = splat(number(1, dtype), dtype, self.lanes)
        match exponent:
            case 0:
                return one
            case 1:
                return x
            case 2:
                return self.w.put(f"fmul {kind} {x}, {x}")
            case -1:
                return self.w.put(f"fdiv {kind} {one}, {x}")
        return self.w.call("sqrt", dtype, self.lanes, x)
