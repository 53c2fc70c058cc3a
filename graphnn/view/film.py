"""A film of the decision boundary in the course of a training, as a GIF."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import ArrayLike

from ..errors import FeedError, RenderError
from .plane import Plane, Predicts, draw_points, draw_regions, plane_figure, points_of
from .render import write

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["BoundaryFilm"]

_MESH = 160
_DOTS = 80
"""An inch: a film is small enough for a page."""
_REST = 1.5
"""Seconds for which the last picture stands."""


class Trains(Protocol):
    """The trainer that a callback is called with."""

    @property
    def model(self) -> Predicts:
        """The model that is trained."""
        ...

    @property
    def epoch(self) -> int:
        """The number of epochs so far."""
        ...


class BoundaryFilm:
    """A callback that records the regions of the classes every `every` epochs, and can save them as an animation.

    `BoundaryFilm(x, t, every=1)` of points in the plane, (N, 2), and their labels, integers (N,) or one-hot rows. The
    record is saved with a training, and continued when that is resumed.

    Raises:
        FeedError: when the points are not in the plane, labels are not one for each, or `every` is no number from 1 on.

    >>> import graphnn as gn
    >>> from tempfile import mkdtemp
    >>> points, labels = gn.data.spiral()
    >>> x, t = gn.Input("x", ("N", 2)), gn.Input("t", ("N",), dtype="int64")
    >>> scores = gn.Affine(x, gn.Parameter("W", [[1.0, 0, 0], [0, 1, 0]]), gn.Parameter("b", [0.0, 0, 0]))
    >>> film = gn.plot.BoundaryFilm(points, labels)
    >>> trainer = gn.Trainer(gn.Model(x, t, scores, gn.SoftmaxCE(scores, t)), gn.SGD(lr=1.0))
    >>> trainer.fit(points, labels, max_epoch=2, batch_size=30, eval_interval=None, callbacks=[film])
    >>> path = film.save(f"{mkdtemp()}/boundary.gif")
    """

    def __init__(self, x: ArrayLike, t: ArrayLike, every: int = 1) -> None:
        if every < 1:
            raise FeedError(f"BoundaryFilm: every is {every!r}; it must be 1 or more epochs.")
        self._points, self._labels = points_of(x, t)
        self._plane = Plane(self._points, _MESH)
        self.every = every
        self._epochs: list[int] = []
        self._classes: list[np.ndarray] = []
        self._count = 1

    def __call__(self, trainer: Trains) -> None:
        """Record the regions, every `every` epochs."""
        if trainer.epoch % self.every == 0:
            classes, self._count = self._plane.classes(trainer.model)
            self._epochs.append(trainer.epoch)
            self._classes.append(classes.astype(np.uint16))

    def state(self) -> dict[str, np.ndarray]:
        """The record."""
        if not self._epochs:
            return {}
        recorded = {"epochs": np.array(self._epochs), "classes": np.stack(self._classes).astype(np.int32)}
        return recorded | {"count": np.array(self._count)}

    def go_on(self, state: Mapping[str, np.ndarray]) -> None:
        """Continue a record."""
        self._epochs = [int(epoch) for epoch in state.get("epochs", ())]
        self._classes = [classes.astype(np.uint16) for classes in state.get("classes", ())]
        self._count = int(state.get("count", 1))

    def save(self, path: str | os.PathLike[str], fps: int = 10) -> str:
        """Write the film as a .gif with so many pictures per second, and return its path.

        Raises:
            FeedError: when nothing was recorded.
            RenderError: for another suffix, or when the file cannot be written.
        """
        from matplotlib.animation import PillowWriter  # slow to import, and only wanted here

        if Path(path).suffix.lower() != ".gif":
            raise RenderError(f"cannot write {Path(path).name!r}: a film is a .gif.")
        if not self._epochs:
            raise FeedError(f"BoundaryFilm: nothing was recorded: train {self.every} epochs or more with it.")
        figure, axes = plane_figure()
        writer = PillowWriter(fps=fps)
        with TemporaryDirectory() as folder:
            film = Path(folder) / "film.gif"
            with writer.saving(figure, film, _DOTS):
                for i in range(len(self._epochs)):
                    self._draw(axes, i)
                    writer.grab_frame()
                    figure.set_layout_engine("none")  # found once: all pictures have the same axes
                for _ in range(round(_REST * fps)):
                    writer.grab_frame()
            return write(path, film.read_bytes())

    def _draw(self, axes: Axes, i: int) -> None:
        axes.clear()
        draw_regions(axes, self._plane, self._classes[i], self._count)
        draw_points(axes, self._points, self._labels)
        axes.set_title(f"epoch {self._epochs[i]}")
