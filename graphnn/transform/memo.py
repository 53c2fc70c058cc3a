"""What passes remember while a graph is compiled.

Nodes never change, so what a pass has found out about a node holds in every later graph that contains it. A second
`simplify` therefore looks only at the nodes that are new since the first.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

__all__ = ["remembered", "remembering"]

T = TypeVar("T")


class _Now(threading.local):
    memo: dict[Any, Any] | None = None


_now = _Now()


@contextmanager
def remembering() -> Iterator[None]:
    """A context manager inside which passes remember; at its end, everything is forgotten."""
    outer = _now.memo
    _now.memo = {}
    try:
        yield
    finally:
        _now.memo = outer


def remembered(what: Any, make: Callable[[], T]) -> T:
    """What is remembered under a key, to be read and added to; outside of `remembering`, a new one each time."""
    memo = _now.memo
    if memo is None:
        return make()
    if what not in memo:
        memo[what] = make()
    found: T = memo[what]
    return found
