"""Layers: functions that declare a part of a net with its initialised parameters, and return its last node.

Each layer opens a scope of its name and declares its parameters in it. Their first values are drawn from a seed and
from their full name, so two layers with the same seed differ, and a net depends only on its seeds. There is no list of
parameters: they are found from the loss. Calling a layer twice with one name declares two parameters of the same name,
which a graph refuses. To share weights, declare the parameters once and write `x @ W + b`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import sqrt
from typing import Any
from zlib import crc32

import numpy as np

from ..errors import GraphError, ShapeError
from ..ir.broadcast import broadcast_to
from ..ir.context import current_scope, scope
from ..ir.leaf import Constant, Parameter
from ..ir.node import Node, describe
from ..ops.batchnorm import BatchNorm
from ..ops.choice import Where
from ..ops.control import Scan
from ..ops.conv import Conv
from ..ops.gathering import Embedding
from ..ops.linear import swap
from ..ops.normalise import LayerNorm, RMSNorm
from ..ops.random import Dropout
from ..ops.rectifiers import ReLU
from ..ops.recurrent import GRUCell, LSTMCell, RNNCell
from ..ops.shape import Transpose
from ..ops.softmax import Softmax
from .initial import Init, he, normal, xavier

__all__ = [
    "affine", "attention", "batch_norm", "conv", "dropout", "embedding", "he", "layer_norm", "mlp", "normal",
    "recurrent", "rms_norm", "transformer_block", "xavier",
]  # fmt: skip


def _weight(name: str, shape: tuple[int, ...], init: Init, seed: int) -> Parameter:
    full = ".".join((*current_scope(), name))
    rng = np.random.Generator(np.random.Philox(key=np.array([seed % 2**64, crc32(full.encode())], np.uint64)))
    return Parameter(name, init(shape, rng))


def _features(x: Node, axis: int, layer: str) -> int:
    if x.ndim < -axis or not isinstance(x.shape[axis], int):
        raise ShapeError(f"{layer}: {describe(x)} needs a fixed number of features along axis {axis}.")
    return int(x.shape[axis])  # type: ignore[arg-type]  # an int, as was just checked


def affine(x: Node, units: int, name: str = "affine", *, bias: bool = True, init: Init = xavier, seed: int = 0) -> Node:
    """A linear layer `x @ W + b` from features (..., k) to (..., units). `init` draws W, and b is zero at first.

    Raises:
        ShapeError: when the last axis of x is not a fixed number.

    >>> import graphnn as gn
    >>> h = gn.nn.affine(gn.Input("x", ("N", 2)), 10, "layer1")
    >>> h.shape, list(gn.Graph(h).parameters)
    ((N, 10), ['layer1.W', 'layer1.b'])
    """
    with scope(name):
        W = _weight("W", (_features(x, -1, "affine"), units), init, seed)
        return x @ W + Parameter("b", np.zeros(units)) if bias else x @ W


def mlp(
    x: Node,
    widths: Sequence[int],
    name: str = "mlp",
    *,
    activation: Callable[[Node], Node] = ReLU,
    init: Init = he,
    seed: int = 0,
) -> Node:
    """A multi-layer perceptron: linear layers of the given widths with an activation between them, none after the last.

    Raises:
        GraphError: when no width is given, or one that is not in a sequence.

    >>> import graphnn as gn
    >>> gn.nn.mlp(gn.Input("x", ("N", 2)), [16, 16, 3], activation=gn.Tanh).shape
    (N, 3)
    """
    if isinstance(widths, int) or not widths:
        raise GraphError("mlp: say how wide the layers are, as in widths=[16, 3].")
    with scope(name):
        for i, units in enumerate(widths, start=1):
            x = affine(x, units, f"layer{i}", init=init, seed=seed)
            x = activation(x) if i < len(widths) else x
    return x


def conv(
    x: Node,
    channels: int,
    kernel: int | tuple[int, ...],
    name: str = "conv",
    *,
    stride: Any = 1,
    padding: Any = "valid",
    dilation: Any = 1,
    groups: int = 1,
    bias: bool = True,
    init: Init = he,
    seed: int = 0,
) -> Node:
    """A convolution of images (N, C, height, width) or sequences (N, C, length) that gives `channels` channels.

    `kernel` is the size of the filters: one number for all axes, or one for each. The rest is as for `Conv`.

    Raises:
        ShapeError: when the channels are not a fixed number that `groups` divides.

    >>> import graphnn as gn
    >>> gn.nn.conv(gn.Input("x", ("N", 1, 8, 8)), 16, 3, padding="same").shape
    (N, 16, 8, 8)
    """
    with scope(name):
        window = (kernel,) * (x.ndim - 2) if isinstance(kernel, int) else tuple(kernel)
        rows = _features(x, 1 - x.ndim, "conv")
        W = _weight("W", (channels, rows // groups, *window), init, seed)
        b = Parameter("b", np.zeros(channels)) if bias else None
        return Conv(x, W, b, stride=stride, padding=padding, dilation=dilation, groups=groups)


def embedding(ids: Node, count: int, width: int, name: str = "embedding", *, seed: int = 0) -> Node:
    """An embedding: for integers (...), the rows of a table of `count` vectors, (..., width).

    >>> import graphnn as gn
    >>> gn.nn.embedding(gn.Input("ids", ("N", 5), dtype="int64"), 100, 8).shape
    (N, 5, 8)
    """
    with scope(name):
        return Embedding(ids, _weight("W", (count, width), normal(1 / sqrt(width)), seed))


def layer_norm(x: Node, name: str = "norm", *, epsilon: float = 1e-5) -> Node:
    """Layer normalisation: features along the last axis get mean 0 and variance 1, then a learned scale and shift.

    >>> import graphnn as gn
    >>> list(gn.Graph(gn.nn.layer_norm(gn.Input("x", ("N", 4)))).parameters)
    ['norm.scale', 'norm.shift']
    """
    with scope(name):
        width = _features(x, -1, "layer_norm")
        return LayerNorm(x, Parameter("scale", np.ones(width)), Parameter("shift", np.zeros(width)), epsilon=epsilon)


def rms_norm(x: Node, name: str = "norm", *, epsilon: float = 1e-5) -> Node:
    """RMS normalisation: features along the last axis are divided by their root mean square, then get a learned scale.

    >>> import graphnn as gn
    >>> gn.nn.rms_norm(gn.Input("x", ("N", 4))).shape
    (N, 4)
    """
    with scope(name):
        return RMSNorm(x, Parameter("scale", np.ones(_features(x, -1, "rms_norm"))), epsilon=epsilon)


def batch_norm(x: Node, name: str = "norm", *, momentum: float = 0.9, epsilon: float = 1e-5) -> Node:
    """Batch normalisation: channels (axis 1) get mean 0 and variance 1 over the batch, then a learned scale and shift.

    When predicting, running averages of the mean and the variance are used instead of those of the batch.

    >>> import graphnn as gn
    >>> [p.name for p in gn.Graph(gn.nn.batch_norm(gn.Input("x", ("N", 4)))).parameters.values() if p.trainable]
    ['norm.scale', 'norm.shift']
    """
    with scope(name):
        width = _features(x, 1 - x.ndim, "batch_norm")
        scale, shift = Parameter("scale", np.ones(width)), Parameter("shift", np.zeros(width))
        mean = Parameter("running_mean", np.zeros(width), trainable=False)
        variance = Parameter("running_variance", np.ones(width), trainable=False)
        return BatchNorm(x, scale, shift, mean, variance, momentum=momentum, epsilon=epsilon)


def dropout(x: Node, rate: float = 0.5, name: str = "dropout", *, seed: int | None = None) -> Node:
    """Dropout: elements are set to zero with probability `rate` while learning, and kept when predicting.

    >>> import graphnn as gn
    >>> gn.nn.dropout(gn.Input("x", ("N", 4)), 0.2).op
    'Dropout'
    """
    with scope(name):
        return Dropout(x, rate, seed=seed)


_GATES = {"rnn": 1, "lstm": 4, "gru": 3}


def recurrent(x: Node, units: int, cell: str = "lstm", name: str = "recurrent", *, seed: int = 0) -> Node:
    """A recurrent layer: the outputs (N, T, units) of a cell that goes through sequences (N, T, k) step by step.

    `cell` is "rnn", "lstm" or "gru". The states are zero at first. The cell is compiled once for all lengths.

    Raises:
        GraphError: for another cell.
        ShapeError: when x is not (N, T, k) with a fixed k.

    >>> import graphnn as gn
    >>> gn.nn.recurrent(gn.Input("x", ("N", "T", 3)), 8, "gru").shape
    (N, T, 8)
    """
    if cell not in _GATES:
        raise GraphError(f"recurrent: cell {cell!r} is none of {', '.join(map(repr, _GATES))}.")
    if x.ndim != 3:
        raise ShapeError(f"recurrent: {describe(x)} should be sequences (N, T, k).")
    with scope(name):
        columns = _GATES[cell] * units
        W = _weight("W", (_features(x, -1, "recurrent"), columns), xavier, seed)
        R = _weight("R", (units, columns), xavier, seed)
        b = Parameter("b", np.zeros(columns))
        start = broadcast_to(Constant(0.0, dtype=x.dtype), (x.shape[0], units))
        turns = Transpose(x, (1, 0, 2))
        if cell == "lstm":
            *_, hs = Scan(lambda state, x_t: _lstm_turn(state, x_t, W, R, b), (start, start), turns)
        elif cell == "gru":
            *_, hs = Scan(lambda h, x_t: _twice(GRUCell(x_t, h, W, R, b)), start, turns)
        else:
            *_, hs = Scan(lambda h, x_t: _twice(RNNCell(x_t, h, W, R, b)), start, turns)
        return Transpose(hs, (1, 0, 2))


def _lstm_turn(state: Any, x: Node, W: Node, R: Node, b: Node) -> tuple[tuple[Node, Node], Node]:  # noqa: N803
    h, c = LSTMCell(x, state[0], state[1], W, R, b)
    return (h, c), h


def _twice(h: Node) -> tuple[Node, Node]:
    return h, h


def attention(
    x: Node, heads: int, name: str = "attention", *, causal: bool = False, mask: Node | None = None, seed: int = 0
) -> Node:
    """Self-attention with several heads: from sequences (N, T, d) to (N, T, d).

    Each head computes `softmax(q k' / sqrt(d / heads)) v`, where q, k and v are projections of x to d / heads features.
    The heads are joined and projected once more. With `causal`, no position attends to later ones; T must be a fixed
    number then. `mask` is of bools, broadcasts to (N, heads, T, T), and is true where a position may attend to another.
    Source: A. Vaswani et al., Attention Is All You Need, 2017.

    Raises:
        ShapeError: when x is not (N, T, d) with a fixed d that `heads` divides, or T is named and `causal` asked for.

    >>> import graphnn as gn
    >>> gn.nn.attention(gn.Input("x", ("N", 6, 8)), heads=2, causal=True).shape
    (N, 6, 8)
    """
    if x.ndim != 3 or _features(x, -1, "attention") % heads:
        raise ShapeError(f"attention: {describe(x)} should be (N, T, d), with d divided by {heads} heads.")
    n, length, width = x.shape
    size = int(width) // heads  # type: ignore[arg-type]  # fixed, as was just checked
    with scope(name):
        q, k, v = (
            Transpose(affine(x, heads * size, part, seed=seed).reshape((n, length, heads, size)), (0, 2, 1, 3))
            for part in ("query", "key", "value")
        )
        scores = q @ swap(k) * (1 / sqrt(size))
        nothing = Constant(-np.inf, dtype=scores.dtype)
        if causal:
            if not isinstance(length, int):
                raise ShapeError(f"attention: {describe(x)} needs a fixed length for a causal mask, not {length}.")
            scores = Where(Constant(np.tril(np.ones((length, length), bool))), scores, nothing)
        if mask is not None:
            scores = Where(mask, scores, nothing)
        mixed = Transpose(Softmax(scores) @ v, (0, 2, 1, 3)).reshape((n, length, heads * size))
        return affine(mixed, heads * size, "out", seed=seed)


def transformer_block(
    x: Node,
    heads: int,
    name: str = "block",
    *,
    causal: bool = False,
    widen: int = 4,
    rate: float = 0.0,
    activation: Callable[[Node], Node] = ReLU,
    seed: int = 0,
) -> Node:
    """A transformer block, (N, T, d): attention, then a two-layer perceptron.

    Each of the two is applied to the normalised value, and its result is added to the value before it.

    The hidden layer of the perceptron has `widen` times d units. `rate` is the dropout after each of the two.
    Source: R. Xiong et al., On Layer Normalization in the Transformer Architecture, 2020 (the "pre-norm" block).

    >>> import graphnn as gn
    >>> gn.nn.transformer_block(gn.Input("x", ("N", 6, 8)), heads=2, causal=True).shape
    (N, 6, 8)
    """
    width = _features(x, -1, "transformer_block")
    with scope(name):
        parts: list[Callable[[Node], Node]] = [
            lambda h: attention(layer_norm(h, "norm1"), heads, causal=causal, seed=seed),
            lambda h: mlp(layer_norm(h, "norm2"), [widen * width, width], activation=activation, seed=seed),
        ]
        for i, part in enumerate(parts, start=1):
            change = part(x)
            x = x + (dropout(change, rate, f"dropout{i}") if rate else change)
    return x
