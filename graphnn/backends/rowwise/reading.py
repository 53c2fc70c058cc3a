"""Reading rows: the row program of a step over rows, and the numbers for its kernel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...ir.node import Node
from ...ir.spec import Shape
from ...ops.elementwise import Elementwise
from ...ops.indexing import OneHot, Pick
from ...ops.reductions import Reduction
from ...ops.shape import Repeat, Reshape
from ...transform.rowwise import RowBody, Rows
from ..kernels import DType, NoKernel, fold
from ..nests import make_axes
from .program import Folded, Mapped, Marked, Operand, Picked, RowProgram, Step, Summed

__all__ = ["read_rows"]

_BY_ROW = ("whole", "row")
"""The kinds of arrays that differ from row to row."""


def read_rows(node: Rows, ins: tuple[np.ndarray, ...], outs: tuple[np.ndarray, ...]) -> tuple[RowProgram, list[int]]:
    """The row program of a step, and its numbers: sizes and strides of the axes of rows, and strides along rows.

    Raises:
        NoKernel: for a step that cannot be computed by rows.
    """
    whole = _whole(node.body)
    arrays = (*ins, *outs)
    stands = (*node.body.operands, *node.body.results)
    kinds = [_kind(stand, array, whole) for stand, array in zip(stands, arrays, strict=True)]
    count = len(whole) - 1
    moves = [
        [array.strides[axis] if kind.kind in _BY_ROW else 0 for array, kind in zip(arrays, kinds, strict=True)]
        for axis in range(count)
    ]
    rows = next(array.shape[:count] for array, kind in zip(arrays, kinds, strict=True) if kind.kind in _BY_ROW)
    axes, numbers = make_axes(whole[:-1], rows, moves, [_as_element(kind, whole[-1]) for kind in kinds])
    operands, results = tuple(kinds[: len(ins)]), kinds[len(ins) :]
    steps, values = _steps(node.body, whole)
    program = RowProgram(
        whole[-1],
        operands,
        steps,
        tuple((values[result], kind) for result, kind in zip(node.body.results, results, strict=True)),
        axes,
    )
    along = [array.strides[-1] for array, kind in zip(arrays, kinds, strict=True) if kind.along == "any"]
    return program, [*numbers, *along]


def _whole(body: RowBody) -> Any:
    """The shape of all rows with their elements."""
    shape: Shape = next(step.x.shape for step in body.steps if isinstance(step, Reduction))
    return shape


def _kind(stand: Node, array: np.ndarray, whole: Shape) -> Operand:
    if not stand.shape:
        return Operand("still", array.dtype)
    if isinstance(stand, Reduction) and _is_sum(stand):
        return Operand("column", array.dtype, "dense")
    if stand.shape != whole:
        return Operand("row", array.dtype)
    stride = array.strides[-1]
    return Operand("whole", array.dtype, "none" if not stride else "dense" if stride == array.itemsize else "any")


def _is_sum(node: Reduction) -> bool:
    """Is it a reduction over all rows, rather than of each row?"""
    return node.x.ndim - 1 not in node.axes


def _as_element(kind: Operand, width: int) -> DType:
    """A dtype as large as the part of an array for one row, so that axes can be merged as if that were an element."""
    return np.dtype((np.void, kind.dtype.itemsize * width)) if kind.kind == "whole" else kind.dtype


def _steps(body: RowBody, whole: Shape) -> tuple[tuple[Step, ...], Mapping[Node, int]]:
    """The steps, and the number of the value of each node; a view has that of its operand."""
    values = {stand: i for i, stand in enumerate(body.operands)}
    steps: list[Step] = []
    for node in body.steps:
        if isinstance(node, (Repeat, Reshape)):
            values[node] = values[node.x]
            continue
        values[node] = len(body.operands) + len(steps)
        steps.append(_step(node, values, whole))
    return tuple(steps), values


def _step(node: Node, values: Mapping[Node, int], whole: Shape) -> Step:
    match node:
        case Reduction(x=x) if _is_sum(node):
            return Summed(fold(node.ufunc, x.dtype, node.dtype), values[x])
        case Reduction(x=x):
            return Folded(fold(node.ufunc, x.dtype, node.dtype), values[x])
        case Pick(x=x, target=labels):
            return Picked(values[x], values[labels], node.dtype)
        case OneHot(target=labels, on=on, off=off):
            return Marked(values[labels], node.dtype, on, off)
        case Elementwise():
            named = node.named_operands()
            arguments = tuple(values[operand] for operand in named.values())
            return Mapped(node.body, tuple(named), arguments, node.dtype, node.shape == whole)
    raise NoKernel(f"{node.op} by rows")
