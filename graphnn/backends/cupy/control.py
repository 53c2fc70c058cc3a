"""Control: loops and branches as launches: a loop's turns one after the other, a branch's behind a gate.

How often a loop turns is known once sizes are, so its turns are written out, and captured with everything else. Which
branch is taken is known on the device alone: both are launched, and a kernel does nothing where the word that it takes
for the program's status is not 0. Each branch has such a word of its own, its gate. Products of the library do not ask
for it: those of the branch that is not taken are computed too, into memory of that branch.
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
"""Two words for each choice: 0 in that of the branch taken."""


def lower_turns(loop: Turns, places: range, body: Sequence[Launched], at: Site) -> Iterator[Launched]:
    """A loop over a body, through places in their order."""
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
    """One of two branches, by a condition: the first where it is true."""
    gates = np.zeros(2, np.int64)
    yield launch(_open_kernel(), [at(gates), at(condition)], 1)
    for i, (branch, end) in enumerate(zip(branches, ends, strict=True)):
        yield from _behind(at(gates[i : i + 1]), [*branch, *_copied(end, at)])
    yield launch(_close_kernel(), [at(gates)], 1)


def _copied(copies: Iterable[Copy], at: Site) -> Iterator[Launched]:
    for shape, target, source in copies:
        yield from copy(shape, target, source, at)


def _behind(gate: int, launches: Iterable[Launched]) -> Iterator[Launched]:
    """Launches that ask a gate instead of the status; those that ask a gate within it do so already."""
    for launched in launches:
        if isinstance(launched, Multiply) or launched.gate:
            yield launched
        else:
            yield replace(launched, gate=gate)


@cache
def _open_kernel() -> Kernel:
    """Opens the gate of the branch taken: always, for a gate must not stand open from the step before."""
    w = Writer()
    gates, condition = w.pointer(np.dtype(np.int64), written=True), w.pointer(np.dtype(bool))
    w.line("if (threadIdx.x) return;")
    w.line(f"{gates}[0] = *status || !*{condition} ? -1 : 0;")
    w.line(f"{gates}[1] = *status || *{condition} ? -1 : 0;")
    return w.kernel()


@cache
def _close_kernel() -> Kernel:
    """Brings the code of a check that failed behind a gate to the status."""
    w = Writer()
    gates = w.pointer(np.dtype(np.int64))
    w.thread("1")
    for i in range(2):
        w.line(f"if ({gates}[{i}] > 0) *status = {gates}[{i}];")
    return w.kernel()
