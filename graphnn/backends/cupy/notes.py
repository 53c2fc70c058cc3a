"""What `explain()` says about a program on the GPU: which steps run on NumPy, and how each product is computed."""

from __future__ import annotations

from collections.abc import Iterator

from ...ir.node import Node, describe
from ...ops.control import Cond
from ...ops.gemm import Gemm
from ...ops.linear import MatMul
from ...plan.usage import show_sizes
from ...transform.products import Product
from ...transform.rectified import GatedProduct, RectifiedProduct
from ..works import Work
from .blaslt import BlasLt
from .bound import Bound
from .lower import Launched
from .site import Multiply

__all__ = ["notes_on"]

_PRODUCTS = (MatMul, Product, Gemm, RectifiedProduct, GatedProduct)


def notes_on(bound: Bound, library: BlasLt | str) -> str:
    """The text for `explain()`: the steps on NumPy and why, loops and branches, and how each product is computed."""
    said = [*_on_the_host(bound)]
    said += [_of_bodies(step.node) for step in bound.plan.steps if step.bodies and step.node not in bound.reasons]
    if isinstance(library, str):
        said.append(f"all products are by kernels of graphnn's own, for cuBLASLt does not work here: {library}")
    else:
        sizes = f", with {show_sizes(bound.sizes)}" if bound.sizes else ""
        said.append(f"{len(bound.products)} products are by cuBLASLt, in {bound.site.precision}{sizes}")
        said += _of_products(bound)
        said += [
            f"cuBLASLt is not asked for {epilogue.words} with {dtype} in {precision}: {why}"
            for (epilogue, dtype, precision), why in library.refusals.items()
            if why is not None
        ]
    return "\n".join(said)


def _on_the_host(bound: Bound) -> Iterator[str]:
    if not bound.reasons:
        yield "every step has a kernel: nothing but what is fed and read back leaves the device"
        return
    beside = "their operands and results pass the host, and loops come from Python"
    yield f"{len(bound.reasons)} steps run on NumPy, so {beside}:"
    for node, reason in bound.reasons.items():
        yield f"  {node.op} ({node.origin}): {reason}"


def _of_bodies(node: Node) -> str:
    """A sentence about how a loop or branch runs."""
    if isinstance(node, Cond):
        return f"{node.op} ({node.origin}): both branches are launched, and the kernels of one do nothing"
    return f"{node.op} ({node.origin}): its turns are launched one after the other, and captured with the rest"


def _of_products(bound: Bound) -> Iterator[str]:
    """A line for each product, except those inside loops and branches: does cuBLASLt compute it, or a kernel?"""
    for work in bound.all_works:
        if work.step is not None and work.kernels:
            node = bound.plan.steps[work.step].node
            if isinstance(node, _PRODUCTS):
                yield f"  {describe(node)}: {_by_whom(work)}"


def _by_whom(work: Work[Launched]) -> str:
    first, *rest = work.kernels
    if not isinstance(first, Multiply):
        return "by kernels of graphnn's own"
    with_it = f", with {first.epilogue.words}" if first.epilogue else ""
    return f"by cuBLASLt{with_it}{', and kernels behind it' if rest else ''}"
