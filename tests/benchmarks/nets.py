"""Nets of the examples beside PyTorch, eager, in one run: `python tests/benchmarks/nets.py --write docs/benchmarks.md`.

The convolution net of `examples/04_digits_convnet.py` and the LSTM of `examples/05_characters_lstm.py`, both from the
same weights, on the same batches, with Adam. Both sides use one thread. Each is the best of several rounds in turn, in
CPU time, with the median's distance beside it. The losses of both sides are compared before anything is timed.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import graphnn as gn
from examples import example

ROUNDS = 5
Runs = dict[str, Callable[[], list[float]]]


def ours(declare: Callable[[], gn.Model], x: np.ndarray, t: np.ndarray, batch: int, lr: float, backend: str) -> Any:
    """A loop over all batches, from the weights as declared each time: its losses."""
    model = declare()
    step = gn.compile(model.loss, gn.Adam(lr=lr).updates(model.loss), backend=backend)
    start = step.state

    def run() -> list[float]:
        step.restore(start)
        return list(step.loop({"x": x, "t": t}, batch).ravel())

    return run


class InTorch:
    """The same weights as tensors, by name."""

    def __init__(self, model: gn.Model) -> None:
        self.first = {name: torch.from_numpy(p.value) for name, p in model.parameters.items()}
        self.p: dict[str, torch.Tensor] = {}

    def train(
        self, score: Callable[[Any, dict[str, Any]], Any], x: np.ndarray, t: np.ndarray, batch: int, lr: float
    ) -> Callable[[], list[float]]:
        xs, ts = torch.from_numpy(x).split(batch), torch.from_numpy(t).split(batch)

        def run() -> list[float]:
            p = {name: value.clone().requires_grad_() for name, value in self.first.items()}
            adam = torch.optim.Adam(p.values(), lr=lr)
            losses = []
            for a, b in zip(xs, ts, strict=True):
                scores = score(a, p)
                loss = torch.nn.functional.cross_entropy(scores.reshape(-1, scores.shape[-1]), b.reshape(-1))
                adam.zero_grad()
                loss.backward()
                adam.step()
                losses.append(loss.item())
            return losses

        return run


def convnet() -> tuple[str, Runs, int]:
    digits = example("04_digits_convnet")
    x, t, _, _ = digits.data()
    x, batch, lr = x[:1000].astype(np.float32), digits.BATCH, digits.LR
    t = t[:1000].astype(np.int64)

    def score(a: Any, p: dict[str, Any]) -> Any:
        conv, relu = torch.nn.functional.conv2d, torch.relu
        h = relu(conv(a, p["first.W"], p["first.b"], padding="same"))
        h = relu(conv(h, p["second.W"], p["second.b"], padding="same"))
        h = torch.nn.functional.max_pool2d(h, 2).flatten(1)
        return h @ p["scores.W"] + p["scores.b"]

    runs: Runs = {f"graphnn {b}": ours(digits.declare, x, t, batch, lr, b) for b in ("native", "numpy")}
    runs["PyTorch eager"] = InTorch(digits.declare()).train(score, x, t, batch, lr)
    return f"digits convolution net, batch {batch}, float32", runs, len(x) // batch


def lstm() -> tuple[str, Runs, int]:
    letters = example("05_characters_lstm")
    reader = letters.Reader(letters.TEXT.read_text(encoding="utf-8"))
    x, t = reader.windows()
    batch, lr = letters.BATCH, letters.LR
    x, t = x[: 10 * batch], t[: 10 * batch]

    def score(a: Any, p: dict[str, Any]) -> Any:
        """One product for the letters of all places, then the cell, place by place: gates i, f, o and the value."""
        entering = p["table"][a] @ p["W"] + p["b"]
        h = c = torch.zeros(len(a), letters.UNITS)
        hidden = []
        for place in range(a.shape[1]):
            i, f, g, o = (entering[:, place] + h @ p["R"]).chunk(4, dim=1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            hidden.append(h)
        return torch.stack(hidden, 1) @ p["V"] + p["a"]

    declare = lambda: letters.declare(len(reader.characters))  # noqa: E731
    runs: Runs = {f"graphnn {b}": ours(declare, x, t, batch, lr, b) for b in ("native", "numpy")}
    runs["PyTorch eager"] = InTorch(declare()).train(score, x, t, batch, lr)
    return f"LSTM over Scan, {letters.LENGTH} places of {letters.UNITS} units, batch {batch}, float32", runs, 10


def measure(runs: Runs) -> dict[str, list[float]]:
    """CPU seconds of each, in rounds in turn; first of all, do they compute the same?"""
    losses = {name: run() for name, run in runs.items()}
    for name, found in losses.items():
        np.testing.assert_allclose(found[:3], losses["PyTorch eager"][:3], rtol=2e-3, err_msg=name)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            start = time.process_time()
            run()
            times[name].append(time.process_time() - start)
    return times


def table(case: str, times: dict[str, list[float]], steps: int) -> str:
    native = min(times["graphnn native"])
    lines = [f"### {case}", "", "| | ms a step, best | spread | native is |", "|---|---|---|---|"]
    for name, taken in times.items():
        best, middle = min(taken), sorted(taken)[len(taken) // 2]
        lines.append(f"| {name} | {best / steps * 1e3:.3f} | +{middle / best - 1:.0%} | {native / best:.2f} x |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", type=Path, help="a Markdown file, whose section on nets is replaced")
    given = parser.parse_args()
    torch.set_num_threads(1)
    versions = f"Python {platform.python_version()}, NumPy {np.__version__}, PyTorch {torch.__version__}"
    parts = [
        f"## Nets\n\n`python tests/benchmarks/nets.py --write docs/benchmarks.md` rewrites this section. {versions}."
    ]
    for case, runs, steps in (convnet(), lstm()):
        parts.append(table(case, measure(runs), steps))
        print(parts[-1], flush=True)
    if given.write:
        before = given.write.read_text()
        head = before.split("## Nets")[0].rstrip()
        rest = before.split("## Nets")[1].split("\n## ", 1)[1:] if "## Nets" in before else []
        given.write.write_text("\n\n".join([head, *parts, *(f"## {section}" for section in rest)]).rstrip() + "\n")


if __name__ == "__main__":
    main()
