"""Precision measured on the spiral and the digits: accuracy, memory, time; `python precision.py [--write FILE]`.

Everything in float64, float32 or float16, and mixed float16 (with loss scaling) and bfloat16 with float32 weights, on
each backend that works here. Accuracy is the least, the middle and the most of three seeds of the weights: on the
spiral of the points trained on, on the digits of 400 that were not. Memory is that of one step, the arena, in KiB, at
the batch and at a batch of 1,000. Time is CPU time a step, in microseconds, the best of five epochs of one training,
its median's distance beside it; all in one process, on one thread.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from itertools import pairwise
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

import graphnn as gn

POLICIES = {
    "float64": ("float64", None),
    "float32": ("float32", None),
    "float16": ("float16", None),
    "mixed float16": ("float32", "mixed_float16"),
    "mixed bfloat16": ("float32", "mixed_bfloat16"),
}
SEEDS = (0, 1, 2)
ABOUT = """\
## Precision

`python tests/benchmarks/precision.py --write docs/benchmarks.md` rewrites this section. What the policies are:
`docs/decisions/0066-mixed-precision-on-a-cpu.md`. {machine}. CPU time, which other work on the machine stretches less
than the clock."""


class Spiral:
    """2-10-3, Sigmoid, batch 30, 300 epochs by SGD with rate 1: the textbook's run."""

    title = "Spiral: 2-10-3, batch 30, 300 epochs of SGD"
    sizes, activation, batch, epochs = (2, 10, 3), gn.Sigmoid, 30, 300
    policies: tuple[str, ...] = tuple(POLICIES)

    def __init__(self) -> None:
        self.train = self.test = gn.data.spiral()

    def optimizer(self) -> gn.Optimizer:
        return gn.SGD(lr=1.0)


class Digits:
    """64-100-100-10, Sigmoid, batch 50, 30 epochs by Adam, on 1,000 of scikit-learn's digits."""

    title = "Digits: 64-100-100-10, batch 50, 30 epochs of Adam"
    sizes, activation, batch, epochs = (64, 100, 100, 10), gn.Sigmoid, 50, 30
    policies: tuple[str, ...] = tuple(POLICIES)

    def __init__(self) -> None:
        from sklearn.datasets import load_digits

        images, labels = load_digits(return_X_y=True)
        order = np.random.default_rng(0).permutation(len(images))
        x, t = images[order] / 16, labels[order]
        self.train, self.test = (x[:1000], t[:1000]), (x[1000:1400], t[1000:1400])

    def optimizer(self) -> gn.Optimizer:
        return gn.Adam(lr=0.003)


class DeepDigits(Digits):
    """64-(16 times 64)-10, Tanh, batch 500: what waits for the backward half is most of the memory."""

    title = "Deep: 64-(16 times 64)-10, Tanh, batch 500, 40 epochs of Adam on the digits"
    sizes, activation, batch, epochs = ((64,) * 17 + (10,)), gn.Tanh, 500, 40
    policies = ("float32", "mixed float16", "mixed bfloat16")


def declare(sizes: tuple[int, ...], activation: type[gn.Elementwise], seed: int) -> gn.Model:
    """Affine layers with an activation between them."""
    rng = np.random.default_rng(seed)
    x, t = gn.Input("x", ("N", sizes[0])), gn.Input("t", ("N",), dtype="int64")
    y: gn.Node = x
    for i, (a, b) in enumerate(pairwise(sizes)):
        W = gn.Parameter(f"W{i}", rng.normal(0, a**-0.5, (a, b)))
        y = gn.Affine(activation(y) if i else y, W, gn.Parameter(f"b{i}", np.zeros(b)))
    return gn.Model(x, t, y, gn.SoftmaxCE(y, t))


def row(case: Spiral | Digits, policy: str, backend: str) -> str:
    """One line of the table."""
    dtype, precision = POLICIES[policy]
    accuracies, times = [], []
    with gn.default_dtype(dtype):
        for seed in SEEDS:
            trainer = gn.Trainer(
                declare(case.sizes, case.activation, seed), case.optimizer(), backend=backend, precision=precision
            )
            trainer.fit(*case.train, max_epoch=case.epochs, batch_size=case.batch, eval_interval=None)
            accuracies.append(trainer.model.accuracy(*case.test))
        step = trainer.program()
        feeds = {"x": case.train[0], "t": case.train[1]}
        for _ in range(5):
            start = time.process_time()
            step.loop(feeds, case.batch, epochs=5, shuffle=0)
            times.append((time.process_time() - start) / 5 / -(-len(case.train[1]) // case.batch) * 1e6)
    low, middle, high = sorted(accuracies)
    arenas = [step.plan.arena_bytes(N=n) / 1024 for n in (case.batch, 1000)]
    spread = np.median(times) / min(times) - 1
    return (
        f"| {policy} | {backend} | {low:.3f} {middle:.3f} {high:.3f} | {arenas[0]:,.1f} | {arenas[1]:,.0f} "
        f"| {min(times):,.1f} | +{spread:.0%} |".replace("%", " %")
    )


def table(case: Spiral | Digits) -> str:
    """The measurements of a case."""
    lines = [
        f"### {case.title}",
        "",
        "| | backend | accuracy, three seeds | arena, KiB | at 1,000 | us a step | spread |",
        "|---|---|---|---|---|---|---|",
    ]
    for backend, state in gn.backends().items():
        if state == "ok":
            for policy in case.policies:
                lines.append(row(case, policy, backend))
                print(lines[-1], flush=True)
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="a Markdown file, whose section on precision is replaced")
    given = parser.parse_args()
    machine = f"{platform.machine()}, Python {platform.python_version()}, NumPy {np.__version__}, one thread"
    parts = [ABOUT.format(machine=machine)]
    parts += [table(case()) for case in (Spiral, Digits, DeepDigits)]
    if given.write:
        before = given.write.read_text()
        first, _, rest = before.partition("## Precision")
        after = rest.partition("\n## ")
        tail = f"\n\n## {after[2].rstrip()}" if after[1] else ""
        given.write.write_text(first.rstrip() + "\n\n" + "\n\n".join(parts) + tail + "\n")
    else:
        print("\n\n".join(parts), file=sys.stderr)


if __name__ == "__main__":
    main()
