"""Initial values of weights: functions that draw them, with a variance that suits the size and the activation."""

from __future__ import annotations

from collections.abc import Callable
from math import prod, sqrt
from typing import TypeAlias

import numpy as np

__all__ = ["Init", "he", "normal", "xavier"]

Init: TypeAlias = Callable[[tuple[int, ...], np.random.Generator], np.ndarray]
"""A function that takes a shape and a random generator, and returns the first value of a weight."""


def xavier(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Normal values with variance 2 / (fan in + fan out): for layers before tanh, sigmoid or softmax.

    Source: X. Glorot and Y. Bengio, Understanding the difficulty of training deep feedforward neural networks, 2010,
    equation 12.

    >>> import graphnn as gn, numpy as np
    >>> round(float(gn.nn.xavier((300, 100), np.random.default_rng(0)).std()), 2)
    0.07
    """
    fan_in, fan_out = _fans(shape)
    return sqrt(2 / (fan_in + fan_out)) * rng.normal(size=shape)


def he(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Normal values with variance 2 / fan in: for layers before rectifiers.

    Source: K. He, X. Zhang, S. Ren and J. Sun, Delving Deep into Rectifiers, 2015, equation 10.

    >>> import graphnn as gn, numpy as np
    >>> round(float(gn.nn.he((200, 100), np.random.default_rng(0)).std()), 2)
    0.1
    """
    return sqrt(2 / _fans(shape)[0]) * rng.normal(size=shape)


def normal(deviation: float = 0.01) -> Init:
    """Normal values with a given standard deviation.

    >>> import graphnn as gn, numpy as np
    >>> round(float(gn.nn.normal(0.5)((1000,), np.random.default_rng(0)).std()), 1)
    0.5
    """
    return lambda shape, rng: deviation * rng.normal(size=shape)


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Fan in and fan out: how many values a weight (in, out) or a kernel (out, in, ...) reads, and how many read it."""
    if len(shape) < 2:
        return prod(shape) or 1, 1
    if len(shape) == 2:
        return shape
    window = prod(shape[2:])
    return shape[1] * window, shape[0] * window
