"""The backward pass is a graph: look at it, run it, and differentiate it again."""

import numpy as np

import graphnn as gn


def main() -> None:
    gn.default_dtype("float64")
    x = gn.Input("x", ("N",))
    w = gn.Parameter("w", 2.0)
    # w is used twice, so its gradient is a sum of two contributions.
    y = gn.Tanh(w * x) + w
    loss = gn.Mean(y * y)

    graph = gn.Graph(loss)
    print("The forward half, and the backward half that NetworkX runs in reverse:\n")
    print(graph.with_gradients())
    for node in graph.backward:
        print(f"{node.op:10} differentiates the node declared as number {node.adjoint_of}")

    # A gradient is a node: compile it beside the loss.
    dw = gn.grad(loss, w)
    f = gn.compile({"loss": loss, "dw": dw})
    points = np.array([-1.0, 0.5, 2.0])
    print("\nloss and gradient:", f(x=points))

    # And again: the second derivative, against a central difference of the first.
    d2w = gn.compile(gn.grad(dw, w))
    eps, at = 1e-5, w.value
    slope = []
    for shifted in (at + eps, at - eps):
        w.value = shifted
        slope.append(float(f(x=points)["dw"]))
    w.value = at
    print("second derivative:", float(d2w(x=points)), "by differences:", (slope[0] - slope[1]) / (2 * eps))

    # What the compiler made of it.
    print("\n" + f.explain())
    print("\n" + str(f.plan))


if __name__ == "__main__":
    main()
