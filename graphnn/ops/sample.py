"""Samples: the operands on which an op is tested, and those that it must refuse.

Shapes are written with named sizes. The tests choose numbers for these, including zero and one, and test the op with
the named sizes too. A sample that must be refused names the error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import DTypeError, GraphNNError
from ..ir.node import Node

__all__ = ["Sample", "refused"]


@dataclass(frozen=True)
class Sample:
    """One way to call an op: the shapes of its operands, its attributes, and the range of values.

    The operands are inputs `x0`, `x1` and so on, one for each shape. For a shape of None, the operand is left out.
    """

    shapes: tuple[tuple[Any, ...] | None, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    domain: tuple[float, float] = (-2.0, 2.0)
    """The range of operand values, away from points at which the op has no derivative."""
    domains: tuple[tuple[float, float] | None, ...] = ()
    """The ranges of single operands, in order; None stands for `domain`."""
    dtypes: tuple[str | None, ...] = ()
    """The dtypes of operands that do not have the dtype under test: `"int64"` for labels, `"bool"` for conditions."""
    least: Mapping[str, int] = field(default_factory=dict)
    """The smallest number for each named size; 0 by default."""
    error: type[GraphNNError] | None = None
    """What it must raise, when it is declared or, for labels out of range, when it is called."""
    culprits: tuple[str, ...] | None = None
    """The inputs that the error must name. Unless said: of a ShapeError two, of a DTypeError one, else none."""
    packed: bool = False
    """Are the operands one tuple, as in `AddN((x, y))`?"""
    call: Callable[..., Node] | None = None
    """Builds the node from the inputs where `Op(*inputs, **attributes)` does not, as for an op with a body."""
    differentiable: bool = True


def sample(*shapes: tuple[Any, ...] | None, **options: Any) -> Sample:
    """A sample. Options that are not fields of `Sample` are attributes of the op."""
    own = {k: v for k, v in options.items() if k in Sample.__dataclass_fields__}
    attributes = {k: v for k, v in options.items() if k not in own}
    return Sample(shapes, attributes, **own)


def refused(error: type[GraphNNError], *shapes: tuple[Any, ...] | None, **options: Any) -> Sample:
    """A sample that must be refused with an error."""
    return sample(*shapes, error=error, **options)


UNARY = (sample(()), sample(("N",)), sample(("N", "M")))
"""Samples for an elementwise op of one operand that is defined everywhere."""

POSITIVE = tuple(sample(s, domain=(0.4, 3.0)) for s in ((), ("N",), ("N", "M")))
"""Samples for an op that is defined for positive values."""

BOTH_SIDES = tuple(sample(s, domain=d) for s in ((), ("N",), ("N", "M")) for d in ((0.1, 2.0), (-2.0, -0.1)))
"""Samples for an op with a kink at 0, away from the kink."""

NO_BOOLS = refused(DTypeError, ("N",), dtypes=("bool",))
"""A sample that is refused by an op that negates its operand."""
