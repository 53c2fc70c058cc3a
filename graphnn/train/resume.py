"""Resuming: a whole training in one file, and orders of samples that continue where they stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import CheckpointError
from ..runtime.orders import Shuffle, reshuffled
from . import checkpoint
from .callbacks import Memory, remembered

if TYPE_CHECKING:
    from .trainer import Trainer

__all__ = ["Orders", "read_training", "write_training"]

_NOTE = "graphnn.training"


class Orders:
    """The orders of the epochs of a training, with the state that is needed to continue them in another process."""

    def __init__(self) -> None:
        self._source: Any = None
        self._order: np.ndarray | None = None
        self._found: dict[str, Any] | None = None

    def of(self, shuffle: Shuffle, samples: int, epochs: int) -> Shuffle | Iterator[np.ndarray]:
        """The `shuffle` for a loop. A generator is first set to the state that it had in a resumed training."""
        self._source = shuffle if isinstance(shuffle, (np.random.Generator, np.random.RandomState)) else None
        found, self._found = self._found, None
        if self._source is not None and found and found["kind"] == type(self._source).__name__:
            _set_state(self._source, found["state"])
        else:
            self._order = None
        if isinstance(shuffle, np.random.RandomState):
            return self._reshuffled(shuffle, samples, epochs)
        return shuffle

    def _reshuffled(self, shuffle: np.random.RandomState, samples: int, epochs: int) -> Iterator[np.ndarray]:
        first = self._order if self._order is not None and len(self._order) == samples else np.arange(samples)
        for order in reshuffled(shuffle, first, epochs):
            self._order = order
            yield order

    def note(self) -> dict[str, Any]:
        """The state of the generator, as values for JSON."""
        if self._source is None:
            return {}
        return {"kind": type(self._source).__name__, "state": _as_lists(_get_state(self._source))}

    @property
    def order(self) -> np.ndarray | None:
        """The last order, if the next one depends on it."""
        return self._order

    def go_on(self, note: dict[str, Any], order: np.ndarray | None) -> None:
        """Continue from the state in a note, and from the last order."""
        self._found, self._order = note or None, order


def _get_state(source: Any) -> Any:
    return source.get_state(legacy=False) if isinstance(source, np.random.RandomState) else source.bit_generator.state


def _set_state(source: Any, state: Any) -> None:
    if isinstance(source, np.random.RandomState):
        source.set_state(_as_arrays(state))
    else:
        source.bit_generator.state = _as_arrays(state)


def _as_lists(state: Any) -> Any:
    if isinstance(state, dict):
        return {key: _as_lists(value) for key, value in state.items()}
    if isinstance(state, np.ndarray):
        return {"dtype": state.dtype.str, "array": state.tolist()}
    return state.item() if isinstance(state, np.generic) else state


def _as_arrays(state: Any) -> Any:
    if isinstance(state, dict) and state.keys() == {"dtype", "array"}:
        return np.array(state["array"], dtype=state["dtype"])
    return {key: _as_arrays(value) for key, value in state.items()} if isinstance(state, dict) else state


def write_training(path: str | os.PathLike[str], trainer: Trainer) -> None:
    """Write a trainer's state: parameters and optimiser state as arrays, the rest as a note in JSON."""
    arrays = {f"state.{name}": parameter.storage for name, parameter in trainer.state.items()}
    if trainer.orders.order is not None:
        arrays["order"] = trainer.orders.order
    memories = remembered(trainer.callbacks)
    for i, memory in enumerate(memories):
        arrays |= {f"callback.{i}.{name}": np.asarray(array) for name, array in memory.state.items()}
    note = {
        "epoch": trainer.epoch,
        "loss_list": trainer.loss_list,
        "pending": trainer.pending,
        "history": trainer.history.rows,
        "orders": trainer.orders.note(),
        "callbacks": [memory.kind for memory in memories],
        "ended": trainer.fitting and trainer.ended,  # a `fit` that is over does not prevent the next one
        "optimizer": type(trainer.optimizer).__name__,
    }
    checkpoint.write(path, arrays, {_NOTE: json.dumps(note)})


def read_training(path: str | os.PathLike[str], trainer: Trainer) -> None:
    """Read what `write_training` wrote: all of it, or nothing."""
    arrays, notes = checkpoint.read(path)
    if _NOTE not in notes:
        raise CheckpointError(f"{os.fspath(path)} holds weights, not a training: gn.load reads those into a model.")
    note = json.loads(notes[_NOTE])
    mine = type(trainer.optimizer).__name__
    if note["optimizer"] != mine:
        raise CheckpointError(
            f"{os.fspath(path)} is a training by {note['optimizer']}; this one is by {mine}. Nothing was changed."
        )
    parameters = trainer.state
    order = arrays.pop("order", None)
    memories = [Memory(kind, _taken(arrays, f"callback.{i}.")) for i, kind in enumerate(note["callbacks"])]
    held = {name.removeprefix("state."): array for name, array in arrays.items()}
    checkpoint.check_fit(path, held, {name: parameter.storage for name, parameter in parameters.items()})
    for name, parameter in parameters.items():
        np.copyto(parameter.storage, held[name], casting="same_kind")
    trainer.epoch, trainer.loss_list, trainer.pending = note["epoch"], note["loss_list"], note["pending"]
    trainer.history.rows = note["history"]
    trainer.orders.go_on(note["orders"], order)
    trainer.memories, trainer.ended = memories, note["ended"]


def _taken(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """Take out the arrays whose names have a prefix, and return them by the rest of their names."""
    return {name.removeprefix(prefix): arrays.pop(name) for name in list(arrays) if name.startswith(prefix)}
