"""Filters: reading and checking the operands and attributes of convolutions."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import DTypeError, GraphError, ShapeError
from ..ir.node import Node, describe
from ..ir.spec import Shape, show_shape
from .window import Window, read_window

__all__ = [
    "check_bias", "check_channels", "check_groups", "common_dtype", "movement", "positions", "prepare_filters",
    "read_movement", "window_of",
]  # fmt: skip


def movement(node: Any) -> dict[str, Any]:
    """The fields of a convolution that say how its window moves, for another one that moves alike."""
    return {"stride": node.stride, "padding": node.padding, "dilation": node.dilation, "groups": node.groups}


def window_of(node: Any, kernel: Shape) -> Window:
    """The window of a convolution, after `read_movement`."""
    return Window(tuple(k for k in kernel if isinstance(k, int)), node.stride, node.padding, node.dilation)


def read_movement(node: Any, x: Node, kernel: Shape, transposed: bool = False) -> None:
    """Read stride, padding and dilation."""
    numbers = tuple(k for k in kernel if isinstance(k, int) and k > 0)
    if x.ndim < 3 or len(numbers) != x.ndim - 2:
        raise ShapeError(
            f"{node.op}: {describe(x)} should be samples, channels and positions, and the window "
            f"{show_shape(kernel)} should have a fixed size for each axis of positions."
        )
    window = read_window(node.op, x, numbers, node.stride, node.padding, node.dilation, transposed)
    node.__dict__.update(stride=window.stride, padding=window.padding, dilation=window.dilation)


def prepare_filters(node: Any, x: Node, W: Node, b: Node | None, transposed: bool = False) -> tuple[Node, Node]:  # noqa: N803 - the mathematics' own letter
    """Cast the operands to one dtype, read stride, padding and dilation, and return images and filters."""
    if x.ndim != W.ndim or not all(isinstance(dim, int) for dim in W.shape):
        raise ShapeError(
            f"{node.op}: {describe(x)} and the filters {describe(W)} do not fit: images are (samples, channels, "
            "positions...), filters have as many axes, all of fixed sizes."
        )
    dtype = common_dtype(node, *(operand for operand in (x, W, b) if operand is not None))
    x, W = x.cast(dtype), W.cast(dtype)
    node.__dict__.update(x=x, W=W, b=None if b is None else b.cast(dtype))
    read_movement(node, x, W.shape[2:], transposed)
    return x, W


def common_dtype(node: Node, *several: Node) -> np.dtype[Any]:
    """The common dtype of operands; bools are refused."""
    dtype = np.result_type(*(one.dtype for one in several))
    if dtype.kind == "b":
        raise DTypeError(f"{node.op}: {' and '.join(map(describe, several))} are of bools; cast one of them first.")
    return dtype


def check_groups(node: Node, groups: int, *several: Node) -> None:
    """Refuse a number of groups that does not divide the channels."""
    if isinstance(groups, bool) or not isinstance(groups, int) or groups < 1:
        raise GraphError(f"{node.op}: groups is {groups!r}; it is a positive number.")
    for one in several:
        channels = one.shape[1]
        if not isinstance(channels, int) or channels % groups:
            raise ShapeError(
                f"{node.op}: the {channels} channels do not fall into {groups} equal groups: "
                f"{' and '.join(map(describe, several))}."
            )


def check_channels(node: Node, x: Node, W: Node, channels: Any, groups: int) -> None:  # noqa: N803
    """Refuse images and filters with different channels."""
    check_groups(node, groups)
    if x.shape[1] != channels:
        raise ShapeError(
            f"{node.op}: the filters {describe(W)} take {channels} channels{f' in {groups} groups' * (groups > 1)}, "
            f"but {describe(x)} has {x.shape[1]}."
        )
    if W.shape[0] % groups:  # type: ignore[operator]  # filters are of fixed sizes
        raise ShapeError(f"{node.op}: the first axis of {describe(W)} does not fall into {groups} equal groups.")


def check_bias(node: Node, b: Node | None, W: Node, channels: Any) -> None:  # noqa: N803
    """Refuse a bias that does not have one value for each channel."""
    if b is not None and b.shape != (channels,):
        raise ShapeError(
            f"{node.op}: the bias {describe(b)} does not fit the filters {describe(W)}: "
            f"it should have one value for each of {channels} channels."
        )


def positions(images: Node) -> tuple[int, ...]:
    """All axes of images except that of the channels."""
    return (0, *range(2, images.ndim))
