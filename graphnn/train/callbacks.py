"""Callbacks: functions that a trainer calls after every epoch.

A callback is any function of the trainer. If it returns True, the training ends. A callback that is an object may also
have: `finish`, which is called when the training ends in any way; `state`, which returns its state as arrays by name,
and `go_on`, which takes that state when a training is resumed; and `last = True`, to be called after the others.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import GraphError

if TYPE_CHECKING:
    from .trainer import Trainer

__all__ = ["CSVLog", "Checkpoint", "EarlyStopping"]


class EarlyStopping:
    """Ends training when a number of the history no longer improves, and restores the best weights.

    `EarlyStopping(monitor="val_loss", patience=10, min_delta=0.0, mode="min", restore_best=True)`: it
    ends after `patience` epochs without an improvement of more than `min_delta`. `mode` is "min" if less is better, and
    "max" if more is better.
    Source: L. Prechelt, Early Stopping - But When?, 1998.

    Raises:
        GraphError: for another mode, or when the history has no such number.

    >>> import graphnn as gn
    >>> gn.EarlyStopping("val_accuracy", mode="max", patience=3).best
    -inf
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 10,
        min_delta: float = 0.0,
        mode: str = "min",
        restore_best: bool = True,
    ) -> None:
        if mode not in ("min", "max"):
            raise GraphError(f"EarlyStopping: mode {mode!r} is neither 'min' nor 'max'.")
        self.monitor, self.patience, self.min_delta, self.restore_best = monitor, patience, min_delta, restore_best
        self.sign = 1.0 if mode == "min" else -1.0
        self.best = self.sign * math.inf
        """The best value so far."""
        self.best_epoch = 0
        self._weights: dict[str, np.ndarray] = {}

    def __call__(self, trainer: Trainer) -> bool:
        """Return True when the number has not improved for `patience` epochs."""
        value = float(trainer.history[self.monitor][-1])
        if self.sign * value < self.sign * self.best - self.min_delta:
            self.best, self.best_epoch = value, trainer.epoch
            self._weights = {name: p.value for name, p in trainer.model.parameters.items()}
        return trainer.epoch - self.best_epoch >= self.patience

    def finish(self, trainer: Trainer) -> None:
        """Restore the best weights. After an error or Ctrl-C, the last weights are kept, to go on with."""
        if self.restore_best and not trainer.fitting:
            for name, value in self._weights.items():
                trainer.model.parameters[name].value = value

    def state(self) -> dict[str, np.ndarray]:
        """The best value, its epoch, and its weights."""
        weights = {f"weights.{name}": value for name, value in self._weights.items()}
        return {"best": np.array(self.best), "best_epoch": np.array(self.best_epoch), **weights}

    def go_on(self, state: Mapping[str, np.ndarray]) -> None:
        """Continue from a state."""
        self.best, self.best_epoch = float(state["best"]), int(state["best_epoch"])
        self._weights = {n.removeprefix("weights."): a for n, a in state.items() if n.startswith("weights.")}


class Checkpoint:
    """Saves the whole training every so many epochs: `Checkpoint(path, every=1)`; `trainer.resume(path)` goes on.

    A file is replaced only when the new one is complete, so there is a complete file even if the process is killed. It
    is called after the other callbacks, because it saves their state too.
    """

    last = True

    def __init__(self, path: str | os.PathLike[str], every: int = 1) -> None:
        if every < 1:
            raise GraphError(f"Checkpoint: every is {every!r}; it must be 1 or more epochs.")
        self.path, self.every = path, every

    def __call__(self, trainer: Trainer) -> None:
        """Save, when it is time."""
        if trainer.epoch % self.every == 0:
            trainer.save(self.path)


class CSVLog:
    """Writes the history into a CSV file after every epoch: `CSVLog(path)`."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path

    def __call__(self, trainer: Trainer) -> None:
        """Write the rows."""
        trainer.history.to_csv(self.path)


def finish(callback: Any, trainer: Trainer) -> None:
    """Call `finish` of a callback, if it has one."""
    ending = getattr(callback, "finish", None)
    if ending is not None:
        ending(trainer)


def in_turn(callbacks: Sequence[Any]) -> list[Any]:
    """The callbacks in the order in which they are called: those with `last = True` after the others."""
    return sorted(callbacks, key=lambda callback: bool(getattr(callback, "last", False)))


@dataclass(frozen=True)
class Memory:
    """The state of a callback: its kind, and arrays by name."""

    kind: str
    state: Mapping[str, np.ndarray]


def remembered(callbacks: Sequence[Any]) -> list[Memory]:
    """The states of those callbacks that have `state` and `go_on`."""
    return [Memory(type(c).__name__, c.state()) for c in callbacks if hasattr(c, "state") and hasattr(c, "go_on")]


def go_on(callbacks: Sequence[Any], memories: Sequence[Memory]) -> None:
    """Give each state to the next callback of its kind."""
    waiting = list(callbacks)
    for memory in memories:
        mine = next((c for c in waiting if type(c).__name__ == memory.kind), None)
        if mine is not None:
            waiting.remove(mine)
            mine.go_on(memory.state)
