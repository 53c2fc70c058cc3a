"""Losses: against definitions written out, right at the edges, and no silent broadcasting."""

import numpy as np
import pytest
from scipy.special import expit, log_softmax, softmax

import graphnn as gn

RNG = np.random.default_rng(0)
SCORES = RNG.normal(size=(6, 4))
LABELS = np.array([0, 3, 1, 1, 2, 0])
WEIGHT = np.array([0.5, 1.0, 2.0, 4.0])


@pytest.fixture(autouse=True)
def _double():
    gn.default_dtype("float64")


def cross_entropy(scores, labels, weight=None, ignore=None, smoothing=0.0):
    """Each row's loss and the weight of its label, row by row as the definition says."""
    losses, weights = [], []
    for s, t in zip(scores, labels, strict=True):
        w = np.ones(len(s)) if weight is None else weight
        if t == ignore:
            losses.append(0.0), weights.append(0.0)
            continue
        target = np.full(len(s), smoothing / len(s))
        target[t] += 1 - smoothing
        losses.append(-np.sum(target * w * log_softmax(s)))
        weights.append(w[t])
    return np.array(losses), np.array(weights)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("ignore", [None, 1])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_softmax_ce_is_its_definition(reduction, weight, ignore, smoothing):
    s, t = gn.Input("s", ("N", 4)), gn.Input("t", ("N",), dtype="int64")
    loss = gn.SoftmaxCE(s, t, reduction, weight, ignore, smoothing)
    losses, weights = cross_entropy(SCORES, LABELS, weight, ignore, smoothing)
    expected = {"mean": losses.sum() / weights.sum(), "sum": losses.sum(), "none": losses}[reduction]
    np.testing.assert_allclose(gn.compile(loss)(s=SCORES, t=LABELS), expected, rtol=1e-12)
    gn.testing.check_grad(gn.Sum(loss), s, {"s": SCORES, "t": LABELS})


def test_one_hot_rows_are_weighed_and_smoothed_as_integers_are():
    s, t, rows = gn.Input("s", ("N", 4)), gn.Input("t", ("N",), dtype="int64"), gn.Input("rows", ("N", 4))
    w = gn.Parameter("w", WEIGHT)
    both = [gn.SoftmaxCE(s, labels, weight=w, smoothing=0.2) for labels in (t, rows)]
    feeds = {"s": SCORES, "t": LABELS, "rows": np.eye(4)[LABELS]}
    for made in (both, [gn.grad(loss, w) for loss in both], [gn.grad(loss, s) for loss in both]):
        one, other = gn.compile(made)(**feeds)
        np.testing.assert_allclose(one, other, rtol=1e-12)
    gn.testing.check_grad(both[0], [s, w], feeds)


def test_ignored_labels_may_be_out_of_range_and_others_may_not():
    s, t = gn.Input("s", ("N", 4)), gn.Input("t", ("N",), dtype="int64")
    f = gn.compile(gn.SoftmaxCE(s, t, ignore=-1))
    rows = [True, False, True, True, False, True]
    padded = np.where(rows, LABELS, -1)
    np.testing.assert_allclose(f(s=SCORES, t=padded), cross_entropy(SCORES[rows], LABELS[rows])[0].mean(), rtol=1e-12)
    for wrong in (-2, 4):
        with pytest.raises(gn.LabelError, match=f"is {wrong}, but labels of 4 classes lie in 0..3"):
            f(s=SCORES, t=np.where(rows, LABELS, wrong))
    assert np.isnan(f(s=SCORES, t=np.full(6, -1)))  # the mean of no rows


def test_nll_of_log_softmax_is_softmax_ce():
    s, t = gn.Input("s", ("N", 4)), gn.Input("t", ("N",), dtype="int64")
    options = {"weight": WEIGHT, "ignore": 2}
    one, other = gn.NLL(gn.LogSoftmax(s), t, **options), gn.SoftmaxCE(s, t, **options)
    for pair in ((one, other), (gn.grad(one, s), gn.grad(other, s))):
        a, b = gn.compile(list(pair))(s=SCORES, t=LABELS)
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_softmax_ce_slope_is_softmax_less_the_label():
    s, t = gn.Input("s", ("N", 4)), gn.Input("t", ("N",), dtype="int64")
    slope = gn.compile(gn.grad(gn.SoftmaxCE(s, t), s))(s=SCORES, t=LABELS)
    np.testing.assert_allclose(slope, (softmax(SCORES, axis=1) - np.eye(4)[LABELS]) / 6, rtol=1e-12)


@pytest.mark.parametrize("p", [None, 3.0, np.array([0.5, 2.0, 1.0, 1.0])])
def test_sigmoid_ce_is_its_definition(p):
    s, t = gn.Input("s", ("N", 4)), gn.Input("t", ("N", 4))
    labels = RNG.uniform(size=(6, 4))
    weight = 1.0 if p is None else p
    y = expit(SCORES)
    expected = -(weight * labels * np.log(y) + (1 - labels) * np.log1p(-y))
    loss = gn.SigmoidCE(s, t, "none", p)
    np.testing.assert_allclose(gn.compile(loss)(s=SCORES, t=labels), expected, rtol=1e-12)
    np.testing.assert_allclose(gn.compile(gn.SigmoidCE(s, t, "mean", p))(s=SCORES, t=labels), expected.mean())
    gn.testing.check_grad(gn.SigmoidCE(s, t, "mean", p), [s, t], {"s": SCORES, "t": labels})


def test_sigmoid_ce_learns_its_weights_too():
    s, t, p = gn.Input("s", ("N", 4)), gn.Input("t", ("N", 4)), gn.Parameter("p", np.array([0.5, 2.0, 1.0, 1.0]))
    loss = gn.SigmoidCE(s, t, "sum", p)
    gn.testing.check_grad(loss, p, {"s": SCORES, "t": RNG.uniform(size=(6, 4))})


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_sigmoid_ce_is_accurate_for_every_score(dtype, recwarn):
    """For hard labels the loss is softplus, and its slope the sigmoid, to the last digits, over the whole range."""
    largest = float(np.finfo(dtype).max)
    s, t = gn.Input("s", ("N",), dtype=dtype), gn.Input("t", ("N",), dtype="int64")
    loss = gn.SigmoidCE(s, t, "none")
    f = gn.compile({"loss": loss, "slope": gn.grad(gn.Sum(loss), s)})
    scores = np.array([-largest, -700, -50, -1, -1e-3, 0, 1e-3, 1, 50, 700, largest]).astype(dtype)
    right = scores.astype("float64")
    precision = 4 * np.finfo(dtype).eps
    small = np.finfo(dtype).tiny
    no, yes = f(s=scores, t=np.zeros(11, int)), f(s=scores, t=np.ones(11, int))
    np.testing.assert_allclose(no["loss"], np.logaddexp(0, right), rtol=precision, atol=small)
    np.testing.assert_allclose(yes["loss"], np.logaddexp(0, -right), rtol=precision, atol=small)
    np.testing.assert_allclose(no["slope"], expit(right), rtol=precision, atol=small)
    np.testing.assert_allclose(yes["slope"], -expit(-right), rtol=precision, atol=small)
    assert not recwarn.list


def test_losses_of_numbers_are_their_definitions():
    y, t = gn.Input("y", ("N", 4)), gn.Input("t", ("N", 4))
    given = {"y": SCORES, "t": RNG.normal(size=(6, 4))}
    d = given["y"] - given["t"]
    huber = np.where(np.abs(d) <= 0.7, d**2 / 2, 0.7 * (np.abs(d) - 0.35))
    for loss, expected in ((gn.MSE, d**2), (gn.L1, np.abs(d)), (lambda *a, **k: gn.Huber(*a, delta=0.7, **k), huber)):
        np.testing.assert_allclose(gn.compile(loss(y, t, reduction="none"))(**given), expected, rtol=1e-12)
        np.testing.assert_allclose(gn.compile(loss(y, t, reduction="sum"))(**given), expected.sum(), rtol=1e-12)
        np.testing.assert_allclose(gn.compile(loss(y, t))(**given), expected.mean(), rtol=1e-12)
        gn.testing.check_grad(loss(y, t), [y, t], given)


@pytest.mark.parametrize("loss", [gn.MSE, gn.L1, gn.Huber, gn.SigmoidCE])
def test_a_column_against_a_row_is_refused_with_both_culprits(loss):
    y, t = gn.Input("y", ("N", 1)), gn.Input("t", ("N",))
    says = r"'y' f64\[N, 1\] \(test_losses.py:\d+\) and .*'t' f64\[N\] \(test_losses.py:\d+\) must have one shape"
    with pytest.raises(gn.ShapeError, match=says):
        loss(y, t)


def test_misfits_are_named():
    s, t = gn.Input("s", ("N", 4)), gn.Input("t", ("N",), dtype="int64")
    with pytest.raises(gn.ShapeError, match=r"class weights Constant f64\[3\] .* do not fit 's' f64\[N, 4\]"):
        gn.SoftmaxCE(s, t, weight=WEIGHT[:3])
    with pytest.raises(gn.ShapeError, match=r"NLL: 's' f64\[N, 4\] .* and labels 'rows' i64\[N, 4\]"):
        gn.NLL(s, gn.Input("rows", ("N", 4), dtype="int64"))
    with pytest.raises(gn.ShapeError, match="needs a fixed number of classes, not C"):
        gn.SoftmaxCE(gn.Input("s", ("N", "C")), t, smoothing=0.1)
    with pytest.raises(gn.ShapeError, match=r"pos_weight Constant f64\[2\] .* 's' f64\[N, 4\]|sizes differ"):
        gn.SigmoidCE(s, s, pos_weight=WEIGHT[:2])
