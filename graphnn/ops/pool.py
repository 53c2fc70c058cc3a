"""Pooling by the mean: AveragePool and GlobalAveragePool; WindowSum and WindowSpread, of which they are made."""

from __future__ import annotations

from functools import partial
from typing import Any

from ..errors import ShapeError
from ..ir.broadcast import broadcast_to
from ..ir.leaf import Constant
from ..ir.node import Call, Node, describe
from ..ir.spec import Dim, Shape, Spec, as_shape, show_shape
from .composite import Composite
from .reductions import Mean
from .sample import refused, sample
from .shape import Reshape
from .slicing import Slice
from .window import check_places, pool_movement, pool_window, read_pool
from .windowed import Pooling

__all__ = ["AveragePool", "GlobalAveragePool", "WindowSum", "WindowSpread"]


class AveragePool(Composite):
    """Average pooling: the mean of the elements in a window at each place, from (N, C, *image) to (N, C, *places).

    `AveragePool(x, kernel, stride=None, padding="valid", dilation=1, ceil_mode=False, count_include_pad=False)`: by
    default, the stride is the size of the kernel. With `count_include_pad`, the padding counts as zeros, else it does
    not count. With `ceil_mode`, the last window may extend over the end; elements beyond the padding never count.
    Source: Y. LeCun and others, Gradient-Based Learning Applied to Document Recognition, 1998; the ONNX operator
    AveragePool.

    Raises:
        ShapeError: when the kernel is larger than the padded image, or has not as many axes.
        GraphError: for a stride, padding or dilation that makes no sense.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.AveragePool([[[1.0, 5.0, 2.0, 3.0]]], 2))())
    [[[3.  2.5]]]
    """

    x: Node
    kernel: Any
    stride: Any = None
    padding: Any = "valid"
    dilation: Any = 1
    ceil_mode: bool = False
    count_include_pad: bool = False
    onnx = "AveragePool"
    samples = (
        sample(("N", 2, 4, 6), kernel=2),
        sample(("N", 1, 5, 5), kernel=(3, 2), stride=(2, 1), padding=1),
        sample(("N", 1, 5, 5), kernel=3, stride=2, padding=1, count_include_pad=True),
        sample(("N", 2, 6), kernel=3, stride=2, padding=1, ceil_mode=True, count_include_pad=True),
        sample(("N", 1, 2, 2), kernel=3, stride=3, padding=1, ceil_mode=True, count_include_pad=True),
        sample(("B", 1, "K"), kernel=3, stride=1, padding="same", least={"K": 1}),
        refused(ShapeError, ("N", 2, 3), kernel=4, culprits=("x0",)),
        refused(ShapeError, ("N", 2), kernel=2, culprits=("x0",)),
    )

    def prepare(self) -> None:
        """Read the window."""
        read_pool(self, self.x)

    def expand(self) -> Node:
        """The sum of the elements in the window, divided by their number."""
        how = pool_movement(self)
        total = WindowSum(self.x, **how)
        uniform = self.count_include_pad or not any(sum(pair) for pair in self.padding)
        if uniform and not self.ceil_mode:
            return total / float(pool_window(self).taps)
        # Known before the run: the sums over a window of ones.
        image = self.x.shape[2:]
        if self.count_include_pad:
            image = pool_window(self).padded(image)
            how["padding"] = ((0, 0),) * len(image)
        one = Reshape(Constant(1.0), (1,) * self.x.ndim)
        counts: Node = WindowSum(broadcast_to(one, (1, 1, *image)), **how)
        places, axes = total.shape[2:], tuple(range(2, total.ndim))
        if counts.shape[2:] != places:  # with padding counted as image, a last window more may fit
            counts = Slice(counts, (0,) * len(axes), places, (1,) * len(axes), axes)
        mean = total / counts.cast(total.dtype) if total.dtype.kind == "f" else total / counts
        return mean


class GlobalAveragePool(Composite):
    """Global average pooling: the mean over all positions, from (N, C, *image) to (N, C, 1, ...).

    Source: M. Lin, Q. Chen and S. Yan, Network In Network, 2013, https://arxiv.org/abs/1312.4400, section 3.2.

    Raises:
        ShapeError: when x has no positions.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.GlobalAveragePool([[[1.0, 5.0], [2.0, 4.0]]]))())
    [[[3.]
      [3.]]]
    """

    x: Node
    onnx = "GlobalAveragePool"
    samples = (
        sample(("N", 2, 4, 3)),
        sample(("N", "M", "K"), least={"K": 1}),
        refused(ShapeError, ("N", 2), culprits=("x0",)),
    )

    def prepare(self) -> None:
        """Check that there are positions."""
        if self.x.ndim < 3:
            raise ShapeError(f"GlobalAveragePool: {describe(self.x)} should be samples, channels and positions.")

    def expand(self) -> Node:
        """A mean."""
        return Mean(self.x, tuple(range(2, self.x.ndim)), keepdims=True)


class WindowSum(Pooling):
    """The sum of the elements in a window at each place, from (N, C, *image) to (N, C, *places).

    `WindowSum(x, kernel, stride=None, padding="valid", dilation=1, ceil_mode=False)`. Its adjoint is WindowSpread.
    Source: V. Dumoulin and F. Visin, A guide to convolution arithmetic for deep learning, 2016, chapter 3.

    Raises:
        ShapeError: when the kernel is larger than the padded image, or has not as many axes.
        GraphError: for a stride, padding or dilation that makes no sense.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.WindowSum([[[1.0, 5.0, 2.0, 3.0]]], 2, stride=1))())
    [[[6. 7. 5.]]]
    """

    x: Node
    kernel: Any
    stride: Any = None
    padding: Any = "valid"
    dilation: Any = 1
    ceil_mode: bool = False
    adjoint = "WindowSpread"
    samples = (
        sample(("N", 2, 4, 6), kernel=2),
        sample(("N", 1, 5, 5), kernel=(3, 2), stride=(2, 1), padding=1),
        sample(("N", 2, 6), kernel=3, stride=2, dilation=2, ceil_mode=True),
        refused(ShapeError, ("N", 2, 3), kernel=4, culprits=("x0",)),
    )

    def prepare(self) -> None:
        """Read the window."""
        read_pool(self, self.x)

    def infer(self) -> Spec:
        """The places of the window."""
        x = self.x
        return Spec((*x.shape[:2], *self.window.places(self.op, x, x.shape[2:], self.ceil_mode)), x.dtype)

    @property
    def placed(self) -> Shape:
        """The shape of the result."""
        return self.shape

    def room(self) -> tuple[Dim, ...]:
        """The window fits the image."""
        return self.window.slack(self.x.shape[2:])

    def bind(self, xp: Any, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...]) -> list[Call]:
        """A call for each tap, which adds the elements that it reads."""
        x = ins[0]
        spans = self.window.spans(x.shape[2:], out.shape[2:])
        calls: list[Call] = [partial(out.fill, 0)]
        return calls + [partial(xp.add, x[seen], out[at], out[at]) for seen, at in spans]

    def vjp(self, g: Node) -> Node:
        """The gradient of each place, added to all positions in its window."""
        return WindowSpread(g, self.x.shape[2:], **pool_movement(self))


class WindowSpread(Pooling):
    """A value for each place of a window, added to all positions in it. Its adjoint is WindowSum.

    `WindowSpread(g, image, kernel, stride=None, padding="valid", dilation=1, ceil_mode=False)` of g (N, C, *places):
    (N, C, *image).
    Source: V. Dumoulin and F. Visin, A guide to convolution arithmetic for deep learning, 2016, chapter 4.

    Raises:
        ShapeError: when a window over such images does not have as many places.
        GraphError: for a stride, padding or dilation that makes no sense.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.WindowSpread([[[1.0, 10.0, 100.0]]], (4,), 2, stride=1))())
    [[[  1.  11. 110. 100.]]]
    """

    g: Node
    image: Any
    kernel: Any
    stride: Any = None
    padding: Any = "valid"
    dilation: Any = 1
    ceil_mode: bool = False
    adjoint = "WindowSum"
    samples = (
        sample(("N", 2, 2, 3), image=(4, 6), kernel=2),
        sample(("N", 1, 3, 6), image=(5, 5), kernel=(3, 2), stride=(2, 1), padding=1),
        refused(ShapeError, ("N", 2, 3), image=(4,), kernel=3, culprits=("x0",)),
    )

    def prepare(self) -> None:
        """Read the window, and check the places."""
        self.__dict__["image"] = as_shape(self.image)
        if len(self.image) != self.g.ndim - 2:
            raise ShapeError(
                f"WindowSpread: {describe(self.g)} has places along {self.g.ndim - 2} axes, "
                f"the image {show_shape(self.image)} positions along {len(self.image)}."
            )
        read_pool(self, self.g)
        check_places(self, self.g, (*self.g.shape[:2], *self.image), g=self.g)

    def infer(self) -> Spec:
        """The images."""
        return Spec((*self.g.shape[:2], *self.image), self.g.dtype)

    @property
    def placed(self) -> Shape:
        """The shape of g."""
        return self.g.shape

    def bind(self, xp: Any, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...]) -> list[Call]:
        """A call for each tap, which adds the values to the positions that it reads."""
        g = ins[0]
        calls: list[Call] = [partial(out.fill, 0)]
        for seen, at in self.window.spans(out.shape[2:], g.shape[2:]):
            calls.append(partial(xp.add, out[seen], g[at], out[seen]))
        return calls

    def vjp(self, g: Node) -> Node:
        """The sum over the window."""
        return WindowSum(g, **pool_movement(self))
