"""Large pictures, made small: scopes closed into one box each, and runs of equal ones into one.

A picture goes in and a picture comes out, so every language that draws one draws these too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from ..errors import RenderError
from .picture import Arrow, Box, Picture, Place

__all__ = ["collapse"]

_MANY = 200
"""Up to so many boxes are drawn as they are when no depth is asked for."""
_FEW = 60
"""What is closed by itself is opened no further than so many boxes: an overview to be read at a glance."""
_CLOSE = ("scope", "body")
"""Frames that close."""
_RUN = 3
"""From so many on, equal scopes that follow each other are one box."""


class _Scope(NamedTuple):
    """A closed scope: the frames around it and its own, what stands in it, and what tells it from its siblings."""

    place: Place
    boxes: tuple[Box, ...]
    alike: tuple[object, ...]


def collapse(shown: Picture, depth: int | None) -> Picture:
    """The picture with scopes open to a depth: 0 closes all of them, 1 opens the outermost ones, and so on.

    Without a depth, a picture of up to 200 boxes stays as it is, and a larger one opens as far as 60 boxes allow.
    At least three neighbours of the same structure are drawn as one, with their number: `× 96`.

    Raises:
        RenderError: when depth is not a number from 0 on.
    """
    if depth is not None:
        if not isinstance(depth, int) or depth < 0:
            raise RenderError(f"depth is {depth!r}; it is the number of nested scopes to open, from 0 on.")
        return _closed(shown, depth)
    if len(shown.boxes) <= _MANY:
        return shown
    found = _closed(shown, 0)
    for more in range(1, max(_scopes(box.place) for box in shown.boxes)):
        wider = _closed(shown, more)
        if len(wider.boxes) > _FEW:
            break
        found = wider
    return found


def _scopes(place: Place) -> int:
    return sum(frame.kind in _CLOSE for frame in place)


def _closed(shown: Picture, depth: int) -> Picture:
    inside: dict[Place, list[Box]] = {}
    for box in shown.boxes:
        if _scopes(box.place) > depth:
            inside.setdefault(_outermost(box.place, depth), []).append(box)
    if not inside:
        return shown
    stands_for: dict[Box, Box] = {}
    for run in _acyclic(_runs(_described(inside, shown.arrows)), shown.arrows):
        box = _one_box(run)
        stands_for.update((member, box) for scope in run for member in scope.boxes)
    boxes = tuple(dict.fromkeys(stands_for.get(box, box) for box in shown.boxes))
    scopes = {tuple(frame for frame in place if frame.kind in _CLOSE) for place in inside}
    many = "1 scope is" if len(scopes) == 1 else f"{len(scopes)} scopes are"
    closed = f"{many} closed: depth={depth + 1} opens one level more."
    return shown._replace(
        boxes=boxes,
        arrows=_arrows(shown.arrows, stands_for),
        partners=_partners(shown.partners, stands_for),
        remark=f"{shown.remark}  {closed}".lstrip(),
    )


def _outermost(place: Place, depth: int) -> Place:
    """The frames around a box as far as the scope that is closed, inclusive."""
    at = [i for i, frame in enumerate(place) if frame.kind in _CLOSE][depth]
    return place[: at + 1]


def _described(inside: Mapping[Place, Sequence[Box]], arrows: Sequence[Arrow]) -> list[_Scope]:
    where = {box: (place, i) for place, boxes in inside.items() for i, box in enumerate(boxes)}
    within: dict[Place, list[tuple[int, int]]] = {place: [] for place in inside}
    for tail, head, _ in arrows:
        if tail in where and head in where and where[tail][0] == where[head][0]:
            within[where[tail][0]].append((where[tail][1], where[head][1]))
    return [
        _Scope(place, tuple(boxes), (tuple(box.what for box in boxes), tuple(within[place])))
        for place, boxes in inside.items()
    ]


def _runs(scopes: Sequence[_Scope]) -> list[tuple[_Scope, ...]]:
    """Neighbours of the same structure, together where they are enough."""
    found: list[tuple[_Scope, ...]] = []
    for _, equal in groupby(scopes, key=lambda scope: (scope.place[:-1], scope.alike)):
        run = tuple(equal)
        found += [run] if len(run) >= _RUN else [(scope,) for scope in run]
    return found


def _acyclic(runs: Sequence[tuple[_Scope, ...]], arrows: Sequence[Arrow]) -> list[tuple[_Scope, ...]]:
    """The runs, apart again where what stands between two of a run would both follow and precede their one box."""
    run_of = {box: i for i, run in enumerate(runs) for scope in run for box in scope.boxes}
    follows: list[set[Box]] = [set() for _ in runs]
    precedes: list[set[Box]] = [set() for _ in runs]
    for tail, head, _ in arrows:
        one, other = run_of.get(tail), run_of.get(head)
        if one is not None and one != other:
            follows[one].add(head)
        if other is not None and one != other:
            precedes[other].add(tail)
    found: list[tuple[_Scope, ...]] = []
    for run, after, before in zip(runs, follows, precedes, strict=True):
        found += [run] if after.isdisjoint(before) else [(scope,) for scope in run]
    return found


def _one_box(run: Sequence[_Scope]) -> Box:
    first, last = run[0], run[-1]
    members, name = len(first.boxes), first.place[-1].text
    nodes = f"{members} node{'s' if members > 1 else ''}"
    text = (f"{name} … {last.place[-1].text}", f"× {len(run)}", f"{nodes} each") if len(run) > 1 else (name, nodes)
    one = first.boxes[0]
    output = any(box.output for scope in run for box in scope.boxes)
    inside = tuple(node for scope in run for box in scope.boxes for node in box.nodes)
    return Box(one.id, one.half, one.half, text, first.place[:-1], output, name, inside)


def _arrows(arrows: Sequence[Arrow], stands_for: Mapping[Box, Box]) -> tuple[Arrow, ...]:
    """Those between what is still drawn; what they say is said where both ends are."""
    found: dict[tuple[Box, Box, str], Arrow] = {}
    for tail, head, text in arrows:
        one, other = stands_for.get(tail, tail), stands_for.get(head, head)
        said = text if other is head else ""
        if one is not other:
            found.setdefault((one, other, said), Arrow(one, other, said))
    return tuple(found.values())


def _partners(partners: Sequence[tuple[Box, Box]], stands_for: Mapping[Box, Box]) -> tuple[tuple[Box, Box], ...]:
    """Each box once: a closed scope faces the first that faced one of its own."""
    found: list[tuple[Box, Box]] = []
    taken: set[Box] = set()
    for forward, backward in partners:
        pair = stands_for.get(forward, forward), stands_for.get(backward, backward)
        if taken.isdisjoint(pair):
            taken.update(pair)
            found.append(pair)
    return tuple(found)
