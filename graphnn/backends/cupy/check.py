"""The self-check of a program on the device, asked for by `GRAPHNN_CHECK=1`: its first run goes step by step.

The operands of each step are fetched and its op's `forward` computed from them on NumPy: so the first step that differs
is named, and no step is blamed for what one before it did.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import BackendError
from ...ir.node import Call, Node, describe
from ...transform.rectified import RectifiedProduct, positive
from ..numpy.check import close, difference

if TYPE_CHECKING:
    from .bound import Bound

__all__ = ["checked_run"]

_COARSE = 0.03
"""How far results of products in less than single precision may lie apart, relative to the largest number around."""


def checked_run(bound: Bound, take: Call) -> None:
    """One step as `Bound.run_step` does it, once it is fed.

    Raises:
        BackendError: naming the node whose kernels compute something else than its `forward`.
    """
    done = bound.plan.outputs_done
    steps = bound.by_step()
    for i in range(done):
        _check_step(bound, i, steps[i])
    bound.run(bound.watching)
    take()
    for i in range(done, len(bound.plan.steps)):
        _check_step(bound, i, steps[i])
    bound.run(bound.landing)


def _check_step(bound: Bound, i: int, parts: Iterable[Any]) -> None:
    declared = bound.plan.steps[i].node
    ins = [_fetched(bound, bound.arrays[operand]) for operand in declared.operands]
    bound.run(parts)
    found = _fetched(bound, bound.arrays[declared])
    if declared.random:
        return
    expected = _expected(declared.at(bound.sizes), ins, found)
    coarse = 0.0 if bound.site.precision == "float32" else _COARSE
    operands = [part for array in ins for part in _parts(array)]
    for actual, wanted in zip(_parts(found), _parts(expected), strict=True):
        if not close(actual, wanted, operands, coarse):
            raise BackendError(
                f"GRAPHNN_CHECK: cupy: the kernels of {describe(declared)} compute something else than its forward: "
                f"{difference(actual, wanted)}. See f.source."
            )


def _expected(node: Node, ins: Iterable[Any], found: Any) -> Any:
    """What `forward` makes of the operands; but the mask of what was found, for rounding moves numbers across 0."""
    expected = node.forward(np, *ins)
    if isinstance(node, RectifiedProduct) and node.masked:
        return expected[0], positive(found[0])
    return expected


def _fetched(bound: Bound, arrays: Any) -> Any:
    """Copies of arrays as they are on the device."""
    bound.mirror.download(_parts(arrays))
    copies = tuple(part.copy() for part in _parts(arrays))
    return copies if isinstance(arrays, tuple) else copies[0]


def _parts(value: Any) -> tuple[np.ndarray, ...]:
    return value if isinstance(value, tuple) else (np.asarray(value),)
