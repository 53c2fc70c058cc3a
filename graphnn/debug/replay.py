"""Replay: run a failed loop again, step by step, up to the first step that goes wrong.

A loop watches only its loss, which costs nothing. When the loss is not finite, a parameter may have been ruined a step
earlier. So the parameters from before the epoch are restored, and the steps are run again, one by one, up to the first
after which anything is not finite. `graphnn.debug.blame` then finds the node.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..backends.program import Batches, Program
from ..errors import NonFiniteError
from ..ir.graph import Graph
from ..runtime.rewind import Rewind, is_finite
from .blame import blame

__all__ = ["replay"]


@dataclass(frozen=True)
class _Failure:
    """The step that went wrong, and what it was fed."""

    epoch: int
    step: int
    feeds: Mapping[str, np.ndarray]
    sizes: Mapping[str, int]


def replay(graph: Graph, program: Program, batches: Batches, rewind: Rewind) -> NonFiniteError | None:
    """The error that names the node, epoch and batch at which a loop failed; None when the replay stays finite.

    Afterwards the parameters are as they were before the step that went wrong.
    """
    rewind.restore()
    failure = _first_failure(program, batches, rewind)
    if failure is None:
        return None
    where = f"epoch {failure.epoch + 1}, batch {failure.step + 1}: "
    error = blame(graph, failure.feeds, failure.sizes, where)
    if error is not None:
        error.epoch, error.batch = failure.epoch + 1, failure.step + 1
    return error


def _first_failure(program: Program, batches: Batches, rewind: Rewind) -> _Failure | None:
    for epoch, order in enumerate(rewind.since, start=rewind.first):
        for step, start in enumerate(batches.starts):
            feeds, sizes = batches.at(start, order)
            before = [p.storage.copy() for p in rewind.parameters]
            try:
                program.call(feeds, sizes)
                good = all(is_finite(p.storage) for p in rewind.finite)
            except NonFiniteError:
                good = False
            if not good:
                for parameter, value in zip(rewind.parameters, before, strict=True):
                    np.copyto(parameter.storage, value)
                return _Failure(epoch, step, feeds, sizes)
    return None
