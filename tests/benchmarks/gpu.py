"""The CuPy backend beside its rivals on one GPU, in one run: `python tests/benchmarks/gpu.py [--write FILE]`.

Cases: the spiral net (2-10-3, batch 30), 784-128-10 (batch 64), 784-4096-4096-10 (batch 1024), all float32 with ReLU
and SoftmaxCE, the last one in TF32 and bfloat16 too. Rivals, where they are installed: PyTorch with the whole step in
a CUDA graph, and JAX, one `scan` over all steps. Data are random, each time is the best of several rounds taken in
turn, with the distance of the median beside it. Beside every time stands how far the loss of the first steps lies
from that of float64 on NumPy.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np

import graphnn as gn

ROUNDS = 7
CHECKED = 5
"""So many steps are compared with NumPy."""
CASES: dict[str, tuple[list[int], int, int, int, list[str | None]]] = {
    "spiral 2-10-3, batch 30": ([2, 10, 3], 30, 300, 20_000, [None]),
    "784-128-10, batch 64": ([784, 128, 10], 64, 6_400, 2_000, [None]),
    "784-4096-4096-10, batch 1024": ([784, 4096, 4096, 10], 1024, 8_192, 200, [None, "tf32", "bf16"]),
}
"""Sizes of the layers, batch, samples, steps of a round, and precisions."""


def weights(sizes: list[int]) -> list[np.ndarray]:
    """Weights and biases in turn."""
    rng = np.random.default_rng(0)
    return [a for n, m in pairwise(sizes) for a in (rng.normal(size=(n, m)) * (2 / n) ** 0.5, np.zeros(m))]


def data(samples: int, sizes: list[int]) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.normal(size=(samples, sizes[0])).astype("float32"), rng.integers(0, sizes[-1], samples)


def program(sizes: list[int], backend: str, dtype: str, precision: str | None) -> gn.Executable:
    x, t = gn.Input("x", ("N", sizes[0]), dtype=dtype), gn.Input("t", ("N",), dtype="int64")
    held = weights(sizes)
    y: gn.Node = x
    for i in range(0, len(held), 2):
        w, b = gn.Parameter(f"W{i}", held[i], dtype=dtype), gn.Parameter(f"b{i}", held[i + 1], dtype=dtype)
        y = gn.Affine(gn.ReLU(y) if i else y, w, b)
    loss = gn.SoftmaxCE(y, t)
    return gn.compile(loss, gn.SGD(lr=0.01).updates(loss), backend=backend, precision=precision)


def expected(sizes: list[int], batch: int) -> np.ndarray:
    """The losses of the first steps, in float64 on NumPy."""
    x, t = data(CHECKED * batch, sizes)
    return program(sizes, "numpy", "float64", None).loop({"x": x, "t": t}, batch)[0]


def ours(sizes: list[int], batch: int, samples: int, steps: int, precision: str | None) -> tuple[Callable, np.ndarray]:
    """What runs a round and returns seconds a step; and the first losses."""
    f = program(sizes, "cupy", "float32", precision)
    first = dict(zip("xt", data(CHECKED * batch, sizes), strict=True))
    losses = f.loop(first, batch)[0]
    x, t = data(samples, sizes)
    epochs = max(1, steps * batch // samples)

    def run() -> float:
        start = time.perf_counter()
        f.loop({"x": x, "t": t}, batch, epochs, shuffle=0, drop_last=True)
        return (time.perf_counter() - start) / (epochs * (samples // batch))

    run()
    return run, losses


def in_torch(sizes: list[int], batch: int, steps: int, precision: str | None) -> tuple[Callable, np.ndarray] | None:
    """PyTorch, the whole step in a CUDA graph; gathering is not in it."""
    try:
        import torch
    except ImportError:
        return None
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    p = [torch.tensor(a, dtype=torch.float32, device="cuda", requires_grad=True) for a in weights(sizes)]
    xs, ts = (torch.from_numpy(a).cuda() for a in data(CHECKED * batch, sizes))
    x, t = xs[:batch].clone(), ts[:batch].clone()

    def step() -> torch.Tensor:
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=precision == "bf16", cache_enabled=False):
            y = x
            for i in range(0, len(p), 2):
                y = (torch.relu(y) if i else y) @ p[i] + p[i + 1]
            loss = torch.nn.functional.cross_entropy(y, t)
        with torch.no_grad():
            for a, g in zip(p, torch.autograd.grad(loss, p), strict=True):
                a -= 0.01 * g
        return loss

    start = [a.detach().clone() for a in p]
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = step()
    with torch.no_grad():
        for a, before in zip(p, start, strict=True):
            a.copy_(before)
    losses = []
    for i in range(CHECKED):
        x.copy_(xs[i * batch : (i + 1) * batch])
        t.copy_(ts[i * batch : (i + 1) * batch])
        graph.replay()
        losses.append(float(loss))

    def run() -> float:
        begun = time.perf_counter()
        for _ in range(steps):
            graph.replay()
        torch.cuda.synchronize()
        return (time.perf_counter() - begun) / steps

    return run, np.array(losses)


def in_jax(sizes: list[int], batch: int, steps: int, precision: str | None) -> tuple[Callable, np.ndarray] | None:
    """JAX, one scan over all steps."""
    try:
        import jax
        import jax.numpy as jnp
    except ImportError:
        return None
    jax.config.update(
        "jax_default_matmul_precision", {None: "float32", "tf32": "tensorfloat32", "bf16": "bfloat16"}[precision]
    )
    x_all, t_all = map(jnp.asarray, data(CHECKED * batch, sizes))
    xs, ts = x_all.reshape(CHECKED, batch, -1), t_all.reshape(CHECKED, batch)
    p = [jnp.asarray(a, jnp.float32) for a in weights(sizes)]

    def loss_of(p, x, t):
        for i in range(0, len(p), 2):
            x = (jax.nn.relu(x) if i else x) @ p[i] + p[i + 1]
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(x), t[:, None], 1))

    def step(p, k):
        loss, g = jax.value_and_grad(loss_of)(p, xs[k % CHECKED], ts[k % CHECKED])
        return [a - 0.01 * b for a, b in zip(p, g, strict=True)], loss

    many = jax.jit(lambda p: jax.lax.scan(step, p, jnp.arange(steps)))
    losses = np.array(jax.block_until_ready(many(p))[1][:CHECKED])

    def run() -> float:
        begun = time.perf_counter()
        jax.block_until_ready(many(p))
        return (time.perf_counter() - begun) / steps

    return run, losses


def runs_of(case: str) -> dict[str, tuple[Callable, np.ndarray]]:
    sizes, batch, samples, steps, precisions = CASES[case]
    found: dict[str, tuple[Callable, np.ndarray] | None] = {}
    for precision in precisions:
        name = precision or "float32"
        found[f"graphnn cupy, {name}"] = ours(sizes, batch, samples, steps, precision)
        found[f"PyTorch CUDA graph, {name}"] = in_torch(sizes, batch, steps, precision)
        found[f"JAX scan, {name}"] = in_jax(sizes, batch, steps, precision)
    return {name: run for name, run in found.items() if run is not None}


def table(case: str) -> str:
    sizes, batch, *_ = CASES[case]
    reference = expected(sizes, batch)
    runs = runs_of(case)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):  # in turn, so that all meet the same disturbances
        for name, (run, _) in runs.items():
            times[name].append(run())
    lines = [f"### {case}", "", "| | us a step, best | spread | loss against float64 |", "|---|---|---|---|"]
    for name, taken in times.items():
        best, middle = min(taken), sorted(taken)[len(taken) // 2]
        error = float(np.max(np.abs(runs[name][1] - reference) / np.abs(reference)))
        lines.append(f"| {name} | {best * 1e6:.2f} | +{100 * (middle / best - 1):.0f} % | {error:.1e} |")
    return "\n".join(lines)


def machine() -> str:
    """The GPU and the versions."""
    import cupy

    name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    driver, runtime = cupy.cuda.runtime.driverGetVersion(), cupy.cuda.runtime.runtimeGetVersion()
    return f"{name}; driver {driver}, CUDA {runtime}, CuPy {cupy.__version__}, NumPy {np.__version__}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="a Markdown file, whose section on the GPU is replaced")
    parser.add_argument("--only", help="part of a case's name")
    given = parser.parse_args()
    state = gn.backends()["cupy"]
    if state != "ok":
        sys.exit(f"backend 'cupy': {state}.")
    parts = [f"## cupy\n\n{machine()} Best of {ROUNDS} rounds in turn; the spread is the median's distance."]
    for case in CASES:
        if not given.only or given.only in case:
            parts.append(table(case))
            print(parts[-1], flush=True)
    if given.write:
        before = given.write.read_text() if given.write.exists() else "# Benchmarks\n"
        head = before.split("## cupy")[0].rstrip()
        rest = before.split("## cupy")[1].split("\n## ", 1)[1:] if "## cupy" in before else []
        given.write.write_text("\n\n".join([head, *parts, *(f"## {section}" for section in rest)]).rstrip() + "\n")


if __name__ == "__main__":
    main()
