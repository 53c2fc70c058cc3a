"""The functions of the formula language: for each its name in NumPy, its printed form and its partial derivatives.

The list is short, because every backend has to lower each of them. Where a derivative is not a finite number, the
partial derivative here is 0: for `abs`, `sqrt` and `arctan2` at the origin, and for powers at zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

__all__ = ["Function", "FUNCTIONS", "ufunc", "result_rule"]

COMPARISON, OR, XOR, AND, SUM, PRODUCT, SIGN, POWER, CALL = range(1, 10)


@dataclass(frozen=True)
class Function:
    """A function of the language: its name in NumPy, how it is printed, and its partial derivatives.

    The partial derivatives are formulas over `x`, `y` and `z`, which are the arguments in order; None if there is none.
    """

    ufunc: str
    latex: str
    partials: tuple[str | None, ...]
    infix: str | None = None
    level: int = CALL
    """The precedence of the printed form, from COMPARISON to CALL."""
    chooses: str | None = None
    """For a function that returns one of its two arguments, the comparison that is true where it returns the first."""
    special: bool = False
    """True for a function of `scipy.special` (for CuPy, of `cupyx.scipy.special`) rather than of NumPy."""


def _call(word: str, *partials: str | None, latex: str | None = None, special: bool = False) -> Function:
    shown = latex or rf"\operatorname{{{{{word}}}}}\left({{x}}\right)"
    return Function(word, shown, partials, special=special)


def _named(word: str, *partials: str | None) -> Function:
    """A function that LaTeX has a command for."""
    return _call(word, *partials, latex=rf"\{word}\left({{x}}\right)")


# With r = x / y or y / x, whichever is at most 1, the squares can neither overflow nor vanish.
_ARCTAN2 = (
    "where(abs(x) < abs(y), 1 / (y + x * (x / y)), where(x == 0, 0, y / x / (x + y * (y / x))))",
    "where(abs(x) < abs(y), -(x / y) / (y + x * (x / y)), where(x == 0, 0, -1 / (x + y * (y / x))))",
)
_POWER = ("where(y == 0, 0, y * x ** (y - 1))", "where(x == 0, 0, x ** y * log(x))")

FUNCTIONS: dict[str, Function] = {
    "add": Function("add", "{x} + {y}", ("1", "1"), "+", SUM),
    "sub": Function("subtract", "{x} - {y}", ("1", "-1"), "-", SUM),
    "mul": Function("multiply", r"{x} \cdot {y}", ("y", "x"), "*", PRODUCT),
    "div": Function("true_divide", r"\frac{{{x}}}{{{y}}}", ("1 / y", "-x / (y * y)"), "/", PRODUCT),
    "mod": Function("remainder", r"{x} \bmod {y}", ("1", "(x % y - x) / y"), "%", PRODUCT),
    "neg": Function("negative", "-{x}", ("-1",), "-", SIGN),
    "pow": Function("power", "{x}^{{{y}}}", _POWER, "**", POWER),
    "less": Function("less", "{x} < {y}", (None, None), "<", COMPARISON),
    "less_equal": Function("less_equal", r"{x} \le {y}", (None, None), "<=", COMPARISON),
    "greater": Function("greater", "{x} > {y}", (None, None), ">", COMPARISON),
    "greater_equal": Function("greater_equal", r"{x} \ge {y}", (None, None), ">=", COMPARISON),
    "equal": Function("equal", "{x} = {y}", (None, None), "==", COMPARISON),
    "not_equal": Function("not_equal", r"{x} \ne {y}", (None, None), "!=", COMPARISON),
    "and_": Function("bitwise_and", r"{x} \land {y}", (None, None), "&", AND),
    "or_": Function("bitwise_or", r"{x} \lor {y}", (None, None), "|", OR),
    "xor": Function("bitwise_xor", r"{x} \oplus {y}", (None, None), "^", XOR),
    "not_": Function("invert", r"\lnot {x}", (None,), "~", SIGN),
    "where": Function("where", r"\begin{{cases}}{y}&{x}\\{z}\end{{cases}}", (None, None, None)),
    # At a tie all of the gradient goes to the second argument, so that maximum(x, 0) has slope 0 at 0.
    "maximum": Function("maximum", r"\max\left({x}, {y}\right)", ("", ""), chooses="greater"),
    "minimum": Function("minimum", r"\min\left({x}, {y}\right)", ("", ""), chooses="less"),
    "fmod": Function("fmod", r"\operatorname{{fmod}}\left({x}, {y}\right)", ("1", "(fmod(x, y) - x) / y")),
    "abs": Function("absolute", r"\left|{x}\right|", ("sign(x)",)),
    "sign": _call("sign", None),
    "floor": _call("floor", None, latex=r"\left\lfloor {x} \right\rfloor"),
    "ceil": _call("ceil", None, latex=r"\left\lceil {x} \right\rceil"),
    "rint": _call("rint", None),
    "isnan": _call("isnan", None),
    "isinf": _call("isinf", None),
    "exp": _call("exp", "exp(x)", latex="e^{{{x}}}"),
    "expm1": _call("expm1", "exp(x)", latex=r"\left(e^{{{x}}}-1\right)"),
    "log": _named("log", "1 / x"),
    "log1p": _call("log1p", "1 / (1 + x)", latex=r"\log\left(1+{x}\right)"),
    "sqrt": _call("sqrt", "where(x == 0, 0, 0.5 / sqrt(x))", latex=r"\sqrt{{{x}}}"),
    "sin": _named("sin", "cos(x)"),
    "cos": _named("cos", "-sin(x)"),
    "tan": _named("tan", "1 + tan(x) * tan(x)"),
    "arcsin": _named("arcsin", "1 / sqrt((1 - x) * (1 + x))"),
    "arccos": _named("arccos", "-1 / sqrt((1 - x) * (1 + x))"),
    "arctan": _named("arctan", "1 / (1 + x * x)"),
    "arctan2": Function("arctan2", r"\operatorname{{arctan2}}\left({x}, {y}\right)", _ARCTAN2),
    "sinh": _named("sinh", "cosh(x)"),
    "cosh": _named("cosh", "sinh(x)"),
    "tanh": _named("tanh", "1 - tanh(x) * tanh(x)"),
    "arcsinh": _call("arcsinh", "1 / sqrt(1 + x * x)"),
    "arccosh": _call("arccosh", "1 / (sqrt(x - 1) * sqrt(x + 1))"),
    "arctanh": _call("arctanh", "1 / ((1 - x) * (1 + x))"),
    "erf": _call("erf", "1.1283791670955126 * exp(-(x * x))", special=True),  # 2 / sqrt(pi)
    "erfc": _call("erfc", "-1.1283791670955126 * exp(-(x * x))", special=True),
}


def ufunc(xp: Any, function: str) -> Any:
    """The ufunc of `xp` (NumPy or CuPy) for a function of the language. SciPy is imported when it is first needed."""
    how = FUNCTIONS[function]
    if how.special:
        return getattr(import_module("scipy.special" if xp is np else "cupyx.scipy.special"), how.ufunc)
    return getattr(xp, how.ufunc)


def result_rule(function: str) -> Any:
    """The NumPy ufunc that decides the dtype of the result of a function: those of SciPy know no float16."""
    how = FUNCTIONS[function]
    return np.exp if how.special else getattr(np, how.ufunc)
