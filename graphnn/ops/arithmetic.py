"""Arithmetic: Add, Sub, Mul, Div, Mod, Neg, Reciprocal, Square, Power, and the sum of several (AddN)."""

from __future__ import annotations

import numpy as np

from ..errors import DTypeError, ShapeError
from ..ir import formula as language
from ..ir.formula import Formula
from ..ir.leaf import Constant
from ..ir.node import Node, describe
from .elementwise import Elementwise, Map
from .sample import NO_BOOLS, UNARY, refused, sample

__all__ = ["Add", "Sub", "Mul", "Div", "Mod", "Neg", "Reciprocal", "Square", "Power", "AddN"]

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
    onnx = "Add"
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
    onnx = "Sub"
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
    onnx = "Mul"
    samples = _BINARY

    def vjp(self, g: Node) -> tuple[Node, Node]:
        """The upstream gradient times the other operand."""
        return g * self.y, g * self.x


class Div(Elementwise, infix="/"):
    """The quotient `x / y`, element by element. The quotient of integers is a float.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Div([1.0, 2.0], 4.0))())
    [0.25 0.5 ]
    """

    x: Node
    y: Node
    formula = "x / y"
    onnx = "Div"
    samples = (
        sample((), (), domain=(0.5, 2.0)),
        sample(("N", "M"), ("M",), domain=(0.5, 2.0)),
        sample(("N", "M"), ("N", 1), domain=(-2.0, -0.5)),
        refused(ShapeError, ("N", 2), ("N", 3)),
    )

    def vjp(self, g: Node) -> tuple[Node, Node]:
        """`g / y` and `-g * self / y`."""
        return g / self.y, -g * self / self.y


class Mod(Elementwise, infix="%"):
    """The remainder of `x / y`: `Mod(x, y, fmod=False)`.

    It has the sign of `y`, as in Python; with `fmod`, that of `x`, as in C. An integer modulo 0 is 0, and a float
    modulo 0 is NaN, as in NumPy. The slope with respect to `y` is `-floor(x / y)`, because `x % y = x - y * floor(x /
    y)`.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Mod([-7, 7], [3, -3]))(), gn.compile(gn.Mod([-7, 7], [3, -3], fmod=True))())
    [ 2 -2] [-1  1]
    """

    x: Node
    y: Node
    fmod: bool = False
    formula = "x % y"
    onnx = "Mod"
    samples = (
        sample((), (), domain=(2.1, 2.9)),
        sample(("N", "M"), ("M",), domain=(2.1, 2.9)),
        sample(("N", "M"), ("N", 1), domain=(-2.9, -2.1), fmod=True),
        refused(ShapeError, ("N", 2), ("N", 3)),
    )

    @property
    def body(self) -> Formula:
        """The formula with the sign that is asked for."""
        return self.read("fmod(x, y)" if self.fmod else "x % y")


class Neg(Elementwise, prefix="-"):
    """The negative `-x`.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Neg([1.0, -2.0]))())
    [-1.  2.]
    """

    x: Node
    formula = "-x"
    onnx = "Neg"
    samples = (*UNARY, NO_BOOLS)

    def vjp(self, g: Node) -> Node:
        """`-g`."""
        return -g


class Reciprocal(Elementwise):
    """The reciprocal `1 / x`. The reciprocal of an integer is a float.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Reciprocal([2.0, -4.0]))())
    [ 0.5  -0.25]
    """

    x: Node
    formula = "1 / x"
    onnx = "Reciprocal"
    samples = tuple(sample(s, domain=d) for s in ((), ("N",), ("N", "M")) for d in ((0.5, 2.0), (-2.0, -0.5)))

    def vjp(self, g: Node) -> Node:
        """`-g * y * y`, from the output y."""
        return -g * self * self


class Square(Elementwise):
    """The square `x * x`.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Square([2.0, -3.0]))())
    [4. 9.]
    """

    x: Node
    formula = "x * x"
    samples = UNARY

    def vjp(self, g: Node) -> Node:
        """`2 * g * x`."""
        return 2 * g * self.x


class Power(Elementwise, infix="**"):
    """The power `x ** y`, element by element.

    The slope with respect to `x` is `y * x ** (y - 1)`, and with respect to `y` it is `x ** y * log(x)`, for which `x`
    must be positive. At `x = 0`, a slope that would be infinite though the power is finite, or that would be 0 times
    infinity, is taken as 0.

    Raises:
        ShapeError: when the operands do not broadcast.
        DTypeError: for a negative power of integers, which is not an integer; for bools.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Power([1.0, 3.0], 2.0))())
    [1. 9.]
    """

    x: Node
    y: Node
    formula = "x ** y"
    onnx = "Pow"
    samples = (
        sample((), (), domain=(0.5, 2.0)),
        sample(("N", "M"), ("M",), domain=(0.5, 2.0)),
        sample(("N", 1), (1, "M"), domain=(0.5, 2.0)),
        refused(ShapeError, ("N", 2), ("N", 3)),
    )

    def prepare(self) -> None:
        """Refuse negative powers of integers; then prepare as every elementwise op."""
        super().prepare()
        y = self.y
        if isinstance(y, Constant) and y.dtype.kind == "i" and np.any(y.value < 0):
            raise DTypeError(
                f"Power: {describe(self.x)} is of integers, and a negative power of one is no integer. "
                "Cast it first, as in x.astype('float64')."
            )

    def vjp(self, g: Node) -> tuple[Node | None, Node | None]:
        """`g * y * x ** (y - 1)` and `g * x ** y * log(x)`, with 0 for slopes that are undefined at 0."""
        x, y = self.x, self.y
        if isinstance(y, Constant) and not y.shape and np.isfinite(y.value):
            return self._by_base(g, y.value.item()), None
        by_x = "where((y == 0) | (x == 0) & (y > 0) & (y < 1), 0, g * y * x ** (y - 1))"
        by_y = "where(x == 0, 0, g * z * log(x))"
        return Map(by_x, ("y", "x", "g"), (y, x, g)), Map(by_y, ("x", "g", "z"), (x, g, self))

    def _by_base(self, g: Node, power: float) -> Node | None:
        """The gradient with respect to `x` for a power that is a number."""
        match power:
            case 0:
                return None
            case 1:
                return g
            case 2:
                return 2 * g * self.x
        slope = f"g * {power!r} * x ** {power - 1!r}"
        return Map(f"where(x == 0, 0, {slope})" if 0 < power < 1 else slope, ("g", "x"), (g, self.x))


class AddN(Elementwise, role="add_n"):
    """The sum of several values of the same shape: `AddN((x, y, z))`. Its adjoint is Branch.

    The gradient of a value with several users is such a sum.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.AddN((gn.Constant([1.0]), gn.Constant([2.0]), gn.Constant([4.0]))))())
    [7.]
    """

    values: tuple[Node, ...]
    adjoint = "Branch"
    onnx = "Sum"
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
        """Put the operands into the tuple."""
        self.__dict__["values"] = tuple(operands.values())

    def vjp(self, g: Node) -> tuple[Node, ...]:
        """The upstream gradient to each."""
        return (g,) * len(self.values)
