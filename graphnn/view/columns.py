"""Columns: the position of each box along the flow, by longest path, with partners in one column.

The forward half flows from left to right. In a picture of both halves, the backward half flows from right to left, and
a gradient is in the column of the node that it differentiates. An update is in the column of the gradient that it
reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heapify, heappop, heappush

from .picture import Arrow, Box, Picture

__all__ = ["columns"]


def columns(shown: Picture, view: str) -> dict[Box, int]:
    """The column of each box, from 0. In a cycle, which closed scopes can cause, the earliest box comes first."""
    mirrored = view == "both"
    place = {box: i for i, box in enumerate(shown.boxes)}
    one = list(range(len(place)))  # which boxes share a column: each that of the first of them
    for forward, backward in shown.partners if mirrored else ():
        one[place[backward]] = place[forward]
    after: list[set[int]] = [set() for _ in one]
    for arrow in shown.arrows:
        tail, head = one[place[arrow.tail]], one[place[arrow.head]]
        if mirrored and (arrow.head.half != arrow.tail.half or arrow.head.half == "update"):
            continue
        if mirrored and arrow.head.half == "backward":
            tail, head = head, tail
        if tail != head:
            after[tail].add(head)
    found = _pulled_in(_longest(after), after)
    if view == "backward":
        found = [max(found, default=0) - column for column in found]
    column = {box: found[one[i]] for box, i in place.items()}
    if mirrored and (updates := [box for box in shown.boxes if box.half == "update"]):
        column |= _beneath(updates, shown.arrows, column)
    left = min(column.values(), default=0)
    return {box: at - left for box, at in column.items()}


def _beneath(updates: Sequence[Box], arrows: Sequence[Arrow], column: Mapping[Box, int]) -> dict[Box, int]:
    """The columns of updates, from the gradients that they read: what follows to the left, what else leads there right.

    What follows several stands left of the one that is read least by others: its own chain, not a factor for all.
    """
    reads: dict[Box, list[Box]] = {box: [] for box in updates}
    users: dict[Box, list[Box]] = {box: [] for box in updates}
    for tail, head, _ in arrows:
        if head in reads:
            reads[head].append(tail)
            if tail in users:
                users[tail].append(head)
    found: dict[Box, int] = {}
    for box in updates:
        above = [column[tail] for tail in reads[box] if tail not in users]
        before = [tail for tail in reads[box] if tail in found]
        if above:
            found[box] = min(above)
        elif before:
            found[box] = found[min(before, key=lambda tail: len(users[tail]))] - 1
    for box in reversed(updates):
        if box not in found:
            found[box] = max((found[head] for head in users[box] if head in found), default=-1) + 1
    return found


def _longest(after: Sequence[set[int]]) -> list[int]:
    """The length of the longest path to each box."""
    waiting = [0] * len(after)
    for heads in after:
        for head in heads:
            waiting[head] += 1
    ready = [i for i, count in enumerate(waiting) if not count]
    found, done, earliest = [0] * len(after), [False] * len(after), 0
    heapify(ready)
    for _ in after:
        while not ready and done[earliest]:
            earliest += 1
        tail = heappop(ready) if ready else earliest
        done[tail] = True
        for head in after[tail]:
            waiting[head] -= 1
            if not done[head]:
                found[head] = max(found[head], found[tail] + 1)
                if not waiting[head]:
                    heappush(ready, head)
        while ready and done[ready[0]]:
            heappop(ready)
    return found


def _pulled_in(found: Sequence[int], after: Sequence[set[int]]) -> list[int]:
    """Each box as late as its users allow, right before the first of them. A box without users stays."""
    late = list(found)
    for i in sorted(range(len(found)), key=lambda i: -found[i]):
        users = [late[head] for head in after[i] if found[head] > found[i]]
        late[i] = min(users) - 1 if users else found[i]
    return late


def in_order(found: Mapping[Box, int]) -> list[list[Box]]:
    """The boxes of each column."""
    rows: list[list[Box]] = [[] for _ in range(max(found.values(), default=-1) + 1)]
    for box, column in found.items():
        rows[column].append(box)
    return rows
