"""Pictures in the plane: points by class, and the regions that a model gives to each class.

Colours are told apart by colour-blind readers, and markers and lines without any colour.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from ..errors import FeedError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "Plane", "Predicts", "canvas", "draw_points", "draw_regions", "plane_figure", "points_of"]

# Okabe and Ito's palette, in an order whose greys differ as well.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MARKERS = ("o", "x", "^", "s", "D", "v")


class Predicts(Protocol):
    """What regions are drawn of."""

    def predict(self, X: ArrayLike) -> np.ndarray:  # noqa: N803
        """The scores of samples."""
        ...


class Plane:
    """A mesh over points in the plane and a margin around them, so many lines each way."""

    def __init__(self, points: np.ndarray, lines: int) -> None:
        low, high = points.min(axis=0), points.max(axis=0)
        margin = 0.08 * np.maximum(high - low, 1e-9)
        self.across, self.up = (np.linspace(a, b, lines) for a, b in zip(low - margin, high + margin, strict=True))
        self._mesh = np.stack(np.meshgrid(self.across, self.up), axis=-1)

    def classes(self, model: Predicts) -> tuple[np.ndarray, int]:
        """The class of the highest score at each crossing, and how many classes there are."""
        scores = model.predict(self._mesh.reshape(-1, 2))
        return scores.argmax(axis=-1).reshape(self._mesh.shape[:2]), scores.shape[-1]


def points_of(x: ArrayLike, t: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Points in the plane (N, 2), and the class of each (N,), from integers or one-hot rows.

    Raises:
        FeedError: when the points are not in the plane, or labels are not one for each.
    """
    points, labels = np.asarray(x, float), np.asarray(t)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise FeedError(f"points in the plane have shape (N, 2), not {points.shape}.")
    if labels.ndim == 2:
        labels = labels.argmax(axis=1)
    if labels.shape != (len(points),):
        raise FeedError(f"{len(points)} points need as many labels; these have shape {labels.shape}.")
    return points, labels


def draw_regions(axes: Axes, plane: Plane, classes: np.ndarray, count: int) -> None:
    """The regions of the classes, in their colours, with black lines between them."""
    levels = np.arange(count + 1) - 0.5
    colours = [COLOURS[k % len(COLOURS)] for k in range(count)]
    axes.contourf(plane.across, plane.up, classes, levels=levels, colors=colours, alpha=0.25)
    for k in np.unique(classes)[:-1]:  # one by one: from 0 to 2 there is one line, not that of 1 beside it as well
        axes.contour(plane.across, plane.up, classes == k, levels=[0.5], colors="black", linewidths=0.8)


def draw_points(axes: Axes, points: np.ndarray, labels: np.ndarray) -> None:
    """Points with a marker and a colour for each class."""
    for k, label in enumerate(np.unique(labels)):
        chosen = points[labels == label]
        style: dict[str, Any] = {"marker": _MARKERS[k % len(_MARKERS)], "color": COLOURS[k % len(COLOURS)]}
        axes.scatter(chosen[:, 0], chosen[:, 1], s=22, linewidths=1.2, label=f"class {label}", **style)
    axes.set_xlabel("x[0]")
    axes.set_ylabel("x[1]")
    axes.legend(loc="upper right", framealpha=0.9)


def plane_figure() -> tuple[Figure, Axes]:
    """A square figure in which both axes have the same scale."""
    figure = canvas((6, 6))
    axes = figure.add_subplot()
    axes.set_aspect("equal", adjustable="datalim")
    return figure, axes


def canvas(inches: tuple[float, float]) -> Figure:
    """An empty figure that shows itself in a notebook and needs no display."""
    from .figure import ShownFigure  # matplotlib is slow to import, and only wanted here

    return ShownFigure(figsize=inches, layout="constrained")
