"""Streams: batches from an iterable, of which a thread prepares the next while the present one is trained on."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from numpy.typing import ArrayLike

from ..errors import FeedError

__all__ = ["Batch", "prefetched", "read_batch"]

Batch: TypeAlias = "Mapping[str, ArrayLike] | tuple[ArrayLike, ArrayLike] | list[ArrayLike]"
_AHEAD = 2


def read_batch(batch: Any, x: str, t: str) -> dict[str, ArrayLike]:
    """The feeds for a batch, which is a mapping of feeds, or a pair of samples and labels.

    Raises:
        FeedError: for anything else.
    """
    if isinstance(batch, Mapping):
        return dict(batch)
    if isinstance(batch, (tuple, list)) and len(batch) == 2:
        return {x: batch[0], t: batch[1]}
    raise FeedError(f"a batch is a pair ({x}, {t}) or a mapping of feeds, not {type(batch).__name__}.")


def prefetched(batches: Iterable[Any], ahead: int = _AHEAD) -> Iterator[Any]:
    """The items of an iterable, in order. A thread fetches up to `ahead` items in advance.

    An error that the iterable raises is raised here, at its position. The thread ends when the iteration ends.

    Raises:
        FeedError: when the argument is not an iterable.
    """
    if not isinstance(batches, Iterable):
        raise FeedError(f"{type(batches).__name__} is no iterable of batches; with arrays, pass the labels too.")
    fetcher = _Fetcher(batches, ahead)
    thread = threading.Thread(target=fetcher.run, daemon=True, name="graphnn prefetch")
    thread.start()
    try:
        while True:
            kind, item = fetcher.waiting.get()
            if kind == "batch":
                yield item
            elif kind == "error":
                raise item
            else:
                return
    finally:
        fetcher.ended.set()
        thread.join(timeout=5)


class _Fetcher:
    """Puts the items of an iterable into a queue, in a thread of its own, until told that the iteration has ended."""

    def __init__(self, batches: Iterable[Any], ahead: int) -> None:
        self.batches = batches
        self.waiting: queue.Queue[tuple[str, Any]] = queue.Queue(maxsize=ahead)
        self.ended = threading.Event()

    def run(self) -> None:
        try:
            for batch in self.batches:
                if not self._put("batch", batch):
                    return
            self._put("end", None)
        except BaseException as error:  # raised where the batches are used
            self._put("error", error)

    def _put(self, kind: str, item: Any) -> bool:
        """Wait for room in the queue; False when the iteration has ended meanwhile."""
        while not self.ended.is_set():
            try:
                self.waiting.put((kind, item), timeout=0.05)
                return True
            except queue.Full:
                continue
        return False
