"""What a compile returns: a function of the inputs, with its loop, its state, and all that can be asked of it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from .backends.program import OnDevice, Program
from .backends.registry import find_backend
from .bisect import Finding, bisect, kept_parameters
from .blame import Rewind, blame, replay
from .errors import CheckpointError, GraphError, NonFiniteError, RenderError
from .feeds import Feeds
from .footprint import Budget, Memory, max_batch, measure, measure_state
from .ir.graph import Graph, Outputs
from .ir.leaf import Parameter
from .ir.node import Node
from .loop import AfterEpoch, Loop, Shuffle
from .plan.memory import Plan, make_plan
from .plan.usage import read_bytes
from .profile import Profile
from .transform.passes import Pass
from .transform.record import Record

if TYPE_CHECKING:
    from .view.ledger import Ledger

__all__ = ["Executable", "Memory", "Stage"]


@dataclass(frozen=True)
class Stage:
    """A graph on its way through the compiler."""

    name: str
    numerics: str
    graph: Graph
    record: Record = field(default_factory=Record)
    """What the pass did to make it."""
    made_by: Pass | None = None


class Executable:
    """A compiled program: call it with the inputs by name. Made by `gn.compile`.

    Results are copies, in the form of the outputs that were compiled. Calls from several threads take turns.

    >>> import graphnn as gn
    >>> x = gn.Input("x", ("N", 2))
    >>> f = gn.compile(gn.Sum(x, axis=0))
    >>> f(x=[[1, 2], [3, 4]])
    array([4., 6.], dtype=float32)
    """

    def __init__(
        self, outputs: Outputs, graph: Graph, plan: Plan, program: Program, stages: Sequence[Stage], backend: str
    ) -> None:
        self.graph: Graph = graph
        """The graph as declared."""
        self.plan: Plan = plan
        self.backend = backend
        self._form = outputs
        self._program = program
        self._budget: Budget | None = None
        self.stages: tuple[Stage, ...] = tuple(stages)
        """The graph as declared, and after each pass; `gn.render_passes` draws them."""
        self._feeds = Feeds(graph, plan)
        self._lock = threading.RLock()  # what is called after an epoch may ask the program itself
        self.epochs = 0
        """How many epochs its loops have run: the orders of a seeded shuffle are counted by it."""

    def __call__(self, /, **inputs: ArrayLike) -> Any:
        """Run once.

        Raises:
            FeedError: for a missing or unknown input, or one that cannot be read as its dtype.
            ShapeError: when shapes do not fit the declaration, or disagree about a named size.
            LabelError: for a class label out of range.
            NonFiniteError: when a watched output is NaN or infinite; no parameter has changed then.
        """
        return self._once(inputs, on_device=False)

    def on_device(self, /, **inputs: ArrayLike) -> Any:
        """Run once, as a call does, and leave the results where the program runs.

        On the cupy backend they are CuPy arrays, which `from_dlpack` of other libraries takes without a copy; on the
        others they are NumPy arrays, as of a call.

        Raises:
            GraphNNError: as a call does.

        >>> import graphnn as gn, numpy as np
        >>> x = gn.Input("x", (2,))
        >>> np.from_dlpack(gn.compile(x * 2).on_device(x=[1, 2]))
        array([2., 4.], dtype=float32)
        """
        return self._once(inputs, on_device=True)

    def _once(self, inputs: Mapping[str, ArrayLike], on_device: bool) -> Any:
        feeds, sizes = self._feeds.read(inputs)
        with self._lock:
            self._fit(sizes)
            program = self._program
            run = program.call_on_device if on_device and isinstance(program, OnDevice) else program.call
            try:
                results = run(feeds, sizes)
            except NonFiniteError as error:
                raise (error if error.node else blame(self._computed, feeds, sizes) or error) from None
        return self._shaped(dict(zip(self.graph.outputs, results, strict=True)))

    @property
    def _computed(self) -> Graph:
        """The graph that has the values computed: as declared, or rounded as a policy of precision says."""
        return next((stage.graph for stage in reversed(self.stages) if stage.numerics == "rounding"), self.graph)

    def _shaped(self, results: dict[str, np.ndarray]) -> Any:
        """Results in the form of the outputs compiled."""
        if isinstance(self._form, Node):
            return results["out"]
        if isinstance(self._form, Mapping):
            return results
        return tuple(results.values()) if isinstance(self._form, tuple) else list(results.values())

    def loop(
        self,
        data: Mapping[str, ArrayLike],
        batch_size: int,
        epochs: int = 1,
        shuffle: Shuffle = None,
        drop_last: bool = False,
        progress: Any = None,
    ) -> Any:
        """Run whole epochs of mini-batches inside the backend; the scalar outputs, `(epochs, steps)` each.

        `data` gives each input: those whose first axis is the named batch size are cut into batches, the others
        stay the same. `shuffle` is None; an int seed, by which the order of an epoch is a function of the seed and
        of how many epochs this program has run; a NumPy `Generator`; a legacy `RandomState`, whose `permutation`
        is applied each epoch to the order of the one before; an int array `(epochs, samples)` of orders; or an
        iterator of them. The last, smaller batch is used unless `drop_last`. `progress` is called with the number of
        epochs done, or is True for a bar. Ctrl-C ends the loop after the step it is in, and raises.

        Returns an array when the program has one scalar output, else a dict of them by name.

        Raises:
            FeedError: for inputs missing, unknown, of different lengths or empty, or a batch size below 1.
            ShapeError, LabelError, NonFiniteError: as for a call.

        >>> import graphnn as gn, numpy as np
        >>> x, w = gn.Input("x", ("N",)), gn.Parameter("w", 0.0)
        >>> loss = gn.Mean((x - w) ** 2)
        >>> step = gn.compile(loss, gn.SGD(lr=0.1).updates(loss))
        >>> step.loop({"x": np.full(4, 3.0)}, batch_size=2, epochs=1).round(2)
        array([[9.  , 5.76]], dtype=float32)
        """
        run = Loop(self._feeds, self._program, data, batch_size, drop_last)
        records = self._run(run, shuffle, epochs, progress)
        return next(iter(records.values())) if len(records) == 1 else records

    def loop_epochs(
        self,
        data: Mapping[str, ArrayLike],
        batch_size: int,
        epochs: int,
        shuffle: Shuffle,
        drop_last: bool,
        after_epoch: AfterEpoch,
        progress: Any = None,
    ) -> None:
        """`loop`, watched: `after_epoch` gets the scalar outputs of each epoch by name, and returns True to end it."""
        self._run(Loop(self._feeds, self._program, data, batch_size, drop_last), shuffle, epochs, progress, after_epoch)

    def _run(
        self, run: Loop, shuffle: Shuffle, epochs: int, progress: Any, after_epoch: AfterEpoch | None = None
    ) -> dict[str, np.ndarray]:
        with self._lock:
            self._fit(run.batches.first_sizes, run.batches.samples, loop=True)
            run.program = self._program
            orders = run.orders(shuffle, epochs, self.epochs)
            rewind = Rewind(tuple(self.graph.updates), orders, self._program.check_finite is not None)
            try:
                return run.run(rewind, epochs, progress, after_epoch)
            except NonFiniteError as error:
                raise replay(self._computed, self._program, run.batches, rewind) or error from None
            finally:
                self.epochs += rewind.done

    def keep_within(self, budget: Budget, bind: Callable[[Plan], Program]) -> None:
        """Stay within a budget from now on: see `memory_budget` of `gn.compile`, which calls this."""
        self._budget, self._bind, self._first_plan = budget, bind, self.plan
        if budget.sizes is not None or not self.plan.graph.sizes:
            self._fit(budget.sizes or {})

    def _fit(self, sizes: Mapping[str, int], samples: int | None = None, loop: bool = False) -> None:
        """Plan anew when these sizes would not stay within the budget."""
        if self._budget is None:
            return
        plan = self._budget.fit(self._first_plan, self.plan, self._program, sizes, samples, loop)
        if plan is not self.plan:
            self._program = self._bind(plan)
            self.plan = plan
            self.stages += (Stage("fit the budget", "exact", plan.graph),)

    # State -------------------------------------------------------------------------------------------------------

    @property
    def state(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and optimiser state, by name."""
        return {name: parameter.value for name, parameter in self.graph.parameters.items()}

    def restore(self, state: Mapping[str, ArrayLike]) -> None:
        """Write back what `state` returned, all of it or nothing.

        Raises:
            CheckpointError: when names are missing or unexpected.
            ShapeError, DTypeError: when a value does not fit; nothing has changed then.
        """
        parameters = self.graph.parameters
        if set(state) != set(parameters):
            raise CheckpointError(
                f"state does not fit the program: missing {sorted(set(parameters) - set(state))}, "
                f"unexpected {sorted(set(state) - set(parameters))}."
            )
        accepted = {name: parameter.accept(state[name]) for name, parameter in parameters.items()}
        with self._lock:
            for name, parameter in parameters.items():
                parameter.storage[...] = accepted[name]

    def set(self, name: str, value: ArrayLike) -> None:
        """Give a runtime scalar of an optimiser, or any parameter, a new value; nothing is recompiled.

        Raises:
            GraphError: when the program has no parameter of that name.
            ShapeError, DTypeError: when the value does not fit.
        """
        parameter: Parameter | None = self.graph.parameters.get(name)
        if parameter is None:
            raise GraphError(f"the program has no '{name}': it has {', '.join(self.graph.parameters) or 'no state'}.")
        with self._lock:
            parameter.value = value

    # Looking -----------------------------------------------------------------------------------------------------

    def memory(self, samples: int | None = None, **sizes: int) -> Memory | None:
        """Bytes before any run, for given sizes; without sizes, for a program that has some, prints the formula.

        `samples` is how many a shuffled loop will have; without it, `.loop` is the most that it takes for any
        number. Printing the answer shows what is in use at each step, and the largest values with their lines.

        Raises:
            FeedError: when a named size is missing, or unknown.

        >>> import graphnn as gn
        >>> x = gn.Input("x", ("N", 2))
        >>> gn.compile(gn.Sum(gn.Exp(x))).memory(N=100, samples=1000)
        Memory(arena=1728, state=0, constants=0, loop=8000)
        """
        if not sizes and self.plan.graph.sizes:
            from .view.memory import list_formula  # a door

            print(list_formula(self.plan, measure_state(self.plan), self._program.kept(), self._program.workspace()))
            return None
        return measure(self.plan, self._program, sizes, samples)

    def max_batch(self, budget: int | str, samples: int | None = None, **sizes: int) -> int:
        """The largest batch with which `memory(...).total` stays within a budget, such as "64MiB" or a number of bytes.

        The batch is the named size that is left open; others are given by name.

        Raises:
            BackendError: when not even a batch of 1 fits, naming the largest values.
            GraphError: when the budget is no amount of memory, or no one size is open.
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
        """What each pass did to the graph, the plan that came of it, and the ledger of its steps, as text to print.

        For each step the ledger says what it costs in operations and bytes, which declared nodes it stands for, by
        which rules, and why a neighbour is a step of its own.
        """
        from .view.report import explain  # a door

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
        from .view.ledger import make_ledger  # a door

        return make_ledger([(s.name, s.graph, s.record) for s in self.stages], self.plan)

    def bisect(
        self, feeds: Mapping[str, ArrayLike], rtol: float | None = None, atol: float | None = None
    ) -> Finding | None:
        """The pass that changed a result on these feeds, with the rule and the node; None when none did.

        The program is bound again with one more of its passes at a time. An exact pass must keep every bit;
        another one may change a result within the tolerances, which are by default those stated for its dtype.
        Parameters keep their values.

        Raises:
            FeedError, ShapeError: as for a call.

        >>> import graphnn as gn
        >>> x = gn.Input("x", ("N",))
        >>> print(gn.compile(gn.Log(gn.Exp(x)) * 2 * 3).bisect({"x": [1.0, 2.0]}))
        None
        """
        given, sizes = self._feeds.read(feeds)
        passes = [stage.made_by for stage in self.stages if stage.made_by is not None]
        bind = find_backend(self.backend).bind

        def run(graph: Graph) -> dict[str, np.ndarray]:
            with kept_parameters(self.graph):
                called = bind(make_plan(graph), None).call({name: given[name] for name in graph.inputs}, sizes)
                updated = {f"{p.name} after its update": p.value for p in graph.updates}
            return dict(zip(graph.outputs, called, strict=True)) | updated

        with self._lock:
            return bisect(self.graph, passes, run, rtol, atol)

    def profile(self, /, **inputs: ArrayLike) -> Profile:
        """The time of each step of the plan for these inputs; parameters keep their values."""
        feeds, sizes = self._feeds.read(inputs)
        with self._lock:
            return Profile(self.plan, tuple(self._program.profile(feeds, sizes)))

    @property
    def source(self) -> str:
        """The generated program as text."""
        return self._program.source()

    @property
    def assembly(self) -> str:
        """The machine code as text, where the backend makes some.

        Raises:
            BackendError: where it does not.
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
        """Draw what the compiler made, the plan, into a file, and return the path.

        Steps that were brought together stand in one frame; buffers have colours and numbers, and what is written to
        each has its bytes: as formulas, or as numbers for given `sizes`. With a `profile` of this program, colours
        are the time of each step. `depth` opens nested scopes, as in `Graph.render`.

        `view` is "plan"; or "forward", "backward" or "both", for the graph as declared: see `Graph.render`. A page,
        .html, shows the latter unless the plan is asked for.

        Raises:
            RenderError: as for `Graph.render`; for a profile of another plan, or sizes, where no plan is drawn.
            FeedError: when a named size is missing, or unknown.

        >>> import graphnn as gn
        >>> from tempfile import mkdtemp
        >>> x = gn.Input("x", ("N", 2))
        >>> path = gn.compile(gn.Sum(gn.Exp(gn.Tanh(x)))).render(f"{mkdtemp()}/plan.svg", N=30)
        """
        if view == "plan" or (view is None and feeds is None and not os.fspath(path).lower().endswith(".html")):
            from .view.plan import render_plan  # a door

            return render_plan(path, [(s.graph, s.record) for s in self.stages], self.plan, depth, profile, sizes)
        if profile is not None or sizes:
            raise RenderError('a profile and sizes are drawn with the plan alone: use view="plan".')
        return self.graph.render(path, view, depth, feeds)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        from .view.notebook import show_graph  # a door

        return show_graph(self.graph, repr(self))

    def __repr__(self) -> str:
        takes = ", ".join(f"{name}: {node.spec}" for name, node in self.graph.inputs.items())
        return (
            f"<Executable ({takes}) -> {', '.join(self.graph.outputs)}, {len(self.plan.steps)} steps on {self.backend}>"
        )
