"""Arithmetic: Add, Sub, Mul, Div, Neg, Power, and the sum of several (AddN)."""

from __future__ import annotations

from ..errors import ShapeError
from ..ir import formula as language
from ..ir.formula import Formula
from ..ir.node import Node
from .elementwise import Elementwise
from .sample import UNARY, refused, sample

__all__ = ["Add", "Sub", "Mul", "Div", "Neg", "Power", "AddN"]

_BINARY = (
    sample((), ()),
    sample(("N", "M"), ("N", "M")),
    sample(("N", "M"), ("M",)),
    sample(("N", 1), (1, "M")),
    refused(ShapeError, ("N", 2), ("N", 3)),
    refused(ShapeError, ("N",), ("M",)),
)


class Add(Elementwise, infix="+"):
    """The sum `x + y` of operands that broadcast.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Add([1.0, 2.0], 3.0))())
    [4. 5.]
    """

    x: Node
    y: Node
    formula = "x + y"
    samples = _BINARY

    def vjp(self, g: Node) -> tuple[Node, Node]:
        """The upstream gradient to both, unchanged."""
        return g, g


class Sub(Elementwise, infix="-"):
    """The difference `x - y` of operands that broadcast.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Sub([1.0, 2.0], 3.0))())
    [-2. -1.]
    """

    x: Node
    y: Node
    formula = "x - y"
    samples = _BINARY

    def vjp(self, g: Node) -> tuple[Node, Node]:
        """`g` and `-g`."""
        return g, -g


class Mul(Elementwise, infix="*"):
    """The product `x * y`, element by element, of operands that broadcast.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Mul([1.0, 2.0], 3.0))())
    [3. 6.]
    """

    x: Node
    y: Node
    formula = "x * y"
    samples = _BINARY

    def vjp(self, g: Node) -> tuple[Node, Node]:
        """The upstream gradient times the other operand."""
        return g * self.y, g * self.x


class Div(Elementwise, infix="/"):
    """The quotient `x / y`, element by element; of integers, a float.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Div([1.0, 2.0], 4.0))())
    [0.25 0.5 ]
    """

    x: Node
    y: Node
    formula = "x / y"
    samples = (
        sample((), (), domain=(0.5, 2.0)),
        sample(("N", "M"), ("M",), domain=(0.5, 2.0)),
        sample(("N", "M"), ("N", 1), domain=(-2.0, -0.5)),
        refused(ShapeError, ("N", 2), ("N", 3)),
    )

    def vjp(self, g: Node) -> tuple[Node, Node]:
        """`g / y` and `-g * self / y`."""
        return g / self.y, -g * self / self.y


class Neg(Elementwise, prefix="-"):
    """The negative `-x`.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Neg([1.0, -2.0]))())
    [-1.  2.]
    """

    x: Node
    formula = "-x"
    samples = UNARY

    def vjp(self, g: Node) -> Node:
        """`-g`."""
        return -g


class Power(Elementwise, infix="**"):
    """The power `x ** y`, element by element.

    The gradient by `y` is `x ** y * log(x)`, so `x` must be positive where that is asked for.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Power([1.0, 3.0], 2.0))())
    [1. 9.]
    """

    x: Node
    y: Node
    formula = "x ** y"
    samples = (
        sample((), (), domain=(0.5, 2.0)),
        sample(("N", "M"), ("M",), domain=(0.5, 2.0)),
        refused(ShapeError, ("N", 2), ("N", 3)),
    )


class AddN(Elementwise, role="add_n"):
    """The sum of several values of one shape: `AddN((x, y, z))`, the adjoint of `Branch`.

    Fan-out sums its gradients through it.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.AddN((gn.Constant([1.0]), gn.Constant([2.0]), gn.Constant([4.0]))))())
    [7.]
    """

    values: tuple[Node, ...]
    adjoint = "Branch"
    samples = (
        sample((), packed=True),
        sample(("N", "M"), ("N", "M"), ("N", "M"), packed=True),
        refused(ShapeError, (2,), (3,), packed=True),
    )

    def named_operands(self) -> dict[str, Node]:
        """`x0`, `x1` and so on."""
        return {f"x{i}": node for i, node in enumerate(self.values)}

    @property
    def body(self) -> Formula:
        """`x0 + x1 + ...`."""
        total: Formula = language.name("x0")
        for i in range(1, len(self.values)):
            total = language.apply("add", total, language.name(f"x{i}"))
        return total

    def place(self, operands: dict[str, Node]) -> None:
        """They stand in one tuple."""
        self.__dict__["values"] = tuple(operands.values())

    def vjp(self, g: Node) -> tuple[Node, ...]:
        """The upstream gradient to each."""
        return (g,) * len(self.values)
