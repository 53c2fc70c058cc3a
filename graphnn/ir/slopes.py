"""Derivatives of formulas, simplified where this keeps every bit."""

from __future__ import annotations

from functools import cache

from .formula import Apply, Formula, Literal, apply, literal, name, parse
from .functions import FUNCTIONS

__all__ = ["derivative", "plus", "times", "tidy"]


@cache
def derivative(formula: Formula, by: str) -> Formula:
    """The derivative of a formula by one of its names, simplified where this keeps every bit.

    >>> from graphnn.ir.formula import parse
    >>> from graphnn.ir.slopes import derivative
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
    # A choice between values is a choice between their slopes: the slope of the other value may be infinite.
    if part.function == "where":
        return _choice(part.arguments[0], slopes[1], slopes[2])
    how = FUNCTIONS[part.function]
    if how.chooses:
        return _choice(apply(how.chooses, *part.arguments), slopes[0], slopes[1])
    total: Formula = literal(0)
    arguments = dict(zip("xyz", part.arguments, strict=False))
    for partial, slope in zip(how.partials, slopes, strict=True):
        if partial is not None and slope is not literal(0):
            total = plus(total, times(parse(partial).substitute(arguments), slope))
    return tidy(total)


def _choice(condition: Formula, a: Formula, b: Formula) -> Formula:
    return a if a is b else apply("where", condition, a, b)


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
    """The formula without powers, products and choices that do nothing, such as `x ** 1`."""
    made: dict[Formula, Formula] = {}
    for part in formula.parts():
        if not isinstance(part, Apply):
            made[part] = part
            continue
        arguments = [made[a] for a in part.arguments]
        match part.function, arguments:
            case "mul", [a, b]:
                made[part] = times(a, b)
            case "pow", [a, b] if _is(b, 1):
                made[part] = a
            case "where", [Literal(value=chosen), a, b]:
                made[part] = a if chosen else b
            case _:
                made[part] = apply(part.function, *arguments)
    return made[formula]
