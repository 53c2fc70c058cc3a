"""Tiny nets in one kernel: which nets are, what is launched, and that a compiler for GPUs takes the text."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.backends.cupy import loops
from graphnn.backends.cupy.device import OPTIONS
from graphnn.backends.cupy.tiny import SHARED, Tiny
from graphnn.backends.cupy.types import PRELUDE

from . import nvrtc

X, T = gn.data.spiral()


def net(hidden, dtype="float32"):
    rng = np.random.default_rng(0)
    x, t = gn.Input("x", ("N", 2), dtype=dtype), gn.Input("t", ("N",), dtype="int64")
    shapes = {"W1": (2, hidden), "b1": (hidden,), "W2": (hidden, 3), "b2": (3,)}
    p = {name: gn.Parameter(name, 0.5 * rng.normal(size=shape), dtype=dtype) for name, shape in shapes.items()}
    loss = gn.SoftmaxCE(gn.Affine(gn.ReLU(gn.Affine(x, p["W1"], p["b1"])), p["W2"], p["b2"]), t)
    return gn.compile(loss, gn.SGD(lr=0.5).updates(loss), backend="cupy")


@pytest.fixture
def made(world, monkeypatch):
    """What ran each loop: the kernel of a tiny net, or None."""
    found = []

    def note(*arguments):
        found.append(make(*arguments))
        return found[-1]

    make = loops.make_tiny
    monkeypatch.setattr(loops, "make_tiny", note)
    return found


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_net_of_the_spiral_is_tiny_and_a_wide_one_is_not(made, world, dtype):
    net(10, dtype).loop({"x": X, "t": T}, 30)
    net(500, dtype).loop({"x": X, "t": T}, 30)
    assert isinstance(made[0], Tiny) and made[1] is None
    assert made[0]._kernel.shared <= SHARED


def test_many_steps_are_one_launch(made, world, monkeypatch):
    monkeypatch.setattr(loops, "next_budget", lambda budget, took: 10**9)
    f = net(10)
    f.loop({"x": X, "t": T}, 30, epochs=1)
    before = world.launched
    f.loop({"x": X, "t": T}, 30, epochs=20, shuffle=0)
    assert world.launched - before == 2  # the first to see how long a step takes, the second for all others


def test_a_compiler_for_gpus_takes_the_text_without_a_word(made, world):
    library = nvrtc.load()
    if library is None:
        pytest.skip("NVRTC is not installed: pip install nvidia-cuda-nvrtc")
    net(10).loop({"x": X[:70], "t": T[:70]}, 30)
    text = PRELUDE + made[0]._kernel.text
    assert not nvrtc.compile_cuda(library, text, [*OPTIONS, "--gpu-architecture=sm_90"])


def test_other_batches_and_epochs_run_the_same_kernel(made, world):
    f = net(10)
    f.loop({"x": X, "t": T}, 30)
    known = len(world.library.texts)
    f.loop({"x": X[:200], "t": T[:200]}, 20, epochs=2)
    f.loop({"x": X[:93], "t": T[:93]}, 31, epochs=1)
    assert len(world.library.texts) == known and len({tiny._kernel for tiny in made}) == 1
