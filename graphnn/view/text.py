"""Nodes as text: names, numbers, attributes and formulas, which are the same in listings and in pictures."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ..ir.body import Placeholder
from ..ir.dtype import short_name
from ..ir.leaf import Constant, Count, Input, Parameter
from ..ir.node import Node
from ..ir.spec import Size, Spec
from ..ops.control import Cond, Scan
from ..ops.elementwise import Elementwise, Map

__all__ = ["apply", "attributes", "formula", "line", "names", "spec"]

_FEW = 8
"""Arrays of at most so many elements are written out."""
_OPERAND = re.compile(r"\b[A-Za-z_]\w*(?![\w(])")
"""A name in a formula that is not that of a function."""


def names(nodes: Iterable[Node]) -> dict[Node, str]:
    """The name of each node in a listing: its own name, the number of a scalar constant, else %0, %1 and so on."""
    found: dict[Node, str] = {}
    count = 0
    taken: set[str] = set()
    for node in nodes:
        if isinstance(node, (Input, Parameter)):
            found[node] = line(node.name)
        elif isinstance(node, Placeholder):
            word = line(node.name)
            while word in taken:  # in the body of a gradient of a gradient
                word += "'"
            taken.add(word)
            found[node] = word
        elif isinstance(node, Constant) and not node.value.shape:
            found[node] = str(node.value[()])  # in as few digits as tell it from its neighbours in its dtype
        else:
            found[node] = f"%{count}"
            count += 1
    return found


def apply(node: Node, called: Mapping[Node, str]) -> str:
    """The node as an op applied to the names of its operands: `Sum(%3, axis=(0,))`."""
    operands = [called[operand] for operand in node.operands]
    if isinstance(node, Map):
        return f"Map({formula(node, called)})"
    return f"{node.op}({', '.join([*operands, *attributes(node)])})"


def formula(node: Elementwise, called: Mapping[Node, str]) -> str:
    """The formula of a node over what its operands are called; those not called anything keep the formula's name."""
    operands = {name: called[operand] for name, operand in node.named_operands().items() if operand in called}
    return _OPERAND.sub(lambda match: operands.get(match[0], match[0]), str(node.body))


def attributes(node: Node) -> list[str]:
    """The attributes that are not at their default, as `name=value`; what the name or formula says is not repeated."""
    if isinstance(node, Constant):
        return [_value(node.value)]
    if isinstance(node, Count):
        return [" * ".join(map(str, node.dims))]
    if isinstance(node, (Input, Map, Placeholder, Cond)):
        return []
    if isinstance(node, Scan):
        return [f"length={node.length}", *(["reverse=True"] if node.reverse else [])]
    if isinstance(node, Parameter):
        return [] if node.trainable else ["not trainable"]
    known = {field.name: field.default for field in dataclasses.fields(node)}  # type: ignore[arg-type]
    return [f"{name}={_value(held)}" for name, held in node.attributes().items() if not _same(held, known.get(name))]


def _same(held: Any, default: Any) -> bool:
    try:
        return bool(held == default)
    except (TypeError, ValueError):  # arrays, and dtypes beside what is none
        return False


def _value(held: Any) -> str:
    """An attribute's value: words as they are, dtypes by their short names, long arrays by their spec."""
    match held:
        case str():
            return line(held)
        case np.dtype():
            return short_name(held)
        case np.ndarray():
            if held.size > _FEW or held.ndim > 1:
                return str(Spec(held.shape, held.dtype))
            return f"[{', '.join(map(str, held))}]" if held.ndim else str(held[()])
        case np.generic() | float():
            return str(held)
        case tuple() | list():
            return f"({', '.join(map(_value, held))}{',' if len(held) == 1 else ''})"
        case bool() | int() | Size() | None:
            return str(held)
        case type() | Node():
            return held.__name__ if isinstance(held, type) else held.op
    shown = repr(held)
    return type(held).__name__ if " at 0x" in shown else line(shown)  # an address would differ from run to run


def spec(node: Node) -> str:
    """The node's spec, or all of them for one with several results."""
    return str(node.spec) if isinstance(node.spec, Spec) else f"({', '.join(map(str, node.spec))})"


def line(text: str) -> str:
    """A text of the user on one line, with characters that cannot be printed escaped."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
