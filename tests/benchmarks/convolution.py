"""Conv and its gradients against the textbook's im2col in NumPy, in one run: `python tests/benchmarks/convolution.py`.

Set OPENBLAS_NUM_THREADS=1 on a busy machine: threads that wait for each other measure the machine, not the code.
"""

import time

import numpy as np

import graphnn as gn


class Textbook:
    """A convolution layer as textbooks write it: a column for every place of the window, and one product."""

    def __init__(self, W, b, stride, pad):
        self.W, self.b, self.stride, self.pad = W, b, stride, pad

    def columns(self, x):
        k, s, p = self.W.shape[2], self.stride, self.pad
        padded = np.pad(x, [(0, 0), (0, 0), (p, p), (p, p)])
        high, wide = ((n - k) // s + 1 for n in padded.shape[2:])
        found = np.empty((*x.shape[:2], k, k, high, wide), x.dtype)
        for i in range(k):
            for j in range(k):
                found[:, :, i, j] = padded[:, :, i : i + s * high : s, j : j + s * wide : s]
        return found.transpose(0, 4, 5, 1, 2, 3).reshape(len(x) * high * wide, -1), high, wide

    def forward(self, x):
        columns, high, wide = self.columns(x)
        self.kept = x.shape, columns
        y = columns @ self.W.reshape(len(self.W), -1).T + self.b
        return y.reshape(len(x), high, wide, -1).transpose(0, 3, 1, 2)

    def backward(self, g):
        shape, columns = self.kept
        k, s, p = self.W.shape[2], self.stride, self.pad
        high, wide = g.shape[2:]
        rows = g.transpose(0, 2, 3, 1).reshape(-1, len(self.W))
        dW = (columns.T @ rows).T.reshape(self.W.shape)
        back = (rows @ self.W.reshape(len(self.W), -1)).reshape(len(g), high, wide, shape[1], k, k)
        dx = np.zeros((*shape[:2], shape[2] + 2 * p, shape[3] + 2 * p), g.dtype)
        for i in range(k):
            for j in range(k):
                dx[:, :, i : i + s * high : s, j : j + s * wide : s] += back[..., i, j].transpose(0, 3, 1, 2)
        return dx[:, :, p : p + shape[2], p : p + shape[3]], dW, rows.sum(axis=0)


def best(call, repeats=10):
    """The shortest of several runs, in milliseconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def compare(batch, channels, size, filters, kernel, stride, pad):
    """Milliseconds forward and backward (the columns made again), theirs then ours, on the same data."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch, channels, size, size)).astype(np.float32)
    W = rng.normal(size=(filters, channels, kernel, kernel)).astype(np.float32)
    b = rng.normal(size=filters).astype(np.float32)
    book = Textbook(W, b, stride, pad)
    g = rng.normal(size=book.forward(x).shape).astype(np.float32)

    image, upstream = gn.Input("x", ("N", *x.shape[1:])), gn.Input("g", ("N", *g.shape[1:]))
    weights, bias = gn.Parameter("W", W), gn.Parameter("b", b)
    y = gn.Conv(image, weights, bias, stride=stride, padding=pad)
    f, slopes = gn.compile(y), gn.compile(gn.grad(gn.Sum(y * upstream), [image, weights, bias]))
    np.testing.assert_allclose(f(x=x), book.forward(x), rtol=1e-3, atol=1e-3)
    for ours, theirs in zip(slopes(x=x, g=g), book.backward(g), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-2, atol=1e-1)
    forward, backward = (
        1e3 * sum(p.profile(**feeds).seconds) for p, feeds in ((f, {"x": x}), (slopes, {"x": x, "g": g}))
    )
    return best(lambda: book.forward(x)), best(lambda: book.backward(g)), forward, backward


if __name__ == "__main__":
    for case in (
        (64, 1, 8, 16, 3, 1, 1), (64, 16, 8, 32, 3, 1, 1), (32, 16, 28, 32, 3, 1, 1), (32, 16, 28, 32, 5, 1, 0),
        (32, 32, 28, 32, 3, 2, 1), (8, 64, 56, 64, 3, 1, 1), (32, 64, 14, 64, 1, 1, 0),
    ):  # fmt: skip
        theirs, back, ours, ours_back = compare(*case)
        print(
            f"{case}: forward {theirs:.2f} -> {ours:.2f} ms, x{theirs / ours:.1f}; backward {back:.2f} -> "
            f"{ours_back:.2f} ms; both x{(theirs + back) / (ours + ours_back):.1f}"
        )
