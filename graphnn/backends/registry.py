"""The backends by name, and whether each works on this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from ..errors import BackendError
from ..plan.memory import Plan
from ..transform.passes import Pass
from . import numpy as on_numpy
from .program import Program

__all__ = ["Backend", "backends", "find_backend"]


@dataclass(frozen=True)
class Backend:
    """A way to run plans: its passes, its binding, and why it does not work here, if so."""

    passes: Sequence[Pass]
    bind: Callable[[Plan, str | None], Program]
    problem: Callable[[], str | None]
    precisions: Mapping[str, Callable[[Plan, str | None], Program]] = field(default_factory=dict)
    """The same with products of float32 computed in another precision, by its name."""
    begin: Callable[[Plan, str | None], Program] | None = None
    """Binds a program that runs at once, and better when what it needs has been compiled: `wait=False`."""


def _works() -> None:
    return None


def _native() -> Backend:
    from . import native  # a door: a program on NumPy need not wait for it

    return Backend(native.PASSES, native.bind, native.problem, begin=native.begin)


def _cupy() -> Backend:
    from . import cupy  # a door, as above

    precisions = {name: partial(cupy.bind, precision=name) for name in cupy.PRECISIONS if name != "float32"}
    return Backend(cupy.PASSES, cupy.bind, cupy.problem, precisions)


_BACKENDS: dict[str, Callable[[], Backend]] = {
    "numpy": lambda: Backend(on_numpy.PASSES, on_numpy.bind, _works),
    "native": _native,
    "cupy": _cupy,
}


def backends() -> dict[str, str]:
    """Each backend by name: "ok", or the reason why it does not work here.

    >>> import graphnn as gn
    >>> gn.backends()["numpy"]
    'ok'
    """
    return {name: backend().problem() or "ok" for name, backend in _BACKENDS.items()}


def find_backend(name: str) -> Backend:
    """The backend of that name.

    Raises:
        BackendError: when there is none of that name, or it does not work here.
    """
    if name not in _BACKENDS:
        raise BackendError(f"there is no backend {name!r}: choose one of {', '.join(map(repr, _BACKENDS))}.")
    backend = _BACKENDS[name]()
    problem = backend.problem()
    if problem:
        raise BackendError(f"backend {name!r}: {problem}.")
    return backend
