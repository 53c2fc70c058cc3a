"""Metrics: functions of scores and labels that say how good the scores are.

`scores` are the predictions of a model: (N, C) for C classes, or numbers of any shape. For classes, `labels` are
integers (N,) or one-hot rows (N, C); for numbers, they have the shape of the scores.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..errors import FeedError, ShapeError

__all__ = ["accuracy", "confusion", "f1", "mean_absolute_error", "mean_squared_error", "perplexity", "r2", "top_k"]


def accuracy(scores: ArrayLike, labels: ArrayLike) -> float:
    """The fraction of rows whose highest score is that of the label.

    Raises:
        ShapeError: when there are not as many labels as rows.
        FeedError: when there are no rows.

    >>> from graphnn import metrics
    >>> metrics.accuracy([[2, 1], [0, 3], [5, 4]], [0, 1, 1]).__round__(3)
    0.667
    """
    s, t = _classes("accuracy", scores, labels)
    return float(np.mean(s.argmax(axis=-1) == t))


def top_k(scores: ArrayLike, labels: ArrayLike, k: int = 5) -> float:
    """The fraction of rows whose label is among the k highest scores.

    >>> from graphnn import metrics
    >>> metrics.top_k([[3, 2, 1], [1, 2, 3]], [1, 0], k=2)
    0.5
    """
    s, t = _classes("top_k", scores, labels)
    best = np.argpartition(-s, min(k, s.shape[-1]) - 1, axis=-1)[..., :k]
    return float(np.mean((best == t[..., None]).any(axis=-1)))


def f1(scores: ArrayLike, labels: ArrayLike) -> float:
    """The macro F1 score: the harmonic mean of precision and recall, averaged over classes; 0 for an absent class.

    Source: C. van Rijsbergen, Information Retrieval, 1979, chapter 7.

    >>> from graphnn import metrics
    >>> metrics.f1([[2, 1], [0, 3], [5, 4]], [0, 1, 1]).__round__(3)
    0.667
    """
    table = confusion(scores, labels)
    right = np.diag(table).astype(float)
    wrong = table.sum(axis=0) + table.sum(axis=1) - 2 * right
    return float(np.mean(np.divide(2 * right, 2 * right + wrong, out=np.zeros_like(right), where=right > 0)))


def confusion(scores: ArrayLike, labels: ArrayLike) -> np.ndarray:
    """The confusion matrix: for each label (row), how often each class (column) has the highest score.

    >>> from graphnn import metrics
    >>> metrics.confusion([[2, 1], [0, 3], [5, 4]], [0, 1, 1])
    array([[1, 0],
           [1, 1]])
    """
    s, t = _classes("confusion", scores, labels)
    count = s.shape[-1]
    pairs = t.reshape(-1) * count + s.argmax(axis=-1).reshape(-1)
    return np.bincount(pairs, minlength=count * count).reshape(count, count)


def perplexity(scores: ArrayLike, labels: ArrayLike) -> float:
    """The perplexity: the exponential of the mean cross-entropy of softmax, as hard as so many equally likely classes.

    >>> from graphnn import metrics
    >>> metrics.perplexity([[0.0, 0.0, 0.0]], [1]).__round__(6)
    3.0
    """
    s, t = _classes("perplexity", scores, labels)
    z = s - s.max(axis=-1, keepdims=True)
    log_y = z - np.log(np.exp(z).sum(axis=-1, keepdims=True))
    return float(np.exp(-np.mean(np.take_along_axis(log_y, t[..., None], -1))))


def mean_squared_error(scores: ArrayLike, labels: ArrayLike) -> float:
    """The mean of the squared differences.

    >>> from graphnn import metrics
    >>> metrics.mean_squared_error([1.0, 2.0], [1.0, 4.0])
    2.0
    """
    s, t = _numbers("mean_squared_error", scores, labels)
    return float(np.mean((s - t) ** 2))


def mean_absolute_error(scores: ArrayLike, labels: ArrayLike) -> float:
    """The mean of the absolute differences.

    >>> from graphnn import metrics
    >>> metrics.mean_absolute_error([1.0, 2.0], [1.0, 4.0])
    1.0
    """
    s, t = _numbers("mean_absolute_error", scores, labels)
    return float(np.mean(np.abs(s - t)))


def r2(scores: ArrayLike, labels: ArrayLike) -> float:
    """The coefficient of determination R²: the fraction of the labels' variance that the scores explain, at most 1.

    >>> from graphnn import metrics
    >>> metrics.r2([1.0, 2.0, 3.0], [1.0, 2.0, 4.0]).__round__(3)
    0.786
    """
    s, t = _numbers("r2", scores, labels)
    spread = np.sum((t - t.mean()) ** 2)
    return float(1 - np.sum((s - t) ** 2) / spread) if spread else float("nan")


def _classes(name: str, scores: ArrayLike, labels: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    s, t = np.asarray(scores, float), np.asarray(labels)
    if s.ndim and t.shape == s.shape:
        t = t.argmax(axis=-1)
    if not s.ndim or t.shape != s.shape[:-1]:
        raise ShapeError(f"{name}: labels of shape {t.shape} do not fit scores of shape {s.shape}.")
    if not t.size:
        raise FeedError(f"{name}: there are no rows to judge.")
    return s, t.astype(np.intp)


def _numbers(name: str, scores: ArrayLike, labels: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    s, t = np.asarray(scores, float), np.asarray(labels, float)
    if s.shape != t.shape and s.size == t.size and s.squeeze().shape == t.squeeze().shape:
        s = s.reshape(t.shape)  # a column of predictions against a row of numbers
    if s.shape != t.shape:
        raise ShapeError(f"{name}: labels of shape {t.shape} do not fit predictions of shape {s.shape}.")
    if not t.size:
        raise FeedError(f"{name}: there are no rows to judge.")
    return s, t
