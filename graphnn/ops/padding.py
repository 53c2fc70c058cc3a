"""Padding: adding elements around a value, and between its elements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from ..errors import GraphError, ShapeError
from ..ir.node import Call, Node, describe
from ..ir.spec import Dim, Shape, Size, Spec, as_dim
from .arithmetic import AddN
from .reductions import Sum
from .sample import refused, sample

__all__ = ["Pad"]

_MODES = ("constant", "edge", "reflect", "wrap")


class Pad(Node):
    """A value with elements added around it: `Pad(x, before, after=None, value=0.0, mode="constant", between=0)`.

    `before` and `after` are the numbers of elements to add, one number for all axes or a tuple with one for each. By
    default, `after` equals `before`. `mode` says which elements: "constant" adds `value`, "edge" repeats the outermost
    element, "reflect" mirrors at it, and "wrap" continues from the other end. `between` adds elements between any two
    neighbours, in the constant mode only. The numbers may be named sizes. The adjoint of padding with zeros is Slice.

    Raises:
        ShapeError: when there are not as many numbers as axes, one is negative, or more elements are asked for
            than there are to mirror.
        GraphError: for another mode, or `between` beside one that is not constant.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Pad([1.0, 2.0, 3.0], 2))(), gn.compile(gn.Pad([1.0, 2.0, 3.0], 2, mode="reflect"))())
    [0. 0. 1. 2. 3. 0. 0.] [3. 2. 1. 2. 3. 2. 1.]
    """

    x: Node
    before: Any
    after: Any = None
    value: float = 0.0
    mode: str = "constant"
    between: Any = 0
    indifferent = True
    adjoint = "Slice"
    elements = "moved"
    onnx = "Pad"
    samples = (
        sample(("N", "M"), before=(1, 0), after=(0, 2)),
        sample(("N", "M"), before=1, between=(1, 2), least={"N": 1, "M": 1}),
        sample((3, "N"), before=(1, "N"), after=0),
        sample((), before=2),
        sample(("N", 3), before=(2, 3), after=(0, 1), mode="edge", least={"N": 1}),
        sample(("N", 4), before=(1, 3), after=(2, 0), mode="reflect", least={"N": 3}),
        sample(("N", 4), before=(1, 4), after=(2, 3), mode="wrap", least={"N": 2}),
        refused(ShapeError, ("N", "M"), before=(1, 2, 3)),
        refused(ShapeError, ("N", 3), before=-1),
        refused(ShapeError, ("N", 3), before=(0, 3), mode="reflect"),
        refused(ShapeError, ("N",), before="M"),
        refused(GraphError, ("N",), before=1, mode="mirror"),
        refused(GraphError, ("N",), before=1, mode="edge", between=1),
    )

    def prepare(self) -> None:
        """Read the numbers, one an axis."""
        if self.mode not in _MODES:
            raise GraphError(f"Pad: mode {self.mode!r} is none of {', '.join(map(repr, _MODES))}.")
        after = self.before if self.after is None else self.after
        before, after, between = (self._one_an_axis(v) for v in (self.before, after, self.between))
        value = self.value if isinstance(self.value, int) else float(self.value)
        self.__dict__.update(before=before, after=after, between=between, value=value)
        if any(isinstance(gap, Size) for gap in between):
            raise ShapeError(f"Pad: between is {self.between}; it must be numbers ({describe(self.x)}).")
        if self.mode != "constant" and any(between):
            raise GraphError(f"Pad: between is for mode 'constant', not {self.mode!r} ({describe(self.x)}).")

    def _one_an_axis(self, given: Any) -> Shape:
        x = self.x
        try:
            many = isinstance(given, (tuple, list))
            found = tuple(map(as_dim, given if many else (given,) * x.ndim))
        except ShapeError as error:
            raise ShapeError(f"Pad: {describe(x)} by {given!r}: {error}") from None
        if len(found) != x.ndim:
            raise ShapeError(f"Pad: {given!r} says how many for {len(found)} axes, but {describe(x)} has {x.ndim}.")
        return found

    def infer(self) -> Spec:
        """Each axis with what is put around and between."""
        try:
            shape = self._shape(self.x.shape)
        except ShapeError as error:
            raise ShapeError(f"Pad: {describe(self.x)}: {error}") from None
        self._check_source()
        return Spec(shape, self.x.dtype)

    def _shape(self, shape: Shape) -> Shape:
        around = zip(shape, self.before, self.after, self.between, strict=True)
        return tuple(after + (before + _spread(n, gap)) for n, before, after, gap in around)

    def _check_source(self) -> None:
        for a, need in enumerate(self._needed()):
            n = self.x.shape[a]
            if isinstance(need, Size) or isinstance(n, Size):
                continue
            if need > n:
                raise ShapeError(
                    f"Pad: axis {a} of {describe(self.x)} has {n} elements; mode {self.mode!r} needs {need} there."
                )

    def _needed(self) -> tuple[Dim, ...]:
        """How many elements each axis must have for what is taken from it."""
        if self.mode == "constant":
            return ()
        if any(isinstance(n, Size) for n in (*self.before, *self.after)):
            raise ShapeError(f"Pad: {describe(self.x)} by a named size: only mode 'constant' takes one.")
        most = [max(b, a) for b, a in zip(self.before, self.after, strict=True)]
        return tuple(m and {"edge": 1, "reflect": m + 1, "wrap": m}[self.mode] for m in most)

    def room(self) -> tuple[Dim, ...]:
        """As many elements as are taken, along axes of named sizes."""
        needed = zip(self.x.shape, self._needed(), strict=False)
        return tuple(n - need for n, need in needed if isinstance(n, Size) and need)

    def at(self, sizes: Mapping[str, int]) -> Node:
        """With named sizes in numbers."""
        before, after = (tuple(n(sizes) if isinstance(n, Size) else n for n in v) for v in (self.before, self.after))
        return self.with_fields(before=before, after=after, _numbers=self.spec.concrete(sizes))

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """By the calls of `bind`, into a new array."""
        shape = self.__dict__.get("_numbers") or self._shape(arrays[0].shape)
        out = xp.empty(shape, self.dtype)
        for call in self.bind(xp, arrays, out, ()):
            call()
        return out

    def bind(self, xp: Any, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...]) -> list[Call]:
        """The constant or nothing, the value in the midst, then each axis from what is there already."""
        x = ins[0]
        midst = self.midst(x.shape)
        calls: list[Call] = [partial(out.fill, self.value)] if self.mode == "constant" else []
        calls.append(partial(xp.copyto, out[(*midst, ...)], x))
        if self.mode != "constant":
            for a, n in enumerate(x.shape):
                rows = xp.moveaxis(out[(*(slice(None),) * a, slice(None), *midst[a + 1 :])], a, 0)
                calls += [partial(xp.copyto, rows[to], rows[source]) for to, source in self.copies(a, n)]
        return calls

    def midst(self, shape: Sequence[int]) -> tuple[slice, ...]:
        """Where an operand of that shape stands in the result."""
        return tuple(
            slice(b, b + n * (gap + 1), gap + 1) for n, b, gap in zip(shape, self.before, self.between, strict=True)
        )

    def copies(self, a: int, n: int) -> list[tuple[slice, slice]]:
        """Along one axis: which places are filled, and from which."""
        before, after = self.before[a], self.after[a]
        low, high = slice(0, before), slice(before + n, before + n + after)
        first, end = before, before + n  # of the value itself
        match self.mode:
            case "edge":
                pairs = [(low, slice(first, first + 1)), (high, slice(end - 1, end))]
            case "reflect":
                pairs = [(low, _turned(first + 1, before)), (high, _turned(end - 1 - after, after))]
            case _:
                pairs = [(low, slice(end - before, end)), (high, slice(first, first + after))]
        return [pair for pair, some in zip(pairs, (before, after), strict=True) if some]

    def vjp(self, g: Node) -> Node:
        """What was around is left out of zeros and constants; of the other modes it flows to where it came from."""
        if self.mode == "constant":
            around = zip(self.x.shape, self.before, self.between, strict=True)
            return g[tuple(slice(b, b + _spread(n, gap), gap + 1) for n, b, gap in around)]
        for a in reversed(range(self.x.ndim)):
            g = self._gathered(g, a)
        return g

    def _gathered(self, g: Node, a: int) -> Node:
        """The gradient along one axis, brought back to the elements it was taken from."""
        n, before, after = self.x.shape[a], self.before[a], self.after[a]
        parts = [_cut(g, a, before, n)]
        if before:
            low = _cut(g, a, 0, before)
            parts.append(self._sent_back(low, a, {"edge": 0, "reflect": 1, "wrap": n - before}[self.mode]))
        if after:
            high = _cut(g, a, before + n, after)
            parts.append(self._sent_back(high, a, {"edge": n - 1, "reflect": n - 1 - after, "wrap": 0}[self.mode]))
        return AddN(tuple(parts)) if len(parts) > 1 else parts[0]

    def _sent_back(self, g: Node, a: int, place: Dim) -> Node:
        """The gradient of some padding, in zeros as long as the axis, beginning at `place`."""
        if self.mode == "edge":
            g = Sum(g, a, keepdims=True)
        elif self.mode == "reflect":
            g = g[(*(slice(None),) * a, slice(None, None, -1))]
        before: list[Dim] = [0] * g.ndim
        after = list(before)
        before[a], after[a] = place, self.x.shape[a] - place - g.shape[a]
        return Pad(g, tuple(before), tuple(after))


def _spread(n: Dim, gap: int) -> Any:
    """The elements with a gap between any two."""
    return n if not gap or n == 0 else (n - 1) * (gap + 1) + 1


def _turned(start: int, n: int) -> slice:
    """n places from `start` on, the last of them first."""
    return slice(start + n - 1, start - 1 if start else None, -1)


def _cut(g: Node, a: int, start: Dim, n: Dim) -> Node:
    """n elements of one axis."""
    return g[(*(slice(None),) * a, slice(start, start + n))]
