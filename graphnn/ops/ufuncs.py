"""Calls of ufuncs, bound to their arguments and their result."""

from __future__ import annotations

from functools import partial
from typing import Any

from ..ir.node import Call

__all__ = ["bind_ufunc", "ufunc_call"]

_KEYWORD_ONLY = ("maximum", "minimum")
"""NumPy deprecates a positional result for these, since `maximum(a, b, c)` reads like a maximum of three."""


def ufunc_call(xp: Any, name: str, arguments: list[Any], out: Any) -> Call:
    """The call that writes `xp.name(*arguments)` into `out`."""
    return bind_ufunc(getattr(xp, name), arguments, out)


def bind_ufunc(ufunc: Any, arguments: list[Any], out: Any) -> Call:
    """The call that writes `ufunc(*arguments)` into `out`, which is passed by position, as that is fastest."""
    return partial(ufunc, *arguments, out=out) if ufunc.__name__ in _KEYWORD_ONLY else partial(ufunc, *arguments, out)
