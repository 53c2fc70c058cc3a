"""Lowering: for each op, the launches of kernels that compute it from given arrays.

The arrays are those of the host's twin of the device: what is read off them is where they lie and how.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from ...ir import formula as language
from ...ir.node import Node
from ...ir.spec import Dim
from ...ops.conv import Conv, ConvTranspose, ConvWeight
from ...ops.einsum import Einsum, as_product
from ...ops.elements import GatherElements, ScatterElements
from ...ops.elementwise import Elementwise
from ...ops.gathering import Gather, ScatterAdd
from ...ops.gemm import Gemm
from ...ops.indexing import OneHot, Pick
from ...ops.joining import Concat
from ...ops.linear import MatMul
from ...ops.maxpool import MaxPick, MaxPool, MaxUnpool
from ...ops.padding import Pad
from ...ops.pool import WindowSpread, WindowSum
from ...ops.random import Uniform
from ...ops.ranking import ArgMax, ArgMin, TopK
from ...ops.reductions import Reduction
from ...ops.scans import CumProd, CumSum
from ...ops.shape import Reshape
from ...ops.structure import Cast
from ...ops.triangle import Trilu
from ...transform.halves import FromBFloat16, ToBFloat16
from ...transform.products import Product
from ...transform.rectified import GatedProduct, RectifiedProduct
from ...transform.rowwise import Rows
from ..kernels import NoKernel
from .draws import lower_uniform
from .folds import Folded, lower_fold
from .halves import lower_bfloat16
from .labels import lower_take
from .layouts import Epilogue
from .maps import lower_map
from .maxima import lower_max_pick, lower_max_unpool
from .products import lower_product
from .puts import lower_put
from .ranks import lower_top_k
from .rectified import lower_gated, lower_rectified
from .rowwise import lower_rows
from .scans import lower_extreme, lower_scan
from .site import Multiply, Site
from .sources import Source, coordinate_along
from .windows import (
    lower_conv,
    lower_conv_transpose,
    lower_conv_weight,
    lower_max_pool,
    lower_window_spread,
    lower_window_sum,
)
from .writer import Launch

__all__ = ["Launched", "copy", "lower"]

Launched: TypeAlias = "Launch | Multiply"
"""What a step becomes: kernels, and products of the library."""

Arrays = tuple[np.ndarray, ...]


def lower(node: Node, ins: Arrays, out: Any, declared: Node, at: Site) -> Sequence[Launched]:
    """The launches that write the node's value into `out`. `declared` is the node with its named sizes.

    Raises:
        NoKernel: when this op, dtype or layout has none.
    """
    for kind in type(node).__mro__:
        rule = _RULES.get(kind)
        if rule is not None:
            return rule(node, ins, out, declared, at)
    raise NoKernel("the op has no kernel")


def copy(dims: Sequence[Dim], out: np.ndarray, x: np.ndarray, at: Site) -> Sequence[Launched]:
    """The launch that copies an array, whatever its layout and dtype."""
    return lower_map(language.name("x"), ("x",), dims, (x,), out, at)


def _elementwise(node: Any, ins: Arrays, out: np.ndarray, declared: Any, at: Site) -> Sequence[Launched]:
    return lower_map(node.body, tuple(node.named_operands()), declared.shape, ins, out, at)


def _cast(node: Node, ins: Arrays, out: np.ndarray, declared: Node, at: Site) -> Sequence[Launched]:
    return copy(declared.shape, out, ins[0], at)


def _reshape(node: Node, ins: Arrays, out: np.ndarray, declared: Any, at: Site) -> Sequence[Launched]:
    return copy(declared.x.shape, out.reshape(ins[0].shape), ins[0], at)


def _reduction(node: Any, ins: Arrays, out: np.ndarray, declared: Any, at: Site) -> Sequence[Launched]:
    result = out if node.keepdims else np.expand_dims(out, node.axes)
    how = Folded(node.ufunc, language.name("x"), ("x",), ins[0].dtype)
    return lower_fold(how, declared.x.shape, ins[0].shape, node.axes, ins, result, at)


def _extreme(node: Any, ins: Arrays, out: np.ndarray, declared: Any, at: Site) -> Sequence[Launched]:
    result = out if node.keepdims else np.expand_dims(out, node.axes)
    return lower_extreme(node.function, node.last, ins[0], node.axes, result, declared.x.shape, at)


def _scan(node: Any, ins: Arrays, out: np.ndarray, declared: Any, at: Site) -> Sequence[Launched]:
    return lower_scan(node.ufunc, ins[0], out, node.axis, node.exclusive, node.reverse, declared.shape, at)


def _matmul(node: Node, ins: Arrays, out: np.ndarray, declared: Any, at: Site) -> Sequence[Launched]:
    return lower_product(ins[0], ins[1], out, at)


def _product(node: Any, ins: Arrays, out: np.ndarray, declared: Any, at: Site) -> Sequence[Launched]:
    """A row repeated is a bias: added by the library where it does that, else to what it multiplied."""
    x, w, onto, *alpha = ins
    if alpha or onto.strides[0] or not out.size or not x.size:
        return lower_product(x, w, out, at, onto, *alpha)
    whole = at.multiply(x, w, out, epilogue=Epilogue.BIAS, vector=onto[0])
    if whole is not None:
        return [whole]
    plain = at.multiply(x, w, out)
    if plain is not None:
        return [plain, *lower_map(language.parse("x + b"), ("x", "b"), declared.shape, (out, onto), out, at)]
    return lower_product(x, w, out, at, onto)


def _bfloat16(node: Node, ins: Arrays, out: np.ndarray, declared: Node, at: Site) -> Sequence[Launched]:
    return lower_bfloat16(declared.shape, ins[0], out, at)


def _gemm(node: Any, ins: Arrays, out: np.ndarray, declared: Any, at: Site) -> Sequence[Launched]:
    a, b = ins[0].T if node.transA else ins[0], ins[1].T if node.transB else ins[1]
    *c, alpha, beta = ins[2:]
    if not c:
        return [*lower_product(a, b, out, at), *_scaled(declared, out, out, alpha, at)]
    return [*_scaled(declared, c[0], out, beta, at), *lower_product(a, b, out, at, out, alpha)]


def _scaled(declared: Node, x: np.ndarray, out: np.ndarray, factor: np.ndarray, at: Site) -> Sequence[Launched]:
    return lower_map(language.parse("x * y"), ("x", "y"), declared.shape, (x, factor), out, at)


def _einsum(node: Any, ins: Arrays, out: np.ndarray, declared: Any, at: Site) -> Sequence[Launched]:
    """A matrix product where views make it one; else all operands, seen along every letter, multiplied and folded."""
    terms, result = node.terms
    if len(ins) == 2 and out.dtype.kind != "b" and out.size and all(x.size for x in ins):
        product = as_product(terms, result, ins, out)
        if product is not None:
            return lower_product(*product, at)
    letters = result + "".join(dict.fromkeys(a for term in terms for a in term if a not in result))
    dims: dict[str, Dim] = {}
    sizes: dict[str, int] = {}
    for term, x, operand in zip(terms, ins, declared.values, strict=True):
        dims.update(zip(term, operand.shape, strict=True))
        sizes.update(zip(term, x.shape, strict=True))
    shape = [sizes[a] for a in letters]
    seen = []
    for term, x in zip(terms, ins, strict=True):
        own = [[i for i, a in enumerate(term) if a == letter] for letter in letters]
        seen.append(_along(x, own, shape))
    names = tuple(f"x{i}" for i in range(len(ins)))
    over = range(len(result), len(letters))
    how = Folded("add", language.parse(" * ".join(names)), names, out.dtype)
    return lower_fold(how, [dims[a] for a in letters], shape, over, seen, np.expand_dims(out, tuple(over)), at)


def _along(x: np.ndarray, axes: Sequence[Sequence[int]], shape: Sequence[int]) -> np.ndarray:
    """An array seen along other axes: each is made of some of its own, moved along together, or of none."""
    strides = [sum(x.strides[a] for a in own) for own in axes]
    return np.lib.stride_tricks.as_strided(x, shape, strides, writeable=False)


def _pick(node: Node, ins: Arrays, out: np.ndarray, declared: Node, at: Site) -> Sequence[Launched]:
    x, labels = ins
    return lower_take(declared.shape, out, x[..., 0], labels, x.strides[-1], at) if x.size else []


def _gather(node: Any, ins: Arrays, out: np.ndarray, declared: Node, at: Site) -> Sequence[Launched]:
    x, index = ins
    axis, ndim = node.axis, out.ndim
    before, inside = range(axis), range(axis, axis + index.ndim)
    source = [[a] if a in before else [] if a in inside else [a - index.ndim + 1] for a in range(ndim)]
    points = [[a - axis] if a in inside else [] for a in range(ndim)]
    x_seen, index_seen = _along(x, source, out.shape), _along(index, points, out.shape)
    return lower_take(declared.shape, out, x_seen, index_seen, x.strides[axis], at)


def _gather_elements(node: Any, ins: Arrays, out: np.ndarray, declared: Node, at: Site) -> Sequence[Launched]:
    x, index = ins
    seen = _along(x, [[a] if a != node.axis else [] for a in range(x.ndim)], out.shape)
    return lower_take(declared.shape, out, seen, index, x.strides[node.axis], at)


def _scatter_add(node: Any, ins: Arrays, out: np.ndarray, declared: Any, at: Site) -> Sequence[Launched]:
    """Each slice of the result is the sum of those whose index names it, in their order: no two threads meet."""
    x, index = ins
    axis, many = node.axis, index.ndim
    shape = (*x.shape[:axis], out.shape[axis], *x.shape[axis:])
    dims = (*declared.x.shape[:axis], declared.shape[axis], *declared.x.shape[axis:])
    over = range(axis + 1, axis + 1 + many)
    own = [[a] if a < axis else [] if a == axis else [a - 1] for a in range(len(shape))]
    points = [[a - axis - 1] if a in over else [] for a in range(len(shape))]
    sources: list[Source] = [_along(x, own, shape), _along(index, points, shape), coordinate_along(axis, len(shape))]
    how = Folded("add", language.parse("where(index == place, x, 0)"), ("x", "index", "place"), out.dtype)
    return lower_fold(how, dims, shape, over, sources, np.expand_dims(out, tuple(over)), at)


def _scatter_elements(node: Any, ins: Arrays, out: np.ndarray, declared: Any, at: Site) -> Sequence[Launched]:
    x, index, updates = ins
    copied = [] if at(x) == at(out) else copy(declared.shape, out, x, at)
    return [*copied, *lower_put(out, index, updates, node.axis, node.ufunc, declared.index.shape, at)]


def _top_k(node: Any, ins: Arrays, out: Any, declared: Any, at: Site) -> Sequence[Launched]:
    results = dict(zip(node.results, out, strict=True))
    return lower_top_k(ins[0], results, node.axis, node.k, node.largest, declared.x.shape, at)


def _one_hot(node: Any, ins: Arrays, out: np.ndarray, declared: Node, at: Site) -> Sequence[Launched]:
    [labels] = ins
    axis = node.axis % out.ndim
    points = [[a - (a > axis)] if a != axis else [] for a in range(out.ndim)]
    sources: list[Source] = [_along(labels, points, out.shape), coordinate_along(axis, out.ndim)]
    on, off = (language.literal(out.dtype.type(value).item()) for value in (node.on, node.off))
    chosen = language.parse("where(label == place, on, off)").substitute({"on": on, "off": off})
    return lower_map(chosen, ("label", "place"), declared.shape, sources, out, at)


def _uniform(node: Any, ins: Arrays, out: np.ndarray, declared: Node, at: Site) -> Sequence[Launched]:
    return lower_uniform(out, ins, node.seed, node.stream, node.lane, node.low, node.high, at)


def _trilu(node: Any, ins: Arrays, out: np.ndarray, declared: Node, at: Site) -> Sequence[Launched]:
    sources: list[Source] = [ins[0], coordinate_along(out.ndim - 2, out.ndim), coordinate_along(out.ndim - 1, out.ndim)]
    test = "column - row >= k" if node.upper else "column - row <= k"
    body = language.parse(f"where({test}, x, 0)").substitute({"k": language.literal(node.k)})
    return lower_map(body, ("x", "row", "column"), declared.shape, sources, out, at)


def _concat(node: Any, ins: Arrays, out: np.ndarray, declared: Any, at: Site) -> Sequence[Launched]:
    launches: list[Launched] = []
    start = 0
    for x, operand in zip(ins, declared.values, strict=True):
        place: tuple[Any, ...] = (*(slice(None),) * node.axis, slice(start, start + x.shape[node.axis]))
        launches += copy(operand.shape, out[place], x, at)
        start += x.shape[node.axis]
    return launches


def _pad(node: Any, ins: Arrays, out: np.ndarray, declared: Any, at: Site) -> Sequence[Launched]:
    """The constant everywhere, if it is one; the value in the midst; then each axis from what is there already."""
    [x] = ins
    midst = node.midst(x.shape)
    launches: list[Launched] = []
    if node.mode == "constant":
        value = language.literal(out.dtype.type(node.value).item())
        launches += lower_map(value, (), declared.shape, (), out, at)
    launches += copy(declared.x.shape, out[(*midst, ...)], x, at)
    for axis, n in enumerate(x.shape if node.mode != "constant" else ()):
        rows = (slice(None),) * axis
        for to, source in node.copies(axis, n):
            dims = (*declared.shape[:axis], to.stop - to.start, *declared.x.shape[axis + 1 :])
            target, there = out[(*rows, to, *midst[axis + 1 :])], out[(*rows, source, *midst[axis + 1 :])]
            launches += copy(dims, target, np.broadcast_to(there, target.shape), at)
    return launches


def _rows(node: Any, ins: Arrays, out: Any, declared: Node, at: Site) -> Sequence[Launched]:
    return lower_rows(node, ins, out, at)


_RULES: Mapping[type[Node], Callable[..., Sequence[Launched]]] = {
    Elementwise: _elementwise,
    Cast: _cast,
    Reshape: _reshape,
    Reduction: _reduction,
    ArgMax: _extreme,
    ArgMin: _extreme,
    CumSum: _scan,
    CumProd: _scan,
    MatMul: _matmul,
    Product: _product,
    RectifiedProduct: lower_rectified,
    GatedProduct: lower_gated,
    ToBFloat16: _bfloat16,
    FromBFloat16: _bfloat16,
    Gemm: _gemm,
    Einsum: _einsum,
    Pick: _pick,
    Gather: _gather,
    GatherElements: _gather_elements,
    ScatterAdd: _scatter_add,
    ScatterElements: _scatter_elements,
    TopK: _top_k,
    OneHot: _one_hot,
    Trilu: _trilu,
    Uniform: _uniform,
    Concat: _concat,
    Pad: _pad,
    Rows: _rows,
    Conv: lower_conv,
    ConvTranspose: lower_conv_transpose,
    ConvWeight: lower_conv_weight,
    WindowSum: lower_window_sum,
    WindowSpread: lower_window_spread,
    MaxPool: lower_max_pool,
    MaxPick: lower_max_pick,
    MaxUnpool: lower_max_unpool,
}
