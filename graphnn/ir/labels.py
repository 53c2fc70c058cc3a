"""Labels: class numbers and indices are checked, so that -1 never counts from the end and 10 of 10 is an error."""

from __future__ import annotations

import numpy as np

from ..errors import LabelError
from .node import Node

__all__ = ["check_labels"]


def check_labels(labels: np.ndarray, classes: int, name: str, node: Node) -> None:
    """Refuse labels outside 0..classes-1. `name` is how messages call the labels, and `node` is the op that reads them.

    For an op with `indexes = True`, the labels are positions along an axis of `classes` elements.

    Raises:
        LabelError: with the first wrong label, its row, the range and the node.
    """
    if not labels.size or (int(labels.min()) >= 0 and int(labels.max()) < classes):
        return
    at = np.unravel_index(int(np.argmax((labels < 0) | (labels >= classes))), labels.shape)
    row = f"row {int(at[0]) if len(at) == 1 else tuple(map(int, at))} of " if labels.ndim else ""
    if node.indexes:
        raise LabelError(
            f"{row}{name} is {labels[at]}, but an axis of {classes} elements has "
            f"{f'places 0..{classes - 1}' if classes else 'none to point at'} ({node.op} at {node.origin}). "
            "Indices never wrap; count from 0."
        )
    raise LabelError(
        f"{row}{name} is {labels[at]}, but labels of {classes} classes lie in 0..{classes - 1} "
        f"({node.op} at {node.origin}). Labels never wrap; count classes from 0."
    )
