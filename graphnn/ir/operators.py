"""Operators of nodes, such as `x + y`, `-x` and `x.sum(axis=0)`. Ops install them here, and nodes inherit them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from .node import Node

__all__ = ["Operand", "Operators", "install"]

Operand: TypeAlias = "Node | float | np.ndarray | list[Any]"

_INFIX = {
    "+": "add", "-": "sub", "*": "mul", "/": "truediv", "@": "matmul", "**": "pow", "%": "mod",
    "<": "lt", "<=": "le", ">": "gt", ">=": "ge", "&": "and", "|": "or", "^": "xor",
}  # fmt: skip
_PREFIX = {"-": "neg", "~": "invert", "abs": "abs"}
_SPELT_OUT = ("reshape", "transpose")
"""Methods whose numbers may stand one by one, as with NumPy: `x.reshape(-1, 1)`."""


class Operators:
    """The base of nodes: Python's operators and methods as NumPy names them, each of which builds a node."""

    if TYPE_CHECKING:  # installed by the ops themselves

        def __add__(self, other: Operand) -> Node: ...
        def __radd__(self, other: Operand) -> Node: ...
        def __sub__(self, other: Operand) -> Node: ...
        def __rsub__(self, other: Operand) -> Node: ...
        def __mul__(self, other: Operand) -> Node: ...
        def __rmul__(self, other: Operand) -> Node: ...
        def __truediv__(self, other: Operand) -> Node: ...
        def __rtruediv__(self, other: Operand) -> Node: ...
        def __matmul__(self, other: Operand) -> Node: ...
        def __rmatmul__(self, other: Operand) -> Node: ...
        def __mod__(self, other: Operand) -> Node: ...
        def __rmod__(self, other: Operand) -> Node: ...
        def __pow__(self, other: Operand) -> Node: ...
        def __rpow__(self, other: Operand) -> Node: ...
        def __neg__(self) -> Node: ...
        def __abs__(self) -> Node: ...
        def __invert__(self) -> Node: ...
        def __and__(self, other: Operand) -> Node: ...
        def __rand__(self, other: Operand) -> Node: ...
        def __or__(self, other: Operand) -> Node: ...
        def __ror__(self, other: Operand) -> Node: ...
        def __xor__(self, other: Operand) -> Node: ...
        def __rxor__(self, other: Operand) -> Node: ...
        def __lt__(self, other: Operand) -> Node: ...  # type: ignore[misc]
        def __le__(self, other: Operand) -> Node: ...  # type: ignore[misc]
        def __gt__(self, other: Operand) -> Node: ...  # type: ignore[misc]
        def __ge__(self, other: Operand) -> Node: ...  # type: ignore[misc]
        def sum(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Node: ...  # noqa: D102
        def mean(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Node: ...  # noqa: D102
        def max(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Node: ...  # noqa: D102
        def min(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Node: ...  # noqa: D102
        def prod(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Node: ...  # noqa: D102
        def all(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Node: ...  # noqa: D102
        def any(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Node: ...  # noqa: D102
        def var(  # noqa: D102
            self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False, ddof: int = 0
        ) -> Node: ...
        def argmax(self, axis: int | None = None, keepdims: bool = False) -> Node: ...  # noqa: D102
        def argmin(self, axis: int | None = None, keepdims: bool = False) -> Node: ...  # noqa: D102
        def cumsum(self, axis: int | None = None) -> Node: ...  # noqa: D102
        def squeeze(self, axis: int | tuple[int, ...] | None = None) -> Node: ...  # noqa: D102
        def __getitem__(self, key: Any) -> Node: ...
        def reshape(self, *to: Any) -> Node: ...  # noqa: D102
        def transpose(self, *axes: Any) -> Node: ...  # noqa: D102
        def astype(self, to: Any) -> Node: ...  # noqa: D102
        def clip(self, low: Operand | None = None, high: Operand | None = None) -> Node: ...  # noqa: D102
        def round(self) -> Node: ...  # noqa: D102

    @property
    def T(self) -> Node:  # noqa: N802 - NumPy's name
        """The transpose: all axes in reverse order."""
        return self.transpose()


def install(op: type[Any], infix: str | None, prefix: str | None, method: str | None) -> None:
    """Let an operator or method of nodes build this op; `infix` and `prefix` are signs, such as "+"."""
    if infix:

        def between(self: Any, other: Any) -> Any:
            return op(self, other)

        def reflected(self: Any, other: Any) -> Any:
            return op(other, self)

        setattr(Operators, f"__{_INFIX[infix]}__", between)
        setattr(Operators, f"__r{_INFIX[infix]}__", reflected)
    if prefix:
        setattr(Operators, f"__{_PREFIX[prefix]}__", lambda self: op(self))
    if method in _SPELT_OUT:
        setattr(Operators, method, lambda self, *rest, **named: op(self, *(rest if len(rest) < 2 else [rest]), **named))
    elif method:
        setattr(Operators, method, lambda self, *rest, **named: op(self, *rest, **named))
