"""The native backend's functions against NumPy's: accuracy over the whole range, NaN and infinities included."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.backends.native.machine import machine

pytestmark = pytest.mark.skipif(gn.backends()["native"] != "ok", reason=gn.backends()["native"])

RNG = np.random.default_rng(0)
CIRCULAR = {"sin": gn.Sin, "cos": gn.Cos, "tan": gn.Tan}
ALL = {
    "exp": gn.Exp, "log": gn.Log, "tanh": gn.Tanh, "sqrt": gn.Sqrt, "expm1": gn.Expm1, "log1p": gn.Log1p, **CIRCULAR
}  # fmt: skip


def numbers(dtype, count):
    """Every sign, exponent and special value, and the range that a network lives in."""
    rng = np.random.default_rng(0)
    bits = rng.integers(0, np.iinfo(f"u{dtype.itemsize}").max, count, dtype=f"u{dtype.itemsize}").view(dtype)
    scale = rng.choice([1e-300, 1e-30, 1e-8, 1e-3, 1, 10, 100, 700], count)
    with np.errstate(all="ignore"):
        ordinary = (rng.normal(size=count) * scale).astype(dtype)
    tiny, eps = np.finfo(dtype).tiny, np.finfo(dtype).eps
    special = [
        0,
        -0.0,
        np.inf,
        -np.inf,
        np.nan,
        1,
        -1,
        tiny,
        -tiny,
        tiny / 4,
        eps,
        -eps,
        1 + eps,
        1 - eps / 2,
        -1 + eps,
    ]
    edges = np.concatenate([np.linspace(e - 1, e + 1, 101) for e in (-745, -104, -87.3, 0, 9, 20, 88.7, 709.8)])
    return np.concatenate([bits, ordinary, np.array(special, dtype), edges.astype(dtype)])


def distance(a, b):
    """How many numbers of the dtype lie between; 0 between any two NaN."""
    whole = f"i{a.dtype.itemsize}"
    low = np.iinfo(whole).min
    first, second = (np.where(x.view(whole) < 0, low - x.view(whole), x.view(whole)) for x in (a, b))
    far = np.where(first > second, first - second, second - first).view(f"u{a.dtype.itemsize}")
    return np.where(np.isnan(a) & np.isnan(b), 0, far)


def check(name, dtype, values):
    x = gn.Input("x", ("N",), dtype=dtype)
    got = gn.compile(ALL[name](x), backend="native")(x=values)
    with np.errstate(all="ignore"):
        exact = getattr(np, name)(values.astype(np.longdouble)).astype(dtype)
        theirs = getattr(np, name)(values)
    for what, expected, most in (("the exact value", exact, 3), ("NumPy", theirs, 4)):
        far = distance(got, expected)
        worst = int(np.argmax(far))
        assert far[worst] <= most, f"{name}({values[worst]!r}) is {got[worst]!r}; {what} is {expected[worst]!r}"
    zero = got == 0
    np.testing.assert_array_equal(np.signbit(got[zero]), np.signbit(exact[zero]))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ALL)
def test_within_four_units_in_the_last_place_of_numpy(name, dtype):
    check(name, dtype, numbers(np.dtype(dtype), 20_000))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CIRCULAR)
def test_within_four_units_next_to_multiples_of_a_quarter_turn(name, dtype):
    quarters = np.concatenate([np.arange(300), RNG.integers(0, 1 << 18, 2_000), 1 << np.arange(62)]) * (np.pi / 2)
    nearest = quarters.astype(dtype)
    beside = [np.nextafter(nearest, np.dtype(dtype).type(to)) for to in (-np.inf, np.inf)]
    check(name, dtype, np.concatenate([nearest, -nearest, *beside]))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ALL)
def test_within_four_units_on_millions_of_numbers(name, dtype):
    check(name, dtype, numbers(np.dtype(dtype), 2_000_000))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ALL)
def test_bits_do_not_depend_on_where_an_element_stands(name, dtype):
    values = numbers(np.dtype(dtype), 500)
    x = gn.Input("x", ("N",), dtype=dtype)
    f = gn.compile(ALL[name](x), backend="native")
    whole = f(x=values).tobytes()
    parts = [f(x=values[i : i + n]) for n in (1, 3, 7) for i in range(0, 21, n)]
    singles = np.concatenate([f(x=values[i : i + 1]) for i in range(len(values))])
    assert singles.tobytes() == whole
    assert b"".join(part.tobytes() for part in parts) == 3 * np.frombuffer(whole, dtype)[:21].tobytes()


def test_without_fused_multiply_add(monkeypatch):
    """Other processors: the same polynomials in separate roundings."""
    monkeypatch.setattr(machine(), "fused_multiply_add", False)
    from graphnn.backends.native import maps

    maps.map_kernel.cache_clear()
    try:
        for name in ALL:
            check(name, "float64", numbers(np.dtype("float64"), 5_000))
    finally:
        maps.map_kernel.cache_clear()


def test_without_masked_loads(monkeypatch):
    """Other processors: what is left of a vector, one element at a time."""
    monkeypatch.setattr(machine(), "masks", False)
    from graphnn.backends.native import maps, products, reductions

    caches = maps.map_kernel, reductions.reduction_kernel, products.product_kernel
    for cached in caches:
        cached.cache_clear()
    try:
        x, w = gn.Input("x", ("N", "M")), gn.Parameter("w", np.ones((5, 5)))
        feeds = {"x": np.arange(65.0).reshape(13, 5) / 7}
        outputs = {"y": gn.Tanh(x), "total": gn.Sum(x), "rows": gn.Sum(x, axis=1), "product": x @ x.T, "w": w @ w}
        gn.testing.agree(outputs, feeds, ("numpy", "native"))
    finally:
        for cached in caches:
            cached.cache_clear()
