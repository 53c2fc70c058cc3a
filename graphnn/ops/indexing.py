"""Indexing by labels: OneHot makes rows with a single one, and Pick takes one element of each row."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from ..errors import DTypeError, ShapeError
from ..ir.labels import check_labels
from ..ir.node import Call, Node, describe
from ..ir.spec import Spec
from .sample import refused, sample

__all__ = ["OneHot", "Pick"]


def check_integer(op: str, labels: Node) -> None:
    """Refuse labels that are not integers."""
    if labels.dtype.kind not in "iu":
        raise DTypeError(f"{op}: labels {describe(labels)} must be integers; declare the input with dtype='int64'.")


class OneHot(Node):
    """One-hot rows for labels: `OneHot(target, classes, kind="float32", axis=-1, on=1, off=0)`.

    The result has one more axis, of size `classes`: the last, or where `axis` says. Its elements are `on` at the
    position of the label and `off` elsewhere, in the dtype `kind`.

    Raises:
        ShapeError: when the result has no such axis.
        DTypeError: when labels are not integers.
        LabelError: when a label is outside 0..classes-1, at the call.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.OneHot([2, 0], 3))())
    [[0. 0. 1.]
     [1. 0. 0.]]
    """

    target: Node
    classes: int
    kind: Any = "float32"
    axis: int = -1
    on: float = 1
    off: float = 0
    onnx = "OneHot"
    indifferent = True
    samples = (
        sample(("N",), classes=3, dtypes=("int64",), domain=(0, 2), differentiable=False),
        sample(("N", "M"), classes=3, axis=1, on=5, off=-1, dtypes=("int32",), domain=(0, 2), differentiable=False),
        sample((), classes=3, dtypes=("int64",), domain=(0, 2), differentiable=False),
        refused(DTypeError, ("N",), classes=3),
        refused(ShapeError, ("N",), classes=3, axis=2, dtypes=("int64",)),
    )

    def prepare(self) -> None:
        """Count the new axis from 0, in the result; the last one remains -1."""
        ndim = self.target.ndim + 1
        if not -ndim <= self.axis < ndim:
            raise ShapeError(
                f"OneHot: there is no axis {self.axis} in what {describe(self.target)} becomes, which has {ndim} axes."
            )
        axis = self.axis % ndim
        self.__dict__["axis"] = -1 if axis == ndim - 1 else axis

    def infer(self) -> Spec:
        """One more axis, of size classes."""
        check_integer("OneHot", self.target)
        shape = list(self.target.shape)
        shape.insert(len(shape) if self.axis == -1 else self.axis, self.classes)
        return Spec(tuple(shape), np.dtype(self.kind))

    def table(self, xp: Any) -> Any:
        """The row for each label."""
        return xp.where(xp.eye(self.classes, dtype=bool), self.on, self.off).astype(self.dtype)

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """Rows of the table."""
        check_labels(arrays[0], self.classes, self.target.label, self)
        return xp.moveaxis(self.table(xp)[arrays[0]], -1, self.axis)

    def bind(self, xp: Any, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...]) -> list[Call]:
        """Take rows of a table. Labels are checked before, so that clipping changes nothing."""
        target = ins[0]
        if self.axis == -1:
            scratch[-1][...] = self.table(xp)
            return [partial(scratch[-1].take, target, 0, out, "clip")]
        classes = xp.arange(self.classes).reshape((-1,) + (1,) * (target.ndim - self.axis))
        here = xp.expand_dims(target, self.axis)
        return [
            partial(xp.equal, here, classes, out, casting="unsafe"),
            partial(xp.multiply, out, self.on - self.off, out, casting="unsafe"),
            partial(xp.add, out, self.off, out, casting="unsafe"),
        ]

    def tables(self) -> tuple[Spec, ...]:
        """The row for each label."""
        return (Spec((self.classes, self.classes), self.dtype),) if self.axis == -1 else ()

    def class_labels(self, sizes: Mapping[str, int]) -> tuple[Node, int]:
        """The operand."""
        return self.target, self.classes

    def vjp(self, g: Node) -> None:
        """Labels have no gradient."""
        return None


class Pick(Node):
    """The element of each row at its label: `Pick(x, target)` of x (..., classes) and integers (...).

    Raises:
        DTypeError: when labels are not integers.
        ShapeError: when they are not one for each row.
        LabelError: when a label is outside 0..classes-1, at the call.

    >>> import graphnn as gn
    >>> print(gn.compile(gn.Pick([[1.0, 2.0], [3.0, 4.0]], [1, 0]))())
    [2. 3.]
    """

    x: Node
    target: Node
    elements = "moved"
    indifferent = True
    samples = (
        sample(("N", 3), ("N",), dtypes=(None, "int64"), domain=(0, 2)),
        sample((3,), (), dtypes=(None, "int64"), domain=(0, 2)),
        refused(ShapeError, ("N", 3), ("M",), dtypes=(None, "int64")),
        refused(DTypeError, ("N", 3), ("N",)),
    )

    def infer(self) -> Spec:
        """The shape of the labels."""
        check_integer("Pick", self.target)
        if self.x.shape[:-1] != self.target.shape or not self.x.ndim:
            raise ShapeError(
                f"Pick: {describe(self.x)} and labels {describe(self.target)}: there must be one label for each row."
            )
        return Spec(self.target.shape, self.x.dtype)

    def scratch(self) -> tuple[Spec, ...]:
        """The position of each element in the flat array."""
        return (Spec(self.target.shape, np.dtype(np.intp)),)

    def tables(self) -> tuple[Spec, ...]:
        """The position at which each row starts."""
        return self.scratch()

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """By `take_along_axis`."""
        x, labels = arrays
        check_labels(labels, x.shape[-1], self.target.label, self)
        return xp.take_along_axis(x, labels[..., None].astype(np.intp), -1)[..., 0]

    def bind(self, xp: Any, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...]) -> list[Call]:
        """Compute the positions in the flat array, and take the elements there. Labels are checked before."""
        x, labels = ins
        if not x.flags.c_contiguous:
            return super().bind(xp, ins, out, scratch)
        place, starts = scratch
        starts[...] = (xp.arange(labels.size) * x.shape[-1]).reshape(labels.shape)
        return [
            partial(xp.add, labels, starts, place, casting="unsafe"),
            partial(x.reshape(-1).take, place, None, out, "clip"),
        ]

    def class_labels(self, sizes: Mapping[str, int]) -> tuple[Node, int]:
        """The second operand; classes are the elements of a row."""
        return self.target, self.x.spec.concrete(sizes)[-1]

    def vjp(self, g: Node) -> tuple[Node, None]:
        """The upstream gradient at the picked element, zero elsewhere."""
        classes = self.x.shape[-1]
        if not isinstance(classes, int):
            raise ShapeError(
                f"Pick: the gradient needs a fixed number of classes, not {classes}, in {describe(self.x)}."
            )
        spread = g.reshape((*g.shape, 1))
        return spread * OneHot(self.target, classes, self.x.dtype), None
