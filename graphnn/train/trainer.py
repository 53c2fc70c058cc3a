"""The trainer: fits a model with an optimiser, through the compiled loop, and keeps the history of the training."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from ..compile import compile
from ..errors import FeedError, GraphError
from ..executable import Executable
from ..runtime.feeds import check_number
from ..runtime.loop import showing
from ..runtime.orders import Shuffle
from ..view import plot
from .averaging import Average
from .callbacks import Memory, finish, go_on, in_turn
from .history import History
from .model import Metric, Model
from .optim import Optimizer
from .resume import Orders, read_training, write_training
from .scaling import LossScaling
from .stream import Batch, prefetched, read_batch

__all__ = ["Trainer"]

Callback: TypeAlias = "Callable[[Trainer], Any]"


class Trainer:
    """Trains a model: `Trainer(model, optimizer, backend="numpy", average=None, precision=None)`, then `fit`.

    `average` keeps an exponential moving average of the weights. `precision` is as for `gn.compile`: "mixed_float16"
    turns on dynamic loss scaling, which "mixed_bfloat16" does not need. Weights and predictions stay float32.

    Raises:
        GraphError: when the optimizer is none, such as a class that was not called.

    >>> import graphnn as gn
    >>> x, t = gn.Input("x", ("N", 2)), gn.Input("t", ("N",), dtype="int64")
    >>> scores = gn.Affine(x, gn.Parameter("W", [[0.0, 0.0], [0.0, 0.0]]), gn.Parameter("b", [0.0, 0.0]))
    >>> trainer = gn.Trainer(gn.Model(x, t, scores, gn.SoftmaxCE(scores, t)), gn.SGD(lr=1.0))
    >>> trainer.fit([[0, 1], [1, 0]], [0, 1], max_epoch=2, batch_size=2)
    | epoch 1 |  iter 1 / 1 | time 0[s] | loss 0.69
    | epoch 2 |  iter 1 / 1 | time 0[s] | loss 0.47
    """

    def __init__(
        self,
        model: Model,
        optimizer: Optimizer,
        backend: str = "numpy",
        average: Average | None = None,
        precision: str | None = None,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise GraphError(f"the optimizer is {optimizer!r}: it must be one that is made, as in gn.SGD(lr=0.1).")
        self.model, self.optimizer, self.backend, self.average = model, optimizer, backend, average
        self.precision = precision
        self.scaling = LossScaling() if precision == "mixed_float16" else None
        """The loss scaling for mixed float16. To use another one, assign it before the first `fit`."""
        self.loss_list: list[float] = []
        """For each log line, the average loss since the line before."""
        self.history = History()
        """A row for each epoch: its number, mean loss, seconds since `fit` began, and results of validation."""
        self.epoch = 0
        """How many epochs are completed."""
        self.eval_interval: int | None = None
        self.pending: list[float] = []
        """The losses since the last log line."""
        self.orders = Orders()
        self.callbacks: Sequence[Callback] = ()
        """The callbacks of the present or last `fit`."""
        self.ended = False
        """Did a callback end the training?"""
        self.fitting = False
        """Is a `fit` running, or was the last one ended by an error or Ctrl-C?"""
        self.memories: list[Memory] = []
        """The state of the callbacks of a resumed training, for the callbacks of the next `fit`."""
        self._programs: dict[tuple[float | None, float | None], Executable] = {}

    def program(self, max_grad: float | None = None, max_value: float | None = None) -> Executable:
        """The compiled training step. Its output is the loss, and its updates are those of the optimiser."""
        key = (max_grad, max_value)
        if key not in self._programs:
            updates = self.optimizer.updates(
                self.model.loss, max_grad=max_grad, max_value=max_value, scaling=self.scaling
            )
            if self.average is not None:
                updates = self.average.updates(updates)
            self._programs[key] = compile(self.model.loss, updates, backend=self.backend, precision=self.precision)
        return self._programs[key]

    def fit(
        self,
        x: ArrayLike | Iterable[Any] | Callable[[], Iterable[Any]],
        t: ArrayLike | None = None,
        max_epoch: int = 10,
        batch_size: int = 32,
        *,
        eval_interval: int | None = 20,
        max_grad: float | None = None,
        max_value: float | None = None,
        shuffle: Shuffle = 0,
        drop_last: bool = False,
        validation: tuple[ArrayLike, ArrayLike] | None = None,
        metrics: Mapping[str, Metric] | None = None,
        callbacks: Sequence[Callback] = (),
        progress: Any = None,
    ) -> None:
        """Train for `max_epoch` further epochs of mini-batches.

        `x` and `t` are arrays, which may be memory-mapped. Or `t` is None, and `x` is an iterable of batches, or a
        function that returns one. It is iterated over once in each epoch. A batch is a pair (x, t) or a mapping of
        feeds. A thread prepares the next batch while the model is trained on the present one.

        When the iteration of an epoch, counted from 0, is a multiple of `eval_interval`, a line is printed, and the
        average loss since the last line is appended to `loss_list`. With None, neither is done. `max_value` clips
        each element of the gradients; then `max_grad` clips the gradients by their global norm. `shuffle` is as for
        `Executable.loop`.

        After each epoch, a row is added to `history`. It has the loss and the `metrics` on `validation`, which is a
        pair (x, t); these are printed too. Then each callback is called with the trainer; if one returns True, training
        ends. `progress` is a function that is called with the number of epochs done; or it is True, for a bar on a
        terminal, or elsewhere for one line in each epoch; or it is False, and nothing is printed.

        Ctrl-C ends training after the step that is running, and raises KeyboardInterrupt. Call `fit` again to go on.

        Raises:
            FeedError, ShapeError, LabelError: for data that does not fit the model. Nothing is trained then.
            GraphError: when `callbacks` is no sequence of functions.
            NonFiniteError: when the loss or a parameter becomes NaN or infinite. The parameters are then as after the
                last good step, and the error names the node.
        """
        if eval_interval is not None and eval_interval < 1:
            raise FeedError(f"eval_interval is {eval_interval!r}; it must be 1 or more, or None.")
        check_number(f"max_epoch is {max_epoch!r}", max_epoch, least=0)
        _check_callbacks(callbacks)
        if validation is not None and (not isinstance(validation, (tuple, list)) or len(validation) != 2):
            raise FeedError(f"validation is a pair (x, t) of samples and labels, not {type(validation).__name__}.")
        self.eval_interval = eval_interval
        if validation is not None:
            self.model.evaluate(*validation, metrics)  # what does not fit is refused before anything is trained
        program = self.program(max_grad, max_value)
        resumed = self._call_back(callbacks)
        self.fitting = True
        watch = _Watch(self, validation, metrics, progress)
        try:
            self.ended = resumed and self.ended
            if not self.ended and t is None:
                self._fit_stream(program, x, max_epoch, watch)
            elif not self.ended:
                order = self.orders.of(shuffle, len(np.atleast_1d(np.asarray(t))), max_epoch)
                data: dict[str, Any] = {self.model.x.name: x, self.model.t.name: t}
                program.epochs = self.epoch
                program.loop_epochs(data, batch_size, max_epoch, order, drop_last, watch.after_epoch, watch.bar)
            self.fitting = False
        finally:
            for callback in callbacks:
                finish(callback, self)

    def _call_back(self, callbacks: Sequence[Callback]) -> bool:
        """Set the callbacks, and return whether they go on from the state of a resumed training."""
        self.callbacks = callbacks
        memories, self.memories = self.memories, []
        go_on(callbacks, memories)
        return bool(memories and callbacks)

    def _fit_stream(self, program: Executable, source: Any, epochs: int, watch: _Watch) -> None:
        with showing(watch.bar, epochs) as told:
            for done in range(1, epochs + 1):
                losses = [program(**feeds) for feeds in self._feeds(source)]
                if not losses:
                    raise FeedError(
                        "the iterable gave no batches; a generator is gone through once, "
                        "so pass a function that makes one."
                    )
                stop = watch.after_epoch({"out": np.array(losses)})
                told(done)
                if stop:
                    return

    def _feeds(self, source: Any) -> Iterator[dict[str, ArrayLike]]:
        batches: Iterable[Batch] = source() if callable(source) else source
        for batch in prefetched(batches):
            yield read_batch(batch, self.model.x.name, self.model.t.name)

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Draw the losses into a file and return its path; or without a path, return a figure for a notebook."""
        return plot.loss(self.loss_list, path, eval_interval=self.eval_interval)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the whole training to a file: weights, optimiser state, counters, order, losses and history.

        Raises:
            CheckpointError: when the file cannot be written. A former file of that name is then unchanged.
        """
        write_training(path, self)

    def resume(self, path: str | os.PathLike[str]) -> None:
        """Read back what `save` wrote: all of it, or nothing. The next `fit` goes on as if training had not stopped.

        A training that is resumed has the same bits at its end as one that was never interrupted. A Generator or
        RandomState that is given to `fit` for shuffling gets the state that it had. Callbacks get the state of the
        former ones of their kind; early stopping, for example, knows its best weights, and how many epochs it has
        waited. If a callback had ended the training, the next `fit` trains no further, and only finishes the callbacks.

        Raises:
            CheckpointError: when the file is missing or damaged, or is not a training of this model and optimiser.
        """
        read_training(path, self)

    @property
    def state(self) -> dict[str, Any]:
        """Every parameter of the model and of its training step, by name."""
        if not self._programs:
            self.program()
        found = dict(self.model.parameters)
        for program in self._programs.values():
            found |= program.graph.parameters
        return found

    def __repr__(self) -> str:
        return f"<Trainer of {self.model!r} by {self.optimizer!r}: {self.epoch} epochs on {self.backend}>"


def _check_callbacks(callbacks: Any) -> None:
    if not isinstance(callbacks, Sequence) or not all(map(callable, callbacks)):
        raise GraphError(
            f"callbacks is {callbacks!r}; it is a sequence of functions of the trainer, as in [gn.EarlyStopping()]."
        )


class _Watch:
    """What happens after each epoch: log lines, validation, the history, the callbacks."""

    def __init__(
        self,
        trainer: Trainer,
        validation: tuple[ArrayLike, ArrayLike] | None,
        metrics: Mapping[str, Metric] | None,
        progress: Any,
    ) -> None:
        self.trainer, self.validation, self.metrics = trainer, validation, metrics
        on_terminal = progress is True and sys.stderr.isatty()
        self.by_epoch = progress is True and not on_terminal
        self.silent = isinstance(progress, bool)  # a bar or lines of its own stand in for these, or nothing does
        self.bar = progress if callable(progress) or on_terminal else None
        self.start = time.monotonic()

    def after_epoch(self, records: dict[str, np.ndarray]) -> bool:
        """Note the losses of an epoch, call the callbacks, and return whether the training should end."""
        trainer, losses = self.trainer, records["out"]
        trainer.epoch += 1
        self._lines(losses)
        row: dict[str, float] = {"epoch": trainer.epoch, "loss": float(np.mean(losses)), "seconds": self._seconds()}
        if self.validation is not None:
            measured = trainer.model.evaluate(*self.validation, self.metrics)
            row |= {f"val_{name}": value for name, value in measured.items()}
            if not self.silent:
                said = " | ".join(f"{name} {value:.3f}" for name, value in measured.items())
                print(f"| epoch {trainer.epoch} |  validation {said}")
        trainer.history.add(row)
        if self.by_epoch:
            told = " | ".join(f"{name} {value:.4g}" for name, value in row.items() if name not in ("epoch", "seconds"))
            print(f"| epoch {trainer.epoch} |  time {int(row['seconds'])}[s] | {told}")
        for callback in in_turn(trainer.callbacks):  # all of them are called, whoever says stop
            trainer.ended = callback(trainer) is True or trainer.ended
        return trainer.ended

    def _seconds(self) -> float:
        return round(time.monotonic() - self.start, 3)

    def _lines(self, losses: np.ndarray) -> None:
        trainer = self.trainer
        if trainer.eval_interval is None:
            return
        for iteration, loss in enumerate(losses):
            trainer.pending.append(float(loss))
            if iteration % trainer.eval_interval == 0:
                average = sum(trainer.pending) / len(trainer.pending)
                trainer.pending.clear()
                trainer.loss_list.append(average)
                if not self.silent:
                    head = f"| epoch {trainer.epoch} |  iter {iteration + 1} / {len(losses)} "
                    print(f"{head}| time {int(self._seconds())}[s] | loss {average:.2f}")
