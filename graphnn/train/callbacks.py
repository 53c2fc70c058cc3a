"""Callbacks: what a trainer does after every epoch beside training.

A callback is any function of the trainer; one that returns True ends the training. An object may also have `finish`,
called when the training ends, in whatever way; `state`, which gives what it remembers as arrays by name, and `go_on`,
which takes that back when a training is resumed; and `last = True`, to be called after the others.
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
    """Ends training when a number of the history stops getting better, and puts the best weights back.

    `EarlyStopping(monitor="val_loss", patience=10, min_delta=0.0, mode="min", restore_best=True)`: `patience` epochs
    without an improvement of more than `min_delta`; `mode` says whether better is less ("min") or more ("max").
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
        """The best number so far."""
        self.best_epoch = 0
        self._weights: dict[str, np.ndarray] = {}

    def __call__(self, trainer: Trainer) -> bool:
        """Has it stopped getting better?"""
        value = float(trainer.history[self.monitor][-1])
        if self.sign * value < self.sign * self.best - self.min_delta:
            self.best, self.best_epoch = value, trainer.epoch
            self._weights = {name: p.value for name, p in trainer.model.parameters.items()}
        return trainer.epoch - self.best_epoch >= self.patience

    def finish(self, trainer: Trainer) -> None:
        """Put the best weights back; a training that was broken off keeps its own, to go on with."""
        if self.restore_best and not trainer.fitting:
            for name, value in self._weights.items():
                trainer.model.parameters[name].value = value

    def state(self) -> dict[str, np.ndarray]:
        """The best number, its epoch and its weights."""
        weights = {f"weights.{name}": value for name, value in self._weights.items()}
        return {"best": np.array(self.best), "best_epoch": np.array(self.best_epoch), **weights}

    def go_on(self, state: Mapping[str, np.ndarray]) -> None:
        """Remember what `state` gave."""
        self.best, self.best_epoch = float(state["best"]), int(state["best_epoch"])
        self._weights = {n.removeprefix("weights."): a for n, a in state.items() if n.startswith("weights.")}


class Checkpoint:
    """Saves the whole training every so many epochs: `Checkpoint(path, every=1)`; `trainer.resume(path)` goes on.

    Each save replaces the one before when it is complete, so a kill at any moment leaves a whole file. It is called
    after the other callbacks, whose memory of the epoch is saved too.
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
    """Keeps a CSV file of the history, a row an epoch, whole after every epoch: `CSVLog(path)`."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path

    def __call__(self, trainer: Trainer) -> None:
        """Write the rows so far."""
        trainer.history.to_csv(self.path)


def finish(callback: Any, trainer: Trainer) -> None:
    """Tell a callback that training ended, if it wants to know."""
    ending = getattr(callback, "finish", None)
    if ending is not None:
        ending(trainer)


def in_turn(callbacks: Sequence[Any]) -> list[Any]:
    """The callbacks as they are called: in order, but those that say so after the others."""
    return sorted(callbacks, key=lambda callback: bool(getattr(callback, "last", False)))


@dataclass(frozen=True)
class Memory:
    """What one callback remembers: its kind, and arrays by name."""

    kind: str
    state: Mapping[str, np.ndarray]


def remembered(callbacks: Sequence[Any]) -> list[Memory]:
    """What those callbacks remember that can say so."""
    return [Memory(type(c).__name__, c.state()) for c in callbacks if hasattr(c, "state") and hasattr(c, "go_on")]


def go_on(callbacks: Sequence[Any], memories: Sequence[Memory]) -> None:
    """Hand memories back: each to the next callback of its kind."""
    waiting = list(callbacks)
    for memory in memories:
        mine = next((c for c in waiting if type(c).__name__ == memory.kind), None)
        if mine is not None:
            waiting.remove(mine)
            mine.go_on(memory.state)
