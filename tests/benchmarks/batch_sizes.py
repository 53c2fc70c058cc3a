"""What a new batch size costs: `python tests/benchmarks/batch_sizes.py --write docs/benchmarks.md`.

A compiled step is called with its usual batch first, then with others. The first call with a size binds the plan's
kernels to it, and touches memory that no smaller batch needed; what it takes beyond the second call is the cost. CPU
milliseconds, with an empty compile cache. A loop binds the sizes of its batches before its first step.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from native import program
from rivals import data

import graphnn as gn
from examples import example

SIZES = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987)
Feeds = Callable[[int], dict[str, np.ndarray]]


def perceptron(sizes: list[int], dtype: str) -> tuple[gn.Executable, Feeds]:
    x, t = data(1000, sizes[0], sizes[-1], dtype)
    return program(sizes, dtype, "native", 0.1), lambda n: {"x": x[:n], "t": t[:n]}


def of_example(name: str) -> tuple[gn.Executable, Feeds]:
    module = example(name)
    if name.startswith("04"):
        model = module.declare()
        x, t, _, _ = module.data()
    else:
        reader = module.Reader(module.TEXT.read_text(encoding="utf-8"))
        model = module.declare(len(reader.characters))
        x, t = reader.windows()
    step = gn.compile(model.loss, gn.Adam(lr=1e-3).updates(model.loss), backend="native")
    return step, lambda n: {"x": x[:n], "t": t[:n]}


CASES: dict[str, tuple[int, Callable[[], tuple[gn.Executable, Feeds]]]] = {
    "spiral 2-10-3, float64": (30, lambda: perceptron([2, 10, 3], "float64")),
    "784-100-10, float32": (100, lambda: perceptron([784, 100, 10], "float32")),
    "784-1024-1024-10, float32": (256, lambda: perceptron([784, 1024, 1024, 10], "float32")),
    "100 layers of 8x8, float32": (4, lambda: perceptron([8] * 101, "float32")),
    "digits convolution net, float32": (50, lambda: of_example("04_digits_convnet")),
    "LSTM over Scan, float32": (32, lambda: of_example("05_characters_lstm")),
}


def cost(step: gn.Executable, feeds: dict[str, np.ndarray]) -> float:
    """CPU milliseconds of the first call with these sizes beyond the second."""
    times = []
    for _ in range(2):
        start = time.process_time()
        step(**feeds)
        times.append(time.process_time() - start)
    return 1e3 * (times[0] - times[1])


def row(case: str) -> str:
    from graphnn.backends.native.machine import machine

    batch, declare = CASES[case]
    step, feeds = declare()
    step(**feeds(batch))
    before = machine().compiled
    costs = [cost(step, feeds(size)) for size in SIZES]
    most = max(range(len(SIZES)), key=costs.__getitem__)
    return (
        f"| {case} | {len(step.plan.steps)} | {batch} | {statistics.median(costs):.1f} | {costs[0]:.1f} "
        f"| {costs[most]:.1f} ({SIZES[most]}) | {machine().compiled - before} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="a Markdown file, whose section on batch sizes is replaced")
    given = parser.parse_args()
    os.environ["GRAPHNN_CACHE"] = "off"
    versions = f"{platform.machine()}, Python {platform.python_version()}, NumPy {np.__version__}"
    lines = [
        "## Batch sizes\n",
        "`OPENBLAS_NUM_THREADS=1 python tests/benchmarks/batch_sizes.py --write docs/benchmarks.md` rewrites this",
        "section. CPU milliseconds that the first call of a native step with a new batch size takes beyond the second",
        f"one: of {len(SIZES)} sizes, {SIZES[0]} to {SIZES[-1]}, the median, one sample, the most with its size, and",
        f"how many kernels were compiled for all of them. The compile cache is empty. {versions}.",
        "",
        "| | steps of the plan | first batch | median | 1 | most (at) | kernels |",
        "|---|---|---|---|---|---|---|",
    ]
    for case in CASES:
        lines.append(row(case))
        print(lines[-1], flush=True)
    lines += ["", "Beside kernels it is binding, step by step, and pages of memory that no batch has touched before."]
    if given.write:
        first, _, rest = given.write.read_text().partition("## Batch sizes")
        _, more, tail = rest.partition("\n## ")
        text = first.rstrip() + "\n\n" + "\n".join(lines) + "\n" + (f"\n## {tail.rstrip()}\n" if more else "")
        given.write.write_text(text)


if __name__ == "__main__":
    main()
