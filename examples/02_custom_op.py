"""An op of your own: one class, with its formula. It is checked, printed, differentiated and trained like any other."""

import numpy as np

import graphnn as gn


class Swish(gn.Elementwise):
    """x * sigmoid(x). Source: P. Ramachandran, B. Zoph and Q. Le, Searching for Activation Functions, 2017."""

    x: gn.Node
    formula = "x / (1 + exp(-x))"


class Bump(gn.Elementwise):
    """exp(-sharpness * x * x), with a gradient rule of its own: `self` is the forward result."""

    x: gn.Node
    sharpness: float = 1.0
    formula = "exp(-sharpness * x * x)"

    def vjp(self, g: gn.Node) -> gn.Node:
        return g * self * self.x * (-2 * self.sharpness)


class Cube(gn.Composite):
    """x * x * x: an op made of other ops needs no gradient rule."""

    x: gn.Node

    def expand(self) -> gn.Node:
        return self.x * self.x * self.x

    samples = (gn.sample(("N", "M")), gn.sample(()))


def main() -> None:
    # Spec, value, first and second derivative, on every backend that works here.
    for op in (Swish, Bump, Cube):
        gn.testing.check_op(op)
        print(f"{op.__name__} checked")

    gn.default_dtype("float64")
    x, t = gn.Input("x", ("N", 2)), gn.Input("t", ("N",), dtype="int64")
    rng = np.random.default_rng(0)
    W1, b1 = gn.Parameter("W1", rng.normal(0, 0.5, (2, 10))), gn.Parameter("b1", np.zeros(10))
    W2, b2 = gn.Parameter("W2", rng.normal(0, 0.5, (10, 3))), gn.Parameter("b2", np.zeros(3))
    h = Swish(gn.Affine(x, W1, b1))
    scores = gn.Affine(h, W2, b2)
    model = gn.Model(x, t, scores, gn.SoftmaxCE(scores, t))

    # The derivative follows from the formula, as a graph.
    print(gn.grad(gn.Sum(h), W1))
    points, labels = gn.data.spiral()
    trainer = gn.Trainer(model, gn.SGD(lr=0.5))
    trainer.fit(points, labels, max_epoch=300, batch_size=30, eval_interval=None)
    print(f"accuracy with Swish: {model.accuracy(points, labels):.2f}")


if __name__ == "__main__":
    main()
