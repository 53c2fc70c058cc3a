"""The spiral: three classes that no straight line separates, learnt by a two-layer net.

The net is declared with the nodes of the textbook, drawn forward and backward, trained once by a loop written out
and once by a Trainer, and judged. Everything is saved into the folder `output` beside this file.
"""

from pathlib import Path

import numpy as np

import graphnn as gn

OUTPUT = Path(__file__).parent / "output"
EPOCHS, BATCH, HIDDEN, LR = 300, 30, 10, 1.0


def declare(rng: np.random.RandomState) -> gn.Model:
    """The two-layer net: Affine, Sigmoid, Affine, and softmax with loss."""
    x = gn.Input("x", ("N", 2))
    t = gn.Input("t", ("N",), dtype="int64")
    W1 = gn.Parameter("W1", 0.01 * rng.randn(2, HIDDEN))
    W2 = gn.Parameter("W2", 0.01 * rng.randn(HIDDEN, 3))
    b1 = gn.Parameter("b1", np.zeros((1, HIDDEN)))
    b2 = gn.Parameter("b2", np.zeros((1, 3)))
    # An affine layer, spelled out: a product, the bias repeated for every row, and a sum.
    a = gn.Add(gn.MatMul(x, W1), gn.Repeat(b1, "N", axis=0))
    h = gn.Sigmoid(a)
    # The same, by its name.
    scores = gn.Affine(h, W2, b2)
    return gn.Model(x, t, scores, loss=gn.SoftmaxCE(scores, t))


def train_by_hand(model: gn.Model, x: np.ndarray, t: np.ndarray, rng: np.random.RandomState) -> list[float]:
    """The four steps, written out: draw a mini-batch, gradients, update, repeat. The average loss of each epoch."""
    step = gn.compile(model.loss, gn.SGD(lr=LR).updates(model.loss))
    averages = []
    for _ in range(EPOCHS):
        order = rng.permutation(len(x))
        x, t = x[order], t[order]
        batches = [slice(start, start + BATCH) for start in range(0, len(x), BATCH)]
        losses = [float(step(x=x[batch], t=t[batch])) for batch in batches]
        averages.append(sum(losses) / len(losses))
    return averages


def main() -> None:
    OUTPUT.mkdir(exist_ok=True)
    gn.default_dtype("float64")
    x, t = gn.data.spiral()
    gn.plot.dataset(x, t, OUTPUT / "data.png")

    # The generator draws the data, then the weights, then the order of every epoch: the textbook's run, repeated.
    model = declare(_generator_after_data())
    graph = gn.Graph(model.loss)
    print(graph)
    for view in ("forward", "backward", "both"):
        print("drawn:", graph.render(OUTPUT / f"spiral_{view}.svg", view=view))

    rng = _generator_after_data()
    by_hand = train_by_hand(declare(rng), x, t, rng)
    print(f"by hand: average loss of the first epoch {by_hand[0]:.5f}, of the last {by_hand[-1]:.5f}")

    rng = _generator_after_data()
    model = declare(rng)
    trainer = gn.Trainer(model, gn.SGD(lr=LR))
    trainer.fit(x, t, max_epoch=EPOCHS, batch_size=BATCH, eval_interval=20, shuffle=rng)
    print(f"by Trainer: first line {trainer.loss_list[0]:.5f}, last {trainer.loss_list[-1]:.5f}")
    print("plotted:", trainer.plot(OUTPUT / "loss.png"))
    print("plotted:", gn.plot.decision_boundary(model, x, t, OUTPUT / "boundary.png"))
    model.save(OUTPUT / "spiral.safetensors")
    print(f"accuracy {model.accuracy(x, t):.2f}")


def _generator_after_data() -> np.random.RandomState:
    rng = np.random.RandomState(1984)
    rng.randn(300)  # what the data took
    return rng


if __name__ == "__main__":
    main()
