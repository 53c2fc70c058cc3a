"""What passes remember while a graph is compiled.

Nodes never change, so what a pass found out about one holds in every later graph that has it: a second `simplify` asks
only about the nodes that are new since the first.
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
    """A context in which passes remember; at its end all is forgotten."""
    outer = _now.memo
    _now.memo = {}
    try:
        yield
    finally:
        _now.memo = outer


def remembered(what: Any, make: Callable[[], T]) -> T:
    """What is known under a name so far, to be read and added to; outside of a compilation, something new each time."""
    memo = _now.memo
    if memo is None:
        return make()
    if what not in memo:
        memo[what] = make()
    found: T = memo[what]
    return found
