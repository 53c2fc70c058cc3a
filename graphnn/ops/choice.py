"""Choices between values: Where, Maximum, Minimum, Clip. No gradient flows to a value that was not chosen."""

from __future__ import annotations

from ..errors import DTypeError, ShapeError
from ..ir.formula import Formula
from ..ir.leaf import Constant
from ..ir.node import Node, describe
from .compare import Greater, GreaterEqual, Less, LessEqual
from .elementwise import Elementwise
from .sample import refused, sample

__all__ = ["Where", "Maximum", "Minimum", "Clip"]


class Where(Elementwise, role="where"):
    """`x` where the condition holds, else `y`, element by element.

    The gradient of the value that is not chosen is 0. So is the gradient of all that it was made of by elementwise ops,
    by sums or by moving elements: an infinite slope there does no harm, as in `Where(x > 0, Sqrt(x), 0)` at 0.

    Raises:
        ShapeError: when the operands do not broadcast.
        DTypeError: when the condition is not of bools.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Where([True, False], 1.0, 2.0))())
    [1. 2.]
    """

    condition: Node
    x: Node
    y: Node
    formula = "where(condition, x, y)"
    onnx = "Where"
    samples = (
        sample((), (), (), dtypes=("bool",)),
        sample(("N", "M"), ("M",), ("N", 1), dtypes=("bool",)),
        refused(ShapeError, (2,), (3,), (), dtypes=("bool",)),
        refused(DTypeError, ("N",), ("N",), ("N",)),
    )

    def prepare(self) -> None:
        """Check the condition; then prepare as every elementwise op."""
        if self.condition.dtype.kind != "b":
            raise DTypeError(
                f"Where: the condition {describe(self.condition)} is not of bools. Compare it, as in condition > 0, "
                "or cast it, as in condition.astype(bool)."
            )
        super().prepare()

    def vjp(self, g: Node) -> tuple[Node | None, ...]:
        """The upstream gradient to the value that is chosen, 0 to the other."""
        return None, *_either(self.condition, g)


def _either(condition: Node, g: Node) -> tuple[Node, Node]:
    """The gradient where the condition holds, else 0; and the gradient where it does not, else 0."""
    zero = Constant(0, dtype=g.dtype)
    return Where(condition, g, zero), Where(condition, zero, g)


_PAIR = (
    sample((), ()),
    sample(("N", "M"), ("M",)),
    sample(("N", 1), (1, "M")),
    refused(ShapeError, ("N", 2), ("N", 3)),
)


class Maximum(Elementwise):
    """The larger of `x` and `y`, element by element; NaN if either is. At a tie the gradient goes to `y`.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Maximum([-1.0, 2.0], 0.0))())
    [0. 2.]
    """

    x: Node
    y: Node
    formula = "maximum(x, y)"
    onnx = "Max"
    samples = _PAIR

    def vjp(self, g: Node) -> tuple[Node, Node]:
        """The upstream gradient to the larger, 0 to the other."""
        return _either(Greater(self.x, self.y), g)


class Minimum(Elementwise):
    """The smaller of `x` and `y`, element by element; NaN if either is. At a tie the gradient goes to `y`.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Minimum([-1.0, 2.0], 0.0))())
    [-1.  0.]
    """

    x: Node
    y: Node
    formula = "minimum(x, y)"
    onnx = "Min"
    samples = _PAIR

    def vjp(self, g: Node) -> tuple[Node, Node]:
        """The upstream gradient to the smaller, 0 to the other."""
        return _either(Less(self.x, self.y), g)


class Clip(Elementwise, method="clip"):
    """`x` limited to the range from `low` to `high`: `Clip(x, low=None, high=None)`. None means no limit.

    Where `low` is above `high`, the result is `high`. Where `x` equals a bound, the gradient goes to `x`, so that a
    parameter that has reached a bound can leave it again.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Clip([-1.0, 0.5, 2.0], 0.0, 1.0))())
    [0.  0.5 1. ]
    """

    x: Node
    low: Node | None = None
    high: Node | None = None
    onnx = "Clip"
    formula = "minimum(high, maximum(low, x))"
    samples = (
        sample((), low=-3.0, high=3.0),
        sample(("N", "M"), low=2.5),
        sample(("N", "M"), high=-2.5),
        sample(("N", "M"), ("M",), ("N", 1)),
        sample(("N",)),
        refused(ShapeError, ("N", 2), ("N", 3)),
    )

    @property
    def body(self) -> Formula:
        """The formula with the bounds that are given."""
        above = "x" if self.low is None else "maximum(low, x)"
        return self.read(above if self.high is None else f"minimum(high, {above})")

    def vjp(self, g: Node) -> tuple[Node | None, ...]:
        """The upstream gradient to whichever of `x` and the bounds is the result, 0 to the others."""
        low, high = self.low, self.high
        lifted = self.x if low is None else Maximum(self.x, low)
        gradients = [g]
        if high is not None:
            gradients = [*_either(LessEqual(lifted, high), g)]
        if low is not None:
            gradients[:1] = _either(GreaterEqual(self.x, low), gradients[0])
        return tuple(gradients)
