"""Nodes as mathematics: ops written the way a book writes them, over what their operands are called.

Whatever is elementwise is its own formula, so that parentheses are those which the formula language would print;
everything else is a name in it: `x.T`, `x @ W`, `Sum(x, axis=(0,))`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from ..ir.formula import Apply, Formula, Name, literal, name
from ..ir.functions import CALL, FUNCTIONS
from ..ir.leaf import Constant, Count
from ..ir.node import Item, Node
from ..ir.spec import Spec
from ..ops.elementwise import Elementwise
from ..ops.linear import MatMul
from ..ops.shape import Transpose
from .text import attributes

__all__ = ["symbol", "space", "write"]

_SPECIAL = {c: f"\\{c}" for c in "{}$&#_%"} | {"\\": r"\backslash ", "^": r"\hat{ }", "~": r"\sim "}


class _Product(Name):
    """A matrix product as printed: within anything larger it needs parentheses."""

    __slots__ = ()


@cache
def _product(text: str) -> _Product:
    return _Product(text)


def write(node: Node, operands: Sequence[Formula], tex: bool = False) -> Formula:
    """A node as a formula over those of its operands; with `tex`, its names are LaTeX.

    >>> import graphnn as gn
    >>> from graphnn.ir.formula import parse
    >>> a, b = gn.Input("a", ("N", 2)), gn.Input("b", ("N", 2))
    >>> write(gn.Mul(a, b), [parse("x + y"), parse("1 - h")])
    (x + y) * (1 - h)
    """
    match node:
        case Constant() if not node.value.shape:
            return _number(node.value)
        case Count():
            times = r" \cdot " if tex else " * "
            text = times.join(map(str, node.dims))
            return name(text if len(node.dims) == 1 and text.isidentifier() else _bracketed(text, tex))
        case Elementwise():
            return _elementwise(node, operands, tex)
        case MatMul():
            return _product((r" \, " if tex else " @ ").join(_factor(operand, tex) for operand in operands))
        case Transpose() if node.ndim == 2 and node.axes in (None, (1, 0)):
            return _transposed(operands[0], tex)
        case Item():
            return name(f"{_shown(operands[0], tex)}[{node.index}]")
    arguments = [_shown(operand, tex) for operand in operands]
    if not tex:
        return name(f"{node.op}({', '.join([*arguments, *attributes(node)])})")
    words = [rf"\text{{{_escaped(text)}}}" for text in attributes(node)]
    return name(rf"\operatorname{{{_escaped(node.op)}}}\left({', '.join([*arguments, *words])}\right)")


def _elementwise(node: Elementwise, operands: Sequence[Formula], tex: bool) -> Formula:
    """The formula of an elementwise node, with the operands in it."""
    given = dict(zip(node.operands, operands, strict=True))
    body = node.body
    sums = all(part.function in ("add", "sub") for part in body.parts() if isinstance(part, Apply))
    return body.substitute({n: given[o] if sums else _closed(given[o], tex) for n, o in node.named_operands().items()})


def _transposed(operand: Formula, tex: bool) -> Formula:
    text = _factor(operand, tex)
    if not tex:
        return name(f"({text}).T" if "/" in text and not text.startswith("(") else f"{text}.T")
    return name((_bracketed(text, tex) if text.startswith(r"\frac") else f"{{{text}}}") + r"^{\top}")


def symbol(text: str) -> str:
    """A name as LaTeX: one letter stands as it is, words upright, digits at the end below the line.

    >>> print(symbol("W1"), symbol("h"), symbol("layer1.b"))
    W_{1} h \\mathrm{layer1.b}
    """
    stem = text.rstrip("0123456789")
    if stem and stem != text:
        return f"{symbol(stem)}_{{{text[len(stem) :]}}}"
    return text if len(text) == 1 and text.isalpha() else rf"\mathrm{{{_escaped(text)}}}"


def space(spec: Spec | tuple[Spec, ...]) -> str:
    """The space that a value of a spec lies in, as LaTeX; for several results the product of theirs.

    >>> import graphnn as gn
    >>> print(space(gn.Input("x", ("N", 2)).spec))
    \\mathbb{R}^{N \\times 2}
    >>> print(space(gn.TopK(gn.Input("x", ("N", 4)), 2).spec))
    \\mathbb{R}^{N \\times 2} \\times \\mathbb{Z}^{N \\times 2}
    """
    if not isinstance(spec, Spec):
        return r" \times ".join(map(space, spec))
    numbers = {"f": r"\mathbb{R}", "b": r"\{0, 1\}"}.get(spec.dtype.kind, r"\mathbb{Z}")
    sizes = r" \times ".join(map(str, spec.shape))
    return f"{numbers}^{{{sizes}}}" if sizes else numbers


def _number(value: np.ndarray) -> Formula:
    """A scalar in as few digits as tell it from its neighbours; whole numbers without a point."""
    shown = str(value[()])
    return literal(
        int(shown[:-2]) if shown.endswith(".0") else float(shown) if value.dtype.kind == "f" else value.item()
    )


def _escaped(text: str) -> str:
    return "".join(_SPECIAL.get(c, c) for c in text)


def _shown(formula: Formula, tex: bool) -> str:
    return formula.latex() if tex else str(formula)


def _bracketed(text: str, tex: bool) -> str:
    return rf"\left({text}\right)" if tex else f"({text})"


def _closed(formula: Formula, tex: bool) -> Formula:
    return name(_bracketed(formula.name, tex)) if isinstance(formula, _Product) else formula


def _factor(formula: Formula, tex: bool) -> str:
    """An operand of a matrix product."""
    text = _shown(formula, tex)
    loose = isinstance(formula, _Product) or (isinstance(formula, Apply) and FUNCTIONS[formula.function].level < CALL)
    return _bracketed(text, tex) if loose else text
