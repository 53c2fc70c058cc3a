"""Lowering: for each op, the calls of kernels that compute it from given arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ...ir import formula as language
from ...ir.node import Node
from ...ir.spec import Dim
from ...ops.elementwise import Elementwise
from ...ops.indexing import OneHot, Pick
from ...ops.joining import Concat
from ...ops.linear import MatMul
from ...ops.reductions import Reduction
from ...ops.shape import Reshape
from ...ops.structure import Cast
from ...transform.halves import FromBFloat16, ToBFloat16
from ...transform.products import Product
from ...transform.rowwise import Rows
from ..nests import Nest, make_axes, make_nest
from .halves import from_bfloat16_kernel, to_bfloat16_kernel
from .maps import map_kernel
from .matmul import by_loops, lower_product
from .picks import check_kernel, one_hot_kernel, pick_kernel
from .pools import POOLS
from .reductions import fold, reduction_kernel
from .rowwise.lower import lower_rows
from .tape import Invocation, address_of
from .types import NoKernel

__all__ = ["copy", "lower", "lower_check"]

Arrays = tuple[np.ndarray, ...]


def lower(node: Node, ins: Arrays, out: Any, declared: Node, working: Arrays) -> list[Invocation]:
    """The calls that write the node's value into `out`. `declared` is the node with its named sizes, `working` the
    memory that the plan keeps for the step: the op's scratch, then its tables.

    Raises:
        NoKernel: when this op, dtype or layout has none.
    """
    for kind in type(node).__mro__:
        rule = _RULES.get(kind)
        if rule is not None:
            return rule(node, ins, out, declared, working)
    raise NoKernel("the op has no kernel")


def copy(dims: tuple[Dim, ...], out: np.ndarray, x: np.ndarray) -> list[Invocation]:
    """The call that copies an array, whatever its layout and dtype; its first words are where to, and where from."""
    return _map(language.name("x"), ("x",), dims, (x,), out)


def _map(
    body: language.Formula, names: tuple[str, ...], dims: tuple[Dim, ...], ins: Arrays, out: np.ndarray
) -> list[Invocation]:
    if not out.size:
        return []
    nest, words = make_nest(dims, [out, *ins])
    kernel = map_kernel(nest, names, body)
    return [Invocation(kernel, [address_of(out), *map(address_of, ins), *words])]


def _elementwise(node: Any, ins: Arrays, out: np.ndarray, declared: Any, working: Arrays) -> list[Invocation]:
    return _map(node.body, tuple(node.named_operands()), declared.shape, ins, out)


def _cast(node: Node, ins: Arrays, out: np.ndarray, declared: Node, working: Arrays) -> list[Invocation]:
    return copy(declared.shape, out, ins[0])


def _half(kernel: Callable[[Nest], str]) -> Callable[..., list[Invocation]]:
    def rule(node: Node, ins: Arrays, out: np.ndarray, declared: Node, working: Arrays) -> list[Invocation]:
        if not out.size:
            return []
        nest, words = make_nest(declared.shape, [out, *ins])
        return [Invocation(kernel(nest), [address_of(out), *map(address_of, ins), *words])]

    return rule


def _reshape(node: Node, ins: Arrays, out: np.ndarray, declared: Any, working: Arrays) -> list[Invocation]:
    return copy(declared.x.shape, out.reshape(ins[0].shape), ins[0])


def _concat(node: Any, ins: Arrays, out: np.ndarray, declared: Any, working: Arrays) -> list[Invocation]:
    calls: list[Invocation] = []
    ends = np.cumsum([x.shape[node.axis] for x in ins]).tolist()
    for x, value, end in zip(ins, declared.values, ends, strict=True):
        place = out[(slice(None),) * node.axis + (slice(end - x.shape[node.axis], end),)]
        calls += copy(value.shape, place, x)
    return calls


def _reduction(node: Any, ins: Arrays, out: np.ndarray, declared: Any, working: Arrays) -> list[Invocation]:
    if not out.size:
        return []
    [x] = ins
    how = fold(node.ufunc, x.dtype, out.dtype)
    result = out if node.keepdims else np.expand_dims(out, node.axes)
    dims = declared.x.shape

    def axes(chosen: list[int], moves: list[list[int]]) -> Any:
        return make_axes([dims[a] for a in chosen], [x.shape[a] for a in chosen], moves, (out.dtype, x.dtype))

    stay = [a for a in range(x.ndim) if a not in node.axes]
    go = list(node.axes)
    kept, words = axes(stay, [[result.strides[a], x.strides[a]] for a in stay])
    reduced, more = axes(go, [[0, x.strides[a]] for a in go])
    return [Invocation(reduction_kernel(how, kept, reduced), [address_of(out), address_of(x), *words, *more])]


def _matmul(node: Node, ins: Arrays, out: np.ndarray, declared: Any, working: Arrays) -> list[Invocation]:
    return lower_product(ins[0], ins[1], out, declared.x.shape, declared.W.shape)


def _product(node: Node, ins: Arrays, out: np.ndarray, declared: Any, working: Arrays) -> list[Invocation]:
    x, w, onto, *alpha = ins
    dims = declared.x.shape, declared.W.shape
    if by_loops(x, w, out):
        return lower_product(x, w, out, *dims, onto, *alpha)
    if not alpha:
        added = language.parse("x + y")
        return [*lower_product(x, w, out, *dims), *_map(added, ("x", "y"), declared.shape, (out, onto), out)]
    before = [] if address_of(onto) == address_of(out) else copy(declared.shape, out, onto)
    return [*before, *lower_product(x, w, out, *dims, out, *alpha)]


def _rows(node: Any, ins: Arrays, out: Any, declared: Node, working: Arrays) -> list[Invocation]:
    return lower_rows(node, ins, out)


def _pick(node: Node, ins: Arrays, out: np.ndarray, declared: Node, working: Arrays) -> list[Invocation]:
    x, labels = ins
    if not out.size:
        return []
    rows, by_row = _one_axis(x, 1)
    _, by_label = _one_axis(labels, 0)
    words = [address_of(out), address_of(x), address_of(labels), rows, by_row, x.strides[-1], by_label]
    return [Invocation(pick_kernel(x.dtype, labels.dtype), words)]


def _one_hot(node: Any, ins: Arrays, out: np.ndarray, declared: Any, working: Arrays) -> list[Invocation]:
    [labels] = ins
    if not out.size:
        return []
    if node.axis != -1:
        raise NoKernel("classes along another axis than the last")
    rows, by_label = _one_axis(labels, 0)
    words = [address_of(out), address_of(labels), rows, out.shape[-1], by_label]
    return [Invocation(one_hot_kernel(labels.dtype, out.dtype, node.on, node.off), words)]


def lower_check(labels: np.ndarray, classes: int) -> list[Invocation]:
    """The call that stops the program when a label is out of range."""
    if not labels.size:
        return []
    count, stride = _one_axis(labels, 0)
    return [Invocation(check_kernel(labels.dtype), [address_of(labels), count, stride, classes])]


def _one_axis(array: np.ndarray, but: int) -> tuple[int, int]:
    """The count and stride of all axes but the last so many, when they can be walked as one."""
    count, stride = 1, 0
    for size, step in zip(array.shape[: array.ndim - but][::-1], array.strides[: array.ndim - but][::-1], strict=True):
        if size == 1:
            continue
        if count > 1 and step != stride * count:
            raise NoKernel("rows that do not lie at equal distances")
        stride = stride if count > 1 else step
        count *= size
    return count, stride


_RULES: Mapping[type[Node], Callable[..., list[Invocation]]] = {
    Elementwise: _elementwise,
    Cast: _cast,
    Reshape: _reshape,
    Concat: _concat,
    Reduction: _reduction,
    MatMul: _matmul,
    Product: _product,
    Rows: _rows,
    Pick: _pick,
    OneHot: _one_hot,
    ToBFloat16: _half(to_bfloat16_kernel),
    FromBFloat16: _half(from_bfloat16_kernel),
    **POOLS,
}
