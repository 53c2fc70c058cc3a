"""Memory before the run: what is foretold is what is allocated, to the byte."""

import functools
import types

import numpy as np
import pytest

import graphnn as gn
from graphnn import executable
from graphnn.backends.bindings import Bindings
from graphnn.backends.block import Block
from graphnn.backends.numpy import loop as numpy_loop
from graphnn.backends.numpy import program as numpy_program
from graphnn.backends.numpy.bound import Bound
from graphnn.backends.numpy.loop import Loop
from graphnn.backends.numpy.program import NumpyProgram
from graphnn.backends.placed import owner
from graphnn.plan.memory import ALIGNMENT
from graphnn.plan.usage import live_bytes, live_formulas, read_bytes
from graphnn.runtime.rewind import Rewind


def held(*things):
    """The bytes of every array that can be reached from some things, each block of memory counted once."""
    owners, seen, todo = {}, set(), list(things)
    while todo:
        thing = todo.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, np.ndarray):
            thing = owner(thing)
            owners[id(thing)] = thing.nbytes
        elif isinstance(thing, (list, tuple, set)):
            todo += thing
        elif isinstance(thing, dict):
            todo += thing.values()
        elif isinstance(thing, functools.partial):
            todo += [thing.func, thing.args, thing.keywords]
        elif isinstance(thing, types.FunctionType):
            todo += [cell.cell_contents for cell in thing.__closure__ or ()]
        elif isinstance(thing, (types.BuiltinMethodType, types.MethodType)):
            todo.append(thing.__self__)
        elif isinstance(thing, (Bindings, Block, Bound, Loop, NumpyProgram)):
            todo += vars(thing).values()
    return sum(owners.values())


def random_program(seed):
    """A graph of random ops over random shapes, half the time with gradients and updates."""
    rng = np.random.default_rng(seed)
    width = int(rng.integers(2, 40))
    x = gn.Input("x", ("N", width), dtype=rng.choice(["float32", "float64"]))
    t = gn.Input("t", ("N",), dtype="int64")
    values = [x]
    for i in range(int(rng.integers(3, 14))):
        y = values[int(rng.integers(len(values)))]
        match int(rng.integers(8)):
            case 0:
                y = gn.Tanh(y)
            case 1:
                y = gn.Exp(-(y * y))
            case 2:
                W = gn.Parameter(f"W{i}", rng.normal(size=(y.shape[1], int(rng.integers(1, 20)))), dtype=y.dtype)
                y = y @ W
            case 3:
                y = gn.Softmax(y)
            case 4:
                y = y - gn.Mean(y, axis=0)
            case 5:
                y = gn.Sigmoid(y.T).T
            case 6:
                b = gn.Parameter(f"b{i}", rng.normal(size=y.shape[1]), dtype=y.dtype)
                y = y + b
            case 7:
                y = y * rng.normal(size=y.shape[1])
        values.append(y)
    loss = gn.SoftmaxCE(values[-1], t) + gn.Mean(values[len(values) // 2])
    reached = gn.Graph(loss).parameters
    if seed % 2 and reached:
        return gn.compile({"loss": loss, "y": values[-1]}, gn.SGD(lr=0.01).updates(loss)), width
    return gn.compile({"loss": loss, "y": values[-1]}), width


def allocated_by_a_call(f, n, width):
    f._program = NumpyProgram(f.plan, "loss")
    f(x=np.zeros((n, width)), t=np.zeros(n, int))
    return f._program


def check_bytes(seed):
    f, width = random_program(seed)
    state = sum(p.storage.nbytes for p in f.graph.parameters.values())
    for n in (1, 2, 7, 30, 256):
        program = allocated_by_a_call(f, n, width)
        told = f.memory(N=n)
        assert told.arena == program._bindings.block.memory.nbytes == f.plan.arena_bytes(N=n)
        assert told.state == state
        assert told.arena + ALIGNMENT + told.state + told.constants == held(program, *storages(f)), (seed, n)
        assert told.lower_bound <= told.arena


def storages(f):
    return [p.storage for p in f.graph.parameters.values()]


@pytest.mark.parametrize("seed", range(8))
def test_what_is_foretold_is_allocated(seed):
    check_bytes(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(50))
def test_what_is_foretold_is_allocated_on_fifty_graphs(seed):
    check_bytes(seed)


@pytest.mark.parametrize(
    ("samples", "batch", "shuffle"), [(100, 30, 0), (90, 30, 0), (10, 30, 0), (20_000, 30, 0), (100, 30, None)]
)
def test_a_loop_allocates_what_is_foretold(samples, batch, shuffle, monkeypatch):
    f, width = random_program(3)
    loops, rewinds = [], []
    monkeypatch.setattr(numpy_program, "Loop", lambda *a: loops.append(Loop(*a)) or loops[0])
    monkeypatch.setattr(executable, "Rewind", lambda *a: rewinds.append(Rewind(*a)) or rewinds[0])
    f.loop({"x": np.zeros((samples, width), f.graph.inputs["x"].dtype), "t": np.zeros(samples, int)}, batch, 1, shuffle)
    [run] = loops
    first = min(samples, batch)
    told = f.memory(N=first, samples=samples)
    data = sum(a.nbytes for a in run.batches.data.values())
    records = sum(a.nbytes for _, a in run.records)
    gathered = sum(a.nbytes for a in run.gathered.values())
    assert bool(gathered) == (shuffle is not None)
    extra = told.loop if shuffle is not None else told.loop - row_bytes(f) * run.rows
    assert told.arena + ALIGNMENT + told.state + told.constants + extra == (
        held(run, f._program, rewinds[0]._kept, dict(run.batches.data), *storages(f)) - data - records
    )
    assert told.loop <= f.memory(N=first).loop or samples < batch


def row_bytes(f):
    return sum(node.spec.bytes({"N": 1}) for node in f.graph.inputs.values())


def test_without_samples_the_loop_is_a_bound_that_never_falls():
    f, _ = random_program(1)
    bounds = [f.memory(N=n) for n in range(1, 3000, 7)]
    assert [m.loop for m in bounds] == sorted(m.loop for m in bounds)
    for m in bounds[::50]:
        for samples in (1, 17, 300, 10**6):
            assert f.memory(**m.sizes, samples=samples).loop <= m.loop
    assert bounds[0].loop >= numpy_loop.gather_rows(1, row_bytes(f), None) * row_bytes(f)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("budget", ["1MiB", "64MiB", 3_000_001])
def test_the_largest_batch_fits_and_one_more_does_not(seed, budget):
    f, _ = random_program(seed)
    n = f.max_batch(budget)
    assert f.memory(N=n).total <= read_bytes(budget, "") < f.memory(N=n + 1).total


def test_the_largest_batch_of_a_size_among_several():
    x, y = gn.Input("x", ("N", "M")), gn.Input("y", ("M",))
    f = gn.compile(gn.Exp(x) * y)
    n = f.max_batch("1MiB", M=100)
    assert f.memory(N=n, M=100).total <= 2**20 < f.memory(N=n + 1, M=100).total
    with pytest.raises(gn.GraphError, match=r"say how large M is, as in M=30"):
        gn.compile(gn.Exp(x)).max_batch("1MiB")
    with pytest.raises(gn.GraphError, match="leave exactly one size open"):
        f.max_batch("1MiB", N=1, M=100)
    with pytest.raises(gn.FeedError, match="unknown: K"):
        f.max_batch("1MiB", M=100, K=1)


def test_a_budget_that_holds_nothing_names_the_largest_values():
    x = gn.Input("x", ("N", 1000))
    f = gn.compile(gn.Exp(x))
    with pytest.raises(gn.BackendError, match=r"100 bytes do not hold N=1.*Exp f32\[N, 1000\] \(test_usage.py:\d+\)"):
        f.max_batch(100)
    with pytest.raises(gn.GraphError, match=r"it must be a number of bytes, or text such as \"64MiB\""):
        f.max_batch("much")


@pytest.mark.parametrize("text, number", [("64MiB", 2**26), ("1kb", 1000), ("2 GiB", 2**31), ("12", 12), (5, 5)])
def test_amounts_of_memory(text, number):
    assert read_bytes(text, "a budget") == number


def test_what_is_live_is_the_same_in_numbers_and_in_formulas():
    f, _ = random_program(5)
    exact = [formula({"N": 64}) for formula in live_formulas(f.plan)]  # most values are whole cache lines then
    rounded = live_bytes(f.plan, {"N": 64})
    assert len(exact) == len(f.plan.steps) + 1
    assert all(a <= b < a + 64 * len(f.plan.values) for a, b in zip(exact, rounded, strict=True))


def test_memory_prints_the_timeline_and_the_largest_values(capsys):
    x, w = gn.Input("x", ("N", 10)), gn.Parameter("w", np.zeros((10, 10)))
    f = gn.compile(gn.Sum(gn.Tanh(x @ w)))
    assert f.memory() is None
    formula = capsys.readouterr().out
    assert "arena     = 2·⌈40·N⌉ + ⌈4⌉ bytes" in formula and "at least 80·N + 4 bytes" in formula
    assert "state     = 400 bytes" in formula
    assert "1  80·N      %1 Tanh (test_usage.py:" in formula
    assert "  40·N   'x' f32[N, 10] (test_usage.py:" in formula
    text = str(f.memory(N=100, samples=1000))
    assert "memory for N=100" in text and "arena               8128   at least 8128" in text
    assert "3.9 KiB  'x' f32[N, 10] (test_usage.py:" in text and "█" in text


def test_a_long_timeline_is_cut_to_its_peaks():
    x = gn.Input("x", ("N",))
    h = x
    for _ in range(500):
        h = gn.Tanh(h) + x
    text = str(gn.compile(gn.Sum(h)).memory(N=10))
    assert text.count("\n") < 70


def test_what_does_not_fit_the_machine_is_refused_before_the_run():
    x, w = gn.Input("x", ("N", 1)), gn.Parameter("w", 1.0)
    loss = gn.Sum(gn.Exp(gn.Repeat(x, 10**9, axis=1) * w))
    f = gn.compile(loss, gn.SGD().updates(loss))
    says = (
        r"numpy: there is not enough memory for N=1000000: the arena takes .* GiB. The largest values: \w+ f32\[N, 10"
    )
    with pytest.raises(gn.BackendError, match=says):
        f(x=np.zeros((10**6, 1)))
    with pytest.raises(gn.BackendError, match=says):
        f.loop({"x": np.zeros((10**6, 1))}, 10**6)
    assert w.value == 1.0


def test_a_program_goes_on_after_it_was_refused():
    x = gn.Input("x", ("N", 1))
    f = gn.compile(gn.Sum(gn.Exp(gn.Repeat(x, "M", axis=1))))
    small = f(x=np.zeros((2, 1)), M=2)
    with pytest.raises(gn.BackendError, match="not enough memory for M="):
        f(x=np.zeros((10**6, 1)), M=10**9)
    assert f(x=np.zeros((2, 1)), M=2) == small == 4
