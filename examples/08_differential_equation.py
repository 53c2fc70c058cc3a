"""A differential equation solved by a net: u'' = -u with u(0) = 0 and u(pi/2) = 1, whose solution is the sine.

The net is made to hold the boundary values whatever its weights; what it learns is the equation in between. The loss
contains u'', the second derivative of the net by its input, and training differentiates it once more, by the weights.
Source: I. Lagaris, A. Likas and D. Fotiadis, Artificial Neural Networks for Solving Ordinary and Partial Differential
Equations, IEEE Transactions on Neural Networks 9, 1998.
"""

import numpy as np

import graphnn as gn

END, POINTS, HIDDEN, EPOCHS, LR = np.pi / 2, 50, 16, 1500, 0.01


def declare(seed: int = 0) -> tuple[gn.Node, gn.Node]:
    """The trial solution at points x, and the mean square by which it misses the equation."""
    rng = np.random.default_rng(seed)
    x = gn.Input("x", ("N", 1))
    W1, b1 = gn.Parameter("W1", rng.normal(0, 1, (1, HIDDEN))), gn.Parameter("b1", rng.normal(0, 1, HIDDEN))
    W2, b2 = gn.Parameter("W2", rng.normal(0, 0.3, (HIDDEN, 1))), gn.Parameter("b2", np.zeros(1))
    net = gn.Affine(gn.Tanh(gn.Affine(x, W1, b1)), W2, b2)
    u = x / END + x * (END - x) * net
    # Each value depends on its own point alone, so the slopes of the sum are the slopes of the values.
    du = gn.grad(gn.Sum(u), x)
    d2u = gn.grad(gn.Sum(du), x)
    return u, gn.Mean((d2u + u) ** 2)


def main(epochs: int = EPOCHS) -> float:
    gn.default_dtype("float64")
    u, loss = declare()
    step = gn.compile(loss, gn.Adam(lr=LR).updates(loss))
    points = np.linspace(0, END, POINTS)[:, None]
    losses = step.loop({"x": points}, batch_size=POINTS, epochs=epochs)[:, 0]
    for epoch in range(0, epochs, max(1, epochs // 5)):
        print(f"epoch {epoch + 1}: the equation is missed by {np.sqrt(losses[epoch]):.1e}")
    between = np.random.default_rng(1).uniform(0, END, (1000, 1))  # points that it was not trained on
    error = np.abs(gn.compile(u)(x=between) - np.sin(between)).max()
    print(f"largest difference from the sine, anywhere: {error:.1e}")
    return float(error)


if __name__ == "__main__":
    main()
