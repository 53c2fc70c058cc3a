"""Samples: an op's own word on which operands it is to be tested with, and what it must refuse.

Shapes are written with named sizes; the suite draws numbers for the names, zero and one included, and tests the
op with the names as well. A sample that must be refused says with which error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import GraphNNError

__all__ = ["Sample", "refused"]


@dataclass(frozen=True)
class Sample:
    """One way to call an op: the shapes of its operands, its attributes, and where values may come from."""

    shapes: tuple[tuple[Any, ...], ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    domain: tuple[float, float] = (-2.0, 2.0)
    """Operand values lie in here, away from where the op has no derivative."""
    dtypes: tuple[str | None, ...] = ()
    """For operands that are not of the dtype under test: `"int64"` for labels, `"bool"` for conditions."""
    least: Mapping[str, int] = field(default_factory=dict)
    """The smallest number for a size name; 0 unless said."""
    error: type[GraphNNError] | None = None
    packed: bool = False
    """Are the operands one tuple, as in `AddN((x, y))`?"""
    differentiable: bool = True


def sample(*shapes: tuple[Any, ...], **options: Any) -> Sample:
    """A sample; options that are not a `Sample`'s own are attributes of the op."""
    own = {k: v for k, v in options.items() if k in Sample.__dataclass_fields__}
    attributes = {k: v for k, v in options.items() if k not in own}
    return Sample(shapes, attributes, **own)


def refused(error: type[GraphNNError], *shapes: tuple[Any, ...], **options: Any) -> Sample:
    """A sample that must raise."""
    return sample(*shapes, error=error, **options)


UNARY = (sample(()), sample(("N",)), sample(("N", "M")))
"""Samples of an elementwise op of one operand, defined everywhere."""

POSITIVE = tuple(sample(s, domain=(0.4, 3.0)) for s in ((), ("N",), ("N", "M")))
"""Samples of one that is defined for positive values."""
