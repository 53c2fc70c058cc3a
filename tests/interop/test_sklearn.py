"""Estimators: scikit-learn's own checks, pipelines, searches, and copies."""

import pickle

import numpy as np
import pytest

import graphnn as gn

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

ESTIMATORS = [
    gn.sklearn.GraphClassifier(max_epoch=60, lr=0.05, random_state=0),
    gn.sklearn.GraphRegressor(max_epoch=60, lr=0.05, random_state=0),
]


@pytest.mark.filterwarnings("ignore")  # the checks themselves warn
@parametrize_with_checks(ESTIMATORS[:1])
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(ESTIMATORS[1:])
def test_scikit_learns_own_checks_of_the_regressor(estimator, check):
    check(estimator)


def test_a_pipeline_in_a_grid_search():
    x, _, t, _ = gn.data.split(*gn.data.moons(150), part=0.2)
    pipeline = make_pipeline(StandardScaler(), gn.sklearn.GraphClassifier(max_epoch=60, lr=0.05, random_state=0))
    search = GridSearchCV(pipeline, {"graphclassifier__hidden": [(2,), (16,)]}, cv=3).fit(x * 100, t)
    assert search.best_score_ > 0.85
    assert cross_val_score(gn.sklearn.GraphRegressor(max_epoch=50, random_state=0), x, x[:, 0] * 3, cv=3).mean() > 0.9


def test_a_net_of_the_users_own():
    def build(x, outputs, rng):
        features = gn.Sin(x @ gn.Parameter("W", rng.normal(size=(2, 30)), trainable=False) + np.arange(30.0))
        return gn.Affine(features, gn.Parameter("V", np.zeros((30, outputs))), gn.Parameter("b", np.zeros(outputs)))

    x, t = gn.data.circles(120)
    found = gn.sklearn.GraphClassifier(build=build, max_epoch=100, lr=0.05, random_state=0).fit(x, t)
    assert found.score(x, t) > 0.95 and set(found.weights_) == {"W", "V", "b"}


def test_a_pickled_copy_predicts_the_same_and_same_seeds_learn_the_same():
    x, t = gn.data.moons(60)
    names = np.array(["up", "down"])[t]
    one = gn.sklearn.GraphClassifier(max_epoch=20, random_state=3).fit(x, names)
    copy = pickle.loads(pickle.dumps(one))
    np.testing.assert_array_equal(copy.predict_proba(x), one.predict_proba(x))
    assert set(copy.predict(x)) <= {"up", "down"}
    again = clone(one).fit(x, names)
    np.testing.assert_array_equal(again.weights_["W1"], one.weights_["W1"])


def test_its_absence_is_one_sentence(run_python):
    code = (
        "import sys; sys.modules['sklearn'] = None; import graphnn as gn\n"
        "try: gn.sklearn\nexcept ImportError as e: print(e)"
    )
    assert run_python(code).strip() == "gn.sklearn needs scikit-learn. Run: pip install 'graphnn[sklearn]'"
