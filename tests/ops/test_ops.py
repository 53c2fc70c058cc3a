"""Every op against what it declares: one generic suite, for every op and every backend that works here.

What is proved of each op: specs, values against NumPy or SciPy, first and second derivatives against central
differences, adjoints, dtypes, layouts, refusals. To bring an op under it, declare its samples in the class and its
reference in `references.py`.
"""

from functools import cache

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import graphnn as gn
from graphnn.ir.node import Node
from graphnn.testing import Trial, check_refusal, check_sample
from graphnn.testing.dtypes import check_dtypes, check_single_precision
from graphnn.testing.ops import SIZES, check_adjoint

from .references import DTYPE_EXCEPTIONS, REFERENCES, WITHOUT_REFERENCE

pytestmark = pytest.mark.usefixtures("compiled_once_more")

LEAVES = {"Input", "Parameter", "Constant", "Count", "Item", "Placeholder"}
BASES = {
    "Elementwise",
    "Composite",
    "Reduction",
    "Windowed",
    "Pooling",
    "Map",
    "Product",
    "RectifiedProduct",
    "GatedProduct",
    "Rows",
    "ToBFloat16",
    "FromBFloat16",
}
OPS = {name: op for name, op in Node.ops.items() if op.__module__.startswith("graphnn.") and name not in LEAVES | BASES}
CASES = [(name, i, one) for name, op in OPS.items() for i, one in enumerate(op.samples)]
ACCEPTED = [pytest.param(name, i, id=f"{name}-{i}") for name, i, one in CASES if one.error is None]
REFUSED = [pytest.param(name, i, id=f"{name}-{i}") for name, i, one in CASES if one.error is not None]


@cache
def trial(name, i):
    """An op on its sample i, compiled once for all tests."""
    return Trial(OPS[name], OPS[name].samples[i])


def trials(name):
    """An op on each sample that it accepts."""
    return [trial(name, i) for i, one in enumerate(OPS[name].samples) if one.error is None]


def test_every_op_is_public_and_declares_samples_an_example_and_a_reference():
    for name, op in OPS.items():
        assert getattr(gn, name) is op, f"{name} is not public"
        assert any(one.error is None for one in op.samples), f"{name} declares no sample"
        assert op.__doc__ and ">>>" in op.__doc__, f"{name} shows no example"
        assert (name in REFERENCES) != (name in WITHOUT_REFERENCE), f"{name} needs a reference, or a reason for none"
    assert not (REFERENCES.keys() | WITHOUT_REFERENCE.keys() | DTYPE_EXCEPTIONS.keys()) - OPS.keys()


@pytest.mark.parametrize(("name", "i"), ACCEPTED)
def test_a_sample_holds_as_declared(name, i):
    for sizes in SIZES:
        check_sample(trial(name, i), sizes, reference=REFERENCES.get(name))


@pytest.mark.parametrize(("name", "i"), REFUSED)
def test_a_sample_is_refused_as_declared(name, i):
    check_refusal(OPS[name], OPS[name].samples[i])


@pytest.mark.parametrize("name", [name for name, op in OPS.items() if op.adjoint])
def test_the_gradient_of_a_linear_op_is_its_adjoint(name):
    assert OPS[name].adjoint in OPS
    check_adjoint(trials(name))


@pytest.mark.parametrize("name", OPS)
def test_derivatives_hold_in_single_precision(name):
    check_single_precision(trials(name))


@pytest.mark.parametrize("name", [name for name in OPS if name in REFERENCES])
def test_dtypes_are_those_of_numpy(name):
    check_dtypes(trials(name), REFERENCES[name], DTYPE_EXCEPTIONS.get(name))


def read_only(array):
    array.flags.writeable = False
    return array


LAYOUTS = {
    "plain": lambda a: a,
    "fortran": lambda a: np.array(a, order="F"),
    "strided": lambda a: np.repeat(a, 2, axis=-1)[..., ::2] if a.ndim else a,
    "negative stride": lambda a: np.ascontiguousarray(a[..., ::-1])[..., ::-1] if a.ndim else a,
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "read-only": read_only,
}


def hold(name, data, everywhere):
    one = data.draw(st.sampled_from(trials(name)), "sample")
    sizes = {size: data.draw(st.integers(0, 3), size) for size in ("N", "M", "K", "B")}
    layout = LAYOUTS[data.draw(st.sampled_from(sorted(LAYOUTS)), "layout")]
    seed = data.draw(st.integers(0, 2**16), "seed")
    check_sample(one, sizes, seed, reference=REFERENCES.get(name), layout=layout, everywhere=everywhere)


@pytest.mark.parametrize("name", OPS)
@given(data=st.data())
def test_it_holds_on_any_size_and_layout(name, data):
    hold(name, data, everywhere=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", OPS)
@given(data=st.data())
def test_it_holds_on_a_hundred_sizes_and_layouts_everywhere(name, data):
    hold(name, data, everywhere=True)
