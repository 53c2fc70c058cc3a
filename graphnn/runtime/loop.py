"""Loops: cut data into batches, put the samples of each epoch in order, and run whole epochs."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import repeat
from typing import Any, TypeAlias

import numpy as np

from ..backends.program import AHEAD_STEPS, Batches, Epochs, Program, batch_names, batched
from ..errors import FeedError, ShapeError
from ..ir.leaf import Input
from ..ir.node import describe
from ..ir.spec import Size, Spec
from .feeds import Feeds
from .rewind import Rewind

__all__ = ["Loop", "Shuffle", "showing"]

AfterEpoch: TypeAlias = Callable[[dict[str, np.ndarray]], Any]

Shuffle: TypeAlias = "int | np.random.Generator | np.random.RandomState | np.ndarray | Iterator[np.ndarray] | None"


class Loop:
    """A program with its data, which is checked once and can be run in any orders."""

    def __init__(
        self, feeds: Feeds, program: Program, data: Mapping[str, Any], batch_size: int, drop_last: bool
    ) -> None:
        self.program = program
        self.batches = read_batches(feeds, data, batch_size, drop_last)
        self.steps = len(self.batches.starts)
        if not self.steps:
            raise FeedError(
                f"there are {self.batches.samples} samples, fewer than one batch of {batch_size}, "
                "and drop_last leaves out the rest."
            )
        graph = feeds.graph
        self.scalars = {name: node for name, node in graph.outputs.items() if not node.shape}

    def orders(self, shuffle: Shuffle, epochs: int, done: int) -> Iterator[np.ndarray | None]:
        """The order of the samples in each epoch, drawn when the epoch begins; `done` epochs came before.

        Raises:
            FeedError: when `shuffle` is of a wrong type, or when an order names a sample that is not there.
        """
        if isinstance(epochs, bool) or not isinstance(epochs, (int, np.integer)) or epochs < 0:
            raise FeedError(f"epochs is {epochs!r}; it must be a number, 0 or more.")
        samples = self.batches.samples
        if shuffle is None:
            return repeat(None, epochs)
        if isinstance(shuffle, np.random.Generator):
            return (shuffle.permutation(samples) for _ in range(epochs))
        if isinstance(shuffle, np.random.RandomState):
            return _reshuffled(shuffle, samples, epochs)
        if isinstance(shuffle, (int, np.integer)) and not isinstance(shuffle, bool):
            return (_seeded(int(shuffle), done + e).permutation(samples) for e in range(epochs))
        if isinstance(shuffle, np.ndarray):
            return iter(self._given(shuffle, (epochs, samples)))
        if isinstance(shuffle, Iterator):
            return self._drawn(shuffle, samples, epochs)
        raise FeedError(
            f"shuffle is {type(shuffle).__name__}; use None, an int seed, a Generator, a RandomState, "
            "an array of orders, or an iterator of them."
        )

    def _drawn(self, shuffle: Iterator[np.ndarray], samples: int, epochs: int) -> Iterator[np.ndarray]:
        for epoch in range(epochs):
            order = next(shuffle, None)
            if order is None:
                raise FeedError(f"shuffle ends after {epoch} orders, but {epochs} epochs need one each.")
            yield self._given(order, (samples,))

    def _given(self, orders: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        samples = self.batches.samples
        orders = np.asarray(orders)
        if orders.dtype.kind not in "iu" or orders.shape != shape:
            raise FeedError(
                f"shuffle gives an array {orders.dtype} {orders.shape}; orders are integers of shape {shape}."
            )
        if orders.size and (orders.min() < 0 or orders.max() >= samples):
            raise FeedError(f"shuffle names samples outside 0..{samples - 1}.")
        return orders.astype(np.intp)

    def run(
        self, rewind: Rewind, epochs: int, progress: Any = None, after_epoch: AfterEpoch | None = None
    ) -> dict[str, np.ndarray]:
        """Run epochs, and return the scalar outputs by name, `(epochs, steps)` each.

        `after_epoch` is called after each epoch with its scalar outputs by name, and may return True to end the loop.
        """
        records = {name: np.zeros((epochs, self.steps), node.dtype) for name, node in self.scalars.items()}
        ahead = 1 if after_epoch else max(1, AHEAD_STEPS // self.steps)
        with _interrupts() as stop, showing(progress, epochs) as told:

            def done(epochs: int) -> None:
                rewind.epoch_done(epochs)
                told(epochs)
                if after_epoch and after_epoch({name: record[epochs - 1] for name, record in records.items()}):
                    rewind.stopped = True

            self.program.loop(Epochs(self.batches, rewind, list(records.values()), stop, done, ahead))
        return records


def _seeded(seed: int, epoch: int) -> np.random.Generator:
    """A generator that depends on seed and epoch alone. It is counter-based, so it need not draw for epochs before."""
    return np.random.Generator(np.random.Philox(key=np.array([seed % 2**64, epoch], np.uint64)))


def _reshuffled(shuffle: np.random.RandomState, samples: int, epochs: int) -> Iterator[np.ndarray]:
    """Orders of which each is a permutation of the one before."""
    order = np.arange(samples)
    for _ in range(epochs):
        order = order[shuffle.permutation(samples)]
        yield order


def read_batches(feeds: Feeds, data: Mapping[str, Any], batch_size: int, drop_last: bool) -> Batches:
    """The data of a loop, with each array checked against its input.

    Raises:
        FeedError: for missing or unknown names, different lengths, no samples, or a wrong batch size.
        ShapeError, DTypeError, LabelError: for an array that does not fit; the message names the input.
    """
    if not isinstance(data, Mapping):
        words = ", ".join(f"'{name}': ..." for name in feeds.inputs)
        raise FeedError(
            f"a loop takes its data by the names of the inputs, as in {{{words}}}, not {type(data).__name__}."
        )
    feeds.check_names(data)
    if isinstance(batch_size, bool) or not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
        raise FeedError(f"batch_size is {batch_size!r}; it must be a number, 1 or more.")
    size_name = _batch_name(feeds.inputs)
    sizes = feeds.numbers(data)
    seen = dict.fromkeys(sizes, "by name")
    cut = batched(feeds.inputs, size_name)
    rows: dict[str, np.ndarray] = {}
    fixed: dict[str, np.ndarray] = {}
    for name, node in feeds.inputs.items():
        array = feeds.array(node, data[name])
        if name in cut:
            _check_rows(name, node, array, sizes, seen)
            rows[name] = np.ascontiguousarray(array)
        else:
            node.spec.unify(array.shape, sizes, name, seen)
            fixed[name] = np.ascontiguousarray(array) if array.ndim else array
    samples = _one_length(rows)
    batches = Batches(size_name, rows, fixed, sizes, samples, int(batch_size), drop_last)
    for of_batch in (batches.first_sizes, batches.last_sizes):
        if of_batch is not None:
            feeds.check_sizes(of_batch)
            for name, array in {**rows, **fixed}.items():
                _check_other_axes(feeds.inputs[name], array, size_name, of_batch, cut=name in rows)
    feeds.check_labels({**rows, **fixed}, {**sizes, size_name: samples})
    return batches


def _batch_name(inputs: Mapping[str, Input]) -> str:
    names = batch_names(inputs)
    if len(names) == 1:
        return names.pop()
    if not names:
        raise FeedError(
            "a loop cuts inputs into batches along a first axis with a named size, such as ('N', 2); no input has one."
        )
    raise FeedError(f"a loop has one batch size, but the inputs' first axes are named {', '.join(sorted(names))}.")


def _check_rows(name: str, node: Input, array: np.ndarray, sizes: dict[str, int], seen: dict[str, str]) -> None:
    if array.ndim != node.ndim:
        raise ShapeError(node.spec.other_axes(name, array.shape))
    rest = Spec(node.shape[1:], node.dtype)
    try:
        rest.unify(array.shape[1:], sizes, name, seen)
    except ShapeError:
        raise ShapeError(
            f"input '{name}' is {node.spec}: it cannot be fed batches of an array of shape {array.shape}."
        ) from None


def _check_other_axes(
    node: Input, array: np.ndarray, size_name: str, of_batch: Mapping[str, int], *, cut: bool
) -> None:
    """Refuse an array that has the batch size along an axis that is not cut, and another number there."""
    for axis, (dim, number) in enumerate(zip(node.shape, array.shape, strict=True)):
        if (axis or not cut) and isinstance(dim, Size) and dim.name == size_name and dim(of_batch) != number:
            raise ShapeError(
                f"input {describe(node)}: only a first axis {size_name} is cut into batches. Axis {axis} is {dim}, "
                f"which is {dim(of_batch)} in a batch of {of_batch[size_name]}, but was fed an array of shape "
                f"{array.shape}. Give that axis a name of its own, or choose a batch size that fits every batch."
            )


def _one_length(arrays: Mapping[str, np.ndarray]) -> int:
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"'{name}' has {n}" for name, n in lengths.items())
        raise FeedError(f"the inputs have different numbers of samples: {said}.")
    samples = next(iter(lengths.values()))
    if not samples:
        raise FeedError(f"there is nothing to train on: {', '.join(map(repr, lengths))} has no samples.")
    return samples


@contextmanager
def _interrupts() -> Iterator[Callable[[], bool]]:
    """A context manager that notes Ctrl-C, so that a loop can end between two steps; pressed again, it stops at once.

    It gives a function that says whether Ctrl-C was pressed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    pressed: list[int] = []

    def note(number: int, frame: Any) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(number)

    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:  # somebody else's handler stays in charge
        yield lambda: False
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def showing(progress: Any, epochs: int) -> Iterator[Callable[[int], None]]:
    """A context manager that gives a function to be called with the number of epochs done.

    That is the user's own function, one that moves a progress bar, or one that does nothing.
    """
    if progress is None or progress is False:
        yield lambda done: None
    elif callable(progress):
        yield progress
    else:
        from tqdm import tqdm  # slow to import, and only wanted here

        with tqdm(total=epochs, unit="epoch", disable=None) as bar:
            yield lambda done: bar.update(done - bar.n) and None
