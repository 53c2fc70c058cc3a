"""The rivals of the native backend: the same step of the same net, each as its own users would write it.

Each function gives a call that trains for some steps and returns the seconds a step, or None where the rival is not
installed.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np

Run = Callable[[], float]


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


def textbook(sizes: list[int], dtype: str, batch: int, steps: int, samples: int) -> Run:
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


def products_alone(sizes: list[int], dtype: str, batch: int, steps: int) -> Run:
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


def in_c(batch: int, steps: int, samples: int) -> Run | None:
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


def in_jax(sizes: list[int], dtype: str, batch: int, steps: int, samples: int, scan: bool) -> Run | None:
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


def in_torch(sizes: list[int], dtype: str, batch: int, steps: int, samples: int) -> Run | None:
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


def in_pytensor(sizes: list[int], dtype: str, batch: int, steps: int, samples: int) -> Run | None:
    try:
        import pytensor
        import pytensor.tensor as pt
    except ImportError:
        return None
    x, t = pt.matrix("x", dtype=dtype), pt.lvector("t")
    p = [pytensor.shared(a) for a in layers(sizes, dtype)]
    y = x
    for i in range(0, len(p) - 2, 2):
        y = pt.sigmoid(y @ p[i] + p[i + 1])
    scores = pt.special.log_softmax(y @ p[-2] + p[-1], axis=1)
    loss = -pt.mean(scores[pt.arange(t.shape[0]), t])
    rate = np.array(0.1, dtype)
    updates = [(a, (a - rate * g).astype(dtype)) for a, g in zip(p, pt.grad(loss, p), strict=True)]
    step = pytensor.function([x, t], loss, updates=updates)
    x_all, t_all = data(samples, sizes[0], sizes[-1], dtype)

    def run() -> float:
        start = time.perf_counter()
        for k in range(steps):
            at = k * batch % (samples - batch + 1)
            step(x_all[at : at + batch], t_all[at : at + batch])
        return (time.perf_counter() - start) / steps

    return run
