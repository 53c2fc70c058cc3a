"""A sweep: 32 trainings of the spiral net, eight learning rates from four seeds each, in one compiled program.

Small nets spend their time on entering each step, not on computing it. One program whose parameters have a first axis
of replicas pays that once for all of them. The learning rates are compared, and the best net is drawn into the folder
`output` beside this file.
"""

import time
from pathlib import Path

import numpy as np

import graphnn as gn

OUTPUT = Path(__file__).parent / "output"
EPOCHS, BATCH, HIDDEN = 200, 30, 10
SEEDS = range(4)
RATES = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0]


def declare(seed: int) -> gn.Model:
    """The two-layer net, with weights drawn from a seed."""
    rng = np.random.default_rng(seed)
    x, t = gn.Input("x", ("N", 2)), gn.Input("t", ("N",), dtype="int64")
    W1, b1 = gn.Parameter("W1", rng.normal(size=(2, HIDDEN))), gn.Parameter("b1", np.zeros(HIDDEN))
    W2, b2 = gn.Parameter("W2", rng.normal(size=(HIDDEN, 3))), gn.Parameter("b2", np.zeros(3))
    scores = gn.Affine(gn.Sigmoid(gn.Affine(x, W1, b1)), W2, b2)
    return gn.Model(x, t, scores, gn.SoftmaxCE(scores, t))


def main(epochs: int = EPOCHS) -> float:
    OUTPUT.mkdir(exist_ok=True)
    x, t = gn.data.spiral()

    start = time.perf_counter()
    found = gn.sweep(declare, gn.SGD(), x, t, seeds=SEEDS, lrs=RATES, max_epoch=epochs, batch_size=BATCH)
    together = time.perf_counter() - start

    start = time.perf_counter()
    alone = gn.Trainer(declare(found.seeds[0]), gn.SGD(lr=found.lrs[0]))
    alone.fit(x, t, epochs, BATCH, eval_interval=None)
    one = time.perf_counter() - start
    difference = np.abs(found.losses[0] - alone.history["loss"]).max()

    accuracy = found.accuracy(x, t)
    print("   rate   mean loss at the end   accuracy")
    for lr in RATES:
        here = found.lrs == lr
        least, most = accuracy[here].min(), accuracy[here].max()
        print(f"{lr:7.2f}   {found.losses[here, -1].mean():20.4f}   {least:.2f} to {most:.2f}")
    print(f"{len(found)} trainings in {together:.2f} s; one by itself takes {one:.2f} s")
    print(f"the losses of the first replica and of its training by itself differ by {difference:.0e} at most")
    best = found.model()
    print(
        f"the best: rate {found.lrs[found.best]:g}, seed {found.seeds[found.best]}, accuracy {best.accuracy(x, t):.2f}"
    )
    print("plotted:", gn.plot.decision_boundary(best, x, t, OUTPUT / "sweep_boundary.png"))
    return best.accuracy(x, t)


if __name__ == "__main__":
    main()
