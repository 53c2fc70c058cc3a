"""Random: known answers, equal bits for equal seeds and steps, masks that training keeps and prediction drops."""

import tracemalloc

import numpy as np
import pytest
from scipy import stats

import graphnn as gn
from graphnn.ops.philox import State, rounds, work

from .references import WORD, philox, random_uniform

KNOWN = [  # counter, key, words: the Random123 distribution's known-answer tests
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((WORD,) * 4, (WORD,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_known_answers(counter, key, words):
    assert philox(counter, key) == words
    state = State(tuple(np.empty(spec.shape, spec.dtype) for spec in work(1)), 1)
    state.first[:], state.third[:] = counter[0], counter[2]
    for call in rounds(np, state, np.uint32(counter[1]), np.uint32(counter[3]), key[0] | key[1] << 32):
        call()
    assert tuple(int(word[0]) for word in state.words) == words


@pytest.mark.parametrize("count", [1, 3, 4, 4097, 20001])
def test_each_element_is_drawn_from_the_words_that_the_page_says(count):
    seed, step = 0x0123456789ABCDEF, 41
    number = gn.Input("step", (), dtype="int64")
    draws = {
        kind: gn.compile(gn.Uniform((count,), seed=seed, kind=kind, step=number))(step=step)
        for kind in ("float16", "float32", "float64")
    }
    for k in {0, count // 2, count - 1}:
        word = philox((k // 4, 0, step, 0), (seed & WORD, seed >> 32))[k % 4]
        low = philox((k // 4 | 1 << 30, 0, step, 0), (seed & WORD, seed >> 32))[k % 4]
        assert draws["float16"][k] == (word >> 21) * 2.0**-11
        assert draws["float32"][k] == (word >> 8) * 2.0**-24
        assert draws["float64"][k] == (word * 2**21 + (low >> 11)) * 2.0**-53


def test_a_draw_is_the_same_number_in_every_dtype():
    double = gn.compile(gn.Uniform((1000,), seed=3, kind="float64"))()
    for kind, bits in (("float32", 24), ("float16", 11)):
        cut = gn.compile(gn.Uniform((1000,), seed=3, kind=kind))()
        np.testing.assert_array_equal(cut, np.floor(double * 2**bits) / 2**bits)
    np.testing.assert_array_equal(double[:50], random_uniform(50, seed=3, kind="float64"))


@pytest.mark.parametrize(("op", "law"), [(gn.Uniform, "uniform"), (gn.Normal, "norm")])
def test_draws_follow_their_law(op, law):
    """Over many seeds the p-values of a Kolmogorov-Smirnov test are evenly spread, as they are for true draws."""
    values = [stats.kstest(gn.compile(op((2000,), seed=seed, kind="float64"))(), law).pvalue for seed in range(100)]
    assert stats.kstest(values, "uniform").pvalue > 0.01


def test_draws_have_their_mean_and_variance_and_do_not_hang_together():
    u = gn.compile(gn.Uniform((200_000,), low=-1, high=3, seed=5))()
    assert abs(u.mean() - 1) < 0.01 and abs(u.var() - 16 / 12) < 0.02 and u.min() >= -1 and u.max() < 3
    z = gn.compile(gn.Normal((200_000,), loc=1, scale=2, seed=5))()
    assert abs(z.mean() - 1) < 0.02 and abs(z.var() - 4) < 0.05
    single = gn.compile(gn.Normal((200_000,), seed=6))()
    assert single.dtype == np.float32 and np.isfinite(single).all()
    assert abs(single.mean()) < 0.01 and abs(single.var() - 1) < 0.02
    assert abs(np.corrcoef(single[:-1], single[1:])[0, 1]) < 0.01


def test_seeds_scopes_and_steps_draw_apart():
    step = gn.Input("step", (), dtype="int64")
    with gn.scope("other"):
        scoped = gn.Uniform((8,), seed=1, step=step)
    f = gn.compile([gn.Uniform((8,), seed=1, step=step), gn.Uniform((8,), seed=2, step=step), scoped])
    draws = [*f(step=0), *f(step=1)]
    for i, one in enumerate(draws):
        for other in draws[:i]:
            assert not np.array_equal(one, other)
    np.testing.assert_array_equal(f(step=1)[0], draws[3])


def test_the_same_declaration_draws_the_same_whatever_came_before(run_python):
    script = "{}import graphnn as gn; print(gn.compile(gn.Uniform((5,), seed=3))().tobytes().hex())"
    plain = run_python(script.format(""), PYTHONHASHSEED="1")
    assert plain == run_python(
        script.format("import graphnn as gn; y = gn.Dropout(gn.Uniform((9,)), 0.5);"), PYTHONHASHSEED="2"
    )
    assert plain.strip() == gn.compile(gn.Uniform((5,), seed=3))().tobytes().hex()


def network(seed=0):
    rng = np.random.default_rng(seed)
    x, t = gn.Input("x", ("N", 4)), gn.Input("t", ("N",), dtype="int64")
    W, V = gn.Parameter("W", rng.normal(size=(4, 8))), gn.Parameter("V", rng.normal(size=(8, 2)))
    h = gn.Dropout(gn.Tanh(gn.Dropout(x, 0.25) @ W), 0.5)
    scores = h @ V
    return gn.Model(x, t, scores, gn.SoftmaxCE(scores, t)), h


DATA = np.random.default_rng(1).normal(size=(12, 4)), np.arange(12) % 2


def test_the_step_moves_by_updates_alone():
    model, h = network()
    assert [name for name, p in model.parameters.items() if not p.trainable] == ["random0", "random1"]
    plain = gn.compile(h)
    first = plain(x=DATA[0])
    np.testing.assert_array_equal(plain(x=DATA[0]), first)
    step = gn.compile(model.loss, gn.SGD(lr=0.0).updates(model.loss))
    step(x=DATA[0], t=DATA[1])
    assert int(step.state["random0"]) == int(step.state["random1"]) == 1
    assert not np.array_equal(plain(x=DATA[0]), first)
    step.set("random0", 0)
    step.set("random1", 0)
    np.testing.assert_array_equal(plain(x=DATA[0]), first)


def test_calls_a_loop_and_another_program_draw_the_same_at_the_same_step():
    losses = []
    for run in ("calls", "loop", "none"):
        model, _ = network()
        passes = "none" if run == "none" else "default"
        step = gn.compile(model.loss, gn.SGD(lr=0.1).updates(model.loss), passes=passes)
        if run == "loop":
            losses.append(step.loop({"x": DATA[0], "t": DATA[1]}, batch_size=4, epochs=2).ravel())
        else:
            rows = [slice(i, i + 4) for i in (0, 4, 8)] * 2
            losses.append([float(step(x=DATA[0][r], t=DATA[1][r])) for r in rows])
    np.testing.assert_array_equal(losses[0], losses[1])
    np.testing.assert_allclose(losses[0], losses[2], rtol=1e-5)
    assert len(set(losses[0])) == 6


def test_a_restored_state_goes_on_as_if_nothing_had_happened(tmp_path):
    model, _ = network()
    step = gn.compile(model.loss, gn.SGD(lr=0.1).updates(model.loss))
    feeds = {"x": DATA[0], "t": DATA[1]}
    step(**feeds)
    gn.save(tmp_path / "state.safetensors", step)
    expected = [step(**feeds) for _ in range(3)]
    again, _ = network(seed=9)
    other = gn.compile(again.loss, gn.SGD(lr=0.1).updates(again.loss))
    gn.load(tmp_path / "state.safetensors", other)
    assert [other(**feeds) for _ in range(3)] == expected


def test_dropout_keeps_scales_and_sends_the_gradient_through_the_same_mask():
    x = gn.Input("x", ("N",))
    y = gn.Dropout(x, 0.25, seed=4)
    f = gn.compile({"y": y, "dx": gn.grad(gn.Sum(y * y), x)})
    values = np.random.default_rng(0).normal(size=20_000).astype("float32")
    found = f(x=values)
    kept = found["y"] != 0
    assert abs(kept.mean() - 0.75) < 0.01
    np.testing.assert_allclose(found["y"][kept], values[kept] / 0.75, rtol=1e-6)
    np.testing.assert_allclose(found["dx"], np.where(kept, 2 * values / 0.75**2, 0), rtol=1e-5)
    assert sum(step.node.op == "Uniform" for step in f.plan.steps) == 1  # forward and backward share the draw
    infinite = f(x=np.full(100, np.inf))["y"]
    assert set(infinite.tolist()) == {0.0, np.inf}


def test_dropouts_after_one_another_have_masks_of_their_own():
    x = gn.Input("x", (1000,))
    first = gn.Dropout(x, 0.5)
    second = gn.Dropout(gn.Exp(first), 0.5)
    assert (first.seed, second.seed) == (0, 1)
    masks = gn.compile([first, second])(x=np.ones(1000))
    assert 0.4 < np.mean((masks[0] > 0) == (masks[1] > 0)) < 0.6


def test_two_of_one_seed_in_one_graph_are_refused():
    x = gn.Input("x", (3,))
    y = gn.Dropout(x, 0.5) + gn.Dropout(x, 0.5)
    with pytest.raises(gn.GraphError) as error:
        gn.compile(y)
    message = str(error.value)
    assert message.count("Dropout f32[3] (test_random.py:") == 2
    assert "both carry a state 'random0'. Give each a name or seed of its own, such as seed=1" in message
    with gn.scope("b"):
        other = gn.Dropout(x, 0.5)
    gn.compile(gn.Dropout(x, 0.5) + other)


def test_rates_and_seeds_that_make_no_sense():
    x = gn.Input("x", (3,))
    for rate in (1.0, -0.1, float("nan")):
        with pytest.raises(gn.GraphError, match=r"Dropout: the rate is .*; it is 0 or more, and below 1"):
            gn.Dropout(x, rate)
    with pytest.raises(gn.GraphError, match=r"the seed is 'a'; it must be a number from 0 to 2\*\*64 - 1"):
        gn.Dropout(x, 0.5, seed="a")
    with pytest.raises(gn.DTypeError, match=r"the step 'x' f32\[3\] \(test_random.py:\d+\) must be a scalar"):
        gn.Uniform((2,), step=x)
    assert gn.compile(gn.Dropout(x, 0.0))(x=[1, 2, 3]).tolist() == [1, 2, 3]


class Block(gn.Composite):
    x: gn.Node
    step: gn.Node

    def expand(self):
        return gn.Tanh(gn.Dropout(self.x, 0.5, step=self.step))


def test_prediction_drops_dropout_inside_composites_too():
    x, t = gn.Input("x", ("N", 2)), gn.Input("t", ("N",), dtype="int64")
    counter = gn.Parameter("counter", np.int64(0), trainable=False)
    scores = Block(gn.Affine(x, np.eye(2), gn.Parameter("b", np.zeros(2))), counter)
    model = gn.Model(x, t, scores, gn.SoftmaxCE(scores, t))
    points = np.random.default_rng(0).normal(size=(6, 2))
    np.testing.assert_allclose(model.predict(points), np.tanh(points), rtol=1e-5)
    updates = gn.SGD().updates(model.loss)
    assert counter in updates
    gn.compile(model.loss, updates)(x=points, t=[0] * 6)
    assert counter.value == 1


def test_a_composite_may_not_hide_a_counter():
    class Hidden(gn.Composite):
        x: gn.Node

        def expand(self):
            return gn.Dropout(self.x, 0.5)

    try:
        with pytest.raises(gn.GraphError, match="Make the step an operand of the composite"):
            Hidden(gn.Input("x", (3,)))
    finally:
        gn.Node.ops.pop("Hidden")


def test_a_step_allocates_nothing():
    x = gn.Input("x", (100_000,))
    loss = gn.Sum(gn.Dropout(x, 0.5) * gn.Parameter("w", 1.0))
    step = gn.compile(loss, gn.SGD().updates(loss))
    feeds = {"x": np.ones((100_000,), np.float32)}
    step(**feeds)
    tracemalloc.start()
    step(**feeds)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < feeds["x"].nbytes / 4  # what NumPy casts through, whatever the size
