"""Control flow: Cond, a branch whose bodies are graphs. Scan, the loop, has a file of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from ..errors import DTypeError, ShapeError
from ..ir.body import Body, BodyArrays, Placeholder, Program, sizes_of
from ..ir.broadcast import zeros_like
from ..ir.differentiate import pullback
from ..ir.node import Call, Node, describe
from ..ir.spec import Dim, Shape
from ..ir.walk import evaluate
from .activations import Tanh
from .reductions import Sum
from .sample import refused, sample
from .scan import Scan
from .tracing import trace_branches
from .turns import Copy

__all__ = ["Scan", "Cond"]


class Cond(Node):
    """One of two branches, chosen by a condition: `Cond(condition, then, otherwise)`. Only that branch runs.

    The condition is a bool scalar. `then` and `otherwise` are functions without arguments that return a node or a tuple
    of nodes; both return the same shapes and dtypes. Nodes that are built inside a function belong to its branch. Nodes
    that were built before are computed in any case. The gradient is a Cond of the gradients of the branches.

    Raises:
        ShapeError: when the condition is not a scalar, or results differ in shape.
        DTypeError: when the condition is not bool, or results differ in dtype.
        GraphError: when a branch is not a function, or they return different numbers of nodes.

    >>> import graphnn as gn
    >>> x = gn.Input("x", ())
    >>> y = gn.Cond(x > 0, lambda: gn.Sqrt(x), lambda: x * 0)
    >>> f = gn.compile([y, gn.grad(y, x)])
    >>> [float(v) for v in f(x=4.0)], [float(v) for v in f(x=-1.0)]
    ([2.0, 0.25], [-0.0, 0.0])
    """

    onnx = "If"
    samples = (
        sample((), ("N", "M"), call=lambda c, x: Cond(c > 0, lambda: Tanh(x) * c, lambda: x * x)),
        sample(("N",), ("N",), call=lambda x, y: Cond(Sum(x) > 1, lambda: (x * y, x), lambda: (y, x + y))),
        refused(ShapeError, ("N",), call=lambda x: Cond(x > 0, lambda: x, lambda: x), culprits=()),
        refused(DTypeError, (), call=lambda x: Cond(x, lambda: x, lambda: x)),
        refused(ShapeError, (), ("N",), call=lambda x, y: Cond(x > 0, lambda: x, lambda: y)),
    )
    condition: Node
    then: Body
    otherwise: Body
    captured: tuple[Node, ...]
    single: bool

    def __init__(
        self,
        condition: Any,
        then: Callable[[], Any] | Body,
        otherwise: Callable[[], Any] | Body,
        captured: tuple[Node, ...] = (),
        single: bool = True,
    ) -> None:
        if not isinstance(then, Body) or not isinstance(otherwise, Body):
            then, otherwise, captured, single, updates = trace_branches(then, otherwise)
            self.__dict__["_updates"] = updates
        self.__dict__.update(condition=condition, then=then, otherwise=otherwise, captured=captured, single=single)
        self.__post_init__()

    def prepare(self) -> None:
        """Check the condition."""
        if self.condition.shape != ():
            raise ShapeError(
                f"Cond: the condition {describe(self.condition)} is not a scalar. Reduce it, or use Where to choose "
                "element by element."
            )
        if self.condition.dtype.kind != "b":
            raise DTypeError(f"Cond: the condition {describe(self.condition)} is not bool: compare it, as in x > 0.")

    def infer(self) -> Any:
        """The specs of the results of either branch."""
        specs = tuple(node.spec for node in self.then.results)
        return specs[0] if self.single else specs

    def at(self, sizes: Mapping[str, int]) -> Node:
        """The node with the named sizes, which the branches need."""
        return self.with_fields(_sizes=dict(sizes))

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """Compute the chosen branch, node by node."""
        [(body, given, _)] = self.body_runs(xp, *arrays)
        results = evaluate(body.results, given, xp, sizes_of(self, arrays))
        copies = tuple(map(xp.array, results))  # a branch may give what it was given
        return copies[0] if self.single else copies

    def body_runs(self, xp: Any, *arrays: Any) -> Iterator[tuple[Body, Mapping[Any, Any], str]]:
        """One run, of the chosen branch."""
        body = self.then if arrays[0] else self.otherwise
        yield body, dict(zip(body.captured, arrays[1:], strict=True)), "the branch taken"

    def room(self) -> tuple[Dim, ...]:
        """The dimensions that the branches ask for."""
        return (*self.then.room, *self.otherwise.room)

    def bodies(self) -> tuple[Body, ...]:
        """The branches."""
        return (self.then, self.otherwise)

    def work(self) -> tuple[Shape, ...]:
        """The operations of both branches: an upper bound, as only one of them runs."""
        return (*self.then.work(), *self.otherwise.work())

    def with_bodies(self, bodies: tuple[Body, ...]) -> Node:
        """The node with other branches."""
        return self.with_fields(then=bodies[0], otherwise=bodies[1])

    def bind_bodies(
        self, xp: Any, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...], programs: Sequence[Program]
    ) -> list[Call]:
        """Run one of two bound branches, and copy its results."""
        condition = ins[0]
        ends = [[partial(xp.copyto, to, source) for _, to, source in self.bound_end(out, p)] for p in programs]

        def choose() -> None:
            taken = 0 if condition else 1
            programs[taken].run()
            for call in ends[taken]:
                call()

        return [choose]

    def bound_end(self, out: Any, program: BodyArrays) -> list[Copy]:
        """The copies after a bound branch has run."""
        outs = (out,) if self.single else out
        return [Copy(n.shape, o, r) for n, o, r in zip(self.then.results, outs, program.results, strict=True)]

    def vjp(self, g: Any) -> tuple[Node | None, ...]:
        """A Cond of the gradients of the branches."""
        upstream = [gi for gi in ((g,) if self.single else g) if gi is not None]
        sent = [i for i, gi in enumerate((g,) if self.single else g) if gi is not None]
        places = [Placeholder(f"g{i}", gi.shape, gi.dtype) for i, gi in zip(sent, upstream, strict=True)]
        slopes: list[dict[Node, Node]] = []
        for body in self.bodies():
            wrt = [p for p in body.captured if p.dtype.kind == "f"]
            parts = pullback([body.results[i] for i in sent], places, wrt)
            slopes.append({p: part for p, part in zip(wrt, parts, strict=True) if part is not None})
        reached = [p for p in self.then.captured if p in slopes[0] or p in slopes[1]]
        if not reached:
            return (None,) * len(self.operands)
        captured = (*self.then.captured, *places)
        then, otherwise = (
            Body((), captured, tuple(s[p] if p in s else zeros_like(p) for p in reached)) for s in slopes
        )
        chosen = Cond(self.condition, then, otherwise, (*self.captured, *upstream), single=False)
        found = dict(zip(reached, chosen, strict=True))
        return (None, *(found.get(p) for p in self.then.captured))

    def state_updates(self) -> Mapping[Any, Node]:
        """The state updates of random nodes in both branches; they are made whichever branch is chosen."""
        updates: Mapping[Any, Node] = self.__dict__.get("_updates", {})
        return updates
