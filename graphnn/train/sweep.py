"""Sweeps: one net is trained with many seeds and learning rates at the same time, in one compiled program."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..backends.registry import find_backend
from ..compile import compile
from ..errors import GraphError
from ..executable import Executable
from ..ir.graph import Graph
from ..ir.leaf import Constant, Parameter
from ..ir.node import Node, describe
from ..runtime.feeds import check_number
from ..runtime.orders import Shuffle
from ..transform.replicas import replicate
from ..transform.stabilise import stabilise
from .model import Model
from .optim import Optimizer

__all__ = ["Sweep", "sweep"]


class Sweep:
    """The result of a sweep: the losses and weights of a replica for each seed and rate. It prints as a table."""

    def __init__(
        self, model: Model, replicas: Sequence[tuple[Any, float]], losses: np.ndarray, weights: Mapping[str, np.ndarray]
    ) -> None:
        self.seeds = [seed for seed, _ in replicas]
        """The seed of each replica."""
        self.lrs = np.array([lr for _, lr in replicas])
        """The learning rate of each replica."""
        self.losses = losses
        """The mean loss of each epoch, `(replicas, epochs)`; NaN from the epoch on in which a replica diverged."""
        self.weights = weights
        """The weights by name, stacked for all replicas along a first axis."""
        self._model = model

    @property
    def best(self) -> int:
        """The number of the replica with the smallest last loss.

        Raises:
            GraphError: when all replicas diverged.
        """
        last = self.losses[:, -1]
        if not np.isfinite(last).any():
            raise GraphError("every replica diverged: sweep smaller learning rates.")
        return int(np.argmin(np.where(np.isfinite(last), last, np.inf)))

    def model(self, replica: int | None = None) -> Model:
        """The model with the weights of a replica, by default of the best, which are written into its parameters."""
        chosen = self.best if replica is None else replica
        for name, parameter in self._model.parameters.items():
            parameter.value = self.weights[name][chosen]
        return self._model

    def accuracy(self, X: ArrayLike, T: ArrayLike) -> np.ndarray:  # noqa: N803 - the mission's letters
        """The accuracy of each replica on samples and labels. The parameters of the model keep their values."""
        kept = {name: parameter.value for name, parameter in self._model.parameters.items()}
        try:
            return np.array([self.model(replica).accuracy(X, T) for replica in range(len(self.lrs))])
        finally:
            for name, value in kept.items():
                self._model.parameters[name].value = value

    def __len__(self) -> int:
        return len(self.lrs)

    def __str__(self) -> str:
        rows = [("replica", "seed", "lr", "first loss", "last loss")]
        for i, (seed, lr, losses) in enumerate(zip(self.seeds, self.lrs, self.losses, strict=True)):
            rows.append((str(i), str(seed), f"{lr:.4g}", f"{losses[0]:.4g}", f"{losses[-1]:.4g}"))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("   ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in rows)

    def __repr__(self) -> str:
        return f"<Sweep of {len(self)} replicas, {self.losses.shape[1]} epochs>"


def sweep(
    declare: Callable[[Any], Model],
    optimizer: Optimizer,
    x: ArrayLike,
    t: ArrayLike,
    *,
    seeds: Iterable[Any] = (0,),
    lrs: Iterable[float] | None = None,
    max_epoch: int = 10,
    batch_size: int = 32,
    max_grad: float | None = None,
    shuffle: Shuffle = 0,
    drop_last: bool = False,
    backend: str = "numpy",
) -> Sweep:
    """Train a net once for each pair of a seed and a learning rate, all in one program.

    `declare(seed)` returns the model: for every seed the same graph, with other weights. `optimizer` is as for a
    `Trainer`; `lrs` is by default its own rate. Every replica sees the same batches, in the order that `shuffle` says,
    and has the result of a separate training in that order, up to rounding. If a replica diverges, its values become
    NaN, and the others go on. Nets may contain any op; an op that has no rule for replicas runs in a loop over them.

    Small nets gain most, because the costs of declaring, compiling and starting each step occur once for all replicas.
    The arithmetic is done for each replica, so a net that keeps the processor busy gains little.

    Raises:
        GraphError: when seeds make different graphs, or there is nothing to sweep.
        FeedError, ShapeError, LabelError: for data that does not fit the model.

    >>> import graphnn as gn, numpy as np
    >>> def declare(seed):
    ...     x, t = gn.Input("x", ("N", 2)), gn.Input("t", ("N",), dtype="int64")
    ...     W = gn.Parameter("W", np.random.default_rng(seed).normal(size=(2, 2)))
    ...     return gn.Model(x, t, x @ W, gn.SoftmaxCE(x @ W, t))
    >>> found = gn.sweep(declare, gn.SGD(), [[0, 1], [1, 0]], [0, 1], seeds=[0, 1], lrs=[0.1, 1.0], max_epoch=50)
    >>> len(found), found.lrs[found.best], found.accuracy([[0, 1], [1, 0]], [0, 1])[found.best]
    (4, np.float64(1.0), np.float64(1.0))
    """
    seeds = list(seeds)
    rates = [optimizer.lr] if lrs is None else [float(lr) for lr in lrs]
    if not seeds or not rates:
        raise GraphError("sweep: there is nothing to sweep: give at least one seed and one learning rate.")
    check_number(f"max_epoch is {max_epoch!r}", max_epoch, least=1)
    models = [_declared(declare, seed) for seed in seeds]
    for seed, other in zip(seeds[1:], models[1:], strict=True):
        _check_alike(models[0], other, seeds[0], seed)
    replicas = list(product(range(len(seeds)), rates))
    model = models[0]

    updates = optimizer.updates(model.loss, max_grad=max_grad)
    total = Parameter("loss.total", np.zeros(()), dtype="float64", trainable=False)
    updates[total] = total + model.loss.cast(total.dtype)
    values = {p: np.stack([models[i].parameters[p.name].storage for i, _ in replicas]) for p in _differing(models)}
    values[optimizer.rate] = np.array([lr for _, lr in replicas], optimizer.rate.dtype)
    program, stacked = _compiled(Graph({}, updates), values, len(replicas), backend)

    losses: list[np.ndarray] = []

    def after_epoch(records: Mapping[str, np.ndarray]) -> None:
        samples = len(np.atleast_1d(t))
        losses.append(stacked[total].value / (samples // batch_size if drop_last else -(-samples // batch_size)))
        stacked[total].value = np.zeros(len(replicas))

    data = {model.x.name: x, model.t.name: t}
    program.loop_epochs(data, batch_size, max_epoch, shuffle, drop_last, after_epoch)
    weights = {
        name: stacked[p].value if p in stacked else np.stack([p.value] * len(replicas))
        for name, p in model.parameters.items()
    }
    return Sweep(model, [(seeds[i], lr) for i, lr in replicas], np.reshape(losses, (-1, len(replicas))).T, weights)


def _compiled(
    step: Graph, values: Mapping[Parameter, np.ndarray], count: int, backend: str
) -> tuple[Executable, dict[Parameter, Parameter]]:
    """The training step of all replicas; and for each parameter that differs, the one that holds all its values."""
    # Stabilised before composites are expanded, as in a separate training: their expansions are stable already.
    graph, stacked = replicate(stabilise.run(step)[0], values, count)
    passes = [p for p in find_backend(backend).passes if p is not stabilise]
    return compile(graph.outputs, graph.updates, backend=backend, passes=passes, check_finite=None), stacked


def _differing(models: Sequence[Model]) -> list[Parameter]:
    """The parameters of the first model that are trained, or that have other values in another model."""
    first, *others = models
    return [
        p
        for name, p in first.parameters.items()
        if p.trainable or any(not np.array_equal(p.storage, m.parameters[name].storage) for m in others)
    ]


def _declared(declare: Callable[[Any], Model], seed: Any) -> Model:
    model = declare(seed)
    if not isinstance(model, Model):
        raise GraphError(f"sweep: declare({seed!r}) gives {type(model).__name__}, not a gn.Model.")
    return model


def _check_alike(a: Model, b: Model, seed: Any, other: Any) -> None:
    """Refuse models that differ in more than the values of their parameters."""
    said = f"sweep: declare({other!r}) makes another graph than declare({seed!r})"
    if len(a.graph.nodes) != len(b.graph.nodes):
        raise GraphError(f"{said}: {len(b.graph.nodes)} nodes, not {len(a.graph.nodes)}.")
    place = {node: i for i, node in enumerate(a.graph.nodes)} | {node: i for i, node in enumerate(b.graph.nodes)}
    for one, two in zip(a.graph.nodes, b.graph.nodes, strict=True):
        wired = [place[x] for x in one.operands] == [place[x] for x in two.operands]
        if type(one) is not type(two) or one.spec != two.spec or not wired or not _same_attributes(one, two):
            raise GraphError(
                f"{said}: {describe(two)} stands where {describe(one)} stood. Only the values of parameters may differ."
            )


def _same_attributes(one: Node, two: Node) -> bool:
    if isinstance(one, Constant) and isinstance(two, Constant):
        return np.array_equal(one.value, two.value, equal_nan=one.dtype.kind == "f")
    mine, others = one.attributes(), two.attributes()
    return bool(mine.keys() == others.keys() and all(repr(mine[name]) == repr(others[name]) for name in mine))
