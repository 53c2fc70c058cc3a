"""Rewinding: a loop keeps the state from before an epoch, so that a failure can be traced by running it again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from ..errors import NonFiniteError
from ..ir.leaf import Parameter
from ..ir.node import describe

__all__ = ["Rewind", "is_finite"]


class Rewind:
    """The orders of a loop's epochs, and a copy of the parameters from before the epochs that are running now.

    A program takes the order of an epoch from here when the epoch begins, or the orders of several epochs at once when
    it runs them together. Whenever no epoch is running, the parameters are copied before the next order is given.

    With `watched`, every parameter that was finite at the copy must be finite when those epochs are done. The loss
    cannot tell: if the last step of an epoch ruins a parameter, no loss is computed after it.
    """

    def __init__(
        self, parameters: Sequence[Parameter], orders: Iterable[np.ndarray | None], watched: bool = True
    ) -> None:
        self.parameters = tuple(parameters)
        self.watched = watched
        self.finite: tuple[Parameter, ...] = ()
        """The parameters that were finite at the copy."""
        self.first = 0
        """The epoch, counted from 0, before which the parameters were copied."""
        self.since: list[np.ndarray | None] = []
        """The orders given out since the copy."""
        self.done = 0
        """How many epochs are done."""
        self.stopped = False
        """True to give out no further orders."""
        self._orders = orders
        self._kept = [np.empty_like(p.storage) for p in self.parameters]

    def __iter__(self) -> Iterator[np.ndarray | None]:
        for order in self._orders:
            if self.stopped:
                return
            if self.first + len(self.since) == self.done:
                self.keep()
            self.since.append(order)
            yield order

    def keep(self) -> None:
        """Copy the parameters as they are now."""
        self.first, self.since = self.done, []
        self.finite = tuple(p for p in self.parameters if p.dtype.kind == "f" and is_finite(p.storage))
        for kept, parameter in zip(self._kept, self.parameters, strict=True):
            np.copyto(kept, parameter.storage)

    def epoch_done(self, done: int) -> None:
        """Note that so many epochs are done; when none is running any more, check the parameters.

        Raises:
            NonFiniteError: when a parameter that was finite is not finite any more.
        """
        if self.watched and done == self.first + len(self.since):
            ruined = next((p for p in self.finite if not is_finite(p.storage)), None)
            if ruined is not None:
                raise NonFiniteError(f"epoch {done}: {describe(ruined)} is not finite any more.")
        self.done = done

    def restore(self) -> None:
        """Write the copy back into the parameters."""
        for kept, parameter in zip(self._kept, self.parameters, strict=True):
            np.copyto(parameter.storage, kept)


def is_finite(array: np.ndarray) -> bool:
    """Is every element finite? Computed from the extremes, which takes no memory: a NaN makes both of them NaN."""
    return not array.size or bool(np.isfinite(array.min()) and np.isfinite(array.max()))
