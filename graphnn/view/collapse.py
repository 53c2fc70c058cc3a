"""Large pictures made small: each closed scope becomes a single box, and a run of equal boxes becomes one.

The functions here take a picture and return a picture, so that all formats can draw the result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from ..errors import RenderError
from .picture import Arrow, Box, Picture, Place

__all__ = ["collapse"]

_MANY = 200
"""Pictures of at most so many boxes are drawn as they are, unless a depth is given."""
_FEW = 60
"""Without a depth, a larger picture is opened to at most so many boxes, so that it gives an overview."""
_CLOSE = ("scope", "body")
"""The kinds of frames that can be closed."""
_RUN = 3
"""Equal scopes that follow each other are one box, if there are at least so many."""


class _Scope(NamedTuple):
    """A closed scope: the frames around it and its own, its content, and what distinguishes it from others."""

    place: Place
    boxes: tuple[Box, ...]
    alike: tuple[object, ...]


def collapse(shown: Picture, depth: int | None) -> Picture:
    """The picture with `depth` levels of scopes open: 0 closes all scopes, 1 opens the outermost ones, and so on.

    Without a depth, a picture of at most 200 boxes stays as it is, and a larger one is opened to at most 60 boxes.
    Three or more neighbours of the same structure are drawn as one, with their number: `× 96`.

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
    """The frames around a box down to the closed scope, included."""
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
    """Runs of neighbours with the same structure, if there are enough of them."""
    found: list[tuple[_Scope, ...]] = []
    for _, equal in groupby(scopes, key=lambda scope: (scope.place[:-1], scope.alike)):
        run = tuple(equal)
        found += [run] if len(run) >= _RUN else [(scope,) for scope in run]
    return found


def _acyclic(runs: Sequence[tuple[_Scope, ...]], arrows: Sequence[Arrow]) -> list[tuple[_Scope, ...]]:
    """The runs, separated where a box between two members would have to follow and precede their common box."""
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
    """The arrows between boxes that are still drawn."""
    found: dict[tuple[Box, Box, str], Arrow] = {}
    for tail, head, text in arrows:
        one, other = stands_for.get(tail, tail), stands_for.get(head, head)
        said = text if other is head else ""
        if one is not other:
            found.setdefault((one, other, said), Arrow(one, other, said))
    return tuple(found.values())


def _partners(partners: Sequence[tuple[Box, Box]], stands_for: Mapping[Box, Box]) -> tuple[tuple[Box, Box], ...]:
    """The partners, each box once: a closed scope faces the first partner of one of its boxes."""
    found: list[tuple[Box, Box]] = []
    taken: set[Box] = set()
    for forward, backward in partners:
        pair = stands_for.get(forward, forward), stands_for.get(backward, backward)
        if taken.isdisjoint(pair):
            taken.update(pair)
            found.append(pair)
    return tuple(found)
