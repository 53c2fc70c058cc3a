"""A training step of an LSTM over `Scan`, beside the same net by hand in NumPy: `python loops.py [threads]`.

The rival keeps all that its forward pass computes, and has no optimiser; graphnn recomputes each turn from its carry,
and updates its parameters by Adam. Both in float32; the best of some steps, taken in turn.
"""

import os
import sys

os.environ.setdefault("OPENBLAS_NUM_THREADS", sys.argv[1] if len(sys.argv) > 1 else "1")

import time

import numpy as np

import graphnn as gn

ROWS, LENGTH, UNITS, CHARACTERS, STEPS = 32, 32, 64, 27, 20


def programs(x):
    """For each backend that works here, a function that does one step."""
    for name, state in gn.backends().items():
        if state != "ok":
            continue
        ids, labels = (gn.Input(word, ("N", "T"), dtype="int64") for word in ("x", "t"))
        hidden = gn.nn.recurrent(gn.nn.embedding(ids, CHARACTERS, UNITS), UNITS)
        loss = gn.SoftmaxCE(gn.nn.affine(hidden, CHARACTERS), labels)
        step = gn.compile(loss, gn.Adam(lr=0.001).updates(loss), backend=name)
        yield f"graphnn on {name}", lambda step=step: step(x=x, t=x)


def by_hand(x):
    """One step in NumPy: the loss's gradients by every weight."""
    rng = np.random.default_rng(0)
    table, V = (rng.normal(size=s).astype("f") for s in ((CHARACTERS, UNITS), (UNITS, CHARACTERS)))
    W, R = (rng.normal(size=(UNITS, 4 * UNITS)).astype("f") / 8 for _ in range(2))
    b = np.zeros(4 * UNITS, "f")

    def sigmoid(z):
        return 1 / (1 + np.exp(-z))

    def step():
        letters, kept = table[x], []
        h = c = np.zeros((ROWS, UNITS), "f")
        hs = np.empty((ROWS, LENGTH, UNITS), "f")
        for k in range(LENGTH):
            i, f, g, o = np.split(letters[:, k] @ W + h @ R + b, 4, axis=1)
            i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
            after = f * c + i * g
            t = np.tanh(after)
            kept.append((h, c, i, f, g, o, t))
            h, c = o * t, after
            hs[:, k] = h
        scores = (hs @ V).reshape(-1, CHARACTERS)
        p = np.exp(scores - scores.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        p[np.arange(len(p)), x.ravel()] -= 1
        p /= len(p)
        dV, dhs = hs.reshape(-1, UNITS).T @ p, (p @ V.T).reshape(hs.shape)
        dW, dR, db, dletters = np.zeros_like(W), np.zeros_like(R), np.zeros_like(b), np.empty_like(letters)
        dh = dc = np.zeros((ROWS, UNITS), "f")
        for k in reversed(range(LENGTH)):
            h, c, i, f, g, o, t = kept[k]
            dh = dh + dhs[:, k]
            dc = dc + dh * o * (1 - t * t)
            gates = (dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g * g), dh * t * o * (1 - o))
            da = np.concatenate(gates, axis=1)
            dW, dR, db = dW + letters[:, k].T @ da, dR + h.T @ da, db + da.sum(axis=0)
            dletters[:, k], dh, dc = da @ W.T, da @ R.T, dc * f
        dtable = np.zeros_like(table)
        np.add.at(dtable, x, dletters)
        return dV, dW, dR, db, dtable

    return step


def main():
    x = np.random.default_rng(0).integers(0, CHARACTERS, (ROWS, LENGTH))
    steps = {"NumPy by hand": by_hand(x), **dict(programs(x))}
    best = dict.fromkeys(steps, float("inf"))
    for step in steps.values():
        step()
    for _ in range(STEPS):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            best[name] = min(best[name], time.perf_counter() - start)
    for name, seconds in best.items():
        print(f"{name:20} {seconds * 1e3:7.2f} ms a step")


if __name__ == "__main__":
    main()
