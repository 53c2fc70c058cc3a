"""Compiled programs, looked at from outside: the stages of the compiler, the plan, the memory, and the pictures."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from ..backends.program import Program
from ..errors import RenderError
from ..ir.graph import Graph
from ..plan.memory import Plan
from ..plan.usage import read_bytes
from ..transform.passes import Pass
from ..transform.record import Record
from .footprint import Memory, max_batch, measure, measure_state
from .profile import Profile

if TYPE_CHECKING:
    from ..view.ledger import Ledger

__all__ = ["Compiled", "Stage"]


@dataclass(frozen=True)
class Stage:
    """A graph on its way through the compiler: as declared, or after a pass."""

    name: str
    numerics: str
    graph: Graph
    record: Record = field(default_factory=Record)
    """What the pass did to make this graph."""
    made_by: Pass | None = None


class Compiled:
    """The base of `gn.Executable`: what can be asked of a compiled program without running it."""

    def __init__(self, stages: Sequence[Stage], plan: Plan, program: Program, backend: str) -> None:
        self.stages: tuple[Stage, ...] = tuple(stages)
        """The graph as declared, and after each pass; `gn.render_passes` draws them."""
        self.graph: Graph = self.stages[0].graph
        """The graph as declared."""
        self.plan: Plan = plan
        """The steps of the program, in order, and where each value lies in memory."""
        self.backend = backend
        self._program = program

    def memory(self, samples: int | None = None, **sizes: int) -> Memory | None:
        """The bytes that a run takes, known before any run, for given sizes.

        `samples` is the number of samples that a shuffled loop will go through. Without it, `.loop` is the most that
        any number of samples takes. Printing the result shows how much memory is in use at each step, and the largest
        values with their source lines. Called without sizes, for a program that has named sizes, `memory` prints the
        formula instead, and returns None.

        Raises:
            FeedError: when a named size is missing, or unknown.

        >>> import graphnn as gn
        >>> x = gn.Input("x", ("N", 2))
        >>> gn.compile(gn.Sum(gn.Exp(x))).memory(N=100, samples=1000)
        Memory(arena=1728, state=0, constants=0, loop=8000)
        """
        if not sizes and self.plan.graph.sizes:
            from ..view.memory import list_formula  # a door

            print(list_formula(self.plan, measure_state(self.plan), self._program.kept(), self._program.workspace()))
            return None
        return measure(self.plan, self._program, sizes, samples)

    def max_batch(self, budget: int | str, samples: int | None = None, **sizes: int) -> int:
        """The largest batch for which `memory(...).total` stays within a budget: a number of bytes, or as in "64MiB".

        The batch is the named size that is not given; all other sizes are given by name.

        Raises:
            BackendError: when not even a batch of 1 fits; the message names the largest values.
            GraphError: when the budget is not an amount of memory, or not exactly one size is left open.
            FeedError: when a named size is unknown.

        >>> import graphnn as gn
        >>> x = gn.Input("x", ("N", 2))
        >>> gn.compile(gn.Sum(gn.Exp(x))).max_batch("64KiB", samples=1000)
        3592
        """

        def total(numbers: dict[str, int]) -> int:
            return measure(self.plan, self._program, numbers, samples).total

        return max_batch(self.plan, total, read_bytes(budget, "max_batch: the budget"), sizes)

    def explain(self) -> str:
        """The work of the compiler as text to print: what each pass changed, the resulting plan, and its ledger.

        For each step, the ledger says how many operations and bytes it costs, which declared nodes it stands for, by
        which rules, and why it was not fused with a neighbour.
        """
        from ..view.report import explain  # a door

        said = explain([(s.name, s.numerics, s.graph) for s in self.stages], self.plan, self.ledger())
        notes = self._program.notes()
        return said + (f"\n\n== {self.backend}\n{notes}" if notes else "")

    def ledger(self) -> Ledger:
        """What each step costs, which declared nodes it stands for, and which rules made it; prints as a table.

        >>> import graphnn as gn
        >>> x = gn.Input("x", ("N", 3))
        >>> print(gn.compile(gn.Sum(x * x)).ledger())
        ledger: 6·N operations, 36·N + 4 bytes read and written
        no pass of this program fuses steps: an interpreter gains nothing by it
          %0 = Mul(x, x)              3·N ops   24·N B       from Mul ...
          %1 = Sum(%0, axis=(0, 1))   3·N ops   12·N + 4 B   from Sum ...
        """
        from ..view.ledger import make_ledger  # a door

        return make_ledger([(s.name, s.graph, s.record) for s in self.stages], self.plan)

    @property
    def source(self) -> str:
        """The generated program as text, in the language that the backend writes."""
        return self._program.source()

    @property
    def assembly(self) -> str:
        """The machine code as text.

        Raises:
            BackendError: when the backend makes none that can be shown.
        """
        return self._program.assembly()

    def render(
        self,
        path: str | os.PathLike[str],
        view: str | None = None,
        depth: int | None = None,
        profile: Profile | None = None,
        feeds: Mapping[str, ArrayLike] | None = None,
        **sizes: int,
    ) -> str:
        """Draw the plan, which is what the compiler made of the graph, into a file, and return its path.

        Nodes that were fused into one step are in one frame. Each slot of memory has a colour and a number. Each value
        has the bytes that are written: as a formula, or as a number when `sizes` are given. With a `profile` of this
        program, colours show the time of each step. `depth` is how many nested scopes are open, as in `Graph.render`.

        `view` is "plan"; or "forward", "backward" or "both", which draw the graph as declared: see `Graph.render`.
        A page (.html) shows the declared graph unless the plan is asked for.

        Raises:
            RenderError: as for `Graph.render`; for a profile of another plan; for a profile or sizes when no plan is
                drawn.
            FeedError: when a named size is missing, or unknown.

        >>> import graphnn as gn
        >>> from tempfile import mkdtemp
        >>> x = gn.Input("x", ("N", 2))
        >>> path = gn.compile(gn.Sum(gn.Exp(gn.Tanh(x)))).render(f"{mkdtemp()}/plan.svg", N=30)
        """
        if view == "plan" or (view is None and feeds is None and not os.fspath(path).lower().endswith(".html")):
            from ..view.plan import render_plan  # a door

            return render_plan(path, [(s.graph, s.record) for s in self.stages], self.plan, depth, profile, sizes)
        if profile is not None or sizes:
            raise RenderError('a profile and sizes are drawn with the plan alone: use view="plan".')
        return self.graph.render(path, view, depth, feeds)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        from ..view.notebook import show_graph  # a door

        return show_graph(self.graph, repr(self))

    def __repr__(self) -> str:
        takes = ", ".join(f"{name}: {node.spec}" for name, node in self.graph.inputs.items())
        return (
            f"<Executable ({takes}) -> {', '.join(self.graph.outputs)}, {len(self.plan.steps)} steps on {self.backend}>"
        )
