"""Control: loops and branches of a graph, as kernels that run tapes.

The tape of a body holds the body's kernel calls, and the copies of its inputs and results before and after them. The
turns of a loop share one tape: they differ only in the slices that are copied. So the words that hold the addresses of
these slices are set anew before each turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...ops.turns import Copy, Turns
from ..works import Work
from .driver import move_words, walk
from .maps import copy
from .parts import Part
from .tape import Invocation, Tape, address_of
from .writer import Writer

if TYPE_CHECKING:
    from .bound import BoundBody

__all__ = ["Inside", "lower_branches", "lower_turns"]


@dataclass(frozen=True)
class Inside:
    """A step with bodies: the calls that carry it out, and the tape of each body."""

    calls: tuple[Invocation, ...]
    bodies: Sequence[BoundBody]
    parts: Sequence[Part]
    stopped: np.ndarray
    """A word into which the kernel writes the number of the entry that stopped it.

    The entries of the first tape are 1, 2, and so on; those of the second are -1, -2, and so on.
    """

    def fail(self) -> None:
        """Raise the error of the check that stopped the kernel."""
        entry = int(self.stopped[0])
        taken = 0 if entry > 0 else 1
        self.bodies[taken].fail(self.parts[taken].works[abs(entry) - 1])


def lower_turns(loop: Turns, places: range, body: BoundBody) -> Inside:
    """The calls of a loop, which runs its body for each place in order."""
    begin, moves, end = (_copies(copies) for copies in (loop.begin, loop.moves, loop.end))
    stopped = np.zeros(1, np.int64)
    if not places:
        return Inside((*begin, *end), [], [], stopped)
    first, by = places[0], places.step
    feeds = [
        _Slice(call, _FROM, by * x.strides[0]) for shape, to, x in loop.feeds for call in copy(shape, to, x[first, ...])
    ]
    stacked = [
        _Slice(call, _TO, by * to.strides[0])
        for shape, to, y in loop.stacked
        for call in copy(shape, to[first, ...], y)
    ]
    part = _part([s.call for s in feeds], body, [*(s.call for s in stacked), *moves])
    after = len(part.tape) - len(moves) - len(stacked)
    table: list[int] = []
    for entry, moving in (*enumerate(feeds), *enumerate(stacked, after)):
        table += [part.tape.where(entry, moving.word), moving.call.words[moving.word], moving.stride]
    told = [address_of(stopped), *_told(part), len(places), len(feeds) + len(stacked), *table]
    return Inside((*begin, Invocation(turns_kernel(), told), *end), [body], [part], stopped)


def lower_branches(condition: np.ndarray, ends: Sequence[list[Copy]], branches: Sequence[BoundBody]) -> Inside:
    """The calls of a step that runs one of two branches: the first if the condition is true."""
    stopped = np.zeros(1, np.int64)
    parts = [_part([], branch, _copies(end)) for branch, end in zip(branches, ends, strict=True)]
    told = [address_of(stopped), address_of(condition), *(word for part in parts for word in _told(part))]
    return Inside((Invocation(branch_kernel(), told),), branches, parts, stopped)


_TO, _FROM = 0, 1
"""The positions, among the words of a copy, of the addresses it copies to and from."""


class _Slice(NamedTuple):
    """The copy of a slice, the position of the word that moves, and the bytes it moves in each turn."""

    call: Invocation
    word: int
    stride: int


def _copies(copies: Iterable[Copy]) -> list[Invocation]:
    return [call for shape, target, source in copies for call in copy(shape, target, source)]


def _part(before: Sequence[Invocation], body: BoundBody, after: Sequence[Invocation]) -> Part:
    """The tape of a body all of whose works are kernels, with copies before and after it."""
    works: list[Work[Invocation]] = [
        Work(None, tuple(before)),
        *body.works_before,
        *body.works_after,
        Work(None, tuple(after)),
    ]
    entries = [(call, work) for work in works for call in work.kernels]
    return Part(Tape([call for call, _ in entries]), [work for _, work in entries], body.plan)


def _told(part: Part) -> tuple[int, int]:
    """The words by which a kernel knows a tape: the address of its entries, and their number."""
    return int(address_of(part.tape.entries)), len(part.tape)


@cache
def turns_kernel() -> str:
    """The kernel that calls a tape's kernels in each turn of a loop. Its words, in order:

    - the address of the word for the number of the entry that stopped it
    - the tape's address, and its number of entries
    - the number of turns
    - the number of the tape's words that move
    - for each of these, its address, its value in the first turn, and the bytes it moves in each turn
    """
    w = Writer()
    stopped, tape, count, turns, moving = w.word("ptr"), w.word("ptr"), w.word(), w.word(), w.word()
    table = w.offset("%words", (str(w.words), 8))
    with w.loop(turns) as turn:
        move_words(w, table, moving, turn)
        walk(w, tape, count, lambda index: _leave(w, stopped, index, "1"))
    return w.text()


@cache
def branch_kernel() -> str:
    """The kernel that calls the kernels of one of two tapes. Its words, in order:

    - the address of the word for the number of the entry that stopped it
    - the address of the condition, which is one byte
    - the address and the number of entries of the tape for true, then of the tape for false
    """
    w = Writer()
    stopped, condition = w.word("ptr"), w.word("ptr")
    (tape, count), (other, others) = ((w.word("ptr"), w.word()) for _ in range(2))
    holds = w.put(f"icmp ne i8 {w.put(f'load i8, ptr {condition}')}, 0")
    taken = w.put(f"select i1 {holds}, ptr {tape}, ptr {other}")
    length = w.put(f"select i1 {holds}, i64 {count}, i64 {others}")
    sign = w.put(f"select i1 {holds}, i64 1, i64 -1")
    walk(w, taken, length, lambda index: _leave(w, stopped, index, sign))
    return w.text()


def _leave(w: Writer, stopped: str, index: str, sign: str) -> None:
    """Write the number of the entry that stopped the program, and return 1, which stops it."""
    entry = w.put(f"mul nsw i64 {w.put(f'add nsw i64 {index}, 1')}, {sign}")
    w.do(f"store i64 {entry}, ptr {stopped}, align 8")
    w.do("ret i64 1")
