"""Clipping gradients: by their global norm, or element by element."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import GraphError
from ..ir.leaf import Constant
from ..ir.node import Node
from ..ops.choice import Maximum, Minimum
from ..ops.functions import Sqrt
from ..ops.reductions import Sum

__all__ = ["clip_by_global_norm", "clip_by_value"]


def clip_by_global_norm(gradients: Sequence[Node], max_grad: float) -> list[Node]:
    """Gradients scaled so that their global norm, over all of them together, is at most `max_grad`.

    `rate = max_grad / (norm + 1e-6)`, applied when below 1.
    Source: R. Pascanu, T. Mikolov and Y. Bengio, On the difficulty of training recurrent neural networks, 2013.

    Raises:
        GraphError: when `max_grad` is not positive.
    """
    if not max_grad > 0:
        raise GraphError(f"max_grad is {max_grad!r}; a norm to clip by is positive.")
    total: Node = Sum(gradients[0] * gradients[0])
    for gradient in gradients[1:]:
        total = total + Sum(gradient * gradient)
    rate = Minimum(max_grad / (Sqrt(total) + 1e-6), Constant(1.0, dtype=total.dtype))
    return [gradient * rate.cast(gradient.dtype) for gradient in gradients]


def clip_by_value(gradients: Sequence[Node], max_value: float) -> list[Node]:
    """Gradients with each element clipped to the range -max_value..max_value.

    Raises:
        GraphError: when `max_value` is not positive.
    """
    if not max_value > 0:
        raise GraphError(f"max_value is {max_value!r}; a bound to clip by is positive.")
    bounds = [(Constant(-max_value, dtype=g.dtype), Constant(max_value, dtype=g.dtype)) for g in gradients]
    return [Minimum(Maximum(g, low), high) for g, (low, high) in zip(gradients, bounds, strict=True)]
