"""Every error a user can meet.

Each derives from `GraphNNError`, and from the built-in exception that code written without graphnn in mind
would catch. A message names the node, both culprits with their shapes and source lines, and the likely mend.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "GraphNNError",
    "ShapeError",
    "DTypeError",
    "GraphError",
    "FeedError",
    "LabelError",
    "NonFiniteError",
    "BackendError",
    "RenderError",
    "CheckpointError",
    "FormatError",
]


class GraphNNError(Exception):
    """The root of every error graphnn raises on purpose."""


class ShapeError(GraphNNError, ValueError):
    """Shapes that do not fit together, while declaring or when feeding."""


class DTypeError(GraphNNError, TypeError):
    """A dtype that an op, a feed or a gradient cannot take."""


class GraphError(GraphNNError, ValueError):
    """A graph that makes no sense: a cycle, a duplicate name, a node that is not reached."""


class FeedError(GraphNNError, ValueError):
    """An input that is missing, unknown, or that cannot be read as its declaration says."""


class LabelError(GraphNNError, ValueError):
    """A class label or an index outside its range; negative ones never wrap around."""


class NonFiniteError(GraphNNError, ArithmeticError):
    """A NaN or an infinity where `check_finite` watches for one.

    Where the node that made it was found, `node` is that node, `direction` the half it stands in (forward, backward or
    update), and in a loop `epoch` and `batch` count from 1. `gn.write_repro(error, "nan.py")` then writes a script that
    makes the value again with NumPy alone, from the `evidence`.
    """

    node: Any = None
    direction: str | None = None
    epoch: int | None = None
    batch: int | None = None
    evidence: Any = None


class BackendError(GraphNNError, RuntimeError):
    """A backend that is not available here, or a step that failed in one."""


class RenderError(GraphNNError, RuntimeError):
    """A picture that could not be drawn."""


class CheckpointError(GraphNNError, RuntimeError):
    """A file of weights that cannot be written, read, or does not fit."""


class FormatError(GraphNNError, ValueError):
    """A file or text that is not what its name claims."""
