"""Logic: And, Or, Xor, Not, and tests of values."""

from __future__ import annotations

from ..errors import DTypeError, ShapeError
from ..ir.formula import Formula
from ..ir.node import Node
from .elementwise import Elementwise
from .sample import refused, sample

__all__ = ["And", "Or", "Xor", "Not", "IsNaN", "IsInf"]

_BOOLS = ("bool", "bool")
_SAMPLES = (
    sample((), (), dtypes=_BOOLS, domain=(0, 1)),
    sample(("N", "M"), ("M",), dtypes=_BOOLS, domain=(0, 1)),
    sample(("N",), ("N",), dtypes=("int64", "int64"), domain=(-9, 9)),
    refused(DTypeError, ("N",), ("N",)),
    refused(ShapeError, ("N", 2), ("N", 3), dtypes=_BOOLS),
)


class And(Elementwise, infix="&", role="and"):
    """Logical and: `x & y`. For integers, it works bit by bit.

    Raises:
        ShapeError: when the operands do not broadcast.
        DTypeError: for floats.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.And([True, True], [True, False]))())
    [ True False]
    """

    x: Node
    y: Node
    formula = "x & y"
    onnx = "And"
    samples = _SAMPLES


class Or(Elementwise, infix="|", role="or"):
    """Logical or: `x | y`. For integers, it works bit by bit.

    Raises:
        ShapeError: when the operands do not broadcast.
        DTypeError: for floats.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Or([True, False], [True, False]))())
    [ True False]
    """

    x: Node
    y: Node
    formula = "x | y"
    onnx = "Or"
    samples = _SAMPLES


class Xor(Elementwise, infix="^"):
    """Exclusive or: `x ^ y`. For integers, it works bit by bit.

    Raises:
        ShapeError: when the operands do not broadcast.
        DTypeError: for floats.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Xor([True, True], [True, False]))())
    [False  True]
    """

    x: Node
    y: Node
    formula = "x ^ y"
    onnx = "Xor"
    samples = _SAMPLES


class Not(Elementwise, prefix="~", role="not"):
    """Logical not: `~x`. For integers, it works bit by bit.

    Raises:
        DTypeError: for floats.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Not([True, False]))())
    [False  True]
    """

    x: Node
    formula = "~x"
    onnx = "Not"
    samples = (
        sample((), dtypes=("bool",), domain=(0, 1)),
        sample(("N", "M"), dtypes=("bool",), domain=(0, 1)),
        sample(("N",), dtypes=("int64",), domain=(-9, 9)),
        refused(DTypeError, ("N",)),
    )


_TESTS = (sample((), differentiable=False), sample(("N", "M"), differentiable=False))


class IsNaN(Elementwise):
    """Is `x` not a number?

    >>> import graphnn as gn
    >>> print(gn.compile(gn.IsNaN([1.0, float("nan")]))())
    [False  True]
    """

    x: Node
    formula = "isnan(x)"
    onnx = "IsNaN"
    samples = _TESTS


class IsInf(Elementwise):
    """Is `x` infinite? `IsInf(x, detect_negative=True, detect_positive=True)` tests for one or both infinities.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.IsInf([1.0, float("-inf")]))())
    [False  True]
    """

    x: Node
    detect_negative: bool = True
    detect_positive: bool = True
    formula = "isinf(x)"
    onnx = "IsInf"
    samples = (*_TESTS, sample(("N",), detect_negative=False, differentiable=False))

    @property
    def body(self) -> Formula:
        """The test, on the sides asked for."""
        match bool(self.detect_negative), bool(self.detect_positive):
            case True, True:
                return self.read("isinf(x)")
            case True, False:
                return self.read("isinf(x) & (x < 0)")
            case False, True:
                return self.read("isinf(x) & (x > 0)")
        return self.read("x < x")  # asked for neither: never
