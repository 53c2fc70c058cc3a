"""Plots of training: the data, the loss, the decision boundary.

Each writes into a file and returns its path, or returns a figure that a notebook shows. Colours are told apart by
colour-blind readers, and markers and lines without any colour. Files need no display.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from ..errors import FeedError, RenderError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["dataset", "decision_boundary", "loss"]

# Okabe and Ito's palette, in an order whose greys differ as well.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MARKERS = ("o", "x", "^", "s", "D", "v")
_MESH = 400


class Predicts(Protocol):
    """What a decision boundary is drawn of."""

    def predict(self, X: ArrayLike) -> np.ndarray:  # noqa: N803
        """The scores of samples."""
        ...


def loss(
    losses: Sequence[float] | np.ndarray, path: str | os.PathLike[str] | None = None, eval_interval: int | None = None
) -> Figure | str:
    """The losses in order, as a curve: into `path`, or as a figure.

    Raises:
        RenderError: when the file cannot be written.

    >>> import graphnn as gn
    >>> gn.plot.loss([1.0, 0.5, 0.25]).axes[0].get_ylabel()
    'loss'
    """
    figure, axes = _figure()
    values = np.asarray(losses, float).reshape(-1)
    axes.plot(np.arange(1, len(values) + 1), values, color=_COLOURS[0], linewidth=1.5)
    axes.set_xlabel(
        "iterations" if eval_interval is None else f"log lines (one in {eval_interval} iterations of an epoch)"
    )
    axes.set_ylabel("loss")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    return _finish(figure, path)


def dataset(x: ArrayLike, t: ArrayLike, path: str | os.PathLike[str] | None = None) -> Figure | str:
    """Points in the plane, (N, 2), a marker for each class of their labels, integers (N,) or one-hot rows.

    Raises:
        FeedError: when the points are not in the plane, or labels are not one for each.
        RenderError: when the file cannot be written.

    >>> import graphnn as gn
    >>> len(gn.plot.dataset(*gn.data.spiral()).axes[0].collections)
    3
    """
    points, labels = _points(x, t)
    figure, axes = _figure(square=True)
    _scatter(axes, points, labels)
    return _finish(figure, path)


def decision_boundary(
    model: Predicts, x: ArrayLike, t: ArrayLike, path: str | os.PathLike[str] | None = None
) -> Figure | str:
    """The regions where each class has the highest score, on a fine mesh, with the points on top.

    Raises:
        FeedError: when the points are not in the plane, or labels are not one for each.
        RenderError: when the file cannot be written.
    """
    points, labels = _points(x, t)
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.08 * np.maximum(high - low, 1e-9)
    across, up = (np.linspace(a, b, _MESH) for a, b in zip(low - margin, high + margin, strict=True))
    mesh = np.stack(np.meshgrid(across, up), axis=-1)
    scores = model.predict(mesh.reshape(-1, 2))
    classes = scores.argmax(axis=-1).reshape(_MESH, _MESH)
    figure, axes = _figure(square=True)
    count = scores.shape[-1]
    levels = np.arange(count + 1) - 0.5
    axes.contourf(
        across, up, classes, levels=levels, colors=[_COLOURS[k % len(_COLOURS)] for k in range(count)], alpha=0.25
    )
    axes.contour(across, up, classes, levels=levels[1:-1], colors="black", linewidths=0.8)
    _scatter(axes, points, labels)
    return _finish(figure, path)


def _points(x: ArrayLike, t: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    points, labels = np.asarray(x, float), np.asarray(t)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise FeedError(f"points in the plane have shape (N, 2), not {points.shape}.")
    if labels.ndim == 2:
        labels = labels.argmax(axis=1)
    if labels.shape != (len(points),):
        raise FeedError(f"{len(points)} points need as many labels; these have shape {labels.shape}.")
    return points, labels


def _scatter(axes: Axes, points: np.ndarray, labels: np.ndarray) -> None:
    for k, label in enumerate(np.unique(labels)):
        chosen = points[labels == label]
        style: dict[str, Any] = {"marker": _MARKERS[k % len(_MARKERS)], "color": _COLOURS[k % len(_COLOURS)]}
        axes.scatter(chosen[:, 0], chosen[:, 1], s=22, linewidths=1.2, label=f"class {label}", **style)
    axes.set_xlabel("x[0]")
    axes.set_ylabel("x[1]")
    axes.legend(loc="upper right", framealpha=0.9)


def _figure(square: bool = False) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure  # slow to import, and only wanted here

    figure = Figure(figsize=(6, 6) if square else (7, 4), layout="constrained")
    axes = figure.add_subplot()
    if square:
        axes.set_aspect("equal", adjustable="datalim")
    return figure, axes


def _finish(figure: Figure, path: str | os.PathLike[str] | None) -> Figure | str:
    if path is None:
        return figure
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise RenderError(f"cannot write {os.fspath(path)}: {error}.") from None
    return os.fspath(path)
