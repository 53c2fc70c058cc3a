"""Schedules: factors for the learning rate, as functions of the number of steps taken.

A schedule takes that number as a float64 scalar node, and returns a scalar node. So it is a part of the compiled
training step, and nothing is recompiled when the rate changes. Any function that builds such a node is a schedule;
`tabulated` makes one from a function of numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import pi

import numpy as np

from ..compile import compile
from ..errors import GraphError
from ..ir.leaf import Constant, Input
from ..ir.node import Node
from ..ops.choice import Maximum, Minimum, Where
from ..ops.functions import Floor
from ..ops.indexing import Pick
from ..ops.trigonometry import Cos
from .optim import Schedule

__all__ = ["cosine", "exponential", "one_cycle", "preview", "steps", "tabulated", "warm_up"]


def steps(every: int, factor: float = 0.1) -> Schedule:
    """A factor that is multiplied by `factor` after every `every` steps.

    >>> import graphnn as gn
    >>> gn.schedules.preview(gn.schedules.steps(2, 0.5), 5)
    array([1.  , 1.  , 0.5 , 0.5 , 0.25])
    """
    _positive("steps", every)
    return lambda t: Constant(factor, dtype=t.dtype) ** Floor(t / every)


def exponential(decay: float, every: int = 1) -> Schedule:
    """The factor `decay ** (t / every)` after t steps.

    >>> import graphnn as gn
    >>> gn.schedules.preview(gn.schedules.exponential(0.5), 3)
    array([1.  , 0.5 , 0.25])
    """
    _positive("exponential", every)
    return lambda t: Constant(decay, dtype=t.dtype) ** (t / every)


def cosine(total: int, floor: float = 0.0) -> Schedule:
    """A factor that falls from 1 to `floor` along half a cosine, over `total` steps, and then stays there.

    Source: I. Loshchilov and F. Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, 2017, equation 5.

    >>> import graphnn as gn
    >>> gn.schedules.preview(gn.schedules.cosine(4), 6).round(3)
    array([1.   , 0.854, 0.5  , 0.146, 0.   , 0.   ])
    """
    _positive("cosine", total)

    def schedule(t: Node) -> Node:
        return floor + (1 - floor) * 0.5 * (1 + Cos(pi * _progress(t, total)))

    return schedule


def warm_up(length: int, then: Schedule | None = None) -> Schedule:
    """A factor that rises from 1/length to 1 in `length` steps; then 1, or the schedule `then`, counted from there.

    >>> import graphnn as gn
    >>> gn.schedules.preview(gn.schedules.warm_up(2, gn.schedules.exponential(0.5)), 5)
    array([0.5 , 1.  , 1.  , 0.5 , 0.25])
    """
    _positive("warm_up", length)

    def schedule(t: Node) -> Node:
        later = then(Maximum(t - length, Constant(0.0, dtype=t.dtype))) if then else Constant(1.0, dtype=t.dtype)
        return Where(t < length, (t + 1) / length, later)

    return schedule


def one_cycle(total: int, rise: float = 0.3, first: float = 0.04, last: float = 1e-4) -> Schedule:
    """A factor that rises from `first` to 1 in the fraction `rise` of `total` steps, and falls to `last` in the rest.

    Both follow half a cosine. The learning rate of the optimiser is the peak. Source: L. Smith and N. Topin,
    Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates, 2018.

    >>> import graphnn as gn
    >>> gn.schedules.preview(gn.schedules.one_cycle(10, rise=0.5), 11)[[0, 5, 10]].round(2)
    array([0.04, 1.  , 0.  ])
    """
    _positive("one_cycle", total)
    if not 0 < rise < 1:
        raise GraphError(f"one_cycle: rise is {rise!r}; it is a part of the whole, between 0 and 1.")
    peak = rise * total
    up, down = cosine(1, first), cosine(1, last)

    def schedule(t: Node) -> Node:
        rising = up(1 - Minimum(t / peak, Constant(1.0, dtype=t.dtype)))
        falling = down(Maximum(t - peak, Constant(0.0, dtype=t.dtype)) / (total - peak))
        return Where(t < peak, rising, falling)

    return schedule


def tabulated(function: Callable[[int], float] | Sequence[float], total: int | None = None) -> Schedule:
    """A schedule from a function of the number of steps, computed for the first `total` steps; then its last value.

    It may also be a sequence of factors.

    >>> import graphnn as gn
    >>> gn.schedules.preview(gn.schedules.tabulated(lambda t: 1.0 if t % 2 else 0.5, total=3), 4)
    array([0.5, 1. , 0.5, 0.5])
    """
    if callable(function):
        if total is None:
            raise GraphError("tabulated: say for how many steps the function is to be computed: total=1000.")
        _positive("tabulated", total)
        values = [float(function(t)) for t in range(total)]
    else:
        values = [float(value) for value in function]
        _positive("tabulated", len(values))
    table = np.array(values)

    def schedule(t: Node) -> Node:
        at = Minimum(t, Constant(float(len(table) - 1), dtype=t.dtype)).astype("int64")
        return Pick(Constant(table, dtype=t.dtype), at)

    return schedule


def preview(schedule: Schedule, total: int) -> np.ndarray:
    """The factors of a schedule for the first `total` steps, to look at before training.

    >>> import graphnn as gn
    >>> gn.schedules.preview(gn.schedules.cosine(2), 3).round(3)
    array([1. , 0.5, 0. ])
    """
    t = Input("t", (), dtype="float64")
    factor = compile(schedule(t))
    return np.array([float(factor(t=i)) for i in range(total)])


def _progress(t: Node, total: int) -> Node:
    return Minimum(t / total, Constant(1.0, dtype=t.dtype))


def _positive(name: str, number: int) -> None:
    if not number > 0:
        raise GraphError(f"{name}: {number!r} steps make no schedule; it must be 1 or more.")
