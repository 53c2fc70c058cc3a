"""Data sets: the same numbers everywhere, and orders that are fair."""

import numpy as np
import pytest

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


@pytest.mark.parametrize("make", [gn.data.circles, gn.data.moons])
def test_planar_sets_are_functions_of_their_seed_and_no_line_separates_them(make):
    x, t = make(200, seed=3)
    np.testing.assert_array_equal(x, make(200, seed=3)[0])
    assert not np.array_equal(x, make(200, seed=4)[0])
    np.testing.assert_array_equal(np.bincount(t), [100, 100])
    design = np.c_[x, np.ones(200)]
    line = np.linalg.lstsq(design, 2.0 * t - 1, rcond=None)[0]
    assert np.mean((design @ line > 0) == t) < 0.95


def test_windows_of_a_text_stand_beside_what_comes_next(tmp_path):
    (tmp_path / "t.txt").write_text("hello hello")
    found = gn.data.text(tmp_path / "t.txt")
    x, t = found.windows(4, stride=2)
    assert found.decode(x[0]) == "hell" and found.decode(t[0]) == "ello"
    assert found.decode(x[1]) == "llo " and len(x) == 4
    with pytest.raises(gn.FeedError, match="no window of 11"):
        found.windows(11)
    (tmp_path / "empty").write_text("")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for name in ("empty", "binary", "missing"):
        with pytest.raises(gn.FormatError):
            gn.data.text(tmp_path / name)


def test_a_split_loses_nothing_and_keeps_pairs_together():
    x, t = np.arange(10), np.arange(10) * 2
    parts = gn.data.split(x, t, part=0.3)
    assert [len(p) for p in parts] == [7, 3, 7, 3]
    np.testing.assert_array_equal(parts[2], 2 * parts[0])
    np.testing.assert_array_equal(np.sort(np.r_[parts[0], parts[1]]), x)
    for wrong in ({"part": 0.0}, {"part": 1.0}):
        with pytest.raises(gn.FeedError, match="one side empty"):
            gn.data.split(x, t, **wrong)
    with pytest.raises(gn.FeedError, match="different numbers of samples: 10, 9"):
        gn.data.split(x, t[:-1])


def test_balanced_orders_are_fair_and_exhaust_a_class_before_repeating_it():
    labels = np.array([0] * 70 + [1] * 25 + [2] * 5)
    orders = gn.data.balanced(labels, epochs=3, seed=1)
    assert orders.shape == (3, 100)
    for order in orders:
        np.testing.assert_array_equal(np.bincount(labels[order]), [34, 33, 33])
        assert np.bincount(order, minlength=100)[70:95].min() >= 1  # all of class 1 before any again
    x = gn.Input("x", ("N",))
    f = gn.compile(gn.Sum(x))
    assert f.loop({"x": labels == 2}, 100, 3, shuffle=orders).ravel().tolist() == [33, 33, 33]
    with pytest.raises(gn.FeedError, match="balanced: labels are integers"):
        gn.data.balanced(np.eye(3), 1)
