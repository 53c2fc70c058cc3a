"""Random numbers that depend only on a seed, the scope of the node and a step, by a counter-based generator.

Element k of a node is word `k % 4` of block `k // 4` of Philox4x32-10. The key is the seed. The four words of the
counter are the block, the place in a loop (0 outside `Scan`), the step, and the CRC-32 of the scope; bit 31 of the
block tells the two draws of a Normal apart, bit 30 the low halves of float64. So equal programs draw the same bits on
every backend and in any order of execution, whatever else the process has declared.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from threading import local
from typing import Any
from zlib import crc32

import numpy as np

from ..errors import DTypeError, GraphError, ShapeError
from ..ir.context import rewriting
from ..ir.dtype import as_dtype, default_float
from ..ir.leaf import Parameter, count_of
from ..ir.node import Call, Node, describe
from ..ir.spec import Dim, Spec, as_shape
from ..ir.walk import walk
from .composite import Composite
from .elementwise import Map
from .philox import BLOCKS, State, draw, low_word, rounds, work
from .sample import refused, sample

__all__ = ["Uniform", "Normal", "Dropout"]

SECOND_DRAW, LOW_HALVES = 1 << 31, 1 << 30
"""Bits of a block's number: see above."""


class Random:
    """The base of ops that draw random numbers: a seed, a step, and the place in a loop."""

    seed: Any
    step: Node | None
    place: Node | None
    stream: int
    birth: Any
    operands: tuple[Node, ...]

    def take_counter(self, x: Node | None = None) -> None:
        """Set the seed and the step on which the draws depend; `x` is the operand.

        Without a seed, it is the smallest number that is not the seed of a random node on which `x` depends.

        Raises:
            GraphError: for a seed that is not a number, or a step that no program would update.
            DTypeError: for a step that is not an integer of 64 bits.
        """
        mine, op = self.__dict__, type(self).__name__
        if self.seed is None:
            taken = {node.seed for node in walk([x]) if isinstance(node, Random)} if x is not None else set()
            mine["seed"] = next(i for i in range(len(taken) + 1) if i not in taken)
        if isinstance(self.seed, bool) or not isinstance(self.seed, (int, np.integer)) or not 0 <= self.seed < 2**64:
            raise GraphError(f"{op}: the seed is {self.seed!r}; it must be a number from 0 to 2**64 - 1, or None.")
        mine["seed"] = int(self.seed)
        if self.stream < 0:
            mine["stream"] = crc32(".".join(self.birth.scope).encode())
        if self.step is None:
            if rewriting():
                raise GraphError(
                    f"{op}: inside `expand` it would make a counter of its own at each expansion, which no program "
                    "keeps. Make the step an operand of the composite, and pass it on as step=."
                )
            mine["step"] = Parameter(f"random{self.seed}", np.int64(0), trainable=False)
        if self.place is None:
            mine["place"] = _loop.place
        for node in (self.step, self.place):
            if node is not None and (node.shape != () or node.dtype not in (np.int64, np.uint64)):
                raise DTypeError(f"{op}: the step {describe(node)} must be a scalar, int64 or uint64.")

    def state_updates(self) -> Mapping[Any, Node]:
        """The step with its next value, if it is a parameter."""
        step = self.step
        return {step: step + 1} if isinstance(step, Parameter) and not step.trainable else {}


class Uniform(Random, Node):
    """Uniform random numbers from low to high: `Uniform(size, low=0, high=1, seed=None, kind=None)`.

    `size` is the shape. `kind` is the float dtype; by default, the default float dtype. A number from 0 to below 1 is
    made of 24 random bits times 2**-24 (of 53 bits for float64, and 11 for float16), so that every backend draws the
    same. It is multiplied by `high - low`, and `low` is added.

    The draws depend on the seed, the scope and the step. The step is an integer state that `Optimizer.updates` updates,
    and that is saved and restored like any other state. A program without updates repeats the draws of its present
    step; `f.set("random0", 5)` sets another one. The `step` may also be an Input, or any other integer node. The step
    counts modulo 2**32.

    Raises:
        GraphError: for a seed that is not a number from 0 to 2**64 - 1; and, from the graph, when two random nodes in
            one scope have the same seed.
        DTypeError: when `kind` is not a float dtype.

    >>> import graphnn as gn
    >>> u = gn.compile(gn.Uniform((2, 3), seed=7))()
    >>> u.shape, bool((u >= 0).all() and (u < 1).all()), bool((u == gn.compile(gn.Uniform((2, 3), seed=7))()).all())
    ((2, 3), True, True)
    """

    size: Any
    low: float = 0.0
    high: float = 1.0
    seed: Any = None
    kind: Any = None
    step: Node | None = None
    place: Node | None = None
    stream: int = -1
    lane: int = 0
    onnx = "RandomUniform"
    samples = (
        sample(size=("N", 3), seed=1, kind="float64"),
        sample(size=(), low=-2.0, high=3.0, seed=2, kind="float64"),
        sample(size=(5, "N"), seed=3, kind="float32"),
        refused(DTypeError, size=(2,), kind="int32"),
        refused(GraphError, size=(2,), seed=-1),
    )

    def prepare(self) -> None:
        """Read the shape and the dtype, and settle the counter."""
        mine = self.__dict__
        mine["size"] = as_shape(self.size)
        mine["kind"] = default_float() if self.kind is None else as_dtype(self.kind)
        mine["low"], mine["high"] = float(self.low), float(self.high)
        if self.kind.kind != "f":
            raise DTypeError(f"{self.op}: numbers are drawn in a float dtype, not {self.kind}.")
        self.take_counter()

    def infer(self) -> Spec:
        """The shape and dtype that are asked for.

        Raises:
            ShapeError: for more elements than there are counters.
        """
        blocks = self._blocks()
        if blocks is not None and blocks > LOW_HALVES:
            raise ShapeError(f"{self.op}: {Spec(self.size, self.kind)} has more elements than one node draws.")
        return Spec(self.size, self.kind)

    def _blocks(self) -> int | None:
        numbers = [dim for dim in self.size if isinstance(dim, int)]
        return -(-math.prod(numbers) // 4) if len(numbers) == len(self.size) else None

    def at(self, sizes: Mapping[str, int]) -> Node:
        """The node with numbers for the named sizes in its shape."""
        return self if self._blocks() is not None else self.with_fields(size=self.spec.concrete(sizes))

    def scratch(self) -> tuple[Spec, ...]:
        """The working memory of the generator."""
        blocks = self._blocks()
        return work(BLOCKS if blocks is None else min(blocks, BLOCKS))

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """The draws, by the calls of `bind`."""
        out = xp.empty(self.size, self.kind)
        for call in self.bind(xp, arrays, out, tuple(xp.empty(s.shape, s.dtype) for s in self.scratch())):
            call()
        return out

    def bind(self, xp: Any, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...]) -> list[Call]:
        """A few thousand blocks at a time: counters, ten rounds, and words turned into numbers."""
        if not out.flags.c_contiguous:
            return super().bind(xp, ins, out, scratch)
        flat = out.reshape(-1)
        step = low_word(ins[0])
        place = low_word(ins[1]) if len(ins) > 1 else xp.uint32(0)
        index = xp.arange(len(scratch[0]), dtype=np.uint32)
        calls: list[Call] = []
        for start in range(0, -(-flat.size // 4), BLOCKS):
            part = flat[start * 4 : (start + BLOCKS) * 4]
            state = State(scratch, -(-part.size // 4))
            for low in (False, True) if self.kind.itemsize == 8 else (False,):
                first = xp.uint32(start | self.lane * SECOND_DRAW | low * LOW_HALVES)
                calls += [
                    partial(xp.add, index[: len(state.first)], first, state.first),
                    partial(xp.copyto, state.third, step),
                    *rounds(xp, state, place, xp.uint32(self.stream), self.seed),
                    *draw(xp, state, part, low),
                ]
            if self.high - self.low != 1.0:
                calls.append(partial(xp.multiply, part, part.dtype.type(self.high - self.low), part))
            if self.low != 0.0:
                calls.append(partial(xp.add, part, part.dtype.type(self.low), part))
        return calls

    def vjp(self, g: Node) -> tuple[None, ...]:
        """Draws depend on nothing that has a gradient."""
        return (None,) * len(self.operands)


class Normal(Random, Composite):
    """Normal random numbers: `Normal(size, loc=0, scale=1, seed=None, kind=None)`.

    As in NumPy, `loc` is the mean and `scale` the standard deviation. Each number is made of two uniform draws:
    `sqrt(-2 log(1 - u)) cos(2 pi v)`. Backends agree within rounding. For seed and step, see `Uniform`.
    Source: G. E. P. Box and M. E. Muller, A Note on the Generation of Random Normal Deviates, 1958.

    Raises:
        GraphError, DTypeError: as for `Uniform`; and when the scale is negative.

    >>> import graphnn as gn
    >>> z = gn.compile(gn.Normal((10000,), loc=5.0, scale=2.0, seed=1))()
    >>> print(z.mean().round(1), z.std().round(1))
    5.0 2.0
    """

    size: Any
    loc: float = 0.0
    scale: float = 1.0
    seed: Any = None
    kind: Any = None
    step: Node | None = None
    place: Node | None = None
    stream: int = -1
    onnx = "RandomNormal"
    samples = (
        sample(size=("N", 3), seed=1, kind="float64"),
        sample(size=(), loc=-2.0, scale=0.5, seed=2, kind="float64"),
        refused(DTypeError, size=(2,), kind="bool"),
        refused(GraphError, size=(2,), scale=-1.0),
    )

    def prepare(self) -> None:
        """Read the shape and the dtype, and settle the counter."""
        mine = self.__dict__
        mine["size"] = as_shape(self.size)
        mine["kind"] = default_float() if self.kind is None else as_dtype(self.kind)
        mine["loc"], mine["scale"] = float(self.loc), float(self.scale)
        if not self.scale >= 0:
            raise GraphError(f"Normal: the scale is {self.scale!r}; a standard deviation is 0 or more.")
        self.take_counter()

    def expand(self) -> Node:
        """The Box-Muller transform of two draws."""
        u, v = (
            Uniform(self.size, 0.0, 1.0, self.seed, self.kind, self.step, self.place, self.stream, lane)
            for lane in (0, 1)
        )
        text = f"sqrt(-2 * log(1 - u)) * cos({2 * math.pi!r} * v)"
        return Map(f"{text} * {self.scale!r} + {self.loc!r}", ("u", "v"), (u, v))

    def vjp(self, g: Node) -> tuple[None, ...]:
        """Draws depend on nothing that has a gradient."""
        return (None,) * len(self.operands)


class Dropout(Random, Composite):
    """Dropout: elements are 0 with probability `rate`, else divided by `1 - rate`: `Dropout(x, rate=0.5, seed=None)`.

    The gradient flows through the elements that are kept. When a model predicts, all elements are kept as they are. The
    mask is drawn in float32 for every dtype of x, and changes with the step: see `Uniform`. Without a seed, a dropout
    takes the next number after those of the dropouts before it. Two dropouts of which neither depends on the other need
    different seeds or scopes.
    Source: N. Srivastava et al., Dropout: A Simple Way to Prevent Neural Networks from Overfitting, 2014.

    Raises:
        GraphError: when the rate is not in 0 <= rate < 1; for seeds as for `Uniform`.
        DTypeError: when x is not of a float dtype.

    >>> import graphnn as gn
    >>> y = gn.compile(gn.Dropout(gn.Input("x", ("N",)), rate=0.5))(x=[1.0] * 1000)
    >>> sorted(set(y.tolist())), 400 < int((y > 0).sum()) < 600
    ([0.0, 2.0], True)
    """

    x: Node
    rate: float = 0.5
    seed: Any = None
    step: Node | None = None
    place: Node | None = None
    stream: int = -1
    onnx = "Dropout"
    samples = (
        sample(("N", "M"), rate=0.5, seed=1),
        sample((), rate=0.25, seed=2),
        sample(("N",), rate=0.0, seed=3),
        refused(GraphError, ("N",), rate=1.0),
        refused(GraphError, ("N",), rate=-0.1),
        refused(DTypeError, ("N",), dtypes=("int64",)),
    )

    def prepare(self) -> None:
        """Check the rate, and settle the counter."""
        if not 0 <= self.rate < 1:
            raise GraphError(f"Dropout: the rate is {self.rate!r}; it is 0 or more, and below 1.")
        if self.x.dtype.kind != "f":
            raise DTypeError(f"Dropout: {describe(self.x)} is not of a float dtype: cast it first.")
        self.take_counter(self.x)

    def expand(self) -> Node:
        """`where(u >= rate, x / (1 - rate), 0)`."""
        if not self.rate:
            return self.x
        drawn = Uniform(self.x.shape, 0.0, 1.0, self.seed, np.float32, self.step, self.place, self.stream)
        kept = Map(f"u >= {self.rate!r}", ("u",), (drawn,))
        return Map(f"where(kept, x * {1 / (1 - self.rate)!r}, 0)", ("kept", "x"), (kept, self.x))

    def infer_as(self) -> Node:
        """The operand."""
        return self.x


class _Loop(local):
    place: Node | None = None


_loop = _Loop()


@contextmanager
def in_loop(turn: Node, length: Dim) -> Iterator[None]:
    """A context manager for the body of a loop: nodes inside draw anew in each turn. Loops may be nested."""
    before = _loop.place
    _loop.place = turn if before is None else before * count_of((length,), turn.dtype) + turn
    try:
        yield
    finally:
        _loop.place = before
