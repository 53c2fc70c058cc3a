"""Scale: seconds and memory from a declaration to its first finished step, against the number of nodes.

Run it by hand: `python tests/benchmarks/scale.py --plot scale.svg`. Every size is measured in a fresh process, so that
the peak of memory is its own; CPU time is given beside the clock's, since other work on the machine slows only that.
The same net is built with JAX beside it where that is installed.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

import numpy as np

LAYERS = (55, 166, 555, 1000, 1666, 5555)
NODES_A_LAYER = 18
"""As declared: Affine's parts, Sigmoid, their gradients, and the update of two parameters."""
WIDTH, BATCH = 8, 4
MOST_IN_JAX = 1000
"""Layers: more of them compile for minutes."""


def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(BATCH, WIDTH)).astype("float32"), rng.integers(0, WIDTH, BATCH)


def graphnn_net(layers):
    """Declare, compile and run one training step; the seconds of each stage."""
    import graphnn as gn

    start = time.perf_counter()
    h, t = gn.Input("x", ("N", WIDTH)), gn.Input("t", ("N",), dtype="int64")
    for i in range(layers):
        h = gn.Sigmoid(gn.Affine(h, gn.Parameter(f"W{i}", np.eye(WIDTH)), gn.Parameter(f"b{i}", np.zeros(WIDTH))))
    loss = gn.SoftmaxCE(h, t)
    updates = gn.SGD().updates(loss)
    declared = time.perf_counter()
    step = gn.compile(loss, updates)
    compiled = time.perf_counter()
    x, labels = data()
    step(x=x, t=labels)
    done = time.perf_counter()
    step(x=x, t=labels)
    return {
        "nodes": len(step.graph.nodes),
        "declare": declared - start,
        "compile": compiled - declared,
        "first step": done - compiled,
        "second step": time.perf_counter() - done,
    }


def jax_net(layers):
    import jax
    import jax.numpy as jnp

    x, labels = data()

    def loss(parameters, x, labels):
        h = x
        for W, b in parameters:
            h = jax.nn.sigmoid(h @ W + b)
        return -jnp.mean(jax.nn.log_softmax(h)[jnp.arange(BATCH), labels])

    @jax.jit
    def step(parameters, x, labels):
        value, slopes = jax.value_and_grad(loss)(parameters, x, labels)
        return value, jax.tree_util.tree_map(lambda p, g: p - 0.01 * g, parameters, slopes)

    start = time.perf_counter()
    parameters = [(jnp.eye(WIDTH), jnp.zeros(WIDTH)) for _ in range(layers)]
    jax.block_until_ready(step(parameters, x, labels))
    return {"nodes": layers * NODES_A_LAYER, "first step": time.perf_counter() - start}


def measure(which, layers):
    """One run in this process, with its CPU seconds, and the megabytes that it added at its peak."""
    __import__(which)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cpu = time.process_time()
    found = {"graphnn": graphnn_net, "jax": jax_net}[which](layers)
    found["cpu"] = time.process_time() - cpu
    found["MB"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return found


def in_fresh_process(which, layers):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "GRAPHNN_CHECK": "0"}
    command = [sys.executable, __file__, "--one", which, str(layers)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    return json.loads(done.stdout)


def best(runs):
    """Of each figure the least, and the spread of the whole: the median's distance from it."""
    least = {name: min(run[name] for run in runs) for name in runs[0]}
    totals = [run["cpu"] for run in runs]
    return least, statistics.median(totals) / min(totals) - 1


def installed(name):
    return subprocess.run([sys.executable, "-c", f"import {name}"], capture_output=True).returncode == 0


def plot(rows, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5))
    for which in dict.fromkeys(row["which"] for row in rows):
        mine = [row for row in rows if row["which"] == which]
        nodes = [row["nodes"] for row in mine]
        left.loglog(nodes, [row["cpu"] for row in mine], "o-", label=which)
        right.loglog(nodes, [row["MB"] for row in mine], "o-", label=which)
    for axes, what in ((left, "CPU seconds to the first step"), (right, "MB at the peak")):
        axes.set(xlabel="nodes", ylabel=what)
        axes.legend()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None} if path.endswith(".svg") else None)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--one", nargs=2, metavar=("WHICH", "LAYERS"))
    arguments.add_argument("--plot", metavar="PATH")
    arguments.add_argument("--rounds", type=int, default=3)
    given = arguments.parse_args()
    if given.one:
        print(json.dumps(measure(given.one[0], int(given.one[1]))))
        return
    rows = []
    print("| | layers | nodes | declare | compile | first step | CPU s in all | spread | MB | second step |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for which in [name for name in ("graphnn", "jax") if installed(name)]:
        for layers in (2, *LAYERS):
            if which == "jax" and layers > MOST_IN_JAX:
                continue
            row, spread = best([in_fresh_process(which, layers) for _ in range(given.rounds)])
            rows.append({"which": which, **row})
            times = " | ".join(f"{row[s]:.3f}" if s in row else "" for s in ("declare", "compile", "first step"))
            second = f"{row['second step']:.4f}" if "second step" in row else ""
            print(
                f"| {which} | {layers} | {row['nodes']:,} | {times} | {row['cpu']:.3f} | +{spread:.0%} "
                f"| {row['MB']:.0f} | {second} |",
                flush=True,
            )
    if given.plot:
        plot(rows, given.plot)


if __name__ == "__main__":
    main()
