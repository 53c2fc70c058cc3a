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
    """A way to run plans: its passes, the function that binds a plan, and the reason if it does not work here."""

    passes: Sequence[Pass]
    bind: Callable[[Plan, str | None], Program]
    problem: Callable[[], str | None]
    precisions: Mapping[str, Callable[[Plan, str | None], Program]] = field(default_factory=dict)
    """Functions that bind a plan with float32 products in another precision, by the name of the precision."""
    begin: Callable[[Plan, str | None], Program] | None = None
    """For `wait=False`: binds a program that runs at once, and faster when its kernels have been compiled."""


def _works() -> None:
    return None


def _native() -> Backend:
    from . import native  # a door: programs on NumPy need not wait for it

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
    """For each backend by name: "ok", or the reason why it does not work here.

    >>> import graphnn as gn
    >>> gn.backends()["numpy"]
    'ok'
    """
    return {name: backend().problem() or "ok" for name, backend in _BACKENDS.items()}


def find_backend(name: str) -> Backend:
    """The backend of that name.

    Raises:
        BackendError: when there is no such backend, or when it does not work here.
    """
    if name not in _BACKENDS:
        raise BackendError(f"there is no backend {name!r}: choose one of {', '.join(map(repr, _BACKENDS))}.")
    backend = _BACKENDS[name]()
    problem = backend.problem()
    if problem:
        raise BackendError(f"backend {name!r}: {problem}.")
    return backend
