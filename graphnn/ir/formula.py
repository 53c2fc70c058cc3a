"""Formulas: the small language in which an elementwise op says what one element computes.

A formula is written once, as a Python expression over the names of operands and attributes, and used in many ways: it
is evaluated by NumPy, differentiated, printed as LaTeX, and lowered by the compiled backends. The text is parsed with
`ast` and checked against a list of what is allowed; it is never evaluated as Python. Equal formulas are one object
(hash consing), so common parts are found by identity.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, TypeAlias

import numpy as np

from ..errors import FormatError
from .functions import CALL, COMPARISON, FUNCTIONS, POWER, SUM, result_rule, ufunc

__all__ = ["Formula", "Name", "Literal", "Apply", "parse", "evaluate", "dtypes", "signature", "conditions"]


_UNARY = {ast.USub: "neg", ast.Invert: "not_"}
_BINARY = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.Mod: "mod", ast.Pow: "pow",
    ast.BitAnd: "and_", ast.BitOr: "or_", ast.BitXor: "xor",
}  # fmt: skip
_COMPARE = {
    ast.Lt: "less", ast.LtE: "less_equal", ast.Gt: "greater", ast.GtE: "greater_equal",
    ast.Eq: "equal", ast.NotEq: "not_equal",
}  # fmt: skip


class Formula:
    """A formula: a `Name`, a `Literal`, or a function applied to formulas (`Apply`). Equal formulas are one object."""

    __slots__ = ()

    def names(self) -> tuple[str, ...]:
        """The names that occur, in order of first appearance."""
        return tuple(dict.fromkeys(part.name for part in self.parts() if isinstance(part, Name)))

    def parts(self) -> Iterator[Formula]:
        """This formula and every formula inside it, each once, arguments first."""
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
        """The formula with other formulas in place of some names."""
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
                made[part] = _number(part.value)
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
    """A number without a dtype of its own: it takes the dtype of what it is combined with."""

    value: float | int | bool


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Apply(Formula):
    """A function applied to arguments."""

    function: str
    arguments: tuple[Formula, ...]


@cache
def name(text: str) -> Name:
    """The formula for a name; always the same object."""
    return Name(text)


@cache
def _literal(kind: str, text: str, value: float | int | bool) -> Literal:
    return Literal(value)


def literal(value: float | int | bool) -> Literal:
    """The formula for a number; always the same object. 1, 1.0 and True differ, and so do 0.0 and -0.0."""
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.item()
    return _literal(type(value).__name__, repr(value), value)


@cache
def _applied(function: str, arguments: tuple[Formula, ...]) -> Apply:
    return Apply(function, arguments)


def apply(function: str, *arguments: Formula) -> Formula:
    """A function applied to arguments. With numbers alone it is a number too, so that `1 / 2` has no dtype either."""
    if all(isinstance(a, Literal) for a in arguments):
        numbers = [a.value for a in arguments if isinstance(a, Literal)]
        if function == "pow" and numbers[1] < 0:  # NumPy has no negative powers of integers
            numbers[0] = float(numbers[0])
        with np.errstate(all="ignore"):
            return literal(ufunc(np, function)(*numbers))
    return _applied(function, arguments)


def _loose(outer: Apply, position: int) -> bool:
    """Does an argument need parentheses when it is printed?"""
    level = FUNCTIONS[outer.function].level
    inner = outer.arguments[position]
    if level == CALL:
        return False
    if isinstance(inner, Literal):
        return level > SUM and inner.value < 0
    if isinstance(inner, Name):
        return False
    assert isinstance(inner, Apply)
    own = FUNCTIONS[inner.function].level
    first = position == 0
    # Sums and products group to the left, powers to the right; comparisons do not chain.
    grouped = level == COMPARISON or ((level == POWER) == first and len(outer.arguments) > 1)
    return own < level or (own == level and grouped)


def _number(value: float | int | bool) -> str:
    """A number as Python reads it; infinity is written as a number that is too large."""
    return repr(value).replace("inf", "1e999")


# Reading -------------------------------------------------------------------------------------------------------------


@cache
def parse(text: str) -> Formula:
    """The formula that a text stands for.

    Raises:
        FormatError: when the text is not an expression of the language; the message quotes the part that is not.

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
        case ast.UnaryOp(op=operator, operand=operand) if type(operator) in _UNARY:
            return apply(_UNARY[type(operator)], _read(operand, text))
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _BINARY:
            return apply(_BINARY[type(operator)], _read(left, text), _read(right, text))
        case ast.Compare(left=left, ops=[operator], comparators=[right]) if type(operator) in _COMPARE:
            return apply(_COMPARE[type(operator)], _read(left, text), _read(right, text))
        case ast.Call(func=ast.Name(id=word), args=arguments, keywords=[]) if word in FUNCTIONS:
            wanted = len(FUNCTIONS[word].partials)
            if len(arguments) != wanted:
                raise FormatError(f"formula {text!r}: {word} takes {wanted} arguments, not {len(arguments)}.")
            return apply(word, *(_read(argument, text) for argument in arguments))
    functions = ", ".join(sorted(word for word, how in FUNCTIONS.items() if how.infix is None))
    raise FormatError(
        f"formula {text!r}: {ast.unparse(tree)!r} is not part of the language. It has names, numbers, "
        f"+ - * / % ** & | ^ ~, comparisons, and {functions}."
    )


# Computing -----------------------------------------------------------------------------------------------------------


def evaluate(formula: Formula, xp: Any, values: Mapping[str, Any], dtype: np.dtype[Any] | None = None) -> Any:
    """The value of a formula, with the functions of `xp` (NumPy or CuPy) and arrays for its names.

    A `where` between numbers is computed in `dtype`, that of the result: as an array, it has to have a dtype.
    """
    made: dict[Formula, Any] = {}
    for part in formula.parts():
        match part:
            case Apply(function=function, arguments=arguments):
                value = ufunc(xp, function)(*(made[a] for a in arguments))
                weak = dtype is not None and function == "where" and _weak(part)
                made[part] = value.astype(dtype) if weak else value
            case Name(name=word):
                made[part] = values[word]
            case Literal(value=number):
                made[part] = number
    return made[formula]


def _weak(part: Formula) -> bool:
    """Is it a number, or a `where` between numbers?"""
    chosen = isinstance(part, Apply) and part.function == "where" and all(map(_weak, part.arguments[1:]))
    return chosen or isinstance(part, Literal)


Weak: TypeAlias = "np.dtype[Any] | type"


@lru_cache(maxsize=4096)
def dtypes(formula: Formula, operands: tuple[tuple[str, np.dtype[Any]], ...]) -> dict[Formula, Weak]:
    """The dtype of every part, by NumPy's rules; a Python type for a part that is made of literals alone.

    Raises:
        TypeError: when a function does not take a dtype, such as `-x` with a bool.
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
                result = result_rule(function).resolve_dtypes((*takes, None))[-1]
                weak = all(isinstance(kind, type) for kind in takes) and result.kind in "if"
                found[part] = type(result.type(0).item()) if weak else result
    return found


@lru_cache(maxsize=4096)
def signature(function: str, kinds: tuple[Weak, ...]) -> tuple[tuple[np.dtype[Any], ...], np.dtype[Any]]:
    """The dtypes in which a function takes its arguments, and that of its result, given the arguments' own dtypes.

    Python types stand for literals.
    """
    given = tuple(np.dtype(bool) if kind is bool else kind for kind in kinds)
    *takes, gives = result_rule(function).resolve_dtypes((*given, None))
    return tuple(takes), gives


def _promote(x: Weak, y: Weak) -> Weak:
    if isinstance(x, type) and isinstance(y, type):
        return x if x is y else float if float in (x, y) else int
    return np.result_type(*(kind(0) if isinstance(kind, type) else kind for kind in (x, y)))


@lru_cache(maxsize=4096)
def conditions(formula: Formula) -> frozenset[str]:
    """The names that occur only in conditions of `where`, alone or joined by `& | ^ ~`.

    They are bools, and are not promoted to the dtype of the other operands.
    """
    asked: set[str] = set()
    used: set[str] = set()
    seen: set[tuple[Formula, bool]] = set()
    stack = [(formula, False)]
    while stack:
        part, condition = stack.pop()
        if (part, condition) in seen:
            continue
        seen.add((part, condition))
        if isinstance(part, Name):
            (asked if condition else used).add(part.name)
        elif isinstance(part, Apply):
            joined = condition and part.function in ("and_", "or_", "xor", "not_")
            for i, argument in enumerate(part.arguments):
                stack.append((argument, joined or (part.function == "where" and i == 0)))
    return frozenset(asked - used)
