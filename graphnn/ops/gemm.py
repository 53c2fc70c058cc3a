"""Gemm: general matrix multiplication, a product that is scaled and added to a matrix."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ..errors import ShapeError
from ..ir.broadcast import broadcast_to
from ..ir.leaf import Constant
from ..ir.node import Call, Node, describe
from ..ir.spec import Shape, Spec, show_shape
from .reductions import Sum
from .sample import refused, sample

__all__ = ["Gemm"]


class Gemm(Node):
    """General matrix multiplication: `alpha * A' @ B' + beta * C`.

    `Gemm(A, B, C=None, alpha=1.0, beta=1.0, transA=False, transB=False)` of matrices A' (N, K) and B' (K, M), where
    `A'` is A, or with `transA` its transpose, and likewise B'. C broadcasts to (N, M). alpha and beta are numbers or
    scalar nodes, such as a learning rate.
    Source: J. Dongarra and others, A Set of Level 3 Basic Linear Algebra Subprograms, ACM TOMS 16, 1990; the ONNX
    operator Gemm.

    Raises:
        ShapeError: when inner sizes differ, C does not broadcast, or alpha or beta is not a scalar.

    >>> import graphnn as gn
    >>> x, W = gn.Input("x", ("N", 2)), gn.Input("W", (3, 2))
    >>> gn.Gemm(x, W, [1.0, 2.0, 3.0], alpha=0.5, transB=True).spec
    Spec(shape=(N, 3), dtype=dtype('float32'))
    """

    A: Node
    B: Node
    C: Node | None = None
    alpha: Node = 1.0  # type: ignore[assignment]  # numbers become constants
    beta: Node = 1.0  # type: ignore[assignment]
    transA: bool = False  # noqa: N815 - as the standard writes it
    transB: bool = False  # noqa: N815
    onnx = "Gemm"
    samples = (
        sample(("N", "K"), ("K", "M"), ("N", "M")),
        sample(("N", "K"), ("K", "M"), ("M",), alpha=0.5, beta=-2.0),
        sample(("K", "N"), ("M", "K"), (1, 1), (), (), transA=True, transB=True),
        sample(("K", "N"), ("K", "M"), transA=True),
        sample(("N", "K"), ("M", "K"), None, (), transB=True),
        refused(ShapeError, ("N", 2), (3, "M")),
        refused(ShapeError, ("N", 2), (2, "M"), transB=True),
        refused(ShapeError, ("N", 2), (2, 3), (2,), culprits=("x2",)),
        refused(ShapeError, ("N", 2), (2, 3), ("N", 3), (2,), culprits=("x3",)),
        refused(ShapeError, ("B", "N", 2), (2, 3), culprits=("x0",)),
    )

    def prepare(self) -> None:
        """Cast to one dtype, check sizes, and repeat C."""
        operands = {name: self.__dict__[name] for name in ("A", "B", "C", "alpha", "beta")}
        A, B, C = self.A, self.B, self.C
        if A.ndim != 2 or B.ndim != 2:
            raise ShapeError(f"Gemm: {describe(A)} and {describe(B)} must both be matrices.")
        inner, rows = A.shape[0 if self.transA else 1], B.shape[1 if self.transB else 0]
        if inner != rows:
            raise ShapeError(
                f"Gemm: inner sizes differ: {describe(A)}{' transposed' * self.transA} @ "
                f"{describe(B)}{' transposed' * self.transB}: {inner} columns meet {rows} rows."
            )
        for name in ("alpha", "beta"):
            if operands[name].ndim:
                raise ShapeError(f"Gemm: {name} {describe(operands[name])} must be a scalar.")
        dtype = np.result_type(*(node.dtype for node in operands.values() if node is not None))
        cast = {name: None if node is None else node.cast(dtype) for name, node in operands.items()}
        self.__dict__.update(cast)
        if C is not None:
            shape = self.infer().shape
            if C.ndim > 2 or any(
                dim not in (1, wanted) for dim, wanted in zip(C.shape[::-1], shape[::-1], strict=False)
            ):
                raise ShapeError(f"Gemm: {describe(C)} does not broadcast to the product's {show_shape(shape)}.")
            self.__dict__["C"] = broadcast_to(C.cast(dtype), shape)

    def infer(self) -> Spec:
        """Rows of A', columns of B'."""
        A, B = self.A.shape, self.B.shape
        return Spec((A[1 if self.transA else 0], B[0 if self.transB else 1]), self.A.dtype)

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """The formula."""
        A, B = arrays[0].T if self.transA else arrays[0], arrays[1].T if self.transB else arrays[1]
        *C, alpha, beta = arrays[2:]
        product = alpha * xp.dot(A, B)
        return product + beta * C[0] if C else product

    def work(self) -> tuple[Shape, ...]:
        """A multiplication and an addition for each element of the result and of the inner size; and the sum."""
        inner = self.A.shape[0 if self.transA else 1]
        return (2, *self.shape, inner), (2, *self.shape)

    def scratch(self) -> tuple[Spec, ...]:
        """The product, where something is added to it."""
        return () if self.C is None else (Spec(self.shape, self.dtype),)

    def overwrites(self) -> tuple[int, ...]:
        """C, which is read once, element by element."""
        return () if self.C is None else (2,)

    def bind(self, xp: Any, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...]) -> list[Call]:
        """The product, then what scales and adds it; a factor that is the constant 1 costs nothing."""
        A, B = ins[0].T if self.transA else ins[0], ins[1].T if self.transB else ins[1]
        *C, alpha, beta = ins[2:]
        product = scratch[0] if C else out
        calls: list[Call] = [partial(xp.dot, A, B, product)]
        if not _is_one(self.alpha):
            calls.append(partial(xp.multiply, product, alpha, product))
        if C and _is_one(self.beta):
            calls.append(partial(xp.add, C[0], product, out))
        elif C:
            calls += [partial(xp.multiply, C[0], beta, out), partial(xp.add, out, product, out)]
        return calls

    def vjp(self, g: Node) -> tuple[Node | None, ...]:
        """`alpha * g @ B'.T` and `alpha * A'.T @ g`, transposed as A and B are; `beta * g`; for the factors, sums."""
        A, B, C, alpha, a, b = self.A, self.B, self.C, self.alpha, self.transA, self.transB
        dA = Gemm(B, g, None, alpha, transA=b, transB=True) if a else Gemm(g, B, None, alpha, transB=not b)
        dB = Gemm(g, A, None, alpha, transA=True, transB=a) if b else Gemm(A, g, None, alpha, transA=not a)
        d_alpha = Sum(g * Gemm(A, B, transA=a, transB=b))
        if C is None:
            return dA, dB, d_alpha, None
        return dA, dB, self.beta * g, d_alpha, Sum(g * C)


def _is_one(node: Node) -> bool:
    return isinstance(node, Constant) and bool(node.value == 1)
