"""Data sets: the same numbers everywhere."""

import numpy as np

import graphnn as gn


def test_the_spiral_is_the_reference_one():
    x, t = gn.data.spiral()
    assert x.shape == (300, 2) and x.dtype == np.float64 and t.shape == (300,) and t.dtype == np.int64
    assert x.sum() == np.float64(-13.916731190759947)
    np.testing.assert_array_equal(x[1], [-0.00097698643152699, 0.009952160444476976])
    np.testing.assert_array_equal(np.bincount(t), [100, 100, 100])


def test_one_hot_labels_say_the_same():
    _, t = gn.data.spiral()
    _, rows = gn.data.spiral(one_hot=True)
    np.testing.assert_array_equal(rows, np.eye(3)[t])
