"""All errors that graphnn raises for users.

Each derives from `GraphNNError`, and from the built-in exception that other code would expect. A message names the
node, both culprits with their shapes and source lines, and the likely mend.
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
    """The base of all errors that graphnn raises."""


class ShapeError(GraphNNError, ValueError):
    """Shapes that do not fit together, in a declaration or in feeds."""


class DTypeError(GraphNNError, TypeError):
    """A dtype that an op, an input or a gradient cannot take."""


class GraphError(GraphNNError, ValueError):
    """A graph or an option that makes no sense, such as a cycle, a duplicate name, or a node that is not reached."""


class FeedError(GraphNNError, ValueError):
    """A feed that is missing or unknown, or that does not fit the declaration of its input."""


class LabelError(GraphNNError, ValueError):
    """A class label or an index that is out of range; negative ones do not count from the end."""


class NonFiniteError(GraphNNError, ArithmeticError):
    """A NaN or an infinity in a value that `check_finite` watches.

    If the node that made it was found, `node` is that node, and `direction` is the half of the graph that it belongs to
    ("forward", "backward" or "update"). In a loop, `epoch` and `batch` say when it happened, counted from 1. From the
    `evidence`, `gn.write_repro(error, "nan.py")` writes a script that reproduces the value with NumPy alone.
    """

    node: Any = None
    direction: str | None = None
    epoch: int | None = None
    batch: int | None = None
    evidence: Any = None


class BackendError(GraphNNError, RuntimeError):
    """A backend that does not work on this machine, or a step that failed in it."""


class RenderError(GraphNNError, RuntimeError):
    """A picture that could not be drawn."""


class CheckpointError(GraphNNError, RuntimeError):
    """A file of weights that cannot be written or read, or that does not fit."""


class FormatError(GraphNNError, ValueError):
    """A file or text that is not in the expected format."""
