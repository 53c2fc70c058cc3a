"""Where a node comes from: the user's source line, the scope, and the node that it differentiates or replaces.

A node is built in one of three situations. If several apply, the innermost counts:

- in a call of the user: the origin is the user's line, and the serial is new;
- in a gradient rule (`adjoint(node)`): origin and scope are those of the forward node, the serial is new, and
  `adjoint_of` is the serial of the forward node;
- in a rewrite (`like(node)`): everything is as in the node that is replaced. The serial is too, so that listings keep
  their order.
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

from ..errors import GraphError

__all__ = ["Origin", "Birth", "scope", "adjoint", "like", "standing_in", "recording", "birth"]

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_GENERATED = "<string>"  # where dataclasses compile the constructors they write
_UNSETTLED = -1
_serials = count()


class Origin(NamedTuple):
    """The file and line of the user's source that declared a node."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{os.path.basename(self.file)}:{self.line}"


class Birth(NamedTuple):
    """What a node remembers about where it comes from."""

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

    Parameters that are declared inside get the scope as a prefix, as in `layer1.W`. Inputs keep their plain names,
    since a compiled program is called with those. Scopes can be nested.

    Raises:
        GraphError: when the name is not a string, or empty.

    >>> import graphnn as gn
    >>> with gn.scope("layer1"):
    ...     W = gn.Parameter("W", [[1.0, 2.0]])
    >>> W.name
    'layer1.W'
    """

    def __init__(self, name: str) -> None:
        if not isinstance(name, str) or not name:
            raise GraphError(f"scope: the name is a string, as in gn.scope('layer1'); got {name!r}.")
        self._name = name

    def __enter__(self) -> None:
        self._outer = _now.scope
        _now.scope = (*self._outer, self._name)

    def __exit__(self, *exception: object) -> None:
        _now.scope = self._outer


class adjoint:  # noqa: N801
    """A context manager for gradient rules: the nodes that are built inside differentiate `node`.

    If several are nested, as in the gradient of a composite, the outermost counts: that is the node the user declared.
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
    """A context manager for rewrites: the nodes that are built inside take the position and origin of `node`.

    With `inside`, they are in a scope of that name too: a picture shows the expansion of a composite in a box.
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
    """A context manager for rewriting many nodes, as `like`: it gives a function that sets the node, each time anew."""
    outer = _now.like

    def place(node: _HasBirth) -> None:
        _now.like = node.birth

    try:
        yield place
    finally:
        _now.like = outer


class recording:  # noqa: N801
    """A context manager that lists the nodes that are built inside, such as those that belong to a body.

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
    """Add a node to the list of the current `recording`, if there is one."""
    if _now.built is not None:
        _now.built.append(node)


def current_scope() -> tuple[str, ...]:
    """The scopes that are open, outermost first."""
    return _now.scope


def rewriting() -> bool:
    """Is a node built now part of a rewrite or an expansion?"""
    return _now.like is not None


def birth(depth: int) -> Birth:
    """The birth of a node whose constructor was called `depth` frames up from here."""
    if _now.like is not None:
        return _now.like
    if _now.adjoint is not None:
        return _now.adjoint  # that of the forward node, until `settle`
    return Birth(_caller(depth + 1), _UNSETTLED, _now.scope, None)


def settle(born: Birth) -> Birth:
    """The birth with its serial, taken once the operands are complete: they may have been built since `birth`."""
    if _now.like is not None:
        return born
    forward = _now.adjoint
    return Birth(born[0], next(_serials), born[2], None if forward is None else forward[1])


def _caller(depth: int) -> Origin:
    """The line in the nearest frame outside this package."""
    frame: FrameType | None = sys._getframe(depth)
    while frame is not None and _ours(frame.f_code):
        frame = frame.f_back
    return _origin(frame.f_code.co_filename, frame.f_lineno) if frame is not None else Origin("<unknown>", 0)


@lru_cache(maxsize=4096)
def _origin(file: str, line: int) -> Origin:
    return Origin(file, line)  # one object for all nodes that a line declares


def _ours(code: CodeType) -> bool:
    file = code.co_filename
    return file.startswith(_PACKAGE) or (file == _GENERATED and code.co_name == "__init__")
