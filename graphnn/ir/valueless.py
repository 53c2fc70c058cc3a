"""What a node refuses, having no value before a program runs: to be read, compared, called or changed.

Python and NumPy ask for such things by special methods. Each answers with what to write instead.
"""

from __future__ import annotations

import numbers
from typing import Any, NoReturn

import numpy as np

from ..errors import GraphError
from .op import Op, describe

__all__ = ["Valueless"]

_OPERATORS = {
    "add": "add", "subtract": "sub", "multiply": "mul", "divide": "truediv", "matmul": "matmul", "power": "pow",
    "remainder": "mod", "less": "lt", "less_equal": "le", "greater": "gt", "greater_equal": "ge", "bitwise_and": "and",
    "bitwise_or": "or", "bitwise_xor": "xor",
}  # fmt: skip
"""What `array + node` calls in NumPy, and the operator that it stands for."""


class Valueless(Op):
    """The base of nodes that says so wherever a value is asked of one."""

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        raise GraphError(
            f"{describe(self)} has no value while the graph is declared, so it cannot decide an `if`, `and` or `or`. "
            "Use gn.Where to choose between nodes."
        )

    def __eq__(self, other: object) -> bool:
        if isinstance(other, (numbers.Number, np.ndarray)):
            self._refuse_to_compare()
        return NotImplemented

    def _refuse_to_compare(self) -> NoReturn:
        raise GraphError(
            f"{describe(self)} has no value while the graph is declared, so `==` and `!=` cannot compare it with a "
            "number or an array. Use gn.Equal or gn.NotEqual, which compare when the program runs."
        )

    def __float__(self) -> float:
        raise GraphError(f"{describe(self)} has no value while the graph is declared: run it by gn.compile.")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        self._refuse("functions of NumPy")

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        self._refuse(f"np.{function.__name__}")

    def __array_ufunc__(self, ufunc: Any, method: str, *operands: Any, **keywords: Any) -> Any:
        if ufunc in (np.equal, np.not_equal):
            self._refuse_to_compare()
        sign = _OPERATORS.get(ufunc.__name__)
        if sign is None or method != "__call__" or keywords:
            self._refuse(f"np.{ufunc.__name__}")
        x, y = operands
        return getattr(x, f"__{sign}__")(y) if isinstance(x, Op) else getattr(y, f"__r{sign}__")(x)

    def _refuse(self, who: str) -> NoReturn:
        raise GraphError(
            f"{describe(self)} has no value while the graph is declared, so {who} cannot read it. "
            "Use ops, such as gn.Exp(x) or x.sum(axis=0), and run what they make by gn.compile."
        )

    def __call__(self, *feeds: Any, **named: Any) -> Any:  # noqa: D102 - what it says is for who calls it
        raise GraphError(f"{describe(self)} is a declaration, and no function: f = gn.compile(node) makes one of it.")

    def __setitem__(self, key: Any, value: Any) -> None:
        raise GraphError(f"{describe(self)} never changes: make another node of it, as by gn.Where(mask, value, x).")

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise GraphError(
            f"{describe(self)} is neither copied nor pickled: a graph belongs to the process that declared it. "
            "Declare it anew in a function, and carry weights over by gn.save and gn.load."
        )
