"""Slices: Slice and Flip, which are views. `x[1:, ::2]` builds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ShapeError
from ..ir.node import Node, describe
from ..ir.spec import Dim, Size, Spec, as_dim
from .axes import read_axes, read_axis
from .padding import Pad
from .sample import refused, sample

__all__ = ["Slice", "Flip"]


@dataclass(frozen=True)
class Run:
    """A slice of one axis, read: `count` elements from `first` on, each `step` further; and what must be there."""

    start: Dim | None
    stop: Dim | None
    first: Dim
    step: int
    count: Dim
    room: tuple[Dim, ...]


class Slice(Node):
    """A slice: `Slice(x, start=0, stop=None, step=1, axis=0)`, as in `x[start:stop:step]`. Its adjoint is Pad.

    It is a view, and costs nothing. With tuples, there is a slice for each axis in `axis`. As in Python, negative
    positions count from the end, and steps may be negative. Positions may be named sizes. Along an axis of fixed size,
    positions beyond the end mean the end. Along an axis of a named size, positions are checked at every call instead:
    `x[:3]` of N rows always has 3 rows. The size of the result must be of the form k·N + c.

    Raises:
        ShapeError: when there is no such axis, a step is 0, or a size is beyond k·N + c; at the call, when a
            place lies beyond an axis of a named size.

    >>> import graphnn as gn
    >>> x = gn.Input("x", ("N", 6))
    >>> x[1:, ::2].spec, x[-3:, ::-1].shape
    (Spec(shape=(N-1, 3), dtype=dtype('float32')), (3, 6))
    """

    x: Node
    start: Any = 0
    stop: Any = None
    step: Any = 1
    axis: Any = 0
    indifferent = True
    adjoint = "Pad"
    elements = "moved"
    onnx = "Slice"
    samples = (
        sample(("N", "M"), start=1, least={"N": 1}),
        sample(("N", 6), stop=5, step=2, axis=1),
        sample(("N", 6), start=-2, stop=None, step=-2, axis=-1),
        sample(("N", 5, 6), start=(1, 4), stop=(-1, 0), step=(1, -3), axis=(0, 2), least={"N": 2}),
        sample(("N", "M"), start=None, step=-1),
        sample((10, "M"), stop="N"),
        sample((3, "M"), start=5, stop=9),
        refused(ShapeError, ("N", 3), step=2),
        refused(ShapeError, ("N", 3), stop="M"),
        refused(ShapeError, ("N", 3), step=0, axis=1),
        refused(ShapeError, ("N", 3), axis=2),
    )

    def prepare(self) -> None:
        """Read every slice as where it starts and stops, counted from 0; a stop before the first element is None."""
        many = isinstance(self.axis, (tuple, list))
        columns = [list(v) if many else [v] for v in (self.start, self.stop, self.step, self.axis)]
        if len({len(column) for column in columns}) > 1:
            raise ShapeError(f"Slice: {describe(self.x)} needs as many starts, stops and steps as axes.")
        axes = tuple(read_axis("Slice", a, self.x) for a in columns.pop())
        if len(set(axes)) < len(axes):
            raise ShapeError(f"Slice: axis {self.axis} names an axis of {describe(self.x)} twice.")
        runs = tuple(_read(self.x, a, *places) for a, *places in zip(axes, *columns, strict=True))
        start, stop, step = (tuple(getattr(run, name) for run in runs) for name in ("start", "stop", "step"))
        self.__dict__.update(start=start, stop=stop, step=step, axis=axes, _runs=runs)

    @property
    def runs(self) -> tuple[Run, ...]:
        """What was read, one for each axis in `axis`."""
        found: tuple[Run, ...] = self.__dict__["_runs"]
        return found

    def infer(self) -> Spec:
        """The count along each axis sliced."""
        shape = list(self.x.shape)
        for a, run in zip(self.axis, self.runs, strict=True):
            shape[a] = run.count
        return Spec(tuple(shape), self.x.dtype)

    def room(self) -> tuple[Dim, ...]:
        """The positions, counted from either end of the axis."""
        return tuple(dim for run in self.runs for dim in run.room)

    def at(self, sizes: Mapping[str, int]) -> Node:
        """The node with numbers for the named sizes in its positions."""
        start, stop = (tuple(d(sizes) if isinstance(d, Size) else d for d in v) for v in (self.start, self.stop))
        return self.with_fields(start=start, stop=stop)

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """A view."""
        index = [slice(None)] * arrays[0].ndim
        for a, start, stop, step in zip(self.axis, self.start, self.stop, self.step, strict=True):
            index[a] = slice(start, stop, step)
        return arrays[0][(*index, ...)]

    def view(self, dense: bool) -> bool | None:
        """Always; dense still when it takes a run of the first axis that is longer than 1."""
        first = next((a for a, dim in enumerate(self.x.shape) if dim != 1), 0)
        return dense and set(self.axis) <= {first} and all(step == 1 for step in self.step)

    def vjp(self, g: Node) -> Node:
        """The gradient at the positions of the slice, else zeros; for a negative step, it is flipped first."""
        turned = tuple(a for a, step in zip(self.axis, self.step, strict=True) if step < 0)
        if turned:
            g = Flip(g, turned)
        before: list[Dim] = [0] * self.x.ndim
        after: list[Dim] = [0] * self.x.ndim
        between = [0] * self.x.ndim
        for a, run in zip(self.axis, self.runs, strict=True):
            before[a], after[a], between[a] = _around(self.x.shape[a], run)
        return Pad(g, tuple(before), tuple(after), between=tuple(between))


def _read(x: Node, axis: int, start: Any, stop: Any, step: Any) -> Run:
    """One slice of one axis."""
    if isinstance(step, bool) or not hasattr(step, "__index__") or not step.__index__():
        raise ShapeError(f"Slice: step {step!r} along axis {axis} of {describe(x)} must be a number other than 0.")
    n, step = x.shape[axis], step.__index__()
    try:
        begin, until = _place(start), _place(stop)
        if isinstance(n, int) and not isinstance(begin, Size) and not isinstance(until, Size):
            first, end, _ = slice(begin, until, step).indices(n)
            count = len(range(first, end, step))
            return Run(first, None if end < 0 else end, first, step, count, ()) if count else Run(0, 0, 0, step, 0, ())
        return _read_named(n, begin, until, step)
    except ShapeError as error:
        shown = ":".join("" if place is None else str(place) for place in (start, stop, step))
        raise ShapeError(f"Slice: [{shown}] along axis {axis} of {describe(x)}: {error}") from None


def _place(where: Any) -> Dim | None:
    if where is None or isinstance(where, Size):
        return where
    if isinstance(where, str):
        return as_dim(where)
    if isinstance(where, (Node, bool)) or not hasattr(where, "__index__"):
        shown = describe(where) if isinstance(where, Node) else repr(where)
        raise ShapeError(f"{shown} is not a place: use a number or a named size, known before the run.")
    return int(where.__index__())


def _read_named(n: Dim, start: Dim | None, stop: Dim | None, step: int) -> Run:
    """A slice in which a named size takes part: exact, with what must be true of the size."""
    room: list[Dim] = []

    def absolute(place: Dim) -> Dim:
        found = n + place if isinstance(place, int) and place < 0 else place
        beyond = n - found
        if isinstance(beyond, int) and beyond < 0:
            raise ShapeError(f"place {found} lies beyond the axis.")
        room.extend(dim for dim in (found, beyond) if isinstance(dim, Size))
        return found

    end = None if stop is None else absolute(stop)
    if step > 0:
        first = 0 if start is None else absolute(start)
        length = (n if end is None else end) - first
    else:
        first = n - 1 if start is None else absolute(start)
        length = first - (-1 if end is None else end)
        if start is not None and isinstance(last := n - 1 - first, Size):
            room.append(last)
    kept = None if start is None else first
    if isinstance(length, int):
        return Run(kept, end, first, step, max(0, -(-length // abs(step))), tuple(room))
    if length.scale % step:
        raise ShapeError(f"every {abs(step)}th of {length} elements is not of the form k·{length.name} + c.")
    count = Size(length.name, length.scale // abs(step), -(-length.offset // abs(step)))
    return Run(kept, end, first, step, count, tuple(room))


def _around(n: Dim, run: Run) -> tuple[Dim, Dim, int]:
    """How many zeros stand before, after and between the elements of a slice, in the axis that it was taken from."""
    gap = abs(run.step) - 1
    if run.count == 0:
        return 0, n, 0
    span = (run.count - 1) * (gap + 1) + 1
    first = run.first if run.step > 0 else run.first - (span - 1)
    return first, n - span - first, gap


class Flip(Node):
    """The elements in reverse order along axes: `Flip(x, axis=None)`. It is a view. Its adjoint is Flip.

    `axis` is None for all axes, a number, or a tuple.

    Raises:
        ShapeError: when there is no such axis, or one is named twice.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Flip([[1.0, 2.0], [3.0, 4.0]], axis=1))())
    [[2. 1.]
     [4. 3.]]
    """

    x: Node
    axis: int | tuple[int, ...] | None = None
    indifferent = True
    adjoint = "Flip"
    elements = "moved"
    samples = (
        sample(("N", "M")),
        sample(("N", "M"), axis=-1),
        sample(("N", "M", "K"), axis=(0, 2)),
        sample(()),
        refused(ShapeError, ("N",), axis=1),
    )

    def prepare(self) -> None:
        """Write the axes out."""
        self.__dict__["axis"] = read_axes("Flip", self.axis, self.x)

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes that are flipped, in rising order."""
        return self.axis  # type: ignore[return-value]  # `prepare` made it a tuple

    def infer(self) -> Spec:
        """The operand's."""
        return self.x.spec

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """A view with negative strides."""
        x = arrays[0]
        return x[(*(slice(None, None, -1 if a in self.axes else 1) for a in range(x.ndim)), ...)]

    def view(self, dense: bool) -> bool | None:
        """Always; it is dense if every flipped axis has size 1."""
        return dense and all(self.x.shape[a] == 1 for a in self.axes)

    def vjp(self, g: Node) -> Node:
        """The flipped gradient."""
        return Flip(g, self.axis)
