"""Averages of weights: an exponential moving average of the parameters, computed by the training step itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from ..errors import GraphError
from ..ir.leaf import Parameter
from ..ir.node import Node

__all__ = ["Average"]


class Average:
    """An exponential moving average of weights: `Average(decay=0.999)`.

    After each step, `a <- decay * a + (1 - decay) * p` with the new p; at first, a is p. `updates` adds these updates
    to those of an optimiser. Inside a `with` block of `applied`, the parameters have the averages as their values.
    Source: B. Polyak and A. Juditsky, Acceleration of Stochastic Approximation by Averaging, 1992.

    Raises:
        GraphError: when `decay` does not lie between 0 and 1.

    >>> import graphnn as gn
    >>> w = gn.Parameter("w", 1.0)
    >>> average = gn.Average(decay=0.5)
    >>> step = gn.compile(w * w, average.updates(gn.SGD(lr=0.25).updates(w * w)))
    >>> _ = step(); float(w.value)
    0.5
    >>> with average.applied():
    ...     float(w.value)
    0.75
    """

    def __init__(self, decay: float = 0.999) -> None:
        if not 0 < decay < 1:
            raise GraphError(f"Average: decay is {decay!r}; it lies between 0 and 1.")
        self.decay = decay
        self.averages: dict[Parameter, Parameter] = {}
        """For each trainable parameter, the parameter that holds its average."""

    def updates(self, updates: Mapping[Parameter, Node]) -> dict[Parameter, Node]:
        """The updates, and those of the averages of all trainable parameters."""
        extended = dict(updates)
        for parameter, node in updates.items():
            if parameter.trainable:
                held = self.averages.get(parameter)
                if held is None:
                    name = f"{parameter.name}.average"
                    held = Parameter(name, parameter.value, dtype=parameter.dtype, trainable=False)
                    self.averages[parameter] = held
                extended[held] = self.decay * held + (1 - self.decay) * node
        return extended

    @contextmanager
    def applied(self) -> Iterator[None]:
        """A context manager inside which the parameters have their averages as values."""
        kept = {parameter: parameter.value for parameter in self.averages}
        try:
            for parameter, held in self.averages.items():
                np.copyto(parameter.storage, held.storage)
            yield
        finally:
            for parameter, value in kept.items():
                np.copyto(parameter.storage, value)
