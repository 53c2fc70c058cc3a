"""The trainer: fits a model by an optimiser, through the compiled loop, and keeps the losses."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..compile import compile
from ..errors import FeedError
from ..executable import Executable
from ..loop import Shuffle
from ..view import plot
from .model import Model
from .optim import Optimizer

__all__ = ["Trainer"]


class Trainer:
    """Trains a model: `Trainer(model, optimizer, backend="numpy")`, then `fit`.

    >>> import graphnn as gn
    >>> x, t = gn.Input("x", ("N", 2)), gn.Input("t", ("N",), dtype="int64")
    >>> scores = gn.Affine(x, gn.Parameter("W", [[0.0, 0.0], [0.0, 0.0]]), gn.Parameter("b", [0.0, 0.0]))
    >>> trainer = gn.Trainer(gn.Model(x, t, scores, gn.SoftmaxCE(scores, t)), gn.SGD(lr=1.0))
    >>> trainer.fit([[0, 1], [1, 0]], [0, 1], max_epoch=2, batch_size=2)
    | epoch 1 |  iter 1 / 1 | time 0[s] | loss 0.69
    | epoch 2 |  iter 1 / 1 | time 0[s] | loss 0.47
    """

    def __init__(self, model: Model, optimizer: Optimizer, backend: str = "numpy") -> None:
        self.model = model
        self.optimizer = optimizer
        self.backend = backend
        self.loss_list: list[float] = []
        """The average loss between log lines."""
        self.eval_interval: int | None = None
        self.epoch = 0
        """How many epochs were completed."""
        self._programs: dict[float | None, Executable] = {}

    def program(self, max_grad: float | None = None) -> Executable:
        """The compiled training step: its output is the loss, its updates are the optimiser's."""
        if max_grad not in self._programs:
            updates = self.optimizer.updates(self.model.loss, max_grad=max_grad)
            self._programs[max_grad] = compile(self.model.loss, updates, backend=self.backend)
        return self._programs[max_grad]

    def fit(
        self,
        x: ArrayLike,
        t: ArrayLike,
        max_epoch: int = 10,
        batch_size: int = 32,
        *,
        eval_interval: int | None = 20,
        max_grad: float | None = None,
        shuffle: Shuffle = 0,
        drop_last: bool = False,
        validation: tuple[ArrayLike, ArrayLike] | None = None,
        callbacks: Sequence[Callable[[Trainer], Any]] = (),
        progress: Any = None,
    ) -> None:
        """Train for `max_epoch` further epochs of mini-batches.

        Where the iteration of an epoch, counted from 0, is a multiple of `eval_interval`, a line is printed and
        the average loss since the last line appended to `loss_list`; None prints nothing. `max_grad` clips by the
        global norm. `shuffle` is as for `Executable.loop`. `validation` is a pair (x, t) whose accuracy is printed
        after each epoch. Each callback is called with the trainer after each epoch. `progress` is called with the
        number of epochs done, or is True for a bar.

        Raises:
            FeedError, ShapeError, LabelError: for data that does not fit the model.
            NonFiniteError: when the loss becomes NaN or infinite.
        """
        if eval_interval is not None and eval_interval < 1:
            raise FeedError(f"eval_interval is {eval_interval!r}; it must be 1 or more, or None.")
        self.eval_interval = eval_interval
        program = self.program(max_grad)
        data = {self.model.x.name: x, self.model.t.name: t}
        log = _Log(self, eval_interval)

        def after_epoch(records: dict[str, np.ndarray]) -> None:
            self.epoch += 1
            log.epoch(records["out"])
            if validation is not None:
                accuracy = self.model.accuracy(*validation)
                print(f"| epoch {self.epoch} |  validation accuracy {accuracy:.3f}")
            for callback in callbacks:
                callback(self)

        program.loop_epochs(data, batch_size, max_epoch, shuffle, drop_last, after_epoch, progress)

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Draw the losses: into a file, returning its path, or as a figure that a notebook shows."""
        return plot.loss(self.loss_list, path, eval_interval=self.eval_interval)


class _Log:
    """Averages losses between lines, and prints them."""

    def __init__(self, trainer: Trainer, eval_interval: int | None) -> None:
        self.trainer, self.eval_interval = trainer, eval_interval
        self.start = time.monotonic()
        self.losses: list[float] = []

    def epoch(self, losses: np.ndarray) -> None:
        """The lines of one epoch."""
        if self.eval_interval is None:
            return
        seconds = int(time.monotonic() - self.start)
        for iteration, loss in enumerate(losses):
            self.losses.append(float(loss))
            if iteration % self.eval_interval == 0:
                average = sum(self.losses) / len(self.losses)
                self.losses.clear()
                self.trainer.loss_list.append(average)
                head = f"| epoch {self.trainer.epoch} |  iter {iteration + 1} / {len(losses)} "
                print(f"{head}| time {seconds}[s] | loss {average:.2f}")
