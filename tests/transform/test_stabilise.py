"""Stabilise: what underflows or cancels as written is computed another way, gradients included."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.transform.stabilise import stabilise


def test_logarithms_are_taken_inside(written):
    x = gn.Input("x", ("N", 3))
    assert written(stabilise, gn.Log(gn.Softmax(x))) == "LogSoftmax(x, axis=1)"
    assert written(stabilise, gn.Log(gn.Sum(gn.Exp(x), 1, True))) == "LogSumExp(x, axis=(1,), keepdims=True)"
    assert written(stabilise, gn.Log(gn.Exp(x))) == []
    assert written(stabilise, gn.Log(gn.Sigmoid(x))) == "LogSigmoid(x)"
    assert written(stabilise, gn.Log(1 - gn.Sigmoid(x))) == ["%0 = Softplus(x)", "%1 = Neg(%0)"]


def test_sums_with_one(written):
    x = gn.Input("x", ("N",))
    assert written(stabilise, gn.Log(1 + x)) == written(stabilise, gn.Log(x + 1)) == "Log1p(x)"
    assert written(stabilise, gn.Log(1 - x)) == ["%0 = Neg(x)", "%1 = Log1p(%0)"]
    assert written(stabilise, gn.Log(1 + gn.Exp(x))) == written(stabilise, gn.Log(gn.Exp(x) + 1)) == "Softplus(x)"
    assert written(stabilise, gn.Exp(x) - 1) == written(stabilise, -1 + gn.Exp(x)) == "Expm1(x)"
    assert written(stabilise, 1 - gn.Exp(x)) == ["%0 = Expm1(x)", "%1 = Neg(%0)"]


def test_a_softmax_spelled_out_is_one(written):
    x = gn.Input("x", ("N", 3))
    assert written(stabilise, gn.Exp(x) / gn.Sum(gn.Exp(x), 1, keepdims=True)) == "Softmax(x, axis=1)"
    e = gn.Exp(x)
    assert written(stabilise, gn.Log(e / gn.Sum(e, -1, keepdims=True))) == "LogSoftmax(x, axis=1)"


@pytest.mark.parametrize(
    "kept",
    [
        lambda x: gn.Log(gn.Sum(gn.Exp(x), 0)),  # no rows, no largest
        lambda x: gn.Exp(x) / gn.Sum(gn.Exp(x + 1), 1, keepdims=True),
        lambda x: gn.Log(2 + x),
        lambda x: gn.Exp(x) + 1,
        lambda x: gn.Log(gn.Sum(gn.Exp(x) * 2, 1)),
    ],
)
def test_what_only_looks_alike_stays(kept):
    graph = gn.Graph(kept(gn.Input("x", ("N", 3))))
    assert stabilise.run(graph)[0] is graph


def test_a_quotient_meets_its_divisor(written):
    x, y = gn.Input("x", ("N",)), gn.Input("y", ("N",))
    assert written(stabilise, x / y * y) == written(stabilise, y * (x / y)) == []


SPELLINGS = {
    "one minus": lambda y, t: -gn.Mean(t * gn.Log(y) + (1 - t) * gn.Log(1 - y)),
    "two negatives": lambda y, t: gn.Mean(-t * gn.Log(y) - (1 - t) * gn.Log(1 - y)),
}


@pytest.mark.parametrize("how", SPELLINGS)
def test_a_cross_entropy_spelled_out_is_as_good_as_the_op(how):
    gn.default_dtype("float64")
    s, t = gn.Input("s", ("N",)), gn.Input("t", ("N",))
    scores, labels = [800.0, -800.0, 30.0, -3.0], [0.0, 1.0, 1.0, 0.0]
    loss = SPELLINGS[how](gn.Sigmoid(s), t)
    value, slope = gn.compile([loss, gn.grad(loss, s)])(s=scores, t=labels)
    op = gn.SigmoidCE(s, t)
    expected, steepness = gn.compile([op, gn.grad(op, s)])(s=scores, t=labels)
    np.testing.assert_allclose(value, expected, rtol=1e-14)
    np.testing.assert_allclose(slope, steepness, rtol=1e-12, atol=1e-16)
    plain = gn.compile(loss, passes="none")(s=scores, t=labels)
    assert not np.isfinite(plain)  # as written it is infinite


def test_a_softmax_loss_spelled_out_is_as_good_as_the_op():
    gn.default_dtype("float64")
    s, t = gn.Input("s", ("N", 3)), gn.Input("t", ("N", 3))
    feeds = {"s": [[900.0, -900.0, 0.0]], "t": [[0.0, 1.0, 0.0]]}
    loss = -gn.Sum(t * gn.Log(gn.Softmax(s)))
    op = gn.SoftmaxCE(s, t, reduction="sum")
    for one, other in zip(
        gn.compile([loss, gn.grad(loss, s)])(**feeds), gn.compile([op, gn.grad(op, s)])(**feeds), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-14)


def test_small_numbers_keep_their_digits():
    gn.default_dtype("float64")
    x = gn.Input("x", ("N",))
    tiny = np.array([1e-17, -1e-17, 1e-9])
    log, exp = gn.compile([gn.Log(1 + x), gn.Exp(x) - 1])(x=tiny)
    np.testing.assert_allclose(log, np.log1p(tiny), rtol=1e-15)
    np.testing.assert_allclose(exp, np.expm1(tiny), rtol=1e-15)
