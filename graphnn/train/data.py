"""Data sets to learn on."""

from __future__ import annotations

import numpy as np

__all__ = ["spiral"]

_CLASSES, _POINTS = 3, 100


def spiral(seed: int = 1984, one_hot: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """The spiral: 3 classes of 100 points in the plane that no straight line separates.

    Returns the points, float64 (300, 2), and their labels, int64 (300,), or one-hot rows (300, 3). Point i of class
    j lies at rate = i/100 from the centre, at the angle 4·j + 4·rate + 0.2·(a standard-normal draw); the draws come
    from NumPy's legacy generator in the order of the points, so the set is the same everywhere.

    >>> import graphnn as gn
    >>> x, t = gn.data.spiral()
    >>> x.shape, t.shape, round(float(x.sum()), 6)
    ((300, 2), (300,), -13.916731)
    """
    noise = np.random.RandomState(seed).randn(_CLASSES, _POINTS)
    rate = np.arange(_POINTS) / 100
    theta = 4.0 * np.arange(_CLASSES)[:, None] + 4.0 * rate + 0.2 * noise
    points = np.stack([rate * np.sin(theta), rate * np.cos(theta)], axis=-1).reshape(-1, 2)
    labels = np.repeat(np.arange(_CLASSES, dtype=np.int64), _POINTS)
    return points, np.eye(_CLASSES, dtype=np.int64)[labels] if one_hot else labels
