"""Samples: an op's own word on which operands it is to be tested with, and what it must refuse.

Shapes are written with named sizes; the suite draws numbers for the names, zero and one included, and tests the
op with the names as well. A sample that must be refused says with which error.
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
    """One way to call an op: the shapes of its operands, its attributes, and where values may come from.

    The operands are inputs `x0`, `x1` and so on, one for each shape; a shape of None leaves that operand out.
    """

    shapes: tuple[tuple[Any, ...] | None, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    domain: tuple[float, float] = (-2.0, 2.0)
    """Operand values lie in here, away from where the op has no derivative."""
    domains: tuple[tuple[float, float] | None, ...] = ()
    """The same for single operands, in order; None and missing ones have the `domain`."""
    dtypes: tuple[str | None, ...] = ()
    """For operands that are not of the dtype under test: `"int64"` for labels, `"bool"` for conditions."""
    least: Mapping[str, int] = field(default_factory=dict)
    """The smallest number for a size name; 0 unless said."""
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
    """A sample; options that are not a `Sample`'s own are attributes of the op."""
    own = {k: v for k, v in options.items() if k in Sample.__dataclass_fields__}
    attributes = {k: v for k, v in options.items() if k not in own}
    return Sample(shapes, attributes, **own)


def refused(error: type[GraphNNError], *shapes: tuple[Any, ...] | None, **options: Any) -> Sample:
    """A sample that must raise."""
    return sample(*shapes, error=error, **options)


UNARY = (sample(()), sample(("N",)), sample(("N", "M")))
"""Samples of an elementwise op of one operand, defined everywhere."""

POSITIVE = tuple(sample(s, domain=(0.4, 3.0)) for s in ((), ("N",), ("N", "M")))
"""Samples of one that is defined for positive values."""

BOTH_SIDES = tuple(sample(s, domain=d) for s in ((), ("N",), ("N", "M")) for d in ((0.1, 2.0), (-2.0, -0.1)))
"""Samples of one with a kink at 0, away from it."""

NO_BOOLS = refused(DTypeError, ("N",), dtypes=("bool",))
"""What an op refuses that takes the negative of its operand."""
