"""Orders: what `shuffle` means, the order in which each epoch of a loop takes the samples."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from typing import TypeAlias

import numpy as np

from ..errors import FeedError
from .feeds import check_number

__all__ = ["Shuffle", "read_orders", "reshuffled"]

Shuffle: TypeAlias = "int | np.random.Generator | np.random.RandomState | np.ndarray | Iterator[np.ndarray] | None"


def read_orders(shuffle: Shuffle, samples: int, epochs: int, done: int) -> Iterator[np.ndarray | None]:
    """The order of the samples in each epoch, drawn when the epoch begins; `done` epochs came before.

    Raises:
        FeedError: when `shuffle` is of a wrong type, or when an order names a sample that is not there.
    """
    check_number(f"epochs is {epochs!r}", epochs, least=0)
    if shuffle is None:
        return repeat(None, epochs)
    if isinstance(shuffle, np.random.Generator):
        return (shuffle.permutation(samples) for _ in range(epochs))
    if isinstance(shuffle, np.random.RandomState):
        return reshuffled(shuffle, np.arange(samples), epochs)
    if isinstance(shuffle, (int, np.integer)) and not isinstance(shuffle, bool):
        return (_seeded(int(shuffle), done + e).permutation(samples) for e in range(epochs))
    if isinstance(shuffle, np.ndarray):
        return iter(_checked(shuffle, samples, (epochs, samples)))
    if isinstance(shuffle, Iterator):
        return _drawn(shuffle, samples, epochs)
    raise FeedError(
        f"shuffle is {type(shuffle).__name__}; use None, an int seed, a Generator, a RandomState, "
        "an array of orders, or an iterator of them."
    )


def _drawn(shuffle: Iterator[np.ndarray], samples: int, epochs: int) -> Iterator[np.ndarray]:
    """The orders that an iterator of the user's yields, one for each epoch."""
    for epoch in range(epochs):
        order = next(shuffle, None)
        if order is None:
            raise FeedError(f"shuffle ends after {epoch} orders, but {epochs} epochs need one each.")
        yield _checked(order, samples, (samples,))


def _checked(orders: np.ndarray, samples: int, shape: tuple[int, ...]) -> np.ndarray:
    """Orders of a user as integers, after a check of their dtype, shape and range."""
    orders = np.asarray(orders)
    if orders.dtype.kind not in "iu" or orders.shape != shape:
        raise FeedError(f"shuffle gives an array {orders.dtype} {orders.shape}; orders are integers of shape {shape}.")
    if orders.size and (orders.min() < 0 or orders.max() >= samples):
        raise FeedError(f"shuffle names samples outside 0..{samples - 1}.")
    return orders.astype(np.intp)


def _seeded(seed: int, epoch: int) -> np.random.Generator:
    """A generator that depends on seed and epoch alone. It is counter-based, so it need not draw for epochs before."""
    return np.random.Generator(np.random.Philox(key=np.array([seed % 2**64, epoch], np.uint64)))


def reshuffled(shuffle: np.random.RandomState, order: np.ndarray, epochs: int) -> Iterator[np.ndarray]:
    """Orders of which each is a permutation of the one before, the first of them of `order`."""
    for _ in range(epochs):
        order = order[shuffle.permutation(len(order))]
        yield order
