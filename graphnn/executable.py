"""What a compile returns: a function of the inputs, with its loop, its state, and all that can be asked of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .backends.program import OnDevice, Program
from .backends.registry import find_backend
from .debug.bisect import Finding, bisect, kept_parameters
from .debug.blame import blame
from .debug.replay import replay
from .errors import BackendError, CheckpointError, FeedError, GraphError, NonFiniteError
from .ir.graph import Graph, Outputs
from .ir.leaf import Parameter
from .ir.node import Node
from .plan.memory import Plan, make_plan
from .runtime.budget import Budget, Limit
from .runtime.compiled import Compiled, Stage
from .runtime.feeds import Feeds
from .runtime.footprint import Memory
from .runtime.loop import AfterEpoch, Loop
from .runtime.orders import Shuffle, read_orders
from .runtime.profile import Profile
from .runtime.rewind import Rewind

__all__ = ["Executable", "Memory", "Stage"]


class Executable(Compiled):
    """A compiled program: call it with the inputs by name. Made by `gn.compile`.

    Results are copies, in the form in which the outputs were given to `gn.compile`. Several threads may call it: they
    take turns.

    >>> import graphnn as gn
    >>> x = gn.Input("x", ("N", 2))
    >>> f = gn.compile(gn.Sum(x, axis=0))
    >>> f(x=[[1, 2], [3, 4]])
    array([4., 6.], dtype=float32)
    """

    def __init__(self, outputs: Outputs, stages: Sequence[Stage], plan: Plan, program: Program, backend: str) -> None:
        super().__init__(stages, plan, program, backend)
        self._outputs = outputs
        self._feeds = Feeds(self.graph, plan)
        self._limit: Limit | None = None
        self._lock = threading.RLock()  # reentrant: a callback after an epoch may call the program itself
        self._looping = threading.Lock()  # not so: a loop inside a loop, or beside one, is refused
        self.epochs = 0
        """How many epochs its loops have run so far: a seeded shuffle draws the order of an epoch from this count."""

    def __call__(self, /, *unnamed: ArrayLike, **inputs: ArrayLike) -> Any:
        """Run once, on inputs by name.

        Raises:
            FeedError: for a missing or unknown input, one without its name, or one that cannot be read as its dtype.
            ShapeError: when a shape does not fit the declaration, or two inputs disagree about a named size.
            LabelError: for a class label out of range.
            NonFiniteError: when a watched output is NaN or infinite; no parameter has changed then.
        """
        if unnamed:
            words = ", ".join(f"{name}=..." for name in self.graph.inputs)
            raise FeedError(f"inputs are fed by their names, as in f({words}), not by their places.")
        return self._once(inputs, on_device=False)

    def on_device(self, /, **inputs: ArrayLike) -> Any:
        """Run once, as a call does, and leave the results on the device.

        On the cupy backend the results are CuPy arrays, which other libraries can read without a copy through their
        `from_dlpack`. On the other backends they are NumPy arrays, as from a call.

        Raises:
            GraphNNError: as a call does.

        >>> import graphnn as gn, numpy as np
        >>> x = gn.Input("x", (2,))
        >>> np.from_dlpack(gn.compile(x * 2).on_device(x=[1, 2]))
        array([2., 4.], dtype=float32)
        """
        return self._once(inputs, on_device=True)

    def _once(self, inputs: Mapping[str, ArrayLike], *, on_device: bool) -> Any:
        feeds, sizes = self._feeds.read(inputs)
        with self._lock:
            self._fit_budget(sizes)
            program = self._program
            run = program.call_on_device if on_device and isinstance(program, OnDevice) else program.call
            try:
                results = run(feeds, sizes)
            except NonFiniteError as error:
                raise (error if error.node else blame(self._rounded, feeds, sizes) or error) from None
        return self._as_given(dict(zip(self.graph.outputs, results, strict=True)))

    @property
    def _rounded(self) -> Graph:
        """The declared graph, or with `precision`, the graph that rounds as the program does."""
        return next((stage.graph for stage in reversed(self.stages) if stage.numerics == "rounding"), self.graph)

    def _as_given(self, results: dict[str, np.ndarray]) -> Any:
        """The results as a node, mapping, tuple or list, whichever the outputs were."""
        if isinstance(self._outputs, Node):
            return results["out"]
        if isinstance(self._outputs, Mapping):
            return results
        return tuple(results.values()) if isinstance(self._outputs, tuple) else list(results.values())

    def loop(
        self,
        data: Mapping[str, ArrayLike],
        batch_size: int,
        epochs: int = 1,
        shuffle: Shuffle = None,
        drop_last: bool = False,
        progress: Any = None,
    ) -> Any:
        """Run whole epochs of mini-batches inside the backend, and return the scalar outputs, `(epochs, steps)` each.

        `data` gives an array for each input. Inputs whose first axis is the named batch size are cut into batches; the
        others are the same for every batch. The last batch may be smaller; `drop_last` leaves it out.

        `shuffle` says in which order each epoch takes the samples:

        - None: in the order of `data`;
        - an int: a seed; the order depends on the seed and on how many epochs this program has run;
        - a NumPy `Generator`: its `permutation` is the order of the epoch;
        - a legacy `RandomState`: its `permutation` is applied to the order of the epoch before;
        - an int array `(epochs, samples)`: the orders themselves;
        - an iterator that yields an order for each epoch.

        `progress` is a function that is called with the number of epochs done, or True for a progress bar. Ctrl-C ends
        the loop after the step that is running, and raises KeyboardInterrupt.

        The result is an array when the program has one scalar output, else a dict of arrays by name.

        Raises:
            FeedError: for a missing or unknown input, inputs of different lengths, no samples, a batch size below 1, or
                an iterator that yields too few orders.
            ShapeError, LabelError, NonFiniteError: as for a call.
            BackendError: when the program is running a loop already, in this thread or another.

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
        """`loop`, with a function that is called after each epoch.

        `after_epoch` is given the scalar outputs of the epoch by name, and returns True to end the loop.
        """
        self._run(Loop(self._feeds, self._program, data, batch_size, drop_last), shuffle, epochs, progress, after_epoch)

    def _run(
        self, run: Loop, shuffle: Shuffle, epochs: int, progress: Any, after_epoch: AfterEpoch | None = None
    ) -> dict[str, np.ndarray]:
        with self._alone(), self._lock:
            self._fit_budget(run.batches.first_sizes, run.batches.samples)
            run.program = self._program
            orders = read_orders(shuffle, run.batches.samples, epochs, self.epochs)
            rewind = Rewind(tuple(self.graph.updates), orders, self._program.check_finite is not None)
            try:
                return run.run(rewind, epochs, progress, after_epoch)
            except NonFiniteError as error:
                raise replay(self._rounded, self._program, run.batches, rewind) or error from None
            finally:
                self.epochs += rewind.done

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """A context manager around a loop, of which a program runs one at a time."""
        if not self._looping.acquire(blocking=False):
            raise BackendError(
                "this program is running a loop already: two at once would train the same parameters. Let the first "
                "end, or compile a program of parameters of its own."
            )
        try:
            yield
        finally:
            self._looping.release()

    def keep_within(self, budget: Budget, bind: Callable[[Plan], Program]) -> None:
        """Stay within a budget from now on. `gn.compile` calls this for `memory_budget`; `bind` binds another plan."""
        self._limit = Limit(budget, self.plan, bind)
        if budget.sizes is not None or not self.plan.graph.sizes:
            self._fit_budget(budget.sizes or {})

    def _fit_budget(self, sizes: Mapping[str, int], samples: int | None = None) -> None:
        """Take another plan when the present one would exceed the budget: in a call, or in a loop over `samples`."""
        if self._limit is None:
            return
        plan = self._limit.fit(self.plan, self._program, sizes, samples)
        if plan is not self.plan:
            self.plan, self._program = plan, self._limit.bind(plan)
            self.stages += (Stage("fit the budget", "exact", plan.graph),)

    # State -------------------------------------------------------------------------------------------------------

    @property
    def state(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and of the optimiser's state, by name."""
        return {name: parameter.value for name, parameter in self.graph.parameters.items()}

    def restore(self, state: Mapping[str, ArrayLike]) -> None:
        """Write back what `state` returned: all of it, or nothing if any of it does not fit.

        Raises:
            CheckpointError: when names are missing or unexpected.
            ShapeError, DTypeError: when a value does not fit.
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
        """Give a new value to a runtime scalar of an optimiser, or to any parameter. Nothing is recompiled.

        Raises:
            GraphError: when the program has no parameter of that name.
            ShapeError, DTypeError: when the value does not fit.
        """
        parameter: Parameter | None = self.graph.parameters.get(name)
        if parameter is None:
            raise GraphError(f"the program has no '{name}': it has {', '.join(self.graph.parameters) or 'no state'}.")
        with self._lock:
            parameter.value = value

    # Runs that leave the parameters as they were -----------------------------------------------------------------

    def profile(self, /, **inputs: ArrayLike) -> Profile:
        """The time that each step of the plan takes for these inputs. The parameters keep their values."""
        feeds, sizes = self._feeds.read(inputs)
        with self._lock:
            return Profile(self.plan, tuple(self._program.profile(feeds, sizes)))

    def bisect(
        self, feeds: Mapping[str, ArrayLike], rtol: float | None = None, atol: float | None = None
    ) -> Finding | None:
        """The first pass that changes a result on these feeds, with the rule and the node; None when no pass does.

        The program is bound and run again and again, each time with one more of its passes. An exact pass must keep
        every bit. Any other pass may change a result within `rtol` and `atol`, by default those stated for the dtype of
        the result. The parameters keep their values.

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
