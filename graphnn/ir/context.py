"""What surrounds a node being built: the user's line, the scope, and the node it differentiates or replaces.

Three situations, innermost wins:

- a user's call: the origin is the user's line, the serial is new;
- a gradient rule (`adjoint(node)`): origin and scope of the forward node, a new serial, `adjoint_of` its serial;
- a rewrite (`like(node)`): everything as the node replaced, serial included, so that listings keep their order.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import count
from types import CodeType, FrameType
from typing import Any, NamedTuple, Protocol

__all__ = ["Origin", "Birth", "scope", "adjoint", "like", "standing_in", "recording", "birth"]

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_GENERATED = "<string>"  # where dataclasses compile the constructors they write
_UNSETTLED = -1
_serials = count()


class Origin(NamedTuple):
    """The place in the user's source that declared a node."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{os.path.basename(self.file)}:{self.line}"


class Birth(NamedTuple):
    """What a node remembers of where it came from."""

    origin: Origin
    serial: int
    scope: tuple[str, ...]
    adjoint_of: int | None


class _HasBirth(Protocol):
    @property
    def birth(self) -> Birth: ...


class _Surroundings(threading.local):
    scope: tuple[str, ...] = ()
    adjoint: Birth | None = None
    like: Birth | None = None
    built: list[Any] | None = None


_now = _Surroundings()


class scope:  # noqa: N801 - reads as a verb in a with statement
    """A context manager that names and groups the nodes declared inside.

    Parameters declared inside take the scope as a prefix, `layer1.W`; inputs keep their plain names, since they
    are what a compiled program is called with. Scopes nest.

    >>> import graphnn as gn
    >>> with gn.scope("layer1"):
    ...     W = gn.Parameter("W", [[1.0, 2.0]])
    >>> W.name
    'layer1.W'
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        self._outer = _now.scope
        _now.scope = (*self._outer, self._name)

    def __exit__(self, *exception: object) -> None:
        _now.scope = self._outer


class adjoint:  # noqa: N801
    """A context manager around a gradient rule: what is built inside differentiates `node`.

    Inside the gradient of a composite the outermost one counts, since that is the node the user declared.
    """

    def __init__(self, node: _HasBirth) -> None:
        self._birth = node.birth

    def __enter__(self) -> None:
        self._outer = _now.adjoint
        if self._outer is None:
            _now.adjoint = self._birth

    def __exit__(self, *exception: object) -> None:
        _now.adjoint = self._outer


class like:  # noqa: N801
    """A context manager around a rewrite: what is built inside stands for `node`, in its place and order.

    With `inside`, the new nodes are scoped within it: the expansion of a composite is drawn inside its name.
    """

    def __init__(self, node: _HasBirth, inside: str | None = None) -> None:
        birth = node.birth
        self._birth = birth._replace(scope=(*birth.scope, inside)) if inside else birth

    def __enter__(self) -> None:
        self._outer = _now.like
        _now.like = self._birth

    def __exit__(self, *exception: object) -> None:
        _now.like = self._outer


@contextmanager
def standing_in() -> Iterator[Callable[[_HasBirth], None]]:
    """Around the rewriting of many nodes: the function it gives says for which one the next are built, as `like`."""
    outer = _now.like

    def place(node: _HasBirth) -> None:
        _now.like = node.birth

    try:
        yield place
    finally:
        _now.like = outer


class recording:  # noqa: N801
    """A context manager that keeps the nodes built inside: which nodes belong to a body is asked of it.

    >>> import graphnn as gn
    >>> from graphnn.ir.context import recording
    >>> x = gn.Input("x", ())
    >>> with recording() as built:
    ...     y = gn.Exp(x)
    >>> [node.op for node in built]
    ['Exp']
    """

    def __enter__(self) -> list[Any]:
        self._outer = _now.built
        _now.built = []
        return _now.built

    def __exit__(self, *exception: object) -> None:
        if self._outer is not None and _now.built is not None:
            self._outer.extend(_now.built)
        _now.built = self._outer


def built(node: Any) -> None:
    """Tell a recording under way, if there is one, that a node was built."""
    if _now.built is not None:
        _now.built.append(node)


def current_scope() -> tuple[str, ...]:
    """The scopes that are open, outermost first."""
    return _now.scope


def rewriting() -> bool:
    """Is a rewrite or an expansion under way?"""
    return _now.like is not None


def birth(depth: int) -> Birth:
    """The birth of a node whose constructor was called `depth` frames up from here."""
    if _now.like is not None:
        return _now.like
    if _now.adjoint is not None:
        return _now.adjoint  # until it is settled, that of the forward node
    return Birth(_caller(depth + 1), _UNSETTLED, _now.scope, None)


def settle(born: Birth) -> Birth:
    """The birth of a node whose operands are complete: its serial comes after those of nodes built for it meanwhile."""
    if _now.like is not None:
        return born
    forward = _now.adjoint
    return Birth(born[0], next(_serials), born[2], None if forward is None else forward[1])


def _caller(depth: int) -> Origin:
    """The nearest frame outside this package."""
    frame: FrameType | None = sys._getframe(depth)
    while frame is not None and _ours(frame.f_code):
        frame = frame.f_back
    return _origin(frame.f_code.co_filename, frame.f_lineno) if frame is not None else Origin("<unknown>", 0)


@lru_cache(maxsize=4096)
def _origin(file: str, line: int) -> Origin:
    return Origin(file, line)  # one for all nodes that a loop declares


def _ours(code: CodeType) -> bool:
    file = code.co_filename
    return file.startswith(_PACKAGE) or (file == _GENERATED and code.co_name == "__init__")
