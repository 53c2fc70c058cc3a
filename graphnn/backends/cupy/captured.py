"""Captured steps: one step, and a row of them up to a whole epoch, as graphs that one call launches.

Graphs keep the words they were captured with: what changes from step to step is read from device memory.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .bound import Bound
from .device import Ready, Replay
from .lower import Launched
from .writer import Launch

__all__ = ["Captured"]

LONGEST, NODES = 64, 16384
"""So many steps are captured as one replay, at most, and so many launches unless a step has more. Not measured."""


class Captured:
    """The steps of an epoch as replays; the last step is another one where its batch is."""

    def __init__(self, bound: Bound, full: Sequence[Launched], odd: Sequence[Launched], steps: int) -> None:
        self._device, self._steps = bound.device, steps
        self._device.compile(launch.kernel for launch in (*full, *odd) if isinstance(launch, Launch))
        ready = [[self._device.ready(launch, bound.room.status.ptr) for launch in part] for part in (full, odd)]
        self._warm_up(bound, [*ready[0], *ready[1]])
        self._replays = self._capture(ready[0], ready[1])

    def launch(self, step: int, most: int) -> int:
        """Launch the replay that begins with a step: all of it, for a graph has no parts."""
        replay, count = self._replays[step % self._steps]
        replay()
        return count

    def _warm_up(self, bound: Bound, launches: Sequence[Ready]) -> None:
        """Launch everything once with the program stopped, so that nothing happens but that kernels are loaded.

        Products of the library happen all the same: what they have updated is put back.
        """
        bound.fetch_updates()
        self._device.upload(bound.room.status.ptr, np.array([-1, 0], np.int64))
        self._device.run(launches)
        self._device.synchronize()
        bound.send_parameters()

    def _capture(self, full: Sequence[Ready], odd: Sequence[Ready]) -> dict[int, tuple[Replay, int]]:
        """By the step that it begins with in an epoch, each replay and its number of steps."""
        whole = self._steps - bool(odd)

        def capture(times: int, last: Sequence[Ready]) -> Replay:
            def body() -> None:
                for _ in range(times):
                    self._device.run(full)
                self._device.run(last)

            return self._device.capture(body)

        longest = max(1, min(LONGEST, NODES // len(full)))
        if self._steps <= longest:
            return {0: (capture(whole, odd), self._steps)}
        many, rest = divmod(whole, longest)
        replay = capture(longest, ())
        found = {i * longest: (replay, longest) for i in range(many)}
        if rest or odd:
            found[many * longest] = capture(rest, odd), rest + bool(odd)
        return found
