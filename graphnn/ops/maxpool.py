"""Pooling by the maximum: MaxPool; MaxUnpool and MaxPick, of which its derivatives are made."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ..errors import DTypeError, ShapeError
from ..ir.node import Call, Node, describe
from ..ir.spec import Dim, Shape, Spec
from .sample import refused, sample
from .window import check_places, pool_movement, read_pool
from .windowed import Pooling

__all__ = ["MaxPool", "MaxUnpool", "MaxPick"]


def _unpool(g: Node, x: Node, **how: Any) -> Node:
    return MaxUnpool(g, x, MaxPool(x, **how), **how)


def _pick(v: Node, x: Node, **how: Any) -> Node:
    return MaxPick(v, x, MaxPool(x, **how), **how)


class MaxPool(Pooling):
    """Max pooling: the largest element in a window at each place, from (N, C, *image) to (N, C, *places).

    `MaxPool(x, kernel, stride=None, padding="valid", dilation=1, ceil_mode=False)`: by default, the stride is the size
    of the kernel, so that windows do not overlap. Padding is never the maximum. With `ceil_mode`, the last window may
    extend over the end. The maximum is NaN if an element is. The gradient goes to the first of equal maxima.
    Source: the ONNX operator MaxPool; Y. Boureau, J. Ponce and Y. LeCun, A Theoretical Analysis of Feature Pooling
    in Visual Recognition, 2010.

    Raises:
        ShapeError: when the kernel is larger than the padded image, or has not as many axes.
        GraphError: for a stride, padding or dilation that makes no sense.
        DTypeError: for bools.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.MaxPool([[[1.0, 5.0, 2.0, 3.0]]], 2))())
    [[[5. 3.]]]
    """

    x: Node
    kernel: Any
    stride: Any = None
    padding: Any = "valid"
    dilation: Any = 1
    ceil_mode: bool = False
    onnx = "MaxPool"
    samples = (
        sample(("N", 2, 4, 6), kernel=2),
        sample(("N", 1, 5, 5), kernel=(3, 2), stride=(2, 1), padding=1),
        sample(("N", 2, 7), kernel=3, stride=2, dilation=2, ceil_mode=True),
        sample(("B", 1, "K"), kernel=3, stride=1, padding="same", least={"K": 1}),
        refused(ShapeError, ("N", 2, 3), kernel=4),
        refused(ShapeError, ("N", 2), kernel=2),
        refused(DTypeError, ("N", 2, 3), kernel=2, dtypes=("bool",)),
    )

    def prepare(self) -> None:
        """Read the window."""
        read_pool(self, self.x)

    def infer(self) -> Spec:
        """The places of the window."""
        x = self.x
        return Spec((*x.shape[:2], *self.window.places("MaxPool", x, x.shape[2:], self.ceil_mode)), x.dtype)

    @property
    def placed(self) -> Shape:
        """The shape of the result."""
        return self.shape

    def room(self) -> tuple[Dim, ...]:
        """The window fits the image."""
        return self.window.slack(self.x.shape[2:])

    def bind(self, xp: Any, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...]) -> list[Call]:
        """A call for each tap: the larger of the maximum so far and the elements that the tap reads."""
        x = ins[0]
        spans = self.window.spans(x.shape[2:], out.shape[2:])
        calls: list[Call] = []
        if spans and out[spans[0][1]].shape == out.shape:
            calls.append(partial(xp.copyto, out, x[spans.pop(0)[0]]))
        else:
            calls.append(partial(out.fill, -np.inf if out.dtype.kind == "f" else np.iinfo(out.dtype).min))
        return calls + [partial(xp.maximum, x[seen], out[at], out=out[at]) for seen, at in spans]

    def vjp(self, g: Node) -> Node:
        """The gradient of each place, written where its maximum is."""
        return MaxUnpool(g, self.x, self, **pool_movement(self))


class MaxUnpool(Pooling):
    """A value for each place of a window, written where the maximum of the window is. Its adjoint is MaxPick.

    `MaxUnpool(g, x, y, kernel, stride=None, padding="valid", dilation=1, ceil_mode=False)` with y the MaxPool of x.
    It is the gradient of MaxPool. Of equal maxima, the first gets the value.
    Source: M. Zeiler and R. Fergus, Visualizing and Understanding Convolutional Networks, 2013, section 2.1.

    Raises:
        ShapeError: when g or y does not have the shape of the places.

    >>> import graphnn as gn
    >>> x = gn.Constant([[[1.0, 5.0, 2.0, 3.0]]])
    >>> print(gn.compile(gn.MaxUnpool([[[10.0, 20.0]]], x, gn.MaxPool(x, 2), 2))())
    [[[ 0. 10.  0. 20.]]]
    """

    g: Node
    x: Node
    y: Node
    kernel: Any
    stride: Any = None
    padding: Any = "valid"
    dilation: Any = 1
    ceil_mode: bool = False
    adjoint = "MaxPick"
    samples = (
        sample(("N", 1, 2, 3), ("N", 1, 4, 6), call=_unpool, kernel=2),
        sample(("N", 1, 5), ("N", 1, 5), call=_unpool, kernel=3, stride=1, padding=1),
        refused(ShapeError, ("N", 1, 3), ("N", 1, 4), ("N", 1, 2), kernel=2),
    )

    def prepare(self) -> None:
        """Read the window, and check the places."""
        read_pool(self, self.x)
        check_places(self, self.x, self.x.shape, g=self.g, y=self.y)

    def infer(self) -> Spec:
        """The shape of x."""
        return Spec(self.x.shape, self.g.dtype)

    def scratch(self) -> tuple[Spec, ...]:
        """For each place: is this tap the maximum, has a maximum been found, and the value to write."""
        return _rooms(self.y, self.g.dtype)

    @property
    def placed(self) -> Shape:
        """The shape of y."""
        return self.y.shape

    def bind(self, xp: Any, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...]) -> list[Call]:
        """For each tap: write the values of those places for which it is the first maximum."""
        g, x, y = ins
        apart = all(s >= e for s, e in zip(self.window.stride, self.window.extent, strict=True))
        calls: list[Call] = [partial(out.fill, 0), partial(scratch[1].fill, False)]
        for seen, at in self.window.spans(x.shape[2:], y.shape[2:]):
            mask, taken, value = (room[at] for room in scratch)
            to = out[seen] if apart else value  # where no position is seen twice, nothing needs to be added up
            calls += [*_first_maximum(xp, x[seen], y[at], mask, taken), *_where(xp, mask, value, g[at], to)]
            if not apart:
                calls.append(partial(xp.add, out[seen], value, out[seen]))
        return calls

    def vjp(self, g: Node) -> tuple[Node, None, None]:
        """The upstream gradient at the maxima. The positions of the maxima have no gradient."""
        return MaxPick(g, self.x, self.y, **pool_movement(self)), None, None


class MaxPick(Pooling):
    """The values at those positions where a window has its maximum. Its adjoint is MaxUnpool.

    `MaxPick(v, x, y, kernel, stride=None, padding="valid", dilation=1, ceil_mode=False)` with y the MaxPool of x,
    and v of the shape of x.
    Source: M. Zeiler and R. Fergus, Visualizing and Understanding Convolutional Networks, 2013, section 2.1.

    Raises:
        ShapeError: when v does not have the shape of x, or y not that of the places.

    >>> import graphnn as gn
    >>> x = gn.Constant([[[1.0, 5.0, 2.0, 3.0]]])
    >>> print(gn.compile(gn.MaxPick([[[10.0, 20.0, 30.0, 40.0]]], x, gn.MaxPool(x, 2), 2))())
    [[[20. 40.]]]
    """

    v: Node
    x: Node
    y: Node
    kernel: Any
    stride: Any = None
    padding: Any = "valid"
    dilation: Any = 1
    ceil_mode: bool = False
    adjoint = "MaxUnpool"
    samples = (
        sample(("N", 1, 4, 6), ("N", 1, 4, 6), call=_pick, kernel=2),
        sample(("N", 1, 5), ("N", 1, 5), call=_pick, kernel=3, stride=1, padding=1),
        refused(ShapeError, ("N", 1, 3), ("N", 1, 4), ("N", 1, 2), kernel=2),
        refused(ShapeError, ("N", 1, 4), ("N", 1, 4), ("N", 1, 3), kernel=2, culprits=("x1", "x2")),
    )

    def prepare(self) -> None:
        """Read the window, and check shapes."""
        read_pool(self, self.x)
        if self.v.shape != self.x.shape:
            raise ShapeError(f"MaxPick: {describe(self.v)} must have the shape of {describe(self.x)}.")
        check_places(self, self.x, self.x.shape, y=self.y)

    def infer(self) -> Spec:
        """The places of the window."""
        return Spec(self.y.shape, self.v.dtype)

    def scratch(self) -> tuple[Spec, ...]:
        """For each place: is this tap the maximum, has a maximum been found, and the value there."""
        return _rooms(self.y, self.v.dtype)

    @property
    def placed(self) -> Shape:
        """The shape of the result."""
        return self.shape

    def bind(self, xp: Any, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...]) -> list[Call]:
        """For each tap: take the values of those places for which it is the first maximum."""
        v, x, y = ins
        calls: list[Call] = [partial(out.fill, 0), partial(scratch[1].fill, False)]
        for seen, at in self.window.spans(x.shape[2:], y.shape[2:]):
            mask, taken, value = (room[at] for room in scratch)
            calls += [*_first_maximum(xp, x[seen], y[at], mask, taken), *_where(xp, mask, value, v[seen], value)]
            calls.append(partial(xp.bitwise_or, _bits(out[at]), _bits(value), _bits(out[at])))
        return calls

    def vjp(self, g: Node) -> tuple[Node, None, None]:
        """The upstream gradient, written at the maxima."""
        return MaxUnpool(g, self.x, self.y, **pool_movement(self)), None, None


def _rooms(y: Node, dtype: np.dtype[Any]) -> tuple[Spec, ...]:
    return Spec(y.shape, np.dtype(bool)), Spec(y.shape, np.dtype(bool)), Spec(y.shape, dtype)


def _first_maximum(xp: Any, seen: Any, best: Any, mask: Any, taken: Any) -> list[Call]:
    """The calls that set `mask` where what is seen is the best, and none before it was, which `taken` remembers."""
    return [
        partial(xp.equal, seen, best, mask),
        partial(xp.greater, mask, taken, mask),
        partial(xp.logical_or, taken, mask, taken),
    ]


def _where(xp: Any, mask: Any, room: Any, values: Any, to: Any) -> list[Call]:
    """The calls that write the values where the mask is true and zero elsewhere: bit by bit, so that 0 times inf is 0.

    A masked copy would do it too, at a branch an element; no branch predicts where maxima stand.
    """
    bits = _bits(room)
    return [
        partial(xp.copyto, bits, mask),
        partial(xp.negative, bits, bits),  # all ones where true
        partial(xp.bitwise_and, bits, _bits(values), _bits(to)),
    ]


def _bits(array: Any) -> Any:
    return array.view(f"i{array.dtype.itemsize}")
