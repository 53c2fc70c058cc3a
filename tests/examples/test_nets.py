"""The pages that train nets do what they say: digits, logistic regression, a differential equation."""

import re
from pathlib import Path

import numpy as np
import pytest

import graphnn as gn

PAGES = Path(__file__).parents[2] / "examples"


def digits(run_python, epochs):
    """In a process of its own: threads of BLAS that wait for each other would only measure the machine."""
    code = f"import runpy; runpy.run_path({str(PAGES / '04_digits_convnet.py')!r})['main']({epochs})"
    return float(re.search(r"([\d.]+)% are read right", run_python(code, OPENBLAS_NUM_THREADS="1"))[1])


@pytest.mark.slow
def test_a_convolutional_net_learns_to_read_digits(run_python):
    pytest.importorskip("sklearn")
    assert digits(run_python, epochs=6) > 94


@pytest.mark.slow
def test_a_convolutional_net_reads_97_of_100_unseen_digits_(run_python):
    pytest.importorskip("sklearn")
    assert digits(run_python, epochs=20) >= 97


def test_logistic_regression_agrees_with_scikit_learn(page):
    linear_model = pytest.importorskip("sklearn.linear_model")
    gn.default_dtype("float64")
    here = page("06_logistic_regression")
    x, t = here.data()
    weights = here.newton(x, t)
    theirs = linear_model.LogisticRegression(C=here.STRENGTH, tol=1e-10, max_iter=10_000).fit(x, t)
    np.testing.assert_allclose(weights, np.append(theirs.coef_[0], theirs.intercept_), atol=1e-5)


def test_a_net_solves_a_differential_equation(page, capsys):
    assert page("08_differential_equation").main(epochs=400) < 2e-3
    assert "largest difference from the sine" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["04_digits_convnet", "06_logistic_regression", "09_digits_early_stopping"])
def test_the_absence_of_scikit_learn_is_one_sentence(name, run_python):
    code = f"""
import runpy, sys
sys.modules["sklearn"] = sys.modules["sklearn.datasets"] = None
try:
    runpy.run_path({str(PAGES / name)!r} + ".py")["data"]()
except SystemExit as exit:
    print(exit)
"""
    assert run_python(code) == "This example needs scikit-learn: pip install 'graphnn[sklearn]'\n"
