"""Ops: what a kind of node declares of itself, and what it answers when asked.

Everything here has a default, so that an op says only what is its own: `infer`, `forward` and `vjp`, mostly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias, cast

from ..errors import GraphError
from .operators import Operators
from .spec import Dim, Shape, Spec

if TYPE_CHECKING:
    from .body import Body, Program
    from .context import Birth, Origin
    from .node import Node

__all__ = ["Call", "Op", "describe"]

Call: TypeAlias = Callable[[], Any]
Gradients: TypeAlias = "Node | tuple[Node | None, ...] | None"


class Op(Operators):
    """The base of `Node`: the questions that the rest of the package asks an op."""

    samples: ClassVar[tuple[Any, ...]] = ()
    """On which operands the op is to be tested, and what it must refuse: see `graphnn.ops.sample`."""
    adjoint: ClassVar[str | None] = None
    """The op that is this one's transpose, for an op linear in its first operand: `<A x, y> = <x, A* y>` is tested."""
    onnx: ClassVar[str | None] = None
    """What the ONNX standard calls the op, where it has it."""
    elements: ClassVar[Literal["alike", "moved"] | None] = None
    """How elements of operands reach the result: each only its own place ("alike"), or copied and summed ("moved")."""
    random: ClassVar[bool] = False
    """True for an op whose value is not a function of its operands: equal ones are never shared."""
    indexes: ClassVar[bool] = False
    """True for an op whose `class_labels` are places along an axis, not classes: messages say so."""
    indifferent: ClassVar[bool] = False
    """True for an op that gives the same bits however its operands lie in memory: it treats each element alone."""
    by_specs: ClassVar[bool] = False
    """True for an op whose checks look at nothing but specs and attributes: see `graphnn.ir.verdicts`.

    A subclass that checks in its own way has to say it again.
    """

    if TYPE_CHECKING:  # what the node knows of itself
        spec: Spec | tuple[Spec, ...]
        birth: Birth

    @property
    def op(self) -> str:
        """The name of the op."""
        return type(self).__name__

    @property
    def specs(self) -> tuple[Spec, ...]:
        """The specs of all results: one, or several."""
        return self.spec if isinstance(self.spec, tuple) else (self.spec,)

    @property
    def label(self) -> str:
        """What messages call it."""
        return self.op

    @property
    def origin(self) -> Origin:
        """The file and line that declared this node; for a gradient, those of the node it differentiates."""
        return self.birth.origin

    def prepare(self) -> None:
        """Make the operands agree, by visible nodes (Cast, Repeat), before `infer` looks at them."""

    def infer(self) -> Spec:
        """The spec of the result; for an op with several results, a tuple of specs."""
        raise NotImplementedError(f"{type(self).__name__} does not say what comes out: define infer(self).")

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """The result, from arrays for the operands, with the functions of `xp` (NumPy or CuPy)."""
        raise NotImplementedError(
            f"{type(self).__name__} does not say how it is computed: define forward(self, xp, ...)."
        )

    def vjp(self, g: Any) -> Gradients:
        """Each operand's gradient, as a node, given that of the result: one, or a tuple; None where there is none."""
        raise GraphError(f"{describe(self)} has no gradient rule: define vjp(self, g), or use gn.stop_gradient.")

    def bind(self, xp: Any, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...]) -> list[Call]:
        """Calls without arguments that, in order, write the result of `ins` into `out`.

        By default `forward`, then a copy. `scratch` are arrays of the specs that `scratch()` asks for, followed by
        those of `tables()`, which this fills. Memory known before the run is memory that these two declare.
        """

        def compute() -> None:
            out[...] = self.forward(xp, *ins)

        return [compute]

    def scratch(self) -> tuple[Spec, ...]:
        """Working memory that `bind` needs beside `out`."""
        return ()

    def tables(self) -> tuple[Spec, ...]:
        """Arrays that `bind` fills once and its calls only read: they follow those of `scratch`, and stay."""
        return ()

    def work(self) -> tuple[Shape, ...]:
        """How much arithmetic this takes, as shapes: each counts as many operations as it has elements.

        By default one for each element of the result.
        """
        return tuple(spec.shape for spec in self.specs)

    def view(self, dense: bool) -> bool | None:
        """Do I alias my first operand? None: no. Else whether my elements still lie densely, in C order.

        `dense` says so of the operand. What `forward` returns for such an op is a view.
        """
        return None

    def overwrites(self) -> tuple[int, ...]:
        """The operands whose memory, when nobody needs it later, may become that of the result."""
        return ()

    def class_labels(self, sizes: Mapping[str, int]) -> tuple[Node, int] | None:
        """The operand that holds class labels, if one does, and how many classes there are: checked at every call."""
        return None

    def at(self, sizes: Mapping[str, int]) -> Node:
        """This op with numbers for the named sizes in its attributes: what `forward` and `bind` are asked of."""
        return cast("Node", self)

    def room(self) -> tuple[Dim, ...]:
        """What must not be negative once the named sizes are known, beside the sizes of the result.

        The first three of N rows are there when `N - 3` is 0 or more. It is checked at every call.
        """
        return ()

    def infer_as(self) -> Node:
        """What this is when a model predicts rather than learns."""
        return cast("Node", self)

    def state_updates(self) -> Mapping[Any, Node]:
        """The state that this carries forward from step to step."""
        return {}

    def bodies(self) -> tuple[Body, ...]:
        """The graphs that this runs."""
        return ()

    def with_bodies(self, bodies: tuple[Body, ...]) -> Node:
        """The same over other bodies, in this node's place."""
        raise NotImplementedError(f"{self.op} has no bodies.")

    def body_runs(self, xp: Any, *arrays: Any) -> Iterator[tuple[Body, Mapping[Any, Any], str]]:
        """Each run of a body that computing this takes: what its placeholders are given, and words for when."""
        return iter(())

    def bind_bodies(
        self, xp: Any, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...], programs: Sequence[Program]
    ) -> list[Call]:
        """As `bind`, for a node with bodies, which are bound already."""
        raise NotImplementedError(f"{self.op} has no bodies.")


def describe(node: Op) -> str:
    """How messages speak of a node: its label, spec and source line."""
    spec = node.spec if isinstance(node.spec, Spec) else "(" + ", ".join(map(str, node.spec)) + ")"
    return f"{node.label} {spec} ({node.origin})"
