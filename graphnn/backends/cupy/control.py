"""Control: loops and branches as launches.

The number of turns of a loop follows from the sizes. So its turns are launched one after the other, and captured with
everything else. Which branch is taken is known only on the device, so the launches of both branches are made. Every
kernel looks at a word and does nothing unless it is 0. Usually this word is the status of the program. For the kernels
of a branch it is the branch's gate, which is 0 if the branch is taken. Products of the library do not look at it, so
those of the branch that is not taken are computed too, into memory of that branch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from ...ops.turns import Copy, Turns
from .lower import Launched, copy
from .site import Multiply, Site
from .writer import Kernel, Writer, launch

__all__ = ["GATES_BYTES", "lower_branches", "lower_turns"]

GATES_BYTES = 16
"""The bytes of the gates of a `Cond`: a word for each branch, which is 0 for the branch that is taken."""


def lower_turns(loop: Turns, places: range, body: Sequence[Launched], at: Site) -> Iterator[Launched]:
    """The launches of a loop: those of its body, for each index in `places` in turn."""
    yield from _copied(loop.begin, at)
    moves = [*_copied(loop.moves, at)]
    for place in places:
        yield from _copied((Copy(shape, to, x[place, ...]) for shape, to, x in loop.feeds), at)
        yield from body
        yield from _copied((Copy(shape, to[place, ...], y) for shape, to, y in loop.stacked), at)
        yield from moves
    yield from _copied(loop.end, at)


def lower_branches(
    condition: np.ndarray, branches: Sequence[Sequence[Launched]], ends: Sequence[list[Copy]], at: Site
) -> Iterator[Launched]:
    """The launches of both branches of a `Cond`, each behind its gate. The first is taken if the condition is true."""
    gates = np.zeros(2, np.int64)
    yield launch(_open_kernel(), [at(gates), at(condition)], 1)
    for i, (branch, end) in enumerate(zip(branches, ends, strict=True)):
        yield from _behind(at(gates[i : i + 1]), [*branch, *_copied(end, at)])
    yield launch(_close_kernel(), [at(gates)], 1)


def _copied(copies: Iterable[Copy], at: Site) -> Iterator[Launched]:
    for shape, target, source in copies:
        yield from copy(shape, target, source, at)


def _behind(gate: int, launches: Iterable[Launched]) -> Iterator[Launched]:
    """The launches, made to look at a gate instead of the status. Those of an inner branch keep their own gate."""
    for launched in launches:
        if isinstance(launched, Multiply) or launched.gate:
            yield launched
        else:
            yield replace(launched, gate=gate)


@cache
def _open_kernel() -> Kernel:
    """Opens the gate of the branch that is taken, and closes the other.

    It runs even when a check has stopped the program, and then closes both: one may be open from the step before.
    """
    w = Writer()
    gates, condition = w.pointer(np.dtype(np.int64), written=True), w.pointer(np.dtype(bool))
    w.line("if (threadIdx.x) return;")
    w.line(f"{gates}[0] = *status || !*{condition} ? -1 : 0;")
    w.line(f"{gates}[1] = *status || *{condition} ? -1 : 0;")
    return w.kernel()


@cache
def _close_kernel() -> Kernel:
    """Copies into the status the code that a failed check of a branch has left in its gate."""
    w = Writer()
    gates = w.pointer(np.dtype(np.int64))
    w.thread("1")
    for i in range(2):
        w.line(f"if ({gates}[{i}] > 0) *status = {gates}[{i}];")
    return w.kernel()
