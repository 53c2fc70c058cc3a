"""Ranking: the positions of extremes (ArgMax, ArgMin), and the k largest of each row (TopK)."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import numpy as np

from ..errors import GraphError, ShapeError
from ..ir.broadcast import zeros_like
from ..ir.node import Call, Item, Node, describe
from ..ir.spec import Dim, Size, Spec
from .axes import read_axis
from .elements import ScatterElements
from .reductions import at_least_one, require_elements
from .sample import refused, sample

__all__ = ["ArgMax", "ArgMin", "TopK"]

_PLACES, _WORDS = np.dtype(np.int64), np.dtype(np.uint64)

_SAMPLES = (
    sample(("N", "M"), least={"N": 1, "M": 1}),
    sample(("N", "M"), axis=0, least={"N": 1}),
    sample(("N", "M"), axis=-1, keepdims=True, least={"M": 1}),
    sample(("N", "M"), axis=1, last=True, least={"M": 1}),
    sample(()),
    refused(ShapeError, ("N", "M"), axis=2),
    refused(ShapeError, (0, 2), axis=0),
)


class _ArgExtreme(Node):
    """The base: an axis, or all elements in one row."""

    x: Node
    axis: int | None = None
    keepdims: bool = False
    last: bool = False
    function: ClassVar[str]

    def prepare(self) -> None:
        """Read the axis."""
        if self.axis is not None:
            self.__dict__["axis"] = read_axis(self.op, self.axis, self.x)

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes that go."""
        return tuple(range(self.x.ndim)) if self.axis is None else (self.axis,)

    def infer(self) -> Spec:
        """The other axes; with `keepdims`, the one searched as size 1. 64-bit integers."""
        require_elements(self.op, self.x, self.axes, self.function.removeprefix("arg") + "imum")
        shape: list[Dim] = []
        for a, dim in enumerate(self.x.shape):
            if a not in self.axes:
                shape.append(dim)
            elif self.keepdims:
                shape.append(1)
        return Spec(tuple(shape), _PLACES)

    def room(self) -> tuple[Dim, ...]:
        """One element at least along each axis searched."""
        return at_least_one(self.x, self.axes)

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """By the calls of `bind`, into a new array."""
        kept = [n if a not in self.axes else 1 for a, n in enumerate(arrays[0].shape)]
        out = xp.empty(kept if self.keepdims else [n for a, n in enumerate(kept) if a not in self.axes], _PLACES)
        for call in self.bind(xp, arrays, out, ()):
            call()
        return out

    def bind(self, xp: Any, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...]) -> list[Call]:
        """NumPy's search; for the last of equals from the other end, counted back."""
        x = ins[0]
        places = out.reshape([n for a, n in enumerate(x.shape) if a not in self.axes])
        if not self.last:
            return [partial(getattr(x, self.function), self.axis, places)]
        turned = x[tuple(slice(None, None, -1 if a in self.axes else 1) for a in range(x.ndim))]
        n = x.size if self.axis is None else x.shape[self.axis]
        return [
            partial(getattr(turned, self.function), self.axis, places),
            partial(xp.subtract, n - 1, places, places),
        ]

    def vjp(self, g: Node) -> None:
        """Places have no gradient."""
        return None


class ArgMax(_ArgExtreme, method="argmax"):
    """The position of the maximum, int64: `ArgMax(x, axis=None, keepdims=False, last=False)`.

    Without an axis, positions count all elements in C order. Of equal maxima, it is that of the first, or with `last`
    of the last. NaN counts as the largest number.

    Raises:
        ShapeError: when there is no such axis, or it is empty: at the call, for an axis of a named size.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.ArgMax([[1.0, 5.0], [4.0, 4.0]], axis=1))())
    [1 0]
    """

    function = "argmax"
    indifferent = True
    onnx = "ArgMax"
    samples = _SAMPLES


class ArgMin(_ArgExtreme, method="argmin"):
    """The position of the minimum, int64: `ArgMin(x, axis=None, keepdims=False, last=False)`.

    Without an axis, positions count all elements in C order. Of equal minima, it is that of the first, or with `last`
    of the last. NaN counts as the smallest number.

    Raises:
        ShapeError: when there is no such axis, or it is empty: at the call, for an axis of a named size.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.ArgMin([[1.0, 5.0], [4.0, 4.0]], axis=1, last=True))())
    [0 1]
    """

    function = "argmin"
    indifferent = True
    onnx = "ArgMin"
    samples = _SAMPLES


class TopK(Node):
    """The k largest of each row, and their positions: `values, places = TopK(x, k, axis=-1, largest=True)`.

    With `largest=False`, it is the k smallest. They are in order, the best first; equal ones keep their order. NaN
    counts as the largest number. Positions are int64. The gradient of the values flows to the elements at these
    positions. `results` says which of the two results there are, values (0) and positions (1): passes remove one that
    is not read.

    Raises:
        ShapeError: when there is no such axis, or it has fewer than k elements: at the call, for one of a named size.

    >>> import graphnn as gn
    >>> values, places = gn.TopK([[1.0, 5.0, 3.0]], 2)
    >>> print(*gn.compile([values, places])())
    [[5. 3.]] [[1 2]]
    """

    x: Node
    k: int
    axis: int = -1
    largest: bool = True
    results: tuple[int, ...] = (0, 1)
    indifferent = True
    onnx = "TopK"
    samples = (
        sample(("N", 5), k=2),
        sample(("N", 5), k=3, largest=False),
        sample((4, "N"), k=4, axis=0),
        sample(("N",), k=1, least={"N": 1}),
        sample(("N", 2), k=0),
        sample((3, "N"), k=2, axis=0, results=(0,)),
        sample(("N", 3), k=2, results=(1,), differentiable=False),
        refused(ShapeError, ("N", 2), k=3),
        refused(ShapeError, ("N", 2), k=-1),
        refused(ShapeError, (), k=1),
        refused(GraphError, ("N", 3), k=2, results=(1, 0)),
    )

    def prepare(self) -> None:
        """Read the axis and the number."""
        if self.results not in ((0, 1), (0,), (1,)):
            raise GraphError(f"TopK: results is {self.results!r}; it is (0, 1), (0,) for values or (1,) for places.")
        self.__dict__["axis"] = read_axis("TopK", self.axis, self.x)
        n = self.x.shape[self.axis]
        if isinstance(self.k, bool) or not isinstance(self.k, (int, np.integer)) or self.k < 0:
            raise ShapeError(f"TopK: k is {self.k!r}, which is no number of elements of {describe(self.x)}.")
        self.__dict__["k"] = int(self.k)
        if isinstance(n, int) and n < self.k:
            raise ShapeError(f"TopK: there are no {self.k} elements along axis {self.axis} of {describe(self.x)}.")

    def infer(self) -> Any:
        """k along the axis: values, then places."""
        shape = (*self.x.shape[: self.axis], self.k, *self.x.shape[self.axis + 1 :])
        return tuple(Spec(shape, (self.x.dtype, _PLACES)[result]) for result in self.results)

    def room(self) -> tuple[Dim, ...]:
        """k elements at least."""
        n = self.x.shape[self.axis]
        return (n - self.k,) if isinstance(n, Size) else ()

    def scratch(self) -> tuple[Spec, ...]:
        """The best of one line, which a kernel orders there: a word for each, two for elements of 64 bits."""
        return (Spec((self.k, 1 if self.x.dtype.itemsize < 8 else 2), _WORDS),)

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """By a stable sort of places; from the end, turned around, for the largest."""
        x, axis = arrays[0], self.axis
        if self.largest:
            places = x.shape[axis] - 1 - xp.flip(xp.argsort(xp.flip(x, axis), axis, kind="stable"), axis)
        else:
            places = xp.argsort(x, axis, kind="stable")
        places = places[(*(slice(None),) * axis, slice(self.k))]
        return tuple(places if result else xp.take_along_axis(x, places, axis) for result in self.results)

    def bind(self, xp: Any, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...]) -> list[Call]:
        """`forward`, copied: sorting makes arrays of its own."""

        def compute() -> None:
            for result, value in zip(out, self.forward(xp, *ins), strict=True):
                xp.copyto(result, value)

        return [compute]

    def vjp(self, g: Any) -> Node | None:
        """The gradient of the values, at their places."""
        values = g[0] if self.results[0] == 0 else None
        if values is None:
            return None
        whole = self if len(self.results) == 2 else TopK(self.x, self.k, self.axis, self.largest)
        return ScatterElements(zeros_like(self.x), Item(whole, 1), values, self.axis, "add")
