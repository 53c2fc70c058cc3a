"""Arrays on a page: numbers while they are few, then where they lie and how often."""

import json
from base64 import b64decode

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays, floating_dtypes

from graphnn.view.summary import summarise


def cells(told):
    codes = np.frombuffer(b64decode(told["heat"]), np.uint8)
    return codes.reshape(told["rows"], -1)


def test_few_numbers_are_written_in_the_digits_of_their_dtype():
    told = summarise(np.array([[0.1, -2.5]], np.float32))
    assert told["numbers"] == [0.1, -2.5] and told["spec"] == "f32[1, 2]" and told["bytes"] == 8
    assert "heat" not in told and "histogram" not in told


@pytest.mark.parametrize(
    ("value", "written"),
    [(np.nan, "nan"), (-np.inf, "-inf"), (True, "True"), (2**60, str(2**60)), (-7, -7), (np.float16(0.1), 0.1)],
)
def test_numbers_that_json_or_a_browser_lacks_are_text(value, written):
    assert summarise(np.array(value))["numbers"] == [written]


def test_many_numbers_are_counted_between_their_extremes():
    told = summarise(np.linspace(-1, 3, 2400))
    assert told["histogram"] == [100] * 24 and told["low"] == -1 and told["high"] == 3
    assert told["mean"] == pytest.approx(1) and "numbers" not in told and "heat" not in told


def test_a_heat_map_has_zero_in_the_middle_and_the_largest_magnitude_at_an_end():
    array = np.zeros((10, 8))
    array[0, 0], array[9, 7] = -4.0, 2.0
    codes = cells(summarise(array))
    assert codes.shape == (10, 8) and codes[0, 0] == 1 and codes[9, 7] == 128 + 64 and codes[5, 5] == 128


def test_a_large_heat_map_shows_means_of_blocks_that_cover_everything():
    array = np.arange(100 * 70.0).reshape(100, 70)
    codes = cells(summarise(array))
    assert codes.shape == (32, 32)
    assert np.all(np.diff(codes.astype(int), axis=0) >= 0)
    assert codes[0, 0] == 129 and codes[-1, -1] == 255  # as of the largest mean


@pytest.mark.parametrize(
    ("shape", "down", "rows"), [((8, 12, 20), 2, 32), ((16, 12, 1), 1, 16), ((2, 3, 64), 2, 6), ((100, 1), 1, 32)]
)
def test_axes_are_laid_out_as_squarely_as_they_allow(shape, down, rows):
    told = summarise(np.arange(np.prod(shape), dtype=float).reshape(shape))
    assert told["down"] == down and told["rows"] == rows


def test_what_is_all_the_same_needs_no_picture():
    told = summarise(np.full((10, 10), 3.0))
    assert told["low"] == told["high"] == 3.0 and not {"heat", "histogram", "numbers"} & told.keys()


def test_what_is_not_finite_is_counted_and_left_out():
    array = np.ones((10, 10))
    array[3, 3], array[4, 4], array[4, 5] = np.nan, np.inf, -np.inf
    told = summarise(array)
    assert told["odd"] == 3 and told["low"] == told["high"] == told["mean"] == 1.0
    assert (cells(told) == 0).sum() == 3 and "histogram" not in told


@given(arrays(floating_dtypes(endianness="="), (9, 9)))
def test_any_floats_become_json(array):
    told = summarise(array)
    json.dumps(told, allow_nan=False)
    if "histogram" in told:
        assert sum(told["histogram"]) == np.isfinite(array).sum()
    if "low" in told:
        assert told["low"] <= told["mean"] <= told["high"]


@pytest.mark.parametrize("shape", [(0,), (0, 5), (200, 0)])
def test_nothing_is_summarised_as_nothing(shape):
    assert summarise(np.zeros(shape)) == {"spec": f"f64[{', '.join(map(str, shape))}]", "bytes": 0, "numbers": []}
