"""Logistic regression: the same coefficients as scikit-learn's, from a loss written out and Newton's method.

The loss is declared as in a textbook, the cross-entropy of a linear score and a ridge penalty. Its gradient and its
Hessian are graphs, derived from it, so that Newton's method is a few lines of NumPy around one compiled program.
"""

import numpy as np

import graphnn as gn

FEATURES, STRENGTH = 30, 1.0


def data() -> tuple[np.ndarray, np.ndarray]:
    """The breast cancer data set of scikit-learn, its features brought to mean 0 and variance 1."""
    try:
        from sklearn.datasets import load_breast_cancer
    except ImportError:
        raise SystemExit("This example needs scikit-learn: pip install 'graphnn[sklearn]'") from None
    x, t = load_breast_cancer(return_X_y=True)
    return (x - x.mean(axis=0)) / x.std(axis=0), t


def declare() -> tuple[gn.Parameter, dict[str, gn.Node]]:
    """The loss, its gradient and its Hessian by the weights; the last weight is the bias, which is not penalised."""
    x, t = gn.Input("x", ("N", FEATURES)), gn.Input("t", ("N",), dtype="int64")
    w = gn.Parameter("w", np.zeros(FEATURES + 1))
    scores = x @ w[:FEATURES] + w[FEATURES]
    penalty = 0.5 / STRENGTH * gn.Sum(w[:FEATURES] ** 2)
    loss = gn.SigmoidCE(scores, t, reduction="sum") + penalty
    slope = gn.grad(loss, w)
    rows = [gn.grad(slope[i], w) for i in range(FEATURES + 1)]  # the slope's own slopes
    return w, {"loss": loss, "slope": slope, "curve": gn.Stack(rows)}


def newton(x: np.ndarray, t: np.ndarray, steps: int = 20) -> np.ndarray:
    """The weights where the slope vanishes: `w <- w - curve^-1 slope` until it does."""
    w, nodes = declare()
    f = gn.compile(nodes)
    for step in range(steps):
        now = f(x=x, t=t)
        print(f"step {step}: loss {now['loss']:.6f}, slope {np.abs(now['slope']).max():.1e}")
        if np.abs(now["slope"]).max() < 1e-9:
            break
        w.value = w.value - np.linalg.solve(now["curve"], now["slope"])
    return w.value


def main() -> None:
    gn.default_dtype("float64")
    x, t = data()
    weights = newton(x, t)

    from sklearn.linear_model import LogisticRegression

    theirs = LogisticRegression(C=STRENGTH, tol=1e-10, max_iter=10_000).fit(x, t)
    difference = np.abs(weights - np.append(theirs.coef_[0], theirs.intercept_)).max()
    print(f"largest difference from scikit-learn's coefficients: {difference:.1e}")
    print(f"accuracy {np.mean((x @ weights[:-1] + weights[-1] > 0) == t):.3f}")


if __name__ == "__main__":
    main()
