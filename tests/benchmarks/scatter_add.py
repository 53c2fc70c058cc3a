"""ScatterAdd against other ways of adding rows up by index in NumPy: `python tests/benchmarks/scatter_add.py`."""

import time

import numpy as np

import graphnn as gn


def best(call, repeats=20):
    """The shortest of several runs, in microseconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e6 * min(times)


def compare(count, columns, rows):
    """Microseconds for each way, on the same data."""
    rng = np.random.default_rng(0)
    x, index = rng.normal(size=(count, columns)).astype(np.float32), rng.integers(0, rows, count)
    out = np.zeros((rows, columns), np.float32)

    def add_at():
        out.fill(0)
        np.add.at(out, index, x)

    def loop():
        out.fill(0)
        for i, row in zip(index.tolist(), x, strict=True):
            out[i] += row

    def sort():
        out.fill(0)
        order = np.argsort(index, kind="stable")
        ordered = index[order]
        starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        out[ordered[starts]] = np.add.reduceat(x[order], starts, axis=0)

    node = gn.ScatterAdd(gn.Input("x", ("N", columns)), gn.Input("i", ("N",), dtype="int64"), rows)
    f = gn.compile(node)
    np.testing.assert_allclose(f(x=x, i=index), [add_at(), out][1], rtol=1e-4, atol=1e-5)
    [ours] = f.profile(x=x, i=index).seconds
    return {"flat places": 1e6 * ours, "add.at": best(add_at), "loop": best(loop, 5), "sort": best(sort)}


if __name__ == "__main__":
    for shape in ((64, 16, 1_000), (1_024, 64, 5_000), (4_096, 128, 10_000)):
        print(*shape, {name: round(took) for name, took in compare(*shape).items()})
