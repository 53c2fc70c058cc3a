"""Formulas: the language of elementwise ops written as CUDA statements, for one element."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ...ir.formula import Apply, Formula, Literal, Name, dtypes, signature
from ..kernels import DType, NoKernel
from .types import convert, number, register_type, rounded
from .writer import Writer

__all__ = ["Register", "write_formula"]

_OPERATORS = {"add": "+", "sub": "-", "mul": "*", "div": "/"}
_BITS = {"and_": "&", "or_": "|", "xor": "^"}
_TRUTH = {"add": "|", "mul": "&", "maximum": "|", "minimum": "&", **_BITS}
_COMPARISONS = {
    "less": "<", "less_equal": "<=", "greater": ">", "greater_equal": ">=", "equal": "==", "not_equal": "!=",
}  # fmt: skip
_LIBRARY = {
    "exp": "exp", "expm1": "expm1", "log": "log", "log1p": "log1p", "sqrt": "sqrt", "abs": "fabs", "floor": "floor",
    "ceil": "ceil", "rint": "rint", "sin": "sin", "cos": "cos", "tan": "tan", "arcsin": "asin", "arccos": "acos",
    "arctan": "atan", "arctan2": "atan2", "sinh": "sinh", "cosh": "cosh", "tanh": "tanh", "arcsinh": "asinh",
    "arccosh": "acosh", "arctanh": "atanh", "erf": "erf", "erfc": "erfc", "pow": "pow", "fmod": "fmod",
}  # fmt: skip
"""CUDA's names; those of single precision end in f."""


@dataclass(frozen=True)
class Register:
    """A value in a kernel: its name or expression in the text, and its dtype."""

    text: str
    dtype: DType


def write_formula(w: Writer, formula: Formula, values: Mapping[str, Register], result: DType) -> str:
    """The formula's value in the dtype of the result, from those of its names; each of its parts is computed once.

    Raises:
        NoKernel: for a function that there are no statements for.
    """
    kinds = dtypes(formula, tuple((name, register.dtype) for name, register in values.items()))
    made: dict[Formula, Register] = {}

    def as_dtype(part: Formula, dtype: DType) -> str:
        if isinstance(part, Literal):
            return number(part.value, dtype)
        return convert(made[part].text, made[part].dtype, dtype)

    for part in formula.parts():
        match part:
            case Name(name=word):
                made[part] = values[word]
            case Apply(function="where", arguments=(condition, x, y)):
                kind = kinds[part]
                dtype = result if isinstance(kind, type) else np.dtype(kind)
                test = as_dtype(condition, np.dtype(bool))
                chosen = f"{test} ? {as_dtype(x, dtype)} : {as_dtype(y, dtype)}"
                made[part] = Register(w.put(register_type(dtype), chosen), dtype)
            case Apply(function=function, arguments=arguments):
                takes, gives = signature(function, tuple(kinds[a] for a in arguments))
                given = [as_dtype(a, kind) for a, kind in zip(arguments, takes, strict=True)]
                text = _applied(function, takes[0], given, arguments)
                made[part] = Register(w.put(register_type(gives), text), gives)
    return as_dtype(formula, result)


def _applied(function: str, dtype: DType, given: list[str], arguments: tuple[Formula, ...]) -> str:
    """A function of values of one dtype."""
    if function in _COMPARISONS:
        return f"{given[0]} {_COMPARISONS[function]} {given[1]}"
    if function in ("isnan", "isinf"):
        return _special(function, dtype, given[0])
    if dtype.kind == "f":
        return rounded(_float(function, dtype, given, arguments), dtype)
    if dtype.kind == "b":
        if function == "not_":
            return f"!{given[0]}"
        if function in _TRUTH:
            return f"{given[0]} {_TRUTH[function]} {given[1]}"
    elif dtype.kind in "iu":
        return f"({register_type(dtype)})({_integer(function, dtype, given)})"
    raise NoKernel(f"{function} of {dtype}")


def _special(function: str, dtype: DType, x: str) -> str:
    if dtype.kind != "f":
        return "false"
    return f"{x} != {x}" if function == "isnan" else f"{_library('fabs', dtype, x)} == {number(np.inf, dtype)}"


def _integer(function: str, dtype: DType, given: list[str]) -> str:
    """A function of integers; sums and products that overflow wrap, which C promises of unsigned ones only."""
    wrapping = f"(unsigned {'long long' if dtype.itemsize == 8 else 'int'})"
    match function, given:
        case (("add" | "sub" | "mul"), [x, y]):
            return f"{wrapping}{x} {_OPERATORS[function]} {wrapping}{y}"
        case (("and_" | "or_" | "xor"), [x, y]):
            return f"{x} {_BITS[function]} {y}"
        case "not_", [x]:
            return f"~{x}"
        case "neg", [x]:
            return f"0 - {wrapping}{x}"
        case "maximum", [x, y]:
            return f"{x} >= {y} ? {x} : {y}"
        case "minimum", [x, y]:
            return f"{x} <= {y} ? {x} : {y}"
        case (("floor" | "ceil" | "rint"), [x]):
            return x
        case "abs", [x]:
            return f"{x} < 0 ? 0 - {wrapping}{x} : {wrapping}{x}"
        case "sign", [x]:
            return f"({x} > 0) - ({x} < 0)"
        case (("mod" | "fmod"), [x, y]):
            return _remainder(function, dtype, x, y)
    raise NoKernel(f"{function} of {dtype}")


def _remainder(function: str, dtype: DType, x: str, y: str) -> str:
    """The remainder; 0 by 0, and by -1, where the quotient may overflow. Floored, it has the divisor's sign."""
    unsafe = f"{y} == 0" if dtype.kind == "u" else f"{y} == 0 || {y} == -1"
    rest = f"{x} % ({unsafe} ? 1 : {y})"
    if function == "fmod" or dtype.kind == "u":
        return rest
    return f"{unsafe} ? 0 : {rest} != 0 && (({rest}) ^ {y}) < 0 ? {rest} + {y} : {rest}"


def _float(function: str, dtype: DType, given: list[str], arguments: tuple[Formula, ...]) -> str:
    """A function of floats, in the precision of registers."""
    match function, given:
        case (("add" | "sub" | "mul" | "div"), [x, y]):
            return f"{x} {_OPERATORS[function]} {y}"
        case "neg", [x]:
            return f"-{x}"
        case "maximum", [x, y]:
            return f"{x} >= {y} || {x} != {x} ? {x} : {y}"
        case "minimum", [x, y]:
            return f"{x} <= {y} || {x} != {x} ? {x} : {y}"
        case "sign", [x]:
            zero, one = number(0, dtype), number(1, dtype)
            return f"{x} > {zero} ? {one} : {x} < {zero} ? -{one} : {x} + {zero}"
        case "mod", [x, y]:
            return _float_remainder(dtype, x, y)
        case "pow", [x, y]:
            exponent = arguments[1].value if isinstance(arguments[1], Literal) else None
            return _easy_power(exponent, dtype, x) or _library("pow", dtype, x, y)
    if function in _LIBRARY:
        return _library(_LIBRARY[function], dtype, *given)
    raise NoKernel(f"there are no CUDA statements for {function}")


def _library(name: str, dtype: DType, *given: str) -> str:
    return f"{name}{'' if dtype.itemsize == 8 else 'f'}({', '.join(given)})"


def _float_remainder(dtype: DType, x: str, y: str) -> str:
    """The remainder with the divisor's sign, which a zero has too."""
    rest, zero = _library("fmod", dtype, x, y), number(0, dtype)
    moved = f"(({rest} < {zero}) != ({y} < {zero}) ? {rest} + {y} : {rest})"
    return f"{rest} == {zero} ? {_library('copysign', dtype, zero, y)} : {moved}"


def _easy_power(exponent: float | None, dtype: DType, x: str) -> str | None:
    """The powers that NumPy computes without its `pow` too."""
    one = number(1, dtype)
    easy = {0: one, 1: x, 2: f"{x} * {x}", -1: f"{one} / {x}", 0.5: _library("sqrt", dtype, x)}
    return None if exponent is None else easy.get(exponent)
