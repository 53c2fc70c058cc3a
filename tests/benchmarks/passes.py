"""What a pass costs: microseconds a node, for graphs of 1,000 to 100,000 nodes.

Run it by hand: `python tests/benchmarks/passes.py`.

The graph is a training step of a deep net of Affine and Sigmoid layers. CPU time is counted, since a pass waits for
nothing. A pass rebuilds the users of what it replaced, so that one that changes the whole net costs several times
one that finds nothing to do; the second column of each size says how many nodes it replaced or rebuilt.
"""

import gc
import time

import numpy as np

import graphnn as gn
from graphnn.backends.numpy import PASSES
from graphnn.ir.collector import collector_paused

SIZES = (1_000, 10_000, 100_000)
NODES_A_LAYER = 18
REPEATS = 3


def training_graph(nodes):
    h, t = gn.Input("x", ("N", 8)), gn.Input("t", ("N",), dtype="int64")
    for i in range(nodes // NODES_A_LAYER):
        h = gn.Sigmoid(gn.Affine(h, gn.Parameter(f"W{i}", np.eye(8)), gn.Parameter(f"b{i}", np.zeros(8))))
    loss = gn.SoftmaxCE(h, t)
    return gn.Graph(loss, gn.SGD().updates(loss))


def measure(graph):
    """(microseconds a node, nodes replaced or rebuilt) of each pass in turn; the best of a few runs."""
    rows = []
    for p in PASSES:
        best = np.inf
        for _ in range(REPEATS):
            start = time.process_time()
            with collector_paused():
                after, record = p.run(graph)
            best = min(best, time.process_time() - start)
        rows.append((best / len(graph.nodes) * 1e6, sum(map(len, record.moves))))
        graph = after
    return rows


def main():
    columns = []
    for size in SIZES:
        gc.collect()
        columns.append(measure(training_graph(size)))
    print(f"{'pass':24}" + "".join(f"{size:>10,} nodes{'rebuilt':>10}" for size in SIZES))
    for i, p in enumerate(PASSES):
        cells = "".join(f"{us:>13.2f} us{moved:>10,}" for us, moved in (column[i] for column in columns))
        print(f"{p.name:24}{cells}")
    print(f"{'all':24}" + "".join(f"{sum(us for us, _ in column):>13.2f} us{'':10}" for column in columns))


if __name__ == "__main__":
    main()
