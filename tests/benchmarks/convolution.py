"""Conv and its gradients, in NumPy's calls and in kernels, beside the textbook's im2col and BLAS alone, in one run:
`OPENBLAS_NUM_THREADS=1 python tests/benchmarks/convolution.py`.

For every op microseconds and billions of operations a second; of BLAS alone the product of whole columns that lie
ready. The textbook's gradient makes the columns again.
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
    """The shortest of several runs, in microseconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e6 * min(times)


def of_blas(filters, rows, columns):
    """Microseconds of the forward product alone."""
    a, b, out = (np.ones(shape, np.float32) for shape in ((filters, rows), (rows, columns), (filters, columns)))
    return best(lambda: np.dot(a, b, out))


def compare(batch, channels, size, filters, kernel, stride, pad):
    """The microseconds of the textbook forward and backward, of BLAS, and of each op on each backend; and the work."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch, channels, size, size)).astype(np.float32)
    W = rng.normal(size=(filters, channels, kernel, kernel)).astype(np.float32)
    b = rng.normal(size=filters).astype(np.float32)
    book = Textbook(W, b, stride, pad)
    g = rng.normal(size=book.forward(x).shape).astype(np.float32)

    image, upstream = gn.Input("x", ("N", *x.shape[1:])), gn.Input("g", ("N", *g.shape[1:]))
    weights, bias = gn.Parameter("W", W), gn.Parameter("b", b)
    y = gn.Conv(image, weights, bias, stride=stride, padding=pad)
    outputs = [y, *gn.grad(gn.Sum(y * upstream), [image, weights, bias])]
    ours = {}
    for backend in ("numpy", "native"):
        f = gn.compile(outputs, backend=backend)
        for found, theirs in zip(f(x=x, g=g), (book.forward(x), *book.backward(g)), strict=True):
            np.testing.assert_allclose(found, theirs, rtol=1e-2, atol=1e-1)
        profile = f.profile(x=x, g=g)
        ours[backend] = {
            step.node.op: 1e6 * seconds
            for step, seconds in zip(profile.plan.steps, profile.seconds, strict=True)
            if step.node.op.startswith("Conv")
        }
    work = 2 * g.size * channels * kernel**2
    blas = of_blas(filters, channels * kernel**2, g.size // filters)
    return best(lambda: book.forward(x)), best(lambda: book.backward(g)), blas, ours, work


if __name__ == "__main__":
    for case in (
        (50, 1, 8, 16, 3, 1, 1), (50, 16, 8, 32, 3, 1, 1), (50, 16, 8, 32, 3, 2, 1), (100, 1, 28, 6, 5, 1, 2),
        (100, 6, 14, 16, 5, 1, 0), (100, 16, 5, 120, 5, 1, 0), (50, 16, 4, 32, 3, 1, 1), (4, 64, 14, 128, 1, 1, 0),
        (4, 64, 14, 64, 3, 1, 1), (1, 64, 56, 64, 3, 1, 1), (4, 256, 4, 256, 3, 1, 1), (4, 1, 5, 2, 3, 1, 0),
    ):  # fmt: skip
        forward, backward, blas, ours, work = compare(*case)
        ops = ", ".join(
            f"{op} {us:.0f} -> {ours['native'][op]:.0f} us ({work / ours['native'][op] / 1e3:.0f})"
            for op, us in ours["numpy"].items()
        )
        print(f"{case}: textbook {forward:.0f} and {backward:.0f} us, BLAS {blas:.0f} ({work / blas / 1e3:.0f}); {ops}")
