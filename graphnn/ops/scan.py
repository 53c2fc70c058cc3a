"""Scan: a loop whose body is a graph. Its gradient is a loop in the opposite direction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from ..errors import DTypeError, ShapeError
from ..ir.body import Body, BodyArrays, Placeholder, Program, sizes_of
from ..ir.broadcast import zeros_like
from ..ir.context import like
from ..ir.differentiate import pullback
from ..ir.node import Call, Item, Node
from ..ir.spec import Dim, Shape, Spec
from ..ir.walk import evaluate, walk
from .activations import Tanh
from .sample import refused, sample
from .tracing import INDEX, LoopTrace
from .turns import Copy, Turns

__all__ = ["Scan"]


class Scan(Node):
    """A loop whose body is a graph: `*final, *ys = Scan(body, init, xs=None, length=None, reverse=False)`.

    `body(carry, x)`, or `body(carry)` without `xs`, is called once, with nodes, and returns `(next carry, y)`. The loop
    starts with the carry `init`. It goes through the slices `x` of `xs` along the first axis, or runs `length` times, a
    number or a named size. `init`, `xs` and `y` are each a node or a tuple of nodes; `y` may be None. The results are
    the carries at the end, and each y stacked along a new first axis. With `reverse`, the loop begins at the last
    slice. The body may read any other node, too. What does not change from turn to turn is computed once, before the
    loop. The body is compiled once for all lengths.

    The gradient is a loop in the opposite direction, which reads the carries of all turns. Random nodes in the body
    draw anew in each turn. Ops with a state, such as BatchNorm in training, are not allowed in a loop.

    Raises:
        ShapeError: when a carry changes its shape, or the xs differ in length.
        DTypeError: when a carry changes its dtype.
        GraphError: when the body returns something else than it should, or holds a state.

    >>> import graphnn as gn
    >>> x = gn.Input("x", ("T",))
    >>> total, sums = gn.Scan(lambda total, x: (total + x, total + x), 0.0, x)
    >>> gn.compile(sums)(x=[1, 2, 3])
    array([1., 3., 6.], dtype=float32)
    >>> gn.compile(gn.grad(gn.Sum(sums * sums), x))(x=[1, 2, 3])
    array([20., 18., 12.], dtype=float32)
    """

    onnx = "Scan"
    samples = (
        sample(("M",), ("N", "M"), call=lambda h, x: Scan(lambda h, x: (Tanh(h * x + x), h * x), h, x)),
        sample(
            *(("B", 2), ("N", "B", 2), (2, 2), (2,)),
            call=lambda h, x, w, b: Scan(lambda h, x: (Tanh(x + h @ w + b), None), h, x, reverse=True),
        ),
        sample(
            *((), ("M",), ("N",), ("N", "M")),
            call=lambda a, b, x, y: Scan(
                lambda c, xs: ((c[0] * xs[0], xs[1] - c[0]), (c[1], c[1] * c[0])), (a, b), (x, y)
            ),
        ),
        sample((3,), call=lambda h: Scan(lambda h: (Tanh(h) * 1.5, h * h), h, length=4)),
        refused(ShapeError, ("M",), ("N", "M", 2), call=lambda h, x: Scan(_second, h, x), culprits=("x0",)),
        refused(ShapeError, (), ("N",), ("M",), call=lambda h, x, y: Scan(_second, h, (x, y))),
        refused(DTypeError, (), ("N",), dtypes=("float32",), call=lambda h, x: Scan(_second, h, x)),
    )
    body: Body
    init: tuple[Node, ...]
    xs: tuple[Node, ...]
    length: Any
    reverse: bool
    captured: tuple[Node, ...]
    shown: int
    """How many of the stacked results are those of the user; the others are carries for the gradient."""

    def __init__(
        self,
        body: Callable[..., Any] | Body,
        init: Any,
        xs: Any = None,
        length: Any = None,
        reverse: bool = False,
        captured: tuple[Node, ...] = (),
        shown: int = -1,
    ) -> None:
        if not isinstance(body, Body):
            trace = LoopTrace(body, init, xs, length)
            body, captured, shown = trace.body, trace.captured, trace.shown
            init, xs, length = trace.init, trace.xs, trace.length
            self.__dict__["_updates"] = trace.updates
        self.__dict__.update(
            body=body, init=init, xs=xs, length=length, reverse=bool(reverse), captured=captured, shown=shown
        )
        self.__post_init__()

    def infer(self) -> Any:
        """The specs of the carries, and those of the other results with one more axis."""
        carries = tuple(node.spec for node in self.init)
        stacked = self.body.results[len(carries) :]
        return carries + tuple(Spec((self.length, *node.shape), node.dtype) for node in stacked)

    def __iter__(self) -> Any:
        return (Item(self, i) for i in range(len(self.init) + self.shown))

    # Running -----------------------------------------------------------------------------------------------------

    def at(self, sizes: Mapping[str, int]) -> Node:
        """The node with the named sizes, which the body needs."""
        return self.with_fields(_sizes=dict(sizes))

    def turns(self, length: int) -> range:
        """The numbers of the slices, in the order of the loop."""
        return range(length - 1, -1, -1) if self.reverse else range(length)

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """Compute turn by turn, node by node."""
        sizes, count = sizes_of(self, arrays), len(self.init)
        carries = arrays[:count]
        specs: tuple[Spec, ...] = self.spec  # type: ignore[assignment]  # that of a node with several results
        stacks = [xp.empty(spec.concrete(sizes), spec.dtype) for spec in specs[count:]]
        for t in self._turns(sizes):
            results = evaluate(self.body.results, self._given(xp, t, carries, arrays), xp, sizes)
            carries = tuple(results[:count])
            for stack, y in zip(stacks, results[count:], strict=True):
                stack[t] = y
        return (*map(xp.array, carries), *stacks)  # copies: a carry may end as it began

    def body_runs(self, xp: Any, *arrays: Any) -> Iterator[tuple[Body, Mapping[Any, Any], str]]:
        """One run for each turn."""
        sizes, count = sizes_of(self, arrays), len(self.init)
        carries = arrays[:count]
        for t in self._turns(sizes):
            given = self._given(xp, t, carries, arrays)
            yield self.body, given, f"turn {t}"
            carries = tuple(evaluate(self.body.results[:count], given, xp, sizes))

    def _turns(self, sizes: Mapping[str, int]) -> range:
        return self.turns(self.length if isinstance(self.length, int) else self.length(sizes))

    def _given(self, xp: Any, t: int, carries: Sequence[Any], arrays: Sequence[Any]) -> dict[Node, Any]:
        """The values of the placeholders in a turn."""
        _, xs, captured = _parts(arrays, len(self.init), len(self.xs))
        own = [*carries, *(x[t] for x in xs), xp.asarray(t, INDEX)]
        return dict(zip(self.body.placeholders, (*own, *captured), strict=True))

    def room(self) -> tuple[Dim, ...]:
        """The dimensions that the body asks for."""
        return self.body.room

    def bodies(self) -> tuple[Body, ...]:
        """The body of the loop."""
        return (self.body,)

    def work(self) -> tuple[Shape, ...]:
        """The operations of the body, for each turn."""
        return tuple((self.length, *shape) for shape in self.body.work())

    def with_bodies(self, bodies: tuple[Body, ...]) -> Node:
        """The loop with another body."""
        return self.with_fields(body=bodies[0])

    def bind_bodies(
        self, xp: Any, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...], programs: Sequence[Program]
    ) -> list[Call]:
        """A loop that runs the bound body, and copies slices into its placeholders and results out of it."""
        [program] = programs
        loop = self.bound_turns(ins, out, scratch, program)
        before = [[partial(xp.copyto, to, x[t, ...]) for _, to, x in loop.feeds] for t in range(loop.length)]
        after = [[partial(xp.copyto, stack[t, ...], y) for _, stack, y in loop.stacked] for t in range(loop.length)]
        moves = [partial(xp.copyto, to, source) for _, to, source in loop.moves]

        def run() -> None:
            for t in self.turns(loop.length):
                for call in before[t]:
                    call()
                program.run()
                for call in after[t]:
                    call()
                for call in moves:
                    call()

        begin, end = ([partial(xp.copyto, to, source) for _, to, source in part] for part in (loop.begin, loop.end))
        return [*begin, run, *end]

    def bound_turns(
        self, ins: tuple[Any, ...], out: tuple[Any, ...], scratch: tuple[Any, ...], program: BodyArrays
    ) -> Turns:
        """The copies that a loop makes besides running the bound body."""
        count = len(self.init)
        carries, xs, _ = _parts(ins, count, len(self.xs))
        finals, stacks = out[:count], out[count:]
        length = len(stacks[0]) if stacks else len(xs[0]) if xs else self._concrete_length()
        own = [program.arrays.get(placeholder) for placeholder in self.body.own]
        # A carry that the body does not read needs no memory but that of the result.
        buffers = [final if buffer is None else buffer for final, buffer in zip(finals, own, strict=False)]
        series = list(xs)
        if own[-1] is not None:
            scratch[-1][...] = range(length)
            series.append(scratch[-1])
        results = program.results
        shapes = [node.shape for node in self.init]
        feeds = [
            Copy(placeholder.shape, buffer, x)
            for placeholder, buffer, x in zip(self.body.own[count:], own[count:], series, strict=False)
            if buffer is not None
        ]
        return Turns(
            length,
            begin=list(map(Copy, shapes, buffers, carries)),
            feeds=feeds,
            stacked=[
                Copy(node.shape, stack, y)
                for node, stack, y in zip(self.body.results[count:], stacks, results[count:], strict=True)
            ],
            moves=self._moves(buffers, results, scratch),
            end=[Copy(s, f, b) for s, f, b in zip(shapes, finals, buffers, strict=True) if f is not b],
        )

    def _held(self) -> list[int]:
        """The carries whose next value is a view of another carry: it is copied aside first."""
        held = []
        for i, result in enumerate(self.body.results[: len(self.init)]):
            base = result
            while base.operands and base.view(True) is not None:
                base = base.operands[0]
            if isinstance(base, Placeholder) and result is not self.body.own[i]:
                held.append(i)
        return held

    def scratch(self) -> tuple[Spec, ...]:
        """Memory for carries that are copied aside."""
        return tuple(self.init[i].spec for i in self._held())

    def tables(self) -> tuple[Spec, ...]:
        """The numbers of the turns, if the body reads them."""
        return (Spec((self.length,), INDEX),) if self.body.own[-1] in self.body.used else ()

    def _moves(self, buffers: Sequence[Any], results: Sequence[Any], scratch: Sequence[Any]) -> list[Copy]:
        """The copies that make results the carries of the next turn."""
        held = dict(zip(self._held(), scratch, strict=False))
        shapes = [node.shape for node in self.init]
        saves = [Copy(shapes[i], room, results[i]) for i, room in held.items()]
        sources = [held.get(i, results[i]) for i in range(len(buffers))]
        return saves + [Copy(s, b, y) for s, b, y in zip(shapes, buffers, sources, strict=True) if y is not b]

    def _concrete_length(self) -> int:
        length: int = self.length if isinstance(self.length, int) else self.length(self.__dict__["_sizes"])
        return length

    # Differentiating ---------------------------------------------------------------------------------------------

    def vjp(self, g: Any) -> tuple[Node | None, ...]:
        """A loop in the opposite direction, whose carries are the gradients of carries and of captured values."""
        return _Adjoint(self, g).gradients()

    def kept(self, missing: Sequence[Node]) -> Scan:
        """The same loop, which also stacks the values of some placeholders in each turn."""
        known: dict[tuple[Node, ...], Scan] = self.shared.setdefault("known", {})
        key = tuple(missing)
        if key not in known:
            body = Body(self.body.own, self.body.captured, (*self.body.results, *missing))
            with like(self):
                known[key] = Scan(body, self.init, self.xs, self.length, self.reverse, self.captured, self.shown)
        return known[key]

    def state_updates(self) -> Mapping[Any, Node]:
        """The state updates of random nodes in the body: their steps move once for the whole loop."""
        updates: Mapping[Any, Node] = self.__dict__.get("_updates", {})
        return updates


class _Adjoint:
    """The gradient of a loop, given the upstream gradient `g` of each result, or None."""

    def __init__(self, scan: Scan, g: Sequence[Node | None]) -> None:
        self.scan, self.g = scan, g
        self.count = len(scan.init)
        self.own, self.results = scan.body.own, scan.body.results

    def gradients(self) -> tuple[Node | None, ...]:
        """The gradient of each operand."""
        scan, count = self.scan, self.count
        wrt = [p for p in (*self.own[:-1], *scan.body.captured) if p.dtype.kind == "f"]
        upstream = {
            i: Placeholder(f"g{i}", node.shape, node.dtype)
            for i, node in enumerate(self.results)
            if node.dtype.kind == "f" and (i < count or self.g[i] is not None)
        }
        parts = pullback([self.results[i] for i in upstream], list(upstream.values()), wrt)
        slopes: dict[Node, Node] = {p: part for p, part in zip(wrt, parts, strict=True) if part is not None}
        if not slopes:
            return (None,) * len(scan.operands)
        return self._loop(slopes, upstream)

    def _loop(self, slopes: dict[Node, Node], upstream: dict[int, Placeholder]) -> tuple[Node | None, ...]:
        scan, count = self.scan, self.count
        carried = [i for i in upstream if i < count]
        totals = {p: Placeholder(f"d_{p.name}", p.shape, p.dtype) for p in scan.body.captured if p in slopes}
        sliced = [p for p in self.own[count:-1] if p in slopes]
        results = [slopes[p] if p in slopes else zeros_like(p) for p in (self.own[i] for i in carried)]
        results += [total + slopes[p] for p, total in totals.items()]
        results += [slopes[p] for p in sliced]
        reads = set(walk(results))
        xs: dict[Node, Any] = {upstream[i]: self.g[i] for i in upstream if i >= count and upstream[i] in reads}
        xs |= {p: x for p, x in zip(self.own[count:-1], scan.xs, strict=True) if p in reads}
        xs |= self._carries([p for p in self.own[:count] if p in reads])
        captured = {p: node for p, node in zip(scan.body.captured, scan.captured, strict=True) if p in reads}
        own = (*(upstream[i] for i in carried), *totals.values(), *xs, self.own[-1])
        kept = tuple(upstream[i] for i in carried if upstream[i] in reads)
        body = Body(own, tuple(captured), (*results, *kept))  # type: ignore[arg-type]  # they are placeholders all
        ends = [(self.g[i], scan.init[i]) for i in carried]
        init = [zeros_like(start) if g is None else g for g, start in ends] + [zeros_like(p) for p in totals]
        loop = Scan(
            body, tuple(init), tuple(xs.values()), scan.length, not scan.reverse, tuple(captured.values()), len(sliced)
        )
        found = dict(zip([*(self.own[i] for i in carried), *totals, *sliced], loop, strict=True))
        return tuple(found.get(p) for p in (*self.own[:-1], *scan.body.captured))

    def _carries(self, wanted: Sequence[Node]) -> dict[Node, Node]:
        """The carries of all turns, stacked."""
        scan = self.scan
        missing = [p for p in wanted if p not in scan.body.results[self.count :]]
        if missing:
            scan = scan.kept(missing)
        return {p: Item(scan, self.count + scan.body.results[self.count :].index(p)) for p in wanted}


def _second(carry: Node, x: Node) -> tuple[Node, None]:
    return x, None


def _parts(values: Sequence[Any], carries: int, xs: int) -> tuple[Sequence[Any], Sequence[Any], Sequence[Any]]:
    return values[:carries], values[carries : carries + xs], values[carries + xs :]
