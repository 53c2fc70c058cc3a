"""Structure: Branch gives a value to several users, Cast changes the dtype, StopGradient ends differentiation."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ..errors import DTypeError, GraphError
from ..ir.dtype import as_dtype
from ..ir.node import Call, Node, describe
from ..ir.spec import Spec
from .arithmetic import AddN
from .sample import refused, sample

__all__ = ["Branch", "Cast", "StopGradient", "stop_gradient"]


class Branch(Node):
    """One value for n users: `a, b = Branch(x, 2)`. Its adjoint is AddN, the sum of the n gradients.

    Any node may have several users. Branch only makes this a node that can be seen.

    Raises:
        GraphError: when n is not a positive number.

    >>> import graphnn as gn
    >>> a, b = gn.Branch(gn.Input("x", ("N",)), 2)
    >>> (a + b).spec
    Spec(shape=(N,), dtype=dtype('float32'))
    """

    x: Node
    n: int
    adjoint = "AddN"
    indifferent = True
    samples = (sample(("N", "M"), n=2), sample((), n=3), refused(GraphError, ("N",), n=0))

    def infer(self) -> Any:
        """The spec of the operand, n times."""
        if not isinstance(self.n, int) or self.n < 1:
            raise GraphError(f"Branch: n is {self.n!r}; it must be a positive number of users.")
        return (self.x.spec,) * self.n

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """The value itself, n times."""
        return (arrays[0],) * self.n

    def view(self, dense: bool) -> bool | None:
        """It is the value itself."""
        return dense

    def vjp(self, g: Any) -> Node | None:
        """The sum of the gradients."""
        sent = tuple(part for part in g if part is not None)
        return AddN(sent) if len(sent) > 1 else sent[0] if sent else None


class Cast(Node, method="astype", role="cast"):
    """The value in another dtype: `Cast(x, to)`. Its adjoint is the Cast back.

    It is inserted where an op has operands of two dtypes. A cast of floats to integers truncates.

    Raises:
        DTypeError: when `to` is not a dtype.

    >>> import graphnn as gn
    >>> gn.Cast(gn.Input("x", ("N",)), "float64").spec
    Spec(shape=(N,), dtype=dtype('float64'))
    """

    x: Node
    to: Any
    adjoint = "Cast"
    onnx = "Cast"
    indifferent = True
    elements = "alike"
    samples = (
        sample(("N", "M"), to="float64"),
        sample((), to="float64"),
        refused(DTypeError, ("N",), to="complex64"),
    )

    def prepare(self) -> None:
        """Read the dtype."""
        try:
            self.__dict__["to"] = as_dtype(self.to)
        except DTypeError as error:
            raise DTypeError(f"Cast: {describe(self.x)} cannot be cast: {error}") from None

    def infer(self) -> Spec:
        """The operand's shape."""
        return Spec(self.x.shape, self.to)

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """By `astype`."""
        return arrays[0].astype(self.to, copy=False)

    def bind(self, xp: Any, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...]) -> list[Call]:
        """One copy."""
        return [partial(xp.copyto, out, ins[0], "unsafe")]

    def view(self, dense: bool) -> bool | None:
        """Only if the dtype stays the same."""
        return dense if self.x.dtype == self.to else None

    def vjp(self, g: Node) -> Node | None:
        """The gradient in the operand's dtype; none where a value was or became an integer."""
        floats = self.x.dtype.kind == "f" and np.dtype(self.to).kind == "f"
        return g.cast(self.x.dtype) if floats else None


class StopGradient(Node):
    """The value itself, through which no gradient flows.

    >>> import graphnn as gn
    >>> x = gn.Input("x", ())
    >>> float(gn.compile(gn.grad(x * gn.StopGradient(x), x))(x=3.0))
    3.0
    """

    x: Node
    indifferent = True
    samples = (sample(("N", "M"), differentiable=False), sample((), differentiable=False))

    def infer(self) -> Spec:
        """The operand's."""
        return self.x.spec

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """The value itself."""
        return arrays[0]

    def view(self, dense: bool) -> bool | None:
        """It is the value itself."""
        return dense

    def vjp(self, g: Node) -> None:
        """None."""
        return None


def stop_gradient(x: Node) -> Node:
    """The value of `x`, through which no gradient flows: `StopGradient(x)`.

    >>> import graphnn as gn
    >>> gn.stop_gradient(gn.Input("x", ("N",))).op
    'StopGradient'
    """
    return StopGradient(x)
