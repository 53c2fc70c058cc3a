"""Recurrent cells: one step of RNN, LSTM and GRU, as compositions. A whole sequence is a `Scan` over a cell."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import ShapeError
from ..ir.node import Node, describe
from ..ir.spec import Dim, show_shape
from .activations import Sigmoid, Tanh
from .composite import Composite
from .joining import Split
from .linear import MatMul
from .sample import refused, sample

__all__ = ["RNNCell", "LSTMCell", "GRUCell"]


class RNNCell(Composite):
    """One step of the plain recurrent net: `h' = tanh(x @ W + h @ R + b)`.

    `RNNCell(x, h, W, R, b=None)` of x (N, K), the state h (N, H), W (K, H), R (H, H) and b (H,); N may be missing.
    Source: J. Elman, Finding Structure in Time, Cognitive Science 14, 1990; the ONNX operator RNN.

    Raises:
        ShapeError: when shapes do not fit together.

    >>> import graphnn as gn
    >>> x, h = gn.Input("x", ("N", 3)), gn.Input("h", ("N", 4))
    >>> gn.RNNCell(x, h, gn.Input("W", (3, 4)), gn.Input("R", (4, 4))).shape
    (N, 4)
    """

    x: Node
    h: Node
    W: Node
    R: Node
    b: Node | None = None
    samples = (
        sample(("N", 3), ("N", 2), (3, 2), (2, 2), (2,)),
        sample((3,), (2,), (3, 2), (2, 2)),
        refused(ShapeError, ("N", 3), ("N", 2), (4, 2), (2, 2)),
        refused(ShapeError, ("N", 3), ("N", 2), (3, 2), (3, 2)),
        refused(ShapeError, ("N", 3), ("M", 2), (3, 2), (2, 2)),
        refused(ShapeError, ("N", 3), ("N", 2), (3, 2), (2, 2), (3,)),
    )

    def prepare(self) -> None:
        """Check that shapes fit together."""
        _check_cell(self, 1, {"b": self.b})

    def expand(self) -> Node:
        """The formula."""
        return Tanh(_gates(self.x, self.W, self.b) + MatMul(self.h, self.R))


class LSTMCell(Composite):
    """One step of the long short-term memory: `h, c = LSTMCell(x, h, c, W, R, b=None)`.

    With `i, f, g, o = x @ W + h @ R + b`, the input gate, forget gate, candidate and output gate in this order, four
    blocks of H columns: `c' = sigmoid(f) * c + sigmoid(i) * tanh(g)` and `h' = sigmoid(o) * tanh(c')`. Shapes are
    x (N, K), the states h and c (N, H), W (K, 4H), R (H, 4H) and b (4H,); N may be missing. ONNX has the order
    i, o, f, c.
    Source: S. Hochreiter and J. Schmidhuber, Long Short-Term Memory, Neural Computation 9, 1997; the forget gate:
    F. Gers, J. Schmidhuber and F. Cummins, Learning to Forget, Neural Computation 12, 2000.

    Raises:
        ShapeError: when shapes do not fit together.

    >>> import graphnn as gn
    >>> x, h, c = gn.Input("x", ("N", 3)), gn.Input("h", ("N", 4)), gn.Input("c", ("N", 4))
    >>> h, c = gn.LSTMCell(x, h, c, gn.Input("W", (3, 16)), gn.Input("R", (4, 16)))
    >>> h.shape, c.shape
    ((N, 4), (N, 4))
    """

    x: Node
    h: Node
    c: Node
    W: Node
    R: Node
    b: Node | None = None
    samples = (
        sample(("N", 3), ("N", 2), ("N", 2), (3, 8), (2, 8), (8,)),
        sample((3,), (2,), (2,), (3, 8), (2, 8)),
        refused(ShapeError, ("N", 3), ("N", 2), ("N", 2), (3, 6), (2, 8)),
        refused(ShapeError, ("N", 3), ("N", 2), ("N", 3), (3, 8), (2, 8)),
        refused(ShapeError, ("N", 3), ("N", 2), ("N", 2), (3, 8), (2, 8), (2,)),
    )

    def prepare(self) -> None:
        """Check that shapes fit together."""
        if self.c.shape != self.h.shape:
            raise ShapeError(f"LSTMCell: the states {describe(self.h)} and {describe(self.c)} must have one shape.")
        _check_cell(self, 4, {"b": self.b})

    def expand(self) -> tuple[Node, Node]:
        """The formula: the next h and c."""
        i, f, g, o = Split(_gates(self.x, self.W, self.b) + MatMul(self.h, self.R), 4, axis=-1)
        c = Sigmoid(f) * self.c + Sigmoid(i) * Tanh(g)
        return Sigmoid(o) * Tanh(c), c


class GRUCell(Composite):
    """One step of the gated recurrent unit: `h' = (1 - z) * n + z * h`.

    `GRUCell(x, h, W, R, b=None, d=None, reset_after=True)`: the reset gate r, the update gate z and the candidate n
    are in this order three blocks of H columns in W (K, 3H), R (H, 3H) and the biases b and d (3H,), of which b is
    added to x @ W and d to h @ R. `r = sigmoid(..)`, `z = sigmoid(..)` and `n = tanh(x @ Wn + bn + r * (h @ Rn + dn))`;
    without `reset_after`, as first published, `n = tanh(x @ Wn + bn + (r * h) @ Rn + dn)`. Shapes are x (N, K) and
    the state h (N, H); N may be missing. ONNX has the order z, r, h, and calls reset_after linear_before_reset.
    Source: K. Cho and others, Learning Phrase Representations using RNN Encoder-Decoder, 2014,
    https://arxiv.org/abs/1406.1078, equations 5 to 8.

    Raises:
        ShapeError: when shapes do not fit together.

    >>> import graphnn as gn
    >>> x, h = gn.Input("x", ("N", 3)), gn.Input("h", ("N", 4))
    >>> gn.GRUCell(x, h, gn.Input("W", (3, 12)), gn.Input("R", (4, 12))).shape
    (N, 4)
    """

    x: Node
    h: Node
    W: Node
    R: Node
    b: Node | None = None
    d: Node | None = None
    reset_after: bool = True
    samples = (
        sample(("N", 3), ("N", 2), (3, 6), (2, 6), (6,), (6,)),
        sample(("N", 3), ("N", 2), (3, 6), (2, 6), (6,), (6,), reset_after=False),
        sample((3,), (2,), (3, 6), (2, 6)),
        refused(ShapeError, ("N", 3), ("N", 2), (3, 6), (2, 8)),
        refused(ShapeError, ("N", 3), ("N", 2), (3, 6), (2, 6), (6,), (2,)),
    )

    def prepare(self) -> None:
        """Check that shapes fit together."""
        _check_cell(self, 3, {"b": self.b, "d": self.d})

    def expand(self) -> Node:
        """The formula."""
        size = self.h.shape[-1]
        xr, xz, xn = Split(_gates(self.x, self.W, self.b), 3, axis=-1)
        if self.reset_after:
            hr, hz, hn = Split(_gates(self.h, self.R, self.d), 3, axis=-1)
            n = Tanh(xn + Sigmoid(xr + hr) * hn)
        else:
            gates, candidate = Split(self.R, (size * 2, size), axis=-1)
            biases = Split(self.d, (size * 2, size), axis=-1) if self.d is not None else (None, None)
            gate_bias, bias = biases
            hr, hz = Split(_gates(self.h, gates, gate_bias), 2, axis=-1)
            n = Tanh(xn + _gates(Sigmoid(xr + hr) * self.h, candidate, bias))
        z = Sigmoid(xz + hz)
        return (1 - z) * n + z * self.h


def _gates(x: Node, W: Node, b: Node | None) -> Node:  # noqa: N803 - the mathematics' own letter
    y = MatMul(x, W)
    return y if b is None else y + b


def _check_cell(cell: RNNCell | LSTMCell | GRUCell, gates: int, biases: Mapping[str, Node | None]) -> None:
    """Refuse operands of a cell with so many gates whose shapes do not fit together."""
    x, h, W, R = cell.x, cell.h, cell.W, cell.R
    if x.ndim not in (1, 2) or h.ndim != x.ndim or x.shape[:-1] != h.shape[:-1]:
        raise ShapeError(
            f"{cell.op}: {describe(x)} and the state {describe(h)} do not fit: they should be (N, K) and (N, H)."
        )
    size: Dim = h.shape[-1] * gates
    for name, weights, beside in (("W", W, x), ("R", R, h)):
        if weights.shape != (beside.shape[-1], size):
            raise ShapeError(
                f"{cell.op}: {name} {describe(weights)} does not fit {describe(beside)} and the state {describe(h)}: "
                f"it should have the shape {show_shape((beside.shape[-1], size))}, {gates} of the state's sizes wide."
            )
    for name, bias in biases.items():
        if bias is not None and bias.shape != (size,):
            raise ShapeError(
                f"{cell.op}: the bias {name} {describe(bias)} does not fit the state {describe(h)}: "
                f"it should have the shape {show_shape((size,))}."
            )
