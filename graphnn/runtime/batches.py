"""Batches: check the data of a loop, and cut it along the axis of samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..backends.program import Batches, batch_names, batched
from ..errors import FeedError, ShapeError
from ..ir.leaf import Input
from ..ir.node import describe
from ..ir.spec import Size, Spec
from .feeds import Feeds, check_number

__all__ = ["read_batches"]


def read_batches(feeds: Feeds, data: Mapping[str, Any], batch_size: int, drop_last: bool) -> Batches:
    """The data of a loop, with each array checked against its input.

    Raises:
        FeedError: for missing or unknown names, different lengths, no samples, or a wrong batch size.
        ShapeError, DTypeError, LabelError: for an array that does not fit; the message names the input.
    """
    if not isinstance(data, Mapping):
        words = ", ".join(f"'{name}': ..." for name in feeds.inputs)
        raise FeedError(
            f"a loop takes its data by the names of the inputs, as in {{{words}}}, not {type(data).__name__}."
        )
    feeds.check_names(data)
    check_number(f"batch_size is {batch_size!r}", batch_size, least=1)
    size_name = _batch_name(feeds.inputs)
    sizes = feeds.numbers(data)
    seen = dict.fromkeys(sizes, "by name")
    cut = batched(feeds.inputs, size_name)
    rows: dict[str, np.ndarray] = {}
    fixed: dict[str, np.ndarray] = {}
    for name, node in feeds.inputs.items():
        array = feeds.array(node, data[name])
        if name in cut:
            _check_rows(name, node, array, sizes, seen)
            rows[name] = np.ascontiguousarray(array)
        else:
            node.spec.unify(array.shape, sizes, name, seen)
            fixed[name] = np.ascontiguousarray(array) if array.ndim else array
    batches = Batches(size_name, rows, fixed, sizes, _one_length(rows), int(batch_size), drop_last)
    for of_batch in filter(None, (batches.first_sizes, batches.last_sizes)):
        feeds.check_sizes(of_batch)
        for name, array in {**rows, **fixed}.items():
            _check_other_axes(feeds.inputs[name], array, size_name, of_batch, cut=name in rows)
    feeds.check_labels({**rows, **fixed}, {**sizes, size_name: batches.samples})
    return batches


def _batch_name(inputs: Mapping[str, Input]) -> str:
    names = batch_names(inputs)
    if len(names) == 1:
        return names.pop()
    if not names:
        raise FeedError(
            "a loop cuts inputs into batches along a first axis with a named size, such as ('N', 2); no input has one."
        )
    raise FeedError(f"a loop has one batch size, but the inputs' first axes are named {', '.join(sorted(names))}.")


def _check_rows(name: str, node: Input, array: np.ndarray, sizes: dict[str, int], seen: dict[str, str]) -> None:
    if array.ndim != node.ndim:
        raise ShapeError(node.spec.other_axes(name, array.shape))
    rest = Spec(node.shape[1:], node.dtype)
    try:
        rest.unify(array.shape[1:], sizes, name, seen)
    except ShapeError:
        raise ShapeError(
            f"input '{name}' is {node.spec}: it cannot be fed batches of an array of shape {array.shape}."
        ) from None


def _check_other_axes(
    node: Input, array: np.ndarray, size_name: str, of_batch: Mapping[str, int], *, cut: bool
) -> None:
    """Refuse an array that has the batch size along an axis that is not cut, and another number there."""
    for axis, (dim, number) in enumerate(zip(node.shape, array.shape, strict=True)):
        if (axis or not cut) and isinstance(dim, Size) and dim.name == size_name and dim(of_batch) != number:
            raise ShapeError(
                f"input {describe(node)}: only a first axis {size_name} is cut into batches. Axis {axis} is {dim}, "
                f"which is {dim(of_batch)} in a batch of {of_batch[size_name]}, but was fed an array of shape "
                f"{array.shape}. Give that axis a name of its own, or choose a batch size that fits every batch."
            )


def _one_length(arrays: Mapping[str, np.ndarray]) -> int:
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"'{name}' has {n}" for name, n in lengths.items())
        raise FeedError(f"the inputs have different numbers of samples: {said}.")
    samples = next(iter(lengths.values()))
    if not samples:
        raise FeedError(f"there is nothing to train on: {', '.join(map(repr, lengths))} has no samples.")
    return samples
