"""Plots of training: the data, the loss, the decision boundary, the weights.

Each function writes a file and returns its path, or without a path returns a figure for a notebook. The colours are
chosen for colour-blind readers, and markers and lines differ without colour too. No display is needed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from ..errors import FeedError, RenderError
from .film import BoundaryFilm
from .plane import COLOURS, Plane, Predicts, canvas, draw_points, draw_regions, plane_figure, points_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

__all__ = ["BoundaryFilm", "dataset", "decision_boundary", "histograms", "loss"]

_MESH = 400
_MARKED = 40
"""Curves of up to so many points have a marker at each."""
_ACROSS = 4
"""Histograms that stand side by side."""
_MOST = 48
"""More histograms than this are no picture that anybody can read."""


@runtime_checkable
class Recorded(Protocol):
    """Numbers that were measured in each epoch, in a column for each name, as in `trainer.history`."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The names."""
        ...

    def __getitem__(self, key: Any) -> Any:
        """The column of a name."""
        ...


@runtime_checkable
class Weighted(Protocol):
    """An object that has parameters by name, such as a model."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The parameters."""
        ...


def loss(
    losses: Sequence[float] | np.ndarray | Recorded,
    path: str | os.PathLike[str] | None = None,
    eval_interval: int | None = None,
) -> Figure | str:
    """Draw losses as a curve, into `path` or as a figure.

    For a history, such as `trainer.history`, these are the loss of each epoch, and that on the validation data.

    Raises:
        FeedError: when a history holds no loss.
        RenderError: when the file cannot be written.

    >>> import graphnn as gn
    >>> gn.plot.loss([1.0, 0.5, 0.25]).axes[0].get_ylabel()
    'loss'
    """
    if isinstance(losses, Recorded):
        return _finish(_curves(losses), path)
    figure, axes = _figure()
    values = np.asarray(losses, float).reshape(-1)
    axes.plot(np.arange(1, len(values) + 1), values, color=COLOURS[0], linewidth=1.5)
    axes.set_xlabel(
        "iterations" if eval_interval is None else f"log lines (one in {eval_interval} iterations of an epoch)"
    )
    _loss_axis(axes)
    return _finish(figure, path)


def _curves(history: Recorded) -> Figure:
    if "loss" not in history.columns:
        raise FeedError(f"a history without losses has no curve: it has {', '.join(history.columns) or 'no epochs'}.")
    figure, axes = _figure()
    losses = np.asarray(history["loss"], float)
    epochs = np.asarray(history["epoch"], float) if "epoch" in history.columns else np.arange(1, len(losses) + 1)
    marked = len(losses) <= _MARKED
    axes.plot(epochs, losses, color=COLOURS[0], linewidth=1.5, marker="o" if marked else "", ms=4, label="training")
    if "val_loss" in history.columns:
        values = np.asarray(history["val_loss"], float)
        measured = np.isfinite(values)  # a curve is not cut where an epoch was not validated
        style: dict[str, Any] = {"linestyle": "--", "marker": "x" if marked else "", "ms": 6}
        axes.plot(epochs[measured], values[measured], color=COLOURS[1], linewidth=1.5, label="validation", **style)
        axes.legend(framealpha=0.9)
    axes.set_xlabel("epochs")
    _count_by_ones(axes.xaxis)
    if len(losses) == 1:
        axes.set_xlim(epochs[0] - 1, epochs[0] + 1)
    _loss_axis(axes)
    return figure


def _loss_axis(axes: Axes) -> None:
    axes.set_ylabel("loss")
    values = np.concatenate([np.asarray(line.get_ydata(), float) for line in axes.lines])
    values = values[np.isfinite(values)]
    if values.size and values.min() >= 0:  # the logarithm of a density may be of either sign
        axes.set_ylim(0, 1.06 * values.max() or 1)
    axes.grid(alpha=0.3)


def histograms(
    weights: Weighted | Mapping[str, Any],
    path: str | os.PathLike[str] | None = None,
    gradients: Mapping[str, ArrayLike] | None = None,
) -> Figure | str:
    """Draw histograms of the values of each parameter, and below them those of its gradient, if it is given.

    `weights` is a model, or a mapping from names to arrays or parameters, such as `program.state`. `gradients` maps the
    same names to arrays. Values that are not finite are not drawn; the title says how many there are.

    Raises:
        FeedError: when there is nothing or far too much to draw, or a gradient that belongs to none of the weights.
        RenderError: when the file cannot be written.

    >>> import graphnn as gn
    >>> gn.plot.histograms({"W": [[0.5, -0.5], [0.25, 0.0]]}).axes[0].get_title()
    'W (2, 2)'
    """
    held = weights.parameters if isinstance(weights, Weighted) else weights
    arrays = {name: np.asarray(getattr(value, "value", value), float) for name, value in held.items()}
    slopes = {name: np.asarray(value, float) for name, value in (gradients or {}).items()}
    _check_histograms(arrays, slopes)
    across, kinds = min(len(arrays), _ACROSS), 2 if slopes else 1
    down = -(-len(arrays) // across) * kinds
    figure = canvas((max(2.6 * across, 4.0), 2.4 * down))
    for i, (name, array) in enumerate(arrays.items()):
        place = i // across * kinds * across + i % across + 1
        _histogram(figure.add_subplot(down, across, place), name, array, "weight")
        if name in slopes:
            _histogram(figure.add_subplot(down, across, place + across), name, slopes[name], "gradient")
    return _finish(figure, path)


def _check_histograms(arrays: Mapping[str, np.ndarray], slopes: Mapping[str, np.ndarray]) -> None:
    if not arrays:
        raise FeedError("histograms: there are no weights to draw.")
    if len(arrays) > _MOST:
        raise FeedError(f"histograms: {len(arrays)} in one picture cannot be read: give {_MOST} of them or fewer.")
    for name, slope in slopes.items():
        if name not in arrays:
            raise FeedError(f"histograms: the gradient of '{name}' belongs to none of {', '.join(arrays)}.")
        if slope.shape != arrays[name].shape:
            raise FeedError(
                f"histograms: '{name}' has shape {arrays[name].shape}, and its gradient {slope.shape}: "
                "the gradient of a value has its shape."
            )


def _histogram(axes: Axes, name: str, array: np.ndarray, what: str) -> None:
    finite = array[np.isfinite(array)]
    bins = int(np.clip(np.sqrt(finite.size), 5, 40))
    # Hatched as well as of another colour: told apart in black and white.
    style: dict[str, Any] = {"color": COLOURS[0]} if what == "weight" else {"color": COLOURS[4], "hatch": "///"}
    axes.hist(finite, bins=bins, edgecolor="black", linewidth=0.5, **style)
    axes.axvline(0, color="black", linewidth=0.8, linestyle=":")
    lost = array.size - finite.size
    axes.set_title(f"{name} {array.shape}" + (f", {lost} not finite" if lost else ""), fontsize=9, parse_math=False)
    axes.set_xlabel(what)
    axes.set_ylabel("count")
    _count_by_ones(axes.yaxis)
    axes.locator_params(axis="x", nbins=5)
    axes.ticklabel_format(axis="x", style="sci", scilimits=(-2, 4))
    axes.tick_params(labelsize=8)


def dataset(x: ArrayLike, t: ArrayLike, path: str | os.PathLike[str] | None = None) -> Figure | str:
    """Draw points in the plane, (N, 2), with a marker for each class; labels are integers (N,) or one-hot rows.

    Raises:
        FeedError: when the points are not in the plane, or labels are not one for each.
        RenderError: when the file cannot be written.

    >>> import graphnn as gn
    >>> len(gn.plot.dataset(*gn.data.spiral()).axes[0].collections)
    3
    """
    points, labels = points_of(x, t)
    figure, axes = plane_figure()
    draw_points(axes, points, labels)
    return _finish(figure, path)


def decision_boundary(
    model: Predicts, x: ArrayLike, t: ArrayLike, path: str | os.PathLike[str] | None = None
) -> Figure | str:
    """Draw the regions in which each class has the highest score, on a fine mesh, and the points on top of them.

    Raises:
        FeedError: when the points are not in the plane, or labels are not one for each.
        RenderError: when the file cannot be written.
    """
    points, labels = points_of(x, t)
    plane = Plane(points, _MESH)
    figure, axes = plane_figure()
    draw_regions(axes, plane, *plane.classes(model))
    draw_points(axes, points, labels)
    return _finish(figure, path)


def _figure() -> tuple[Figure, Axes]:
    figure = canvas((7, 4))
    return figure, figure.add_subplot()


def _count_by_ones(axis: Axis) -> None:
    from matplotlib.ticker import MaxNLocator  # slow to import, and only wanted here

    axis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))


def _finish(figure: Figure, path: str | os.PathLike[str] | None) -> Figure | str:
    if path is None:
        return figure
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise RenderError(f"cannot write {os.fspath(path)}: {error}.") from None
    return os.fspath(path)
