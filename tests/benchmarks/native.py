"""The native backend beside its rivals, in one run: `python tests/benchmarks/native.py [--write docs/benchmarks.md]`.

Cases: the spiral net (2-10-3, batch 30, float64), 784-100-10 (batch 100, float32), 784-1024-1024-10 (batch 256,
float32), 100 layers of 8x8 (batch 4, float32). Rivals: a loop in C, compiled by the system's compiler (the spiral);
the matrix products alone, by the BLAS library; NumPy as textbooks write it; and, where they are installed, JAX by `jit`
and by one `scan` over all steps, PyTorch, eager, and PyTensor. All run on one core, the best of several rounds taken in
turn, with the spread beside it. The second table is the time from a declaration to the first finished step, each in a
process of its own. `--plot` draws both.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from rivals import Run, data, in_c, in_jax, in_pytensor, in_torch, layers, products_alone, textbook

import graphnn as gn

Runs = dict[str, Run]
ROUNDS = 7
HOW = (
    "OPENBLAS_NUM_THREADS=1 python tests/benchmarks/native.py --write docs/benchmarks.md --plot docs/images/native.svg"
)


def program(sizes: list[int], dtype: str, backend: str, lr: float) -> gn.Executable:
    """The step of a net with Sigmoid between the layers and SoftmaxCE at the end."""
    x, t = gn.Input("x", ("N", sizes[0]), dtype=dtype), gn.Input("t", ("N",), dtype="int64")
    weights = layers(sizes, dtype)
    y: gn.Node = x
    for i in range(0, len(weights), 2):
        w, b = gn.Parameter(f"W{i}", weights[i], dtype=dtype), gn.Parameter(f"b{i}", weights[i + 1], dtype=dtype)
        y = gn.Affine(gn.Sigmoid(y) if i else y, w, b)
    loss = gn.SoftmaxCE(y, t)
    return gn.compile(loss, gn.SGD(lr=lr).updates(loss), backend=backend)


def looped(sizes: list[int], dtype: str, batch: int, steps: int, samples: int, shuffled: bool, backend: str) -> Run:
    f = program(sizes, dtype, backend, 0.1)
    x, t = data(samples, sizes[0], sizes[-1], dtype)
    epochs = max(1, steps * batch // samples)
    orders = np.array([np.random.default_rng(e).permutation(samples) for e in range(epochs)]) if shuffled else None
    f.loop({"x": x, "t": t}, batch, 1)

    def run() -> float:
        start = time.perf_counter()
        f.loop({"x": x, "t": t}, batch, epochs, shuffle=orders)
        return (time.perf_counter() - start) / (epochs * (samples // batch))

    return run


CASES: dict[str, tuple[list[int], str, int, int, int]] = {
    "spiral 2-10-3, batch 30, float64": ([2, 10, 3], "float64", 30, 20_000, 300),
    "784-100-10, batch 100, float32": ([784, 100, 10], "float32", 100, 200, 2_000),
    "784-1024-1024-10, batch 256, float32": ([784, 1024, 1024, 10], "float32", 256, 8, 2_048),
    "100 layers of 8x8, batch 4, float32": ([8] * 101, "float32", 4, 300, 40),
}


def runs_of(case: str) -> Runs:
    sizes, dtype, batch, steps, samples = CASES[case]
    few = max(4, steps // 20) if len(sizes) > 10 or batch == 30 else steps
    small = batch <= 30
    net = (sizes, dtype, batch)
    maybe: dict[str, Run | None] = {
        "graphnn native": looped(*net, steps, samples, small and len(sizes) < 10, "native"),
        "C loop": in_c(batch, steps, samples) if case.startswith("spiral") else None,
        "products alone": None if small else products_alone(*net, steps),
        "JAX scan": in_jax(*net, steps, samples, True) if len(sizes) < 10 else None,
        "JAX jit": in_jax(*net, few, samples, False),
        "PyTorch eager": in_torch(*net, few, samples),
        "PyTensor": in_pytensor(*net, few, samples) if len(sizes) < 10 else None,
        "graphnn numpy": looped(*net, few, samples, small and len(sizes) < 10, "numpy"),
        "NumPy textbook": textbook(*net, few, samples),
    }
    return {name: run for name, run in maybe.items() if run is not None}


def measure(runs: Runs) -> dict[str, list[float]]:
    """Rounds in turn, so that all rivals meet the same disturbances."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            times[name].append(run())
    return times


def table(case: str, times: dict[str, list[float]]) -> str:
    ours = min(times["graphnn native"])
    lines = [f"### {case}", "", "| | us a step, best | spread | native is |", "|---|---|---|---|"]
    for name, taken in times.items():
        best, middle = min(taken), sorted(taken)[len(taken) // 2]
        lines.append(f"| {name} | {best * 1e6:.2f} | +{100 * (middle / best - 1):.0f} % | {ours / best:.2f} x |")
    return "\n".join(lines)


# From a declaration to the first finished step -------------------------------------------------------------------

STARTS = {"spiral 2-10-3": [2, 10, 3], "100 layers of 8x8": [8] * 101, "1,000 layers of 8x8": [8] * 1001}
WHO = ("graphnn native", "the same again, from the cache", "graphnn numpy", "JAX jit")


def first_step(who: str, sizes: list[int]) -> float:
    """CPU seconds in this process, imports left out."""
    batch = 30 if len(sizes) == 3 else 4
    if who == "JAX jit":
        __import__("jax").numpy.zeros(3).block_until_ready()
        start = time.process_time()
        run = in_jax(sizes, "float32", batch, 1, batch, False)
        assert run is not None
        run()
        return time.process_time() - start
    backend = "numpy" if who.endswith("numpy") else "native"
    x, t = data(batch, sizes[0], sizes[-1], "float32")
    gn.compile(gn.Exp(gn.Input("x", ())), backend=backend)(x=0.0)  # what is loaded when it is first needed
    start = time.process_time()
    program(sizes, "float32", backend, 0.1)(x=x, t=t)
    return time.process_time() - start


def starts(rounds: int) -> str:
    """Each in a process of its own; native code for the first time with an empty cache, then with a full one."""
    lines = ["### From a declaration to the first finished step, CPU seconds", ""]
    lines += [f"| | {' | '.join(STARTS)} |", "|---|" + "---|" * len(STARTS)]
    rows: dict[str, list[str]] = {who: [] for who in WHO}
    for case in STARTS:
        taken: dict[str, list[float]] = {who: [] for who in WHO}
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as cache:
                for who in WHO:
                    environment = {**os.environ, "GRAPHNN_CACHE": cache}
                    command = [sys.executable, __file__, "--start", who, case]
                    done = subprocess.run(command, capture_output=True, text=True, env=environment)
                    if done.returncode == 0:
                        taken[who].append(float(done.stdout.split()[-1]))
        for who, seconds in taken.items():
            best = f"{min(seconds):.3f} (+{100 * (sorted(seconds)[len(seconds) // 2] / min(seconds) - 1):.0f} %)"
            rows[who].append(best if seconds else "not installed")
    return "\n".join([*lines, *(f"| {who} | {' | '.join(row)} |" for who, row in rows.items())])


# Writing it down -------------------------------------------------------------------------------------------------


def machine() -> str:
    """The machine and the versions."""
    name = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        found = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        name = found[0].split(":")[1].strip() if found else name
    versions = [f"Python {platform.python_version()}"]
    for package in ("numpy", "scipy", "llvmlite", "jax", "torch", "pytensor"):
        try:
            versions.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return f"{name}, one core of {os.cpu_count()}; {', '.join(versions)}."


def plot(found: dict[str, dict[str, list[float]]], path: str) -> None:
    """Bars of each case: how many times as long as native code each rival takes."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(found), figsize=(3.4 * len(found), 3.2), squeeze=False)
    for ax, (case, times) in zip(axes[0], found.items(), strict=True):
        ours = min(times["graphnn native"])
        names = list(reversed(times))
        ratios = [min(times[name]) / ours for name in names]
        ax.barh(names, ratios, color=["0.3" if name == "graphnn native" else "0.75" for name in names])
        ax.set(
            xscale="log" if max(ratios) > 20 else "linear", title=case.split(",")[0], xlabel="times as long as native"
        )
        for y, ratio in enumerate(ratios):
            ax.text(ratio, y, f" {ratio:.2f}", va="center", fontsize=7)
        ax.margins(x=0.3)
        ax.tick_params(labelsize=7)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None} if path.endswith(".svg") else None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="a Markdown file, whose section on the native backend is replaced")
    parser.add_argument("--only", help="part of a case's name")
    parser.add_argument("--plot", help="a picture to draw into")
    parser.add_argument("--rounds", type=int, default=3, help="processes for each start")
    parser.add_argument("--start", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    if given.start:
        print(first_step(given.start[0], STARTS[given.start[1]]))
        return
    parts = [
        f"## native\n\n`{HOW}` rewrites this section.\n\n{machine()} "
        f"Best of {ROUNDS} rounds in turn; the spread is the median's distance."
    ]
    found = {}
    for case in CASES:
        if not given.only or given.only in case:
            found[case] = measure(runs_of(case))
            parts.append(table(case, found[case]))
            print(parts[-1], flush=True)
    if not given.only:
        parts.append(starts(given.rounds))
        print(parts[-1], flush=True)
    if given.plot:
        plot(found, given.plot)
        parts.append("![How many times as long as native code each takes](images/native.svg)")
    if given.write:
        before = given.write.read_text() if given.write.exists() else "# Benchmarks\n"
        head = before.split("## native")[0].rstrip()
        rest = before.split("## native")[1].split("\n## ", 1)[1:] if "## native" in before else []
        given.write.write_text("\n\n".join([head, *parts, *(f"## {section}" for section in rest)]).rstrip() + "\n")


if __name__ == "__main__":
    main()
