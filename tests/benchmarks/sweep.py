"""Replicas in one program against trainings one after another: `python sweep.py [--write FILE]`.

Eight seeds times four learning rates of the spiral net, 2-10-3, batch 30, 100 epochs, and of a 64-32-10 net on
scikit-learn's digits, batch 50, 10 epochs. Two readings: from declaration to trained weights, compiling included; and
what three times the epochs cost more, which is running alone. Beside them stands what no program can be faster than:
the multiplications of all products, at the rate of the library's product of large matrices. CPU time on one thread,
the best of three rounds taken in turn, the median's distance beside it.
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

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

import graphnn as gn

SEEDS, RATES, ROUNDS = range(8), (0.1, 0.3, 1.0, 3.0), 3
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


CASES = {
    "spiral 2-10-3": (gn.data.spiral, (2, 10, 3), 30, 100),
    "digits 64-32-10": (digits, (64, 32, 10), 50, 10),
}


def declare(sizes: tuple[int, int, int], seed: int) -> gn.Model:
    """Affine, Sigmoid, Affine."""
    rng = np.random.default_rng(seed)
    inputs, hidden, classes = sizes
    x, t = gn.Input("x", ("N", inputs)), gn.Input("t", ("N",), dtype="int64")
    W1 = gn.Parameter("W1", rng.normal(0, inputs**-0.5, (inputs, hidden)))
    W2 = gn.Parameter("W2", rng.normal(0, hidden**-0.5, (hidden, classes)))
    h = gn.Sigmoid(gn.Affine(x, W1, gn.Parameter("b1", np.zeros(hidden))))
    scores = gn.Affine(h, W2, gn.Parameter("b2", np.zeros(classes)))
    return gn.Model(x, t, scores, gn.SoftmaxCE(scores, t))


def timed(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def product_rate(dtype: str) -> float:
    """Multiplications with their additions in a second, of large matrices."""
    a = np.ones((1024, 1024), dtype)
    return 1024**3 / min(timed(lambda: a @ a) for _ in range(5))


def products_alone(sizes: tuple[int, int, int], samples: int, epochs: int, dtype: str) -> float:
    """Seconds for the products of all replicas: forward, of the weights' gradients, and of the hidden layer's."""
    inputs, hidden, classes = sizes
    each = 2 * inputs * hidden + 3 * hidden * classes
    return each * samples * epochs * len(SEEDS) * len(RATES) / product_rate(dtype)


def rows(case: str, backend: str, dtype: str) -> tuple[str, str]:
    """A line of each table."""
    load, sizes, batch, epochs = CASES[case]
    x, t = load()

    def together(times: int) -> None:
        gn.sweep(
            lambda seed: declare(sizes, seed), gn.SGD(), x, t,
            seeds=SEEDS, lrs=RATES, max_epoch=times * epochs, batch_size=batch, backend=backend,
        )  # fmt: skip

    def one_by_one(times: int) -> None:
        for seed in SEEDS:
            for lr in RATES:
                trainer = gn.Trainer(declare(sizes, seed), gn.SGD(lr=lr), backend=backend)
                trainer.fit(x, t, times * epochs, batch, eval_interval=None)

    runs = [partial(how, times) for times in (1, 3) for how in (together, one_by_one)]
    with gn.default_dtype(dtype):
        together(1)  # compiles what the cache does not have
        times = np.array([[timed(run) for run in runs] for _ in range(ROUNDS)])
    best, spread = times.min(axis=0), np.median(times, axis=0) / times.min(axis=0) - 1
    told = [f"{b:.3f} | +{100 * s:.0f} %" for b, s in zip(best[:2], spread[:2], strict=True)]
    running = (best[2:] - best[:2]) / 2
    floor = products_alone(sizes, len(t), epochs, dtype)
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
