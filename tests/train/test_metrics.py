"""Metrics against scikit-learn's."""

import numpy as np
import pytest

import graphnn as gn

rng = np.random.default_rng(0)
SCORES, LABELS = rng.normal(size=(50, 4)), rng.integers(0, 4, 50)
NUMBERS, TRUTH = rng.normal(size=30), rng.normal(size=30)


def test_classes_agree_with_scikit_learn():
    judge = pytest.importorskip("sklearn.metrics")
    guess = SCORES.argmax(axis=1)
    y = np.exp(SCORES) / np.exp(SCORES).sum(axis=1, keepdims=True)
    for labels in (LABELS, np.eye(4)[LABELS]):
        assert gn.metrics.accuracy(SCORES, labels) == judge.accuracy_score(LABELS, guess)
        assert gn.metrics.f1(SCORES, labels) == pytest.approx(judge.f1_score(LABELS, guess, average="macro"))
        assert gn.metrics.top_k(SCORES, labels, 2) == judge.top_k_accuracy_score(LABELS, SCORES, k=2)
        assert gn.metrics.perplexity(SCORES, labels) == pytest.approx(np.exp(judge.log_loss(LABELS, y)))
        np.testing.assert_array_equal(gn.metrics.confusion(SCORES, labels), judge.confusion_matrix(LABELS, guess))


def test_numbers_agree_with_scikit_learn():
    judge = pytest.importorskip("sklearn.metrics")
    assert gn.metrics.mean_squared_error(NUMBERS, TRUTH) == pytest.approx(judge.mean_squared_error(TRUTH, NUMBERS))
    assert gn.metrics.mean_absolute_error(NUMBERS, TRUTH) == pytest.approx(judge.mean_absolute_error(TRUTH, NUMBERS))
    assert gn.metrics.r2(NUMBERS[:, None], TRUTH) == pytest.approx(judge.r2_score(TRUTH, NUMBERS))


def test_what_does_not_fit_is_refused():
    with pytest.raises(gn.ShapeError, match=r"accuracy: labels of shape \(3,\) do not fit scores of shape \(50, 4\)"):
        gn.metrics.accuracy(SCORES, [0, 1, 2])
    with pytest.raises(gn.FeedError, match="no rows"):
        gn.metrics.f1(SCORES[:0], LABELS[:0])
    with pytest.raises(gn.ShapeError, match="mean_squared_error"):
        gn.metrics.mean_squared_error(NUMBERS, TRUTH[:3])
