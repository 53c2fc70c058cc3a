"""Feeds: the arrays that a user passes for the inputs, checked and cast as the inputs were declared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import DTypeError, FeedError, ShapeError
from ..ir.graph import Graph
from ..ir.labels import check_labels
from ..ir.leaf import Input
from ..ir.node import describe
from ..ir.spec import Spec
from ..plan.memory import Plan
from ..plan.sizes import bounded

__all__ = ["Feeds", "check_number"]


class Feeds:
    """Reads the feeds of one program."""

    def __init__(self, graph: Graph, plan: Plan) -> None:
        self.graph = graph
        self.inputs = graph.inputs
        known = {name for node in graph.inputs.values() for name in node.spec.sizes}
        self.free_sizes = tuple(name for name in graph.sizes if name not in known)
        """The named sizes that no input has. They are fed by name, as numbers."""
        self._labelled = [step.node for step in plan.steps]
        self._bounded = bounded(plan.graph)

    def read(self, given: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], dict[str, int]]:
        """The arrays by input, and the named sizes. Arrays are copied only if they have to be cast.

        Raises:
            FeedError, ShapeError, DTypeError, LabelError: for a feed that does not fit; the message names the input.
        """
        self.check_names(given)
        sizes = self.numbers(given)
        seen = dict.fromkeys(sizes, "by name")
        arrays = {}
        for name, node in self.inputs.items():
            array = self.array(node, given[name])
            node.spec.unify(array.shape, sizes, name, seen)
            arrays[name] = array
        self.check_sizes(sizes)
        self.check_labels(arrays, sizes)
        return arrays, sizes

    def numbers(self, given: Mapping[str, Any]) -> dict[str, int]:
        """The named sizes that are fed by name."""
        for name in self.free_sizes:
            check_number(f"size {name} is fed {given[name]!r}", given[name], least=0)
        return {name: int(given[name]) for name in self.free_sizes}

    def check_names(self, given: Mapping[str, Any]) -> None:
        """Refuse missing and unknown inputs."""
        known = (*self.inputs, *self.free_sizes)
        missing = [describe(node) for name, node in self.inputs.items() if name not in given]
        missing += [
            f"{name}, a size that no input has: pass {name}=30" for name in self.free_sizes if name not in given
        ]
        unknown = [name for name in given if name not in known]
        parts = []
        if missing:
            parts.append(f"not fed: {', '.join(missing)}")
        if unknown:
            takes = ", ".join(known) or "nothing"
            parts.append(f"no such input: {', '.join(map(repr, unknown))} (the program takes {takes})")
        if parts:
            raise FeedError("; ".join(parts) + ".")

    def array(self, node: Input, value: Any) -> np.ndarray:
        """One feed as an array of the dtype of its input. Floats are cast; integers are cast if that is exact."""
        try:
            array = np.asarray(value)
        except ValueError as error:
            raise FeedError(f"input '{node.name}' is {node.spec}: the feed is not an array: {error}.") from None
        if array.dtype == node.dtype:
            return array
        return _cast(array, node.dtype, node.name, node.spec)

    def check_sizes(self, sizes: Mapping[str, int]) -> None:
        """Refuse named sizes with which a dimension would be negative, such as that of a slice."""
        for dim, node in self._bounded.items():
            number, name = dim(sizes), dim.name
            if number < 0:
                end = -(dim.offset // dim.scale) if dim.scale > 0 else dim.offset // -dim.scale
                raise ShapeError(
                    f"{describe(node)} needs {dim} to be 0 or more, but it is {number} with {name}={sizes[name]}: "
                    f"feed {name} of {end} or {'more' if dim.scale > 0 else 'less'}."
                )

    def check_labels(self, arrays: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> None:
        """Refuse class labels that are out of range, in inputs that are read as labels."""
        checked = set()
        for node in self._labelled:
            found = node.class_labels(sizes)
            if found and isinstance(found[0], Input) and found not in checked:
                checked.add(found)
                check_labels(arrays[found[0].name], found[1], f"input '{found[0].name}'", node)


def _cast(array: np.ndarray, dtype: np.dtype[Any], name: str, spec: Spec) -> np.ndarray:
    if array.dtype.kind not in "buif":
        raise DTypeError(f"input '{name}' is {spec} and cannot be fed {array.dtype}: use numbers.")
    if dtype.kind == "f" or array.dtype.kind == "b" or np.can_cast(array.dtype, dtype, casting="safe"):
        return array.astype(dtype)
    with np.errstate(all="ignore"):
        cast = array.astype(dtype)
    if not np.array_equal(cast, array):
        raise DTypeError(f"input '{name}' is {spec}: a feed of {array.dtype} does not fit it exactly.")
    return cast


def check_number(said: str, value: Any, least: int) -> None:
    """Refuse a value that is not an integer, or is less than `least`; `said` begins the message.

    Raises:
        FeedError: when it is not.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise FeedError(f"{said}; it must be a number, {least} or more.")
