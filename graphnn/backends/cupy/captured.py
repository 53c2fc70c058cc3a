"""Captured steps: CUDA graphs of several steps of a loop, at most of an epoch, each launched by a single call.

A graph keeps the arguments that its kernels had at capture. So kernels read all that changes from step to step, such
as the number of the step, from device memory.
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
"""A graph has at most LONGEST steps, and at most NODES launches unless one step has more. Not measured."""


class Captured:
    """The steps of an epoch as replays, the calls that launch captured graphs.

    `full` holds the launches of a step with a full batch. `odd` holds those of the last step if its batch is smaller,
    else nothing. An epoch has `steps` steps.
    """

    def __init__(self, bound: Bound, full: Sequence[Launched], odd: Sequence[Launched], steps: int) -> None:
        self._device, self._steps = bound.device, steps
        self._device.compile(launch.kernel for launch in (*full, *odd) if isinstance(launch, Launch))
        ready = [[self._device.ready(launch, bound.room.status.ptr) for launch in part] for part in (full, odd)]
        self._warm_up(bound, [*ready[0], *ready[1]])
        self._replays = self._capture(ready[0], ready[1])

    def launch(self, step: int, most: int) -> int:
        """Launch the replay that begins with this step, and return its number of steps.

        A graph cannot be launched in part, so `most`, the number of steps asked for, has no effect.
        """
        replay, count = self._replays[step % self._steps]
        replay()
        return count

    def _warm_up(self, bound: Bound, launches: Sequence[Ready]) -> None:
        """Launch everything once before the capture, so that the driver loads all kernels.

        The status is set to stopped, so kernels return at once and change nothing. Products of the library do not look
        at the status and run all the same. The parameters that they update are fetched before and restored after.
        """
        bound.fetch_updates()
        self._device.upload(bound.room.status.ptr, np.array([-1, 0], np.int64))
        self._device.run(launches)
        self._device.synchronize()
        bound.send_parameters()

    def _capture(self, full: Sequence[Ready], odd: Sequence[Ready]) -> dict[int, tuple[Replay, int]]:
        """Each replay and its number of steps, by the number in the epoch of the step that it begins with."""
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
