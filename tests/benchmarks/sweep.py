"""Replicas in one program against trainings one after another: `python sweep.py [--write FILE]`.

Eight seeds times four learning rates of the spiral net, 2-10-3, batch 30, 100 epochs, of a 64-32-10 net on
scikit-learn's digits, batch 50, 10 epochs, and of one with two convolutions, 2 epochs. Two readings: from declaration
to trained weights, compiling included; and what three times the epochs cost more, which is running alone. Beside them
stands what no program can be faster than: the multiplications of all products, at the rate of the library's product of
large matrices. CPU time on one thread, the best of three rounds taken in turn, the median's distance beside it.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

import graphnn as gn

SEEDS, ROUNDS = range(8), 3
ABOUT = """\
## Sweeps

`python tests/benchmarks/sweep.py --write docs/benchmarks.md` rewrites this section: 32 replicas, by `gn.sweep` and one
after another by `Trainer`. {machine}, one thread, CPU
seconds, the median's distance from the best beside them.

From declaration to trained weights, compiling included (its kernels are in the cache from an earlier run):

| net | backend | dtype | sweep | spread | one by one | spread | sweep is faster by |
|---|---|---|---|---|---|---|---|
{whole}

Running alone, and the products' multiplications at the rate of a product of 1024 x 1024 matrices by NumPy's library:

| net | backend | dtype | sweep | one by one | sweep is faster by | products alone | could be faster by |
|---|---|---|---|---|---|---|---|
{running}
"""


def digits() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return images[:1000] / 16, labels[:1000]


def perceptron(sizes: tuple[int, int, int]) -> Callable[[int], gn.Model]:
    """Affine, Sigmoid, Affine."""

    def declare(seed: int) -> gn.Model:
        rng = np.random.default_rng(seed)
        inputs, hidden, classes = sizes
        x, t = gn.Input("x", ("N", inputs)), gn.Input("t", ("N",), dtype="int64")
        W1 = gn.Parameter("W1", rng.normal(0, inputs**-0.5, (inputs, hidden)))
        W2 = gn.Parameter("W2", rng.normal(0, hidden**-0.5, (hidden, classes)))
        h = gn.Sigmoid(gn.Affine(x, W1, gn.Parameter("b1", np.zeros(hidden))))
        scores = gn.Affine(h, W2, gn.Parameter("b2", np.zeros(classes)))
        return gn.Model(x, t, scores, gn.SoftmaxCE(scores, t))

    return declare


def convolutional(seed: int) -> gn.Model:
    """Twice a convolution, ReLU and pooling, then Affine."""
    rng = np.random.default_rng(seed)
    x, t = gn.Input("x", ("N", 64)), gn.Input("t", ("N",), dtype="int64")
    h = gn.Reshape(x, ("N", 1, 8, 8))
    for i, (before, after) in enumerate([(1, 4), (4, 8)]):
        W = gn.Parameter(f"W{i}", rng.normal(0, (9 * before) ** -0.5, (after, before, 3, 3)))
        h = gn.MaxPool(gn.ReLU(gn.Conv(h, W, gn.Parameter(f"b{i}", np.zeros(after)), padding="same")), 2)
    V, b = gn.Parameter("V", rng.normal(0, 0.2, (32, 10))), gn.Parameter("b", np.zeros(10))
    scores = gn.Affine(gn.Reshape(h, ("N", -1)), V, b)
    return gn.Model(x, t, scores, gn.SoftmaxCE(scores, t))


class Case(NamedTuple):
    """A net and its data, how it is trained, and the multiplications of its products for one sample in a step."""

    load: Callable[[], tuple[np.ndarray, np.ndarray]]
    declare: Callable[[int], gn.Model]
    batch: int
    epochs: int
    multiplications: int
    """Forward, of the gradients of the weights, and of those of every layer but the first."""
    rates: tuple[float, ...] = (0.1, 0.3, 1.0, 3.0)


CASES = {
    "spiral 2-10-3": Case(gn.data.spiral, perceptron((2, 10, 3)), 30, 100, 2 * 2 * 10 + 3 * 10 * 3),
    "digits 64-32-10": Case(digits, perceptron((64, 32, 10)), 50, 10, 2 * 64 * 32 + 3 * 32 * 10),
    "digits convolutions": Case(
        digits, convolutional, 50, 2, 2 * 64 * 4 * 9 + 3 * 16 * 8 * 4 * 9 + 3 * 32 * 10, (0.01, 0.03, 0.1, 0.3)
    ),
}


def timed(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def product_rate(dtype: str) -> float:
    """Multiplications with their additions in a second, of large matrices."""
    a = np.ones((1024, 1024), dtype)
    return 1024**3 / min(timed(lambda: a @ a) for _ in range(5))


def rows(case: str, backend: str, dtype: str) -> tuple[str, str]:
    """A line of each table."""
    load, declare, batch, epochs, multiplications, rates = CASES[case]
    x, t = load()

    def together(times: int) -> None:
        gn.sweep(
            declare, gn.SGD(), x, t,
            seeds=SEEDS, lrs=rates, max_epoch=times * epochs, batch_size=batch, backend=backend,
        )  # fmt: skip

    def one_by_one(times: int) -> None:
        for seed in SEEDS:
            for lr in rates:
                trainer = gn.Trainer(declare(seed), gn.SGD(lr=lr), backend=backend)
                trainer.fit(x, t, times * epochs, batch, eval_interval=None)

    runs = [partial(how, times) for times in (1, 3) for how in (together, one_by_one)]
    with gn.default_dtype(dtype):
        together(1)  # compiles what the cache does not have
        times = np.array([[timed(run) for run in runs] for _ in range(ROUNDS)])
    best, spread = times.min(axis=0), np.median(times, axis=0) / times.min(axis=0) - 1
    told = [f"{b:.3f} | +{100 * s:.0f} %" for b, s in zip(best[:2], spread[:2], strict=True)]
    running = (best[2:] - best[:2]) / 2
    floor = multiplications * len(t) * epochs * len(SEEDS) * len(rates) / product_rate(dtype)
    name = f"| {case} | {backend} | {dtype}"
    return (
        f"{name} | {told[0]} | {told[1]} | {best[1] / best[0]:.1f} x |",
        f"{name} | {running[0]:.3f} | {running[1]:.3f} | {running[1] / running[0]:.1f} x | {floor:.3f} "
        f"| {running[1] / floor:.1f} x |",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="a Markdown file, whose section on sweeps is replaced")
    given = parser.parse_args()
    lines = []
    for case in CASES:
        for backend, state in gn.backends().items():
            for dtype in ("float64", "float32"):
                if state == "ok":
                    lines.append(rows(case, backend, dtype))
                    print(*lines[-1], sep="\n", flush=True)
    machine = f"{platform.machine()}, Python {platform.python_version()}, NumPy {np.__version__}"
    whole, running = ("\n".join(column) for column in zip(*lines, strict=True))
    section = ABOUT.format(machine=machine, whole=whole, running=running)
    if given.write:
        first, _, rest = given.write.read_text().partition("## Sweeps")
        _, more, tail = rest.partition("\n## ")
        given.write.write_text(first.rstrip() + "\n\n" + section + (f"\n## {tail.rstrip()}\n" if more else ""))
    else:
        print(section, file=sys.stderr)


if __name__ == "__main__":
    main()
