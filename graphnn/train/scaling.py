"""Loss scaling: gradients that are too small for 16 bits are scaled up, and steps that overflow are skipped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

import numpy as np

from ..errors import GraphError
from ..ir.leaf import Constant, Parameter
from ..ir.node import Node
from ..ops.arithmetic import Mul
from ..ops.choice import Minimum, Where
from ..ops.functions import Abs
from ..ops.logic import Or
from ..ops.reductions import Max

__all__ = ["LossScaling"]


class LossScaling:
    """Dynamic loss scaling: `LossScaling(initial=2.0**15, growth=2.0, backoff=0.5, every=2000, least=1.0)`.

    The loss is multiplied by the scale before it is differentiated, and the gradients are divided by it. If one of them
    is not finite, the step is skipped: the parameters and the optimiser's state keep their values, and the scale is
    multiplied by `backoff`. After `every` good steps in a row, the scale is multiplied by `growth`. The scale and the
    count of good steps are state of the compiled program, and checkpoints contain them.

    At the smallest scale `least`, an overflow has another cause than scaling. Then the step is not skipped, so that
    `check_finite` notices the overflow and blames the node.
    Source: P. Micikevicius et al., Mixed Precision Training, 2018, section 3.2.

    Raises:
        GraphError: when the numbers make no sense.

    >>> import graphnn as gn
    >>> w = gn.Parameter("w", 3.0)
    >>> scaling = gn.LossScaling(initial=2.0**127)
    >>> step = gn.compile(w * w, gn.SGD(lr=0.25).updates(w * w, scaling=scaling))
    >>> _ = step(); print(w.value, step.state["loss_scale"] == 2.0**126)  # 6 * 2**127 overflows
    3.0 True
    """

    def __init__(
        self,
        initial: float = 2.0**15,
        growth: float = 2.0,
        backoff: float = 0.5,
        every: int = 2000,
        least: float = 1.0,
    ) -> None:
        if not (0 < least <= initial and growth >= 1 and 0 < backoff < 1 and every >= 1):
            raise GraphError(
                f"LossScaling: initial {initial!r}, growth {growth!r}, backoff {backoff!r}, every {every!r}, least "
                f"{least!r}; the scale begins at `least` or above, grows by 1 or more and backs off by less than 1."
            )
        self.growth, self.backoff, self.every, self.least = growth, backoff, every, least
        self.scale = Parameter("loss_scale", np.float32(initial), dtype="float32", trainable=False)
        self.good_steps = Parameter("good_steps", np.int64(0), dtype="int64", trainable=False)

    def scaled(self, loss: Node) -> Node:
        """The scaled loss, which is to be differentiated."""
        return loss * self.scale.cast(loss.dtype)

    def unscaled(self, gradients: Sequence[Node]) -> list[Node]:
        """The gradients of the loss, from those of the scaled loss."""
        return [Mul(g, 1 / self.scale.cast(g.dtype)) for g in gradients]

    def guarded(self, updates: Mapping[Parameter, Node], gradients: Sequence[Node]) -> dict[Parameter, Node]:
        """The updates, which are skipped when a scaled gradient is not finite; and those of the scale."""
        bad = reduce(Or, [_not_finite(g) for g in gradients])
        left_out = bad & (self.scale > self.least)
        guarded: dict[Parameter, Node] = {p: Where(left_out, p, node) for p, node in updates.items()}
        due = self.good_steps + 1 >= self.every
        largest = Constant(2.0**127, dtype="float32")
        grown = Where(due, Minimum(self.scale, largest / self.growth) * self.growth, self.scale)
        smaller = Where(
            self.scale * self.backoff > self.least, self.scale * self.backoff, Constant(self.least, dtype="float32")
        )
        guarded[self.scale] = Where(bad, smaller, grown)
        guarded[self.good_steps] = Where(bad | due, Constant(0), self.good_steps + 1)
        return guarded


def _not_finite(gradient: Node) -> Node:
    """Does it hold an infinity or NaN? A maximum is NaN when an element is."""
    largest = Max(Abs(gradient)) if gradient.shape else Abs(gradient)
    return ~(largest < Constant(np.inf, dtype=gradient.dtype))
