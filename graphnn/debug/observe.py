"""Observing: the values of nodes on some feeds, for pages that show a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from ..compile import compile
from ..ir.node import Node
from ..ir.spec import Spec

__all__ = ["observe", "observer"]


def observe(nodes: Iterable[Node], feeds: Mapping[str, ArrayLike]) -> dict[Node, np.ndarray]:
    """The value of each node, computed on NumPy without any pass. Parameters keep their values.

    All values are in memory at the same time. A node with several results is left out; its `Item` nodes have values.

    Raises:
        FeedError, ShapeError, DTypeError, LabelError: when the feeds are not those of the inputs, as for a call.

    >>> import graphnn as gn
    >>> x = gn.Input("x", ())
    >>> y = x * x
    >>> float(observe([x, y], {"x": 3.0})[y])
    9.0
    """
    known = list(dict.fromkeys(node for node in nodes if isinstance(node.spec, Spec)))
    return dict(zip(known, compile(known, passes="none", check_finite=None)(**feeds), strict=True))


def observer(feeds: Mapping[str, ArrayLike]) -> Callable[[Iterable[Node]], dict[Node, np.ndarray]]:
    """The function `observe` for given feeds: it takes nodes and returns their values."""
    return partial(observe, feeds=feeds)
