"""Formulas: the small language in which an elementwise op says what one element computes.

A formula is written once, as a Python expression over the names of operands and attributes, and read many ways:
evaluated by NumPy, differentiated, printed as LaTeX, and lowered by the compiled backends. Text is parsed by
`ast` against an allow-list and never evaluated. Equal formulas are one object, so sharing costs nothing to find.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, TypeAlias

import numpy as np

from ..errors import FormatError

__all__ = ["Formula", "Name", "Literal", "Apply", "Function", "FUNCTIONS", "parse", "derivative", "evaluate"]


@dataclass(frozen=True)
class Function:
    """A function of the language: NumPy's name for it, how it is printed, and its partial derivatives.

    The partials are formulas over `x`, `y`, `z`, the arguments in order; None where there is no derivative.
    """

    ufunc: str
    latex: str
    partials: tuple[str | None, ...]
    infix: str | None = None
    level: int = 9
    """How tightly the printed form binds: 1 comparison, 2 sum, 3 product, 4 sign, 5 power, 9 call."""


FUNCTIONS: dict[str, Function] = {
    "add": Function("add", "{x} + {y}", ("1", "1"), "+", 2),
    "sub": Function("subtract", "{x} - {y}", ("1", "-1"), "-", 2),
    "mul": Function("multiply", r"{x} \cdot {y}", ("y", "x"), "*", 3),
    "div": Function("true_divide", r"\frac{{{x}}}{{{y}}}", ("1 / y", "-x / (y * y)"), "/", 3),
    "neg": Function("negative", "-{x}", ("-1",), "-", 4),
    "pow": Function("power", "{x}^{{{y}}}", ("y * x ** (y - 1)", "x ** y * log(x)"), "**", 5),
    "less": Function("less", "{x} < {y}", (None, None), "<", 1),
    "less_equal": Function("less_equal", r"{x} \le {y}", (None, None), "<=", 1),
    "greater": Function("greater", "{x} > {y}", (None, None), ">", 1),
    "greater_equal": Function("greater_equal", r"{x} \ge {y}", (None, None), ">=", 1),
    "equal": Function("equal", "{x} = {y}", (None, None), "==", 1),
    "not_equal": Function("not_equal", r"{x} \ne {y}", (None, None), "!=", 1),
    "where": Function("where", r"\begin{{cases}}{y}&{x}\\{z}\end{{cases}}", (None, None, None)),
    "exp": Function("exp", "e^{{{x}}}", ("exp(x)",)),
    "log": Function("log", r"\log\left({x}\right)", ("1 / x",)),
    "log1p": Function("log1p", r"\log\left(1+{x}\right)", ("1 / (1 + x)",)),
    "expm1": Function("expm1", r"\left(e^{{{x}}}-1\right)", ("exp(x)",)),
    "sqrt": Function("sqrt", r"\sqrt{{{x}}}", ("0.5 / sqrt(x)",)),
    "abs": Function("absolute", r"\left|{x}\right|", ("sign(x)",)),
    "sign": Function("sign", r"\operatorname{{sign}}\left({x}\right)", (None,)),
    "sin": Function("sin", r"\sin\left({x}\right)", ("cos(x)",)),
    "cos": Function("cos", r"\cos\left({x}\right)", ("-sin(x)",)),
    "tanh": Function("tanh", r"\tanh\left({x}\right)", ("1 - tanh(x) * tanh(x)",)),
    # At a tie all of the gradient goes to the second argument, so that maximum(x, 0) has slope 0 at 0.
    "maximum": Function("maximum", r"\max\left({x}, {y}\right)", ("where(x > y, 1, 0)", "where(x > y, 0, 1)")),
    "minimum": Function("minimum", r"\min\left({x}, {y}\right)", ("where(x < y, 1, 0)", "where(x < y, 0, 1)")),
}

_BINARY = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.Pow: "pow"}
_COMPARE = {
    ast.Lt: "less", ast.LtE: "less_equal", ast.Gt: "greater", ast.GtE: "greater_equal",
    ast.Eq: "equal", ast.NotEq: "not_equal",
}  # fmt: skip


class Formula:
    """A formula: a `Name`, a `Literal`, or a function applied (`Apply`). Compared by identity, for equal is same."""

    __slots__ = ()

    def names(self) -> tuple[str, ...]:
        """The names that occur, in order of first appearance."""
        return tuple(dict.fromkeys(part.name for part in self.parts() if isinstance(part, Name)))

    def parts(self) -> Iterator[Formula]:
        """This and every formula inside it, each once, arguments before what uses them."""
        stack: list[tuple[Formula, bool]] = [(self, False)]
        seen: set[Formula] = set()
        while stack:
            part, ready = stack.pop()
            if ready:
                yield part
            elif part not in seen:
                seen.add(part)
                stack.append((part, True))
                if isinstance(part, Apply):
                    stack.extend((argument, False) for argument in reversed(part.arguments))

    def substitute(self, values: Mapping[str, Formula]) -> Formula:
        """The same formula with other formulas in place of some names."""
        return self._map(lambda name: values.get(name.name, name))

    def _map(self, leaf: Callable[[Name], Formula]) -> Formula:
        made: dict[Formula, Formula] = {}
        for part in self.parts():
            if isinstance(part, Apply):
                made[part] = apply(part.function, *(made[a] for a in part.arguments))
            else:
                made[part] = leaf(part) if isinstance(part, Name) else part
        return made[self]

    def latex(self) -> str:
        """The formula as LaTeX mathematics."""
        made: dict[Formula, str] = {}
        for part in self.parts():
            if isinstance(part, Apply):
                texts = []
                for i, argument in enumerate(part.arguments):
                    text = made[argument]
                    plain = part.function == "div" or (part.function == "pow" and i == 1)  # braces do it there
                    texts.append(text if plain or not _loose(part, i) else rf"\left({text}\right)")
                made[part] = FUNCTIONS[part.function].latex.format(**dict(zip("xyz", texts, strict=False)))
            else:
                made[part] = str(part)
        return made[self]

    def __str__(self) -> str:
        made: dict[Formula, str] = {}
        for part in self.parts():
            if isinstance(part, Apply):
                function = FUNCTIONS[part.function]
                texts = [f"({made[a]})" if _loose(part, i) else made[a] for i, a in enumerate(part.arguments)]
                if function.infix is None:
                    made[part] = f"{part.function}({', '.join(texts)})"
                elif len(texts) == 1:
                    made[part] = function.infix + texts[0]
                else:
                    made[part] = f"{texts[0]} {function.infix} {texts[1]}"
            elif isinstance(part, Literal):
                made[part] = repr(part.value)
            elif isinstance(part, Name):
                made[part] = part.name
        return made[self]

    __repr__ = __str__


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Name(Formula):
    """The value of an operand or attribute."""

    name: str


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Literal(Formula):
    """A number, weakly typed: it takes the dtype of what it meets."""

    value: float | int | bool


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Apply(Formula):
    """A function applied to arguments."""

    function: str
    arguments: tuple[Formula, ...]


@cache
def name(text: str) -> Name:
    """The one formula that is this name."""
    return Name(text)


@cache
def _literal(kind: str, text: str, value: float | int | bool) -> Literal:
    return Literal(value)


def literal(value: float | int | bool) -> Literal:
    """The one formula that is this number; 1, 1.0 and True, 0.0 and -0.0 stay apart."""
    return _literal(type(value).__name__, repr(value), value)


@cache
def _applied(function: str, arguments: tuple[Formula, ...]) -> Apply:
    return Apply(function, arguments)


def apply(function: str, *arguments: Formula) -> Formula:
    """A function applied; to numbers alone it is a number, so that `1 / 2` stays weakly typed."""
    if all(isinstance(a, Literal) for a in arguments):
        with np.errstate(all="ignore"):
            value = getattr(np, FUNCTIONS[function].ufunc)(*(a.value for a in arguments if isinstance(a, Literal)))
        return literal(value.item())
    return _applied(function, arguments)


def _loose(outer: Apply, position: int) -> bool:
    """Does the printed argument need parentheses?"""
    level = FUNCTIONS[outer.function].level
    inner = outer.arguments[position]
    if level == 9:
        return False
    if isinstance(inner, Literal):
        return level > 2 and inner.value < 0
    if isinstance(inner, Name):
        return False
    assert isinstance(inner, Apply)
    own = FUNCTIONS[inner.function].level
    first = position == 0
    # Sums and products group to the left, powers to the right; comparisons do not chain.
    return own < level or (own == level and (level == 1 or ((level == 5) == first and len(outer.arguments) > 1)))


# Reading -------------------------------------------------------------------------------------------------------------


@cache
def parse(text: str) -> Formula:
    """The formula a text says.

    Raises:
        FormatError: when the text is not an expression of the language; it says which part is not.

    >>> from graphnn.ir.formula import parse
    >>> parse("1 / (1 + exp(-x))").latex()
    '\\\\frac{1}{1 + e^{-x}}'
    """
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError) as error:
        raise FormatError(f"formula {text!r} is not an expression: {error}.") from None
    try:
        return _read(tree, text)
    except RecursionError:
        raise FormatError("the formula is nested too deeply.") from None


def _read(tree: ast.expr, text: str) -> Formula:
    match tree:
        case ast.Name(id=word):
            return name(word)
        case ast.Constant(value=bool() | int() | float() as value):
            return literal(value)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return literal(-value)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return apply("neg", _read(operand, text))
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _BINARY:
            return apply(_BINARY[type(operator)], _read(left, text), _read(right, text))
        case ast.Compare(left=left, ops=[operator], comparators=[right]) if type(operator) in _COMPARE:
            return apply(_COMPARE[type(operator)], _read(left, text), _read(right, text))
        case ast.Call(func=ast.Name(id=word), args=arguments, keywords=[]) if word in FUNCTIONS:
            wanted = len(FUNCTIONS[word].partials)
            if len(arguments) != wanted:
                raise FormatError(f"formula {text!r}: {word} takes {wanted} arguments, not {len(arguments)}.")
            return apply(word, *(_read(argument, text) for argument in arguments))
    raise FormatError(
        f"formula {text!r}: {ast.unparse(tree)!r} is not part of the language. It has names, numbers, + - * / **, "
        f"comparisons, and {', '.join(sorted(f for f, how in FUNCTIONS.items() if how.infix is None))}."
    )


# Differentiating -----------------------------------------------------------------------------------------------------


@cache
def derivative(formula: Formula, by: str) -> Formula:
    """The derivative of a formula by one of its names, simplified where that is exact.

    >>> from graphnn.ir.formula import derivative, parse
    >>> derivative(parse("x * tanh(x) + 3 * y"), "x")
    tanh(x) + x * (1 - tanh(x) * tanh(x))
    """
    zero = literal(0)
    slope: dict[Formula, Formula] = {}
    for part in formula.parts():
        if isinstance(part, Apply):
            slope[part] = _chain(part, [slope[a] for a in part.arguments])
        else:
            slope[part] = literal(1) if part is name(by) else zero
    return slope[formula]


def _chain(part: Apply, slopes: list[Formula]) -> Formula:
    if part.function == "where":  # chosen, not multiplied: the branch not taken may be infinite
        condition = part.arguments[0]
        return slopes[1] if slopes[1] is slopes[2] else apply("where", condition, slopes[1], slopes[2])
    total: Formula = literal(0)
    arguments = dict(zip("xyz", part.arguments, strict=False))
    for partial, slope in zip(FUNCTIONS[part.function].partials, slopes, strict=True):
        if partial is not None and slope is not literal(0):
            total = plus(total, times(parse(partial).substitute(arguments), slope))
    return tidy(total)


def _is(formula: Formula, number: int) -> bool:
    return isinstance(formula, Literal) and formula.value == number and not isinstance(formula.value, bool)


def plus(a: Formula, b: Formula) -> Formula:
    """`a + b`, without adding zero."""
    return b if _is(a, 0) else a if _is(b, 0) else apply("add", a, b)


def times(a: Formula, b: Formula) -> Formula:
    """`a * b`, without multiplying by one, minus one or zero."""
    if _is(a, 0) or _is(b, 0):
        return literal(0)
    for one, other in ((a, b), (b, a)):
        if _is(one, 1):
            return other
        if _is(one, -1):
            return apply("neg", other)
    return apply("mul", a, b)


def tidy(formula: Formula) -> Formula:
    """The formula without the powers and products that say nothing, such as `x ** 1`."""
    made: dict[Formula, Formula] = {}
    for part in formula.parts():
        if not isinstance(part, Apply):
            made[part] = part
            continue
        arguments = [made[a] for a in part.arguments]
        match part.function, arguments:
            case "mul", [a, b]:
                made[part] = times(a, b)
            case "sub", [Literal(value=a), Literal(value=b)]:
                made[part] = literal(a - b)
            case "pow", [a, b] if _is(b, 1):
                made[part] = a
            case _:
                made[part] = apply(part.function, *arguments)
    return made[formula]


# Computing -----------------------------------------------------------------------------------------------------------


def evaluate(formula: Formula, xp: Any, values: Mapping[str, Any]) -> Any:
    """The value of a formula, with the functions of `xp` (NumPy or CuPy) and arrays for its names."""
    made: dict[Formula, Any] = {}
    for part in formula.parts():
        match part:
            case Apply(function=function, arguments=arguments):
                made[part] = getattr(xp, FUNCTIONS[function].ufunc)(*(made[a] for a in arguments))
            case Name(name=word):
                made[part] = values[word]
            case Literal(value=number):
                made[part] = number
    return made[formula]


Weak: TypeAlias = "np.dtype[Any] | type"


@lru_cache(maxsize=4096)
def dtypes(formula: Formula, operands: tuple[tuple[str, np.dtype[Any]], ...]) -> dict[Formula, Weak]:
    """The dtype of every part, by NumPy's rules; a Python type for a part made of literals alone.

    Raises:
        TypeError: when a function does not take a dtype, such as `-x` of bool.
    """
    named = dict(operands)
    found: dict[Formula, Weak] = {}
    for part in formula.parts():
        match part:
            case Name(name=word):
                found[part] = named[word]
            case Literal(value=number):
                found[part] = type(number)
            case Apply(function="where", arguments=(_, x, y)):
                found[part] = _promote(found[x], found[y])
            case Apply(function=function, arguments=arguments):
                takes = tuple(np.dtype(bool) if found[a] is bool else found[a] for a in arguments)
                ufunc = getattr(np, FUNCTIONS[function].ufunc)
                found[part] = ufunc.resolve_dtypes((*takes, None))[-1]
    return found


def _promote(x: Weak, y: Weak) -> Weak:
    if isinstance(x, type) and isinstance(y, type):
        return x if x is y else float if float in (x, y) else int
    return np.result_type(*(kind(0) if isinstance(kind, type) else kind for kind in (x, y)))


@lru_cache(maxsize=4096)
def conditions(formula: Formula) -> frozenset[str]:
    """The names that occur only as the condition of a `where`: they are not promoted with the others."""
    asked: set[str] = set()
    used: set[str] = set()
    for part in (formula, *formula.parts()):
        if isinstance(part, Apply):
            for i, argument in enumerate(part.arguments):
                if isinstance(argument, Name):
                    (asked if part.function == "where" and i == 0 else used).add(argument.name)
        elif isinstance(part, Name) and part is formula:
            used.add(part.name)
    return frozenset(asked - used)
