"""Ops: the questions that the rest of the package asks an op, each with a default answer.

An op overrides only the methods that are special to it: mostly `infer`, `forward` and `vjp`.
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
    """The base of `Node`: what an op declares about itself, and the methods that it may override."""

    samples: ClassVar[tuple[Any, ...]] = ()
    """The operands on which the op is tested, and those that it must refuse: see `graphnn.ops.sample`."""
    adjoint: ClassVar[str | None] = None
    """For an op that is linear in its first operand, the op that is its transpose: `<A x, y> = <x, A* y>` is tested."""
    onnx: ClassVar[str | None] = None
    """The name of the op in the ONNX standard, if it has one."""
    elements: ClassVar[Literal["alike", "moved"] | None] = None
    """How elements of the result depend on those of the operands.

    "alike": on the elements at the same position only. "moved": they are copies or sums of elements. None: otherwise.
    """
    random: ClassVar[bool] = False
    """True for an op whose value is not a function of its operands: two equal nodes of it are never made one."""
    indexes: ClassVar[bool] = False
    """True for an op whose `class_labels` are positions along an axis rather than classes: messages say so."""
    indifferent: ClassVar[bool] = False
    """True for an op that computes the same bits whatever the memory layout of its operands."""
    by_specs: ClassVar[bool] = False
    """True for an op whose `prepare` and `infer` look only at specs and attributes: see `graphnn.ir.checks`.

    A subclass that overrides one of these two has to declare it again.
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
        """How messages call the node."""
        return self.op

    @property
    def origin(self) -> Origin:
        """The file and line that declared this node; for a gradient, those of the node it differentiates."""
        return self.birth.origin

    def prepare(self) -> None:
        """Bring the operands to one dtype or shape, by visible nodes (Cast, Repeat), before `infer` is called."""

    def infer(self) -> Spec:
        """The spec of the result; for an op with several results, a tuple of specs."""
        raise NotImplementedError(f"{type(self).__name__} does not say what comes out: define infer(self).")

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """The result, from arrays for the operands, with the functions of `xp` (NumPy or CuPy)."""
        raise NotImplementedError(
            f"{type(self).__name__} does not say how it is computed: define forward(self, xp, ...)."
        )

    def vjp(self, g: Any) -> Gradients:
        """The gradients of the operands as nodes, given that of the result: one node, or a tuple of nodes and None."""
        raise GraphError(f"{describe(self)} has no gradient rule: define vjp(self, g), or use gn.stop_gradient.")

    def bind(self, xp: Any, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...]) -> list[Call]:
        """A list of calls without arguments that, in order, compute the result from `ins` and write it into `out`.

        By default, `forward` and a copy. `scratch` holds arrays of the specs that `scratch()` asks for, then arrays of
        the specs that `tables()` asks for, which `bind` fills. An op that takes all its memory from these two is
        measured to the byte before the run.
        """

        def compute() -> None:
            out[...] = self.forward(xp, *ins)

        return [compute]

    def scratch(self) -> tuple[Spec, ...]:
        """The working memory that the calls of `bind` need beside `out`, as specs."""
        return ()

    def tables(self) -> tuple[Spec, ...]:
        """The arrays that `bind` fills once and its calls only read, as specs."""
        return ()

    def work(self) -> tuple[Shape, ...]:
        """How many operations the op takes, as a sum of shapes: each stands for as many as it has elements.

        By default, one operation for each element of the result.
        """
        return tuple(spec.shape for spec in self.specs)

    def view(self, dense: bool) -> bool | None:
        """Is the result a view of the first operand? None if not; else whether its elements are dense, in C order.

        `dense` says whether those of the operand are. `forward` of such an op returns a view.
        """
        return None

    def overwrites(self) -> tuple[int, ...]:
        """The positions of operands whose memory may be overwritten by the result, if nothing else needs it later."""
        return ()

    def class_labels(self, sizes: Mapping[str, int]) -> tuple[Node, int] | None:
        """The operand that holds class labels, and the number of classes. They are checked at every call."""
        return None

    def at(self, sizes: Mapping[str, int]) -> Node:
        """This node with numbers for the named sizes in its attributes: `forward` and `bind` are called on that one."""
        return cast("Node", self)

    def room(self) -> tuple[Dim, ...]:
        """The dimensions, beside those of the result, that must not be negative; they are checked at every call.

        For example, an op that takes the first three of N rows returns `N - 3`.
        """
        return ()

    def infer_as(self) -> Node:
        """The node that takes this one's place when a model predicts rather than learns."""
        return cast("Node", self)

    def state_updates(self) -> Mapping[Any, Node]:
        """The parameters in which the op keeps a state, each with its value after the step."""
        return {}

    def bodies(self) -> tuple[Body, ...]:
        """The graphs that the op runs, such as what a loop repeats."""
        return ()

    def with_bodies(self, bodies: tuple[Body, ...]) -> Node:
        """The same node with other bodies."""
        raise NotImplementedError(f"{self.op} has no bodies.")

    def body_runs(self, xp: Any, *arrays: Any) -> Iterator[tuple[Body, Mapping[Any, Any], str]]:
        """Each run of a body on these arrays: the body, the values of its placeholders, and words for which run."""
        return iter(())

    def bind_bodies(
        self, xp: Any, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...], programs: Sequence[Program]
    ) -> list[Call]:
        """As `bind`, for an op with bodies: `programs` are the bodies, bound already."""
        raise NotImplementedError(f"{self.op} has no bodies.")


def describe(node: Op) -> str:
    """How messages describe a node: its label, spec and source line."""
    spec = node.spec if isinstance(node.spec, Spec) else "(" + ", ".join(map(str, node.spec)) + ")"
    return f"{node.label} {spec} ({node.origin})"
