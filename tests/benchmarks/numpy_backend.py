"""The NumPy backend beside a training loop as textbooks write it, on the same work in the same run.

Run it by hand: `python tests/benchmarks/numpy_backend.py`. For each net it prints microseconds a step, the median and
the range of several rounds taken in turn, and their ratio; the losses of both must agree. The machine may be shared
and noisy, so read the ratio.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from itertools import pairwise
from statistics import median

import numpy as np

import graphnn as gn

Weights = list[np.ndarray]


def textbook(weights: Weights, x: np.ndarray, t: np.ndarray, batch: int, orders: np.ndarray, lr: float) -> list[float]:
    """A net of affine layers with sigmoids between them, softmax with loss and SGD, written out in NumPy."""
    layers = [(weights[i], weights[i + 1]) for i in range(0, len(weights), 2)]
    losses = []
    for order in orders:
        x_epoch, t_epoch = x[order], t[order]
        for start in range(0, len(x), batch):
            xb, tb = x_epoch[start : start + batch], t_epoch[start : start + batch]
            values = [xb]
            for i, (W, b) in enumerate(layers, start=1):
                a = values[-1] @ W + b
                values.append(1 / (1 + np.exp(-a)) if i < len(layers) else a)
            scores = values[-1] - values[-1].max(axis=1, keepdims=True)
            e = np.exp(scores)
            y = e / e.sum(axis=1, keepdims=True)
            rows = np.arange(len(tb))
            losses.append(float(-np.log(y[rows, tb]).mean()))
            g = y
            g[rows, tb] -= 1
            g /= len(tb)
            for i in reversed(range(len(layers))):
                W, b = layers[i]
                dW, db = values[i].T @ g, g.sum(axis=0)
                if i:
                    g = (g @ W.T) * values[i] * (1 - values[i])
                W -= lr * dW
                b -= lr * db
    return losses


def declare(weights: Weights, lr: float) -> gn.Executable:
    """The same net as a graph, compiled."""
    dtype = weights[0].dtype
    x, t = gn.Input("x", ("N", len(weights[0])), dtype=dtype), gn.Input("t", ("N",), dtype="int64")
    h: gn.Node = x
    for i in range(0, len(weights), 2):
        W, b = (gn.Parameter(f"{name}{i // 2}", weights[i + k], dtype=dtype) for k, name in enumerate("Wb"))
        h = gn.Affine(h if i == 0 else gn.Sigmoid(h), W, b)
    loss = gn.SoftmaxCE(h, t)
    return gn.compile(loss, gn.SGD(lr=lr).updates(loss))


def case(widths: list[int], samples: int, dtype: str) -> tuple[Weights, np.ndarray, np.ndarray]:
    """Random weights and data of a net's shape."""
    rng = np.random.default_rng(0)
    weights: Weights = []
    for rows, columns in pairwise(widths):
        weights += [(rng.normal(size=(rows, columns)) / np.sqrt(rows)).astype(dtype), np.zeros(columns, dtype)]
    return weights, rng.normal(size=(samples, widths[0])).astype(dtype), rng.integers(0, widths[-1], samples)


CASES: dict[str, tuple[list[int], int, int, str, int, float]] = {
    "spiral 2-10-3, batch 30, float64": ([2, 10, 3], 30, 300, "float64", 100, 1.0),
    "784-100-10, batch 100, float32": ([784, 100, 10], 100, 2000, "float32", 10, 0.1),
    "784-1024-1024-10, batch 256, float32": ([784, 1024, 1024, 10], 256, 2560, "float32", 1, 0.1),
}


def measure(run: Callable[[], object], steps: int) -> float:
    """Microseconds a step."""
    start = time.perf_counter()
    run()
    return (time.perf_counter() - start) / steps * 1e6


def compare(name: str, rounds: int) -> str:
    """One line of the table."""
    widths, batch, samples, dtype, epochs, lr = CASES[name]
    weights, x, t = case(widths, samples, dtype)
    orders = np.array([np.random.default_rng(e).permutation(samples) for e in range(epochs)])
    steps = epochs * -(-samples // batch)
    by_hand, ours = [w.copy() for w in weights], declare(weights, lr)
    losses = textbook(by_hand, x, t, batch, orders, lr)
    found = ours.loop({"x": x, "t": t}, batch, epochs, shuffle=orders)
    np.testing.assert_allclose(found.ravel(), losses, rtol=1e-2 if dtype == "float32" else 1e-6)
    rival, mine = [], []
    for _ in range(rounds):
        rival.append(measure(lambda: textbook(by_hand, x, t, batch, orders, lr), steps))
        mine.append(measure(lambda: ours.loop({"x": x, "t": t}, batch, epochs, shuffle=orders), steps))
    ratios = [a / b for a, b in zip(mine, rival, strict=True)]
    return (
        f"{name:38} {median(rival):9.1f} ({min(rival):.1f}-{max(rival):.1f}) "
        f"{median(mine):9.1f} ({min(mine):.1f}-{max(mine):.1f})   ratio {median(ratios):.2f} "
        f"({min(ratios):.2f}-{max(ratios):.2f})"
    )


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--rounds", type=int, default=7)
    rounds = options.parse_args().rounds
    print(f"{platform.machine()}, Python {platform.python_version()}, NumPy {np.__version__}, {rounds} rounds")
    print(f"{'microseconds a step, median (range)':38} textbook NumPy / graphnn on NumPy")
    for name in CASES:
        print(compare(name, rounds))


if __name__ == "__main__":
    main()
