"""Lowering: for each op, the calls of kernels that compute it from given arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ...ir import formula as language
from ...ir.node import Node
from ...ops.einsum import Einsum
from ...ops.elementwise import Elementwise
from ...ops.gemm import Gemm
from ...ops.linear import MatMul
from ...ops.reductions import Reduction
from ...transform.halves import FromBFloat16, ToBFloat16
from ...transform.products import Product
from ...transform.rowwise import Rows
from ..nests import Nest, make_axes, make_nest
from .convolutions import CONVOLUTIONS
from .draws import DRAWS
from .halves import from_bfloat16_kernel, to_bfloat16_kernel
from .indices import INDICES
from .maps import copy, lower_map
from .matmul import by_loops, lower_product
from .moves import MOVES
from .pools import POOLS
from .ranks import RANKS
from .reductions import fold, reduction_kernel
from .rowwise.lower import lower_rows
from .scans import SCANS
from .searches import searchable, truth_kernel
from .sums import lower_einsum
from .tape import Invocation, address_of
from .types import NoKernel

__all__ = ["lower"]

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


def _elementwise(node: Any, ins: Arrays, out: np.ndarray, declared: Any, working: Arrays) -> list[Invocation]:
    return lower_map(node.body, tuple(node.named_operands()), declared.shape, ins, out)


def _half(kernel: Callable[[Nest], str]) -> Callable[..., list[Invocation]]:
    def rule(node: Node, ins: Arrays, out: np.ndarray, declared: Node, working: Arrays) -> list[Invocation]:
        if not out.size:
            return []
        nest, words = make_nest(declared.shape, [out, *ins])
        return [Invocation(kernel(nest), [address_of(out), *map(address_of, ins), *words])]

    return rule


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
    searched = node.ufunc.startswith("logical")
    if searched:  # in any order, so in one run if there is one
        go.sort(key=lambda a: -abs(x.strides[a]))
    kept, words = axes(stay, [[result.strides[a], x.strides[a]] for a in stay])
    reduced, more = axes(go, [[0, x.strides[a]] for a in go])
    if searched and reduced and searchable(kept, reduced[-1]):
        lines = Nest(kept, (out.dtype, x.dtype))
        kernel = truth_kernel(node.ufunc == "logical_and", lines, reduced[:-1], reduced[-1])
    else:
        kernel = reduction_kernel(how, kept, reduced)
    return [Invocation(kernel, [address_of(out), address_of(x), *words, *more])]


def _matmul(node: Node, ins: Arrays, out: np.ndarray, declared: Any, working: Arrays) -> list[Invocation]:
    return lower_product(ins[0], ins[1], out, declared.x.shape, declared.W.shape)


def _product(node: Node, ins: Arrays, out: np.ndarray, declared: Any, working: Arrays) -> list[Invocation]:
    x, w, onto, *alpha = ins
    dims = declared.x.shape, declared.W.shape
    side_by_side = onto.shape[-1] == 1 or onto.strides[-1] == onto.itemsize  # loops load it a vector at a time
    if side_by_side and by_loops(x, w, out, *dims):
        return lower_product(x, w, out, *dims, onto, *alpha)
    if not alpha:
        added = language.parse("x + y")
        return [*lower_product(x, w, out, *dims), *lower_map(added, ("x", "y"), declared.shape, (out, onto), out)]
    before = [] if address_of(onto) == address_of(out) else copy(declared.shape, out, onto)
    return [*before, *lower_product(x, w, out, *dims, out, *alpha)]


def _gemm(node: Any, ins: Arrays, out: np.ndarray, declared: Any, working: Arrays) -> list[Invocation]:
    a, b = ins[0].T if node.transA else ins[0], ins[1].T if node.transB else ins[1]
    *c, alpha, beta = ins[2:]
    (rows, columns), inner = declared.shape, declared.A.shape[0 if node.transA else 1]
    dims = (rows, inner), (inner, columns)
    if not c:
        return lower_product(a, b, out, *dims, None, alpha)
    scaled = lower_map(language.parse("c * beta"), ("c", "beta"), declared.shape, (*c, beta), out)
    return [*scaled, *lower_product(a, b, out, *dims, out, alpha)]


def _rows(node: Any, ins: Arrays, out: Any, declared: Node, working: Arrays) -> list[Invocation]:
    return lower_rows(node, ins, out)


_RULES: Mapping[type[Node], Callable[..., list[Invocation]]] = {
    Elementwise: _elementwise,
    Reduction: _reduction,
    MatMul: _matmul,
    Product: _product,
    Gemm: _gemm,
    Einsum: lower_einsum,
    Rows: _rows,
    ToBFloat16: _half(to_bfloat16_kernel),
    FromBFloat16: _half(from_bfloat16_kernel),
    **CONVOLUTIONS,
    **DRAWS,
    **INDICES,
    **MOVES,
    **POOLS,
    **RANKS,
    **SCANS,
}
