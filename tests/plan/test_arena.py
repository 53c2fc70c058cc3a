"""The arena: places that hold for every size, near the least that any arena could have."""

import itertools

import numpy as np
import pytest

import graphnn as gn
from graphnn.ir.polynomial import bytes_of
from graphnn.ir.spec import Size, Spec
from graphnn.plan.arena import ALIGNMENT, Buffer, aligned, offsets, place


def random_buffers(seed, count=60, end=40):
    rng = np.random.default_rng(seed)
    n, m = Size("N"), Size("M")
    shapes = [(n, 10), (n, 3), (n,), (10, 3), (), (2 * n + 1, 4), (n, m), (m, 7), (1000,), (0,)]
    for _ in range(count):
        first = int(rng.integers(-1, end))
        last = int(min(end, first + rng.integers(0, 12)))
        shape = shapes[int(rng.integers(len(shapes)))]
        yield Buffer(bytes_of(Spec(shape, np.dtype(rng.choice(["f4", "f8"])))), first, last)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_the_sizes_what_lives_together_lies_apart(seed):
    buffers = list(random_buffers(seed))
    slots, slot_of = place(buffers, 40)
    for n, m in itertools.product((0, 1, 7, 128, 1000), (1, 33)):
        sizes = {"N": n, "M": m}
        begins, end = offsets(slots, sizes)
        spans = [(begins[s], begins[s] + b.size(sizes), b) for s, b in zip(slot_of, buffers, strict=True)]
        assert all(start % ALIGNMENT == 0 and stop <= end for start, stop, _ in spans)
        for (start, stop, a), (begin, close, b) in itertools.combinations(spans, 2):
            together = a.first <= b.last and b.first <= a.last
            assert not together or stop <= begin or close <= start
        live = [sum(aligned(b.size(sizes)) for b in buffers if b.first <= t <= b.last) for t in range(-1, 41)]
        assert max(live) <= end <= sum(aligned(b.size(sizes)) for b in buffers)


def test_one_size_needs_no_more_than_lives_at_once():
    size = bytes_of(Spec((Size("N"),), np.dtype("f4")))
    rng = np.random.default_rng(0)
    firsts = rng.integers(0, 90, 200)
    buffers = [Buffer(size, int(f), int(f + rng.integers(0, 10))) for f in firsts]
    slots, _ = place(buffers, 100)
    assert len(slots) == max(sum(b.first <= t <= b.last for b in buffers) for t in range(101))


def test_small_buffers_lie_side_by_side_where_a_large_one_comes_later():
    large, small = (bytes_of(Spec((Size("N"), k), np.dtype("f4"))) for k in (32, 16))
    slots, slot_of = place([Buffer(small, 0, 3), Buffer(small, 2, 4), Buffer(large, 5, 9)], 9)
    begins, end = offsets(slots, {"N": 100})
    assert end == 12800 and sorted(begins[s] for s in slot_of) == [0, 0, 6400]


def training_net(layers, width, swish):
    rng = np.random.default_rng(0)
    x, t = gn.Input("x", ("N", width)), gn.Input("t", ("N",), dtype="int64")
    h = x
    for i in range(layers):
        W, b = gn.Parameter(f"W{i}", rng.normal(size=(width, width))), gn.Parameter(f"b{i}", np.zeros(width))
        z = gn.Affine(h, W, b)
        h = z * gn.Sigmoid(z) if swish else gn.Tanh(z)
    loss = gn.SoftmaxCE(h, t)
    return gn.compile(loss, gn.SGD().updates(loss))


@pytest.mark.parametrize("swish", [False, True])
def test_a_net_in_training_takes_little_more_than_the_lower_bound(swish):
    f = training_net(12, 32, swish)
    for n, most in ((16, 1.4), (64, 1.1), (128, 1.02), (1000, 1.02)):  # places are chosen for 128
        told = f.memory(N=n)
        assert told.arena <= most * told.lower_bound, (n, told.arena, told.lower_bound)


def test_planning_is_linear_where_every_layer_has_its_own_size():
    buffers = [Buffer(bytes_of(Spec((64 * (i % 2000 + 1),), np.dtype("f4"))), i, i + 3) for i in range(20_000)]
    slots, slot_of = place(buffers, 20_003)
    assert len(slot_of) == 20_000 and sum(not slot.inside for slot in slots) < 2000
