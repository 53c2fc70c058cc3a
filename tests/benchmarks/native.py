"""The native backend beside its rivals, in one run: `python tests/benchmarks/native.py [--write docs/benchmarks.md]`.

Cases: the spiral net (2-10-3, batch 30, float64), 784-100-10 (batch 100, float32), 784-1024-1024-10 (batch 256,
float32), 100 layers of 8x8 (batch 4, float32). Rivals: a loop in C, compiled by the system's compiler (the spiral);
the matrix products alone, by the BLAS library; NumPy as textbooks write it; JAX, one `scan` over all steps, and
PyTorch, eager, where they are installed. Each is the best of several rounds taken in turn, with the spread beside it:
the ratios count, for all ran in one process on one machine.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np

import graphnn as gn

Runs = dict[str, Callable[[], float]]
ROUNDS = 7


def layers(sizes: list[int], dtype: str, scale: float | None = None) -> list[np.ndarray]:
    """Weights and biases in turn."""
    rng = np.random.default_rng(0)
    made = []
    for a, b in pairwise(sizes):
        made += [((scale or a**-0.5) * rng.normal(size=(a, b))).astype(dtype), np.zeros(b, dtype)]
    return made


def data(samples: int, width: int, classes: int, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.normal(size=(samples, width)).astype(dtype), rng.integers(0, classes, samples)


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


def looped(
    sizes: list[int], dtype: str, batch: int, steps: int, samples: int, shuffled: bool, backend: str
) -> Callable[[], float]:
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


def textbook(sizes: list[int], dtype: str, batch: int, steps: int, samples: int) -> Callable[[], float]:
    """The same step as a textbook writes it."""
    p = layers(sizes, dtype)
    x_all, t_all = data(samples, sizes[0], sizes[-1], dtype)
    lr = np.array(0.1, dtype)

    def step(x: np.ndarray, t: np.ndarray) -> float:
        hidden = [x]
        for i in range(0, len(p) - 2, 2):
            hidden.append(1 / (1 + np.exp(-(hidden[-1] @ p[i] + p[i + 1]))))
        s = hidden[-1] @ p[-2] + p[-1]
        e = np.exp(s - s.max(axis=1, keepdims=True))
        y = e / e.sum(axis=1, keepdims=True)
        rows = np.arange(len(t))
        loss = -np.log(y[rows, t]).sum() / len(t)
        y[rows, t] -= 1
        g = y / np.array(len(t), dtype)
        for i in range(len(p) - 2, -1, -2):
            h = hidden[i // 2]
            dw, db = h.T @ g, g.sum(axis=0)
            if i:
                g = (g @ p[i].T) * h * (1 - h)
            p[i] -= lr * dw
            p[i + 1] -= lr * db
        return float(loss)

    def run() -> float:
        start = time.perf_counter()
        for k in range(steps):
            at = k * batch % (samples - batch + 1)
            step(x_all[at : at + batch], t_all[at : at + batch])
        return (time.perf_counter() - start) / steps

    return run


def products_alone(sizes: list[int], dtype: str, batch: int, steps: int) -> Callable[[], float]:
    """The products of a step, nothing else: what the BLAS library that SciPy brings takes for them."""
    from scipy.linalg import blas

    gemm = blas.sgemm if dtype == "float32" else blas.dgemm
    rng = np.random.default_rng(0)
    calls = []
    for i, (a, b) in enumerate(pairwise(sizes)):
        x, w, g = (np.asfortranarray(rng.normal(size=s).astype(dtype)) for s in ((a, batch), (b, a), (b, batch)))
        out, dw, dx = (np.zeros(s, dtype, order="F") for s in ((b, batch), (b, a), (a, batch)))
        calls.append(lambda w=w, x=x, c=out: gemm(1.0, w, x, 0.0, c, 0, 0, 1))
        calls.append(lambda x=x, g=g, c=dw: gemm(1.0, g, x, 0.0, c, 0, 1, 1))
        if i:
            calls.append(lambda w=w, g=g, c=dx: gemm(1.0, w, g, 0.0, c, 1, 0, 1))

    def run() -> float:
        start = time.perf_counter()
        for _ in range(steps):
            for call in calls:
                call()
        return (time.perf_counter() - start) / steps

    return run


def in_c(batch: int, steps: int, samples: int) -> Callable[[], float] | None:
    """The spiral's loop in C, with gathered batches; vector exp by the compiler's fast mathematics."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    folder = tempfile.mkdtemp()
    library = Path(folder) / "spiral.so"
    source = Path(__file__).with_name("spiral.c")
    flags = ["-O3", "-march=native", "-ffast-math", "-shared", "-fPIC"]
    subprocess.run([compiler, *flags, str(source), "-o", str(library), "-lm"], check=True)
    train = ctypes.CDLL(str(library)).train
    train.restype = ctypes.c_double
    x, t = data(samples, 2, 3, "float64")
    epochs = max(1, steps * batch // samples)
    orders = np.array([np.random.default_rng(e).permutation(samples) for e in range(epochs)])
    weights = layers([2, 10, 3], "float64")
    losses = np.zeros(epochs * (samples // batch))
    arrays = (x, t, orders, *weights, losses)

    def run() -> float:
        pointers = [ctypes.c_void_p(a.ctypes.data) for a in arrays]
        start = time.perf_counter()
        train(*pointers, ctypes.c_long(epochs), ctypes.c_long(samples), ctypes.c_double(0.1))
        return (time.perf_counter() - start) / len(losses)

    return run


def in_jax(
    sizes: list[int], dtype: str, batch: int, steps: int, samples: int, scan: bool
) -> Callable[[], float] | None:
    try:
        import jax
        import jax.numpy as jnp
    except ImportError:
        return None
    jax.config.update("jax_enable_x64", dtype == "float64")
    x_all, t_all = map(jnp.asarray, data(samples, sizes[0], sizes[-1], dtype))
    count = samples // batch
    xs, ts = x_all[: count * batch].reshape(count, batch, -1), t_all[: count * batch].reshape(count, batch)
    p = [jnp.asarray(a) for a in layers(sizes, dtype)]

    def loss_of(p, x, t):
        for i in range(0, len(p) - 2, 2):
            x = jax.nn.sigmoid(x @ p[i] + p[i + 1])
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(x @ p[-2] + p[-1]), t[:, None], 1))

    def step(p, batch_of):
        loss, g = jax.value_and_grad(loss_of)(p, *batch_of)
        return [a - 0.1 * b for a, b in zip(p, g, strict=True)], loss

    def epochs(p):
        return jax.lax.scan(lambda p, k: step(p, (xs[k % count], ts[k % count])), p, jnp.arange(steps))

    one, many = jax.jit(step), jax.jit(epochs)
    jax.block_until_ready(many(p) if scan else one(p, (xs[0], ts[0])))

    def run() -> float:
        start, q = time.perf_counter(), p
        if scan:
            jax.block_until_ready(many(q))
        else:
            for k in range(steps):
                q, loss = one(q, (xs[k % count], ts[k % count]))
            jax.block_until_ready(loss)
        return (time.perf_counter() - start) / steps

    return run


def in_torch(sizes: list[int], dtype: str, batch: int, steps: int, samples: int) -> Callable[[], float] | None:
    try:
        import torch
    except ImportError:
        return None
    x_all, t_all = (torch.from_numpy(a) for a in data(samples, sizes[0], sizes[-1], dtype))
    p = [torch.from_numpy(a.copy()).requires_grad_() for a in layers(sizes, dtype)]

    def run() -> float:
        start = time.perf_counter()
        for k in range(steps):
            at = k * batch % (samples - batch + 1)
            y = x_all[at : at + batch]
            for i in range(0, len(p) - 2, 2):
                y = torch.sigmoid(y @ p[i] + p[i + 1])
            loss = torch.nn.functional.cross_entropy(y @ p[-2] + p[-1], t_all[at : at + batch])
            gradients = torch.autograd.grad(loss, p)
            with torch.no_grad():
                for a, g in zip(p, gradients, strict=True):
                    a -= 0.1 * g
        return (time.perf_counter() - start) / steps

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
    maybe: dict[str, Callable[[], float] | None] = {
        "graphnn native": looped(sizes, dtype, batch, steps, samples, small and len(sizes) < 10, "native"),
        "C loop": in_c(batch, steps, samples) if case.startswith("spiral") else None,
        "products alone": None if small else products_alone(sizes, dtype, batch, steps),
        "JAX scan": in_jax(sizes, dtype, batch, steps, samples, True) if len(sizes) < 10 else None,
        "JAX jit": in_jax(sizes, dtype, batch, few, samples, False),
        "PyTorch eager": in_torch(sizes, dtype, batch, few, samples),
        "graphnn numpy": looped(sizes, dtype, batch, few, samples, small and len(sizes) < 10, "numpy"),
        "NumPy textbook": textbook(sizes, dtype, batch, few, samples),
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


def machine() -> str:
    """The machine and the versions."""
    import llvmlite
    import scipy

    name = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        found = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        name = found[0].split(":")[1].strip() if found else name
    versions = f"Python {platform.python_version()}, NumPy {np.__version__}, SciPy {scipy.__version__}"
    return f"{name}, {os.cpu_count()} cores; {versions}, llvmlite {llvmlite.__version__}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="a Markdown file, whose section on the native backend is replaced")
    parser.add_argument("--only", help="part of a case's name")
    given = parser.parse_args()
    parts = [f"## native\n\n{machine()} Best of {ROUNDS} rounds in turn; the spread is the median's distance."]
    for case in CASES:
        if not given.only or given.only in case:
            parts.append(table(case, measure(runs_of(case))))
            print(parts[-1], flush=True)
    if given.write:
        before = given.write.read_text() if given.write.exists() else "# Benchmarks\n"
        head = before.split("## native")[0].rstrip()
        rest = before.split("## native")[1].split("\n## ", 1)[1:] if "## native" in before else []
        given.write.write_text("\n\n".join([head, *parts, *(f"## {section}" for section in rest)]).rstrip() + "\n")


if __name__ == "__main__":
    main()
