"""Data sets, and orders of samples. Each depends only on its seed, and is the same on every machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..errors import FeedError, FormatError, GraphError

__all__ = ["Characters", "balanced", "circles", "digits", "moons", "spiral", "split", "text"]

_CLASSES, _POINTS = 3, 100


def spiral(seed: int = 1984, one_hot: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """The spiral data set: 3 classes of 100 points in the plane, which straight lines cannot separate.

    Returns the points, float64 (300, 2), and their labels, int64 (300,), or with `one_hot`, rows (300, 3). Point i of
    class j is at the distance rate = i/100 from the centre, at the angle 4·j + 4·rate + 0.2·(a standard-normal draw).
    The draws are those of NumPy's legacy generator, in the order of the points.

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


def circles(points: int = 300, noise: float = 0.05, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two circles, one inside the other: points, float64 (points, 2), and labels, int64, 0 outside and 1 inside.

    The inner one has half the radius. `noise` is the standard deviation of noise that is added to each coordinate.

    >>> import graphnn as gn
    >>> x, t = gn.data.circles(noise=0.0)
    >>> np.unique(np.hypot(*x.T).round(6)).tolist()
    [0.5, 1.0]
    """
    labels = np.arange(points, dtype=np.int64) % 2
    angle = 2 * np.pi * np.arange(points) / points
    radius = np.where(labels == 0, 1.0, 0.5)
    return _noisy(np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1), noise, seed), labels


def moons(points: int = 300, noise: float = 0.1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two half circles that reach into each other: points, float64 (points, 2), and labels 0 and 1, int64.

    >>> import graphnn as gn
    >>> x, t = gn.data.moons(100)
    >>> x.shape, np.bincount(t).tolist()
    ((100, 2), [50, 50])
    """
    labels = np.arange(points, dtype=np.int64) % 2
    angle = np.pi * (np.arange(points) // 2) / max(1, (points - 1) // 2)
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    lower = np.stack([1 - np.cos(angle), 0.5 - np.sin(angle)], axis=-1)
    return _noisy(np.where(labels[:, None] == 0, upper, lower), noise, seed), labels


def _noisy(points: np.ndarray, noise: float, seed: int) -> np.ndarray:
    return points + noise * np.random.Generator(np.random.Philox(seed)).normal(size=points.shape)


def digits() -> tuple[np.ndarray, np.ndarray]:
    """The handwritten digits of scikit-learn: float64 (1797, 8, 8) in 0..1, and labels 0..9, int64 (1797,).

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998.

    Raises:
        GraphError: when scikit-learn is not installed; the message has the command that installs it.

    >>> import graphnn as gn
    >>> x, t = gn.data.digits()
    >>> x.shape, float(x.max())
    ((1797, 8, 8), 1.0)
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise GraphError("digits come with scikit-learn. Run: pip install 'graphnn[sklearn]'") from None
    found = load_digits()
    return found.images / 16.0, found.target.astype(np.int64)


class Characters(NamedTuple):
    """A text as numbers: `ids`, int64, has one number for each character, its index in `alphabet`."""

    ids: np.ndarray
    alphabet: str

    def decode(self, ids: ArrayLike) -> str:
        """The text for some numbers."""
        return "".join(self.alphabet[i] for i in np.asarray(ids).reshape(-1))

    def windows(self, length: int, stride: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Pieces of the text, (windows, length), and for each the piece that begins one character later.

        The pieces begin `stride` characters apart; by default, each begins where the one before ends.

        Raises:
            FeedError: when the text is too short for one piece.
        """
        stride = length if stride is None else stride
        starts = np.arange(0, len(self.ids) - length, stride)
        if not len(starts):
            raise FeedError(f"a text of {len(self.ids)} characters has no window of {length} and one beyond it.")
        at = starts[:, None] + np.arange(length)
        return self.ids[at], self.ids[at + 1]


def text(source: str | os.PathLike[str]) -> Characters:
    """A text file as numbers. The alphabet is made of the characters that occur, sorted.

    Raises:
        FormatError: when the file is not text in UTF-8, or is empty.

    >>> import graphnn as gn, tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp(), "short.txt")
    >>> _ = path.write_text("abba")
    >>> gn.data.text(path)
    Characters(ids=array([0, 1, 1, 0]), alphabet='ab')
    """
    try:
        letters = Path(source).read_text(encoding="utf-8")
    except (UnicodeDecodeError, OSError) as error:
        raise FormatError(f"{os.fspath(source)} cannot be read as text: {error}.") from None
    if not letters:
        raise FormatError(f"{os.fspath(source)} is empty.")
    alphabet = "".join(sorted(set(letters)))
    place = {letter: i for i, letter in enumerate(alphabet)}
    return Characters(np.array([place[letter] for letter in letters], dtype=np.int64), alphabet)


def split(*arrays: ArrayLike, part: float = 1 / 3, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Shuffle samples and split them in two: for each array, the part to learn from, then the held-out part.

    `split(x, t)` gives `x_train, x_test, t_train, t_test`.

    Raises:
        FeedError: when the arrays have different lengths, or `part` leaves nothing on one side.

    >>> import graphnn as gn
    >>> x, rest, t, held_out = gn.data.split(*gn.data.spiral(), part=0.25)
    >>> len(x), len(rest), len(t), len(held_out)
    (225, 75, 225, 75)
    """
    parts = [np.asarray(array) for array in arrays]
    lengths = {len(array) for array in parts}
    if len(lengths) != 1:
        raise FeedError(
            f"split: the arrays have different numbers of samples: {', '.join(str(len(a)) for a in parts)}."
        )
    samples = lengths.pop()
    held = round(samples * part)
    if not 0 < held < samples:
        raise FeedError(f"split: a part of {part:g} of {samples} samples leaves one side empty.")
    order = np.random.Generator(np.random.Philox(seed)).permutation(samples)
    return tuple(piece for array in parts for piece in (array[order[held:]], array[order[:held]]))


def balanced(labels: ArrayLike, epochs: int, seed: int = 0) -> np.ndarray:
    """Orders in which every class is equally frequent, int64 (epochs, samples), to be passed as `shuffle`.

    Each epoch has as many samples as the data. Samples of rarer classes occur several times in it.

    Raises:
        FeedError: when labels are not integers in one dimension, or there are none.

    >>> import graphnn as gn
    >>> labels = np.array([0] * 90 + [1] * 10)
    >>> np.bincount(labels[gn.data.balanced(labels, epochs=1)[0]]).tolist()
    [50, 50]
    """
    t = np.asarray(labels)
    if t.ndim != 1 or t.dtype.kind not in "iu" or not t.size:
        raise FeedError(f"balanced: labels are integers, one a sample, not {t.dtype} of shape {t.shape}.")
    rng = np.random.Generator(np.random.Philox(seed))
    members = [np.flatnonzero(t == label) for label in np.unique(t)]
    orders = np.empty((epochs, t.size), np.int64)
    for row in orders:
        quota = np.full(len(members), t.size // len(members))
        quota[: t.size % len(members)] += 1
        drawn = []
        for found, wanted in zip(members, quota, strict=True):
            rounds = [rng.permutation(found) for _ in range(-(-int(wanted) // len(found)))]
            drawn.append(np.concatenate(rounds)[:wanted])
        row[:] = rng.permutation(np.concatenate(drawn))
    return orders
