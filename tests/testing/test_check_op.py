"""The suite itself: each kind of mistake in an op is found, and said in terms of the sample."""

import pytest

import graphnn as gn

VECTOR = (gn.sample(("N", 2)),)


class Double(gn.Elementwise):
    """Twice the value: right in everything."""

    x: gn.Node
    formula = "2 * x"
    samples = (*VECTOR, gn.sample(()))


class WrongSlope(gn.Elementwise):
    x: gn.Node
    formula = "x * x"
    samples = VECTOR

    def vjp(self, g):
        return g * self.x


class WrongCurve(gn.Elementwise):
    x: gn.Node
    formula = "x * x"
    samples = VECTOR

    def vjp(self, g):
        return g * gn.stop_gradient(2.0 * self.x)


class WrongForward(gn.Elementwise):
    x: gn.Node
    formula = "2 * x"
    samples = VECTOR

    def forward(self, xp, x):
        return 2 * x

    def bind(self, xp, ins, out, scratch):
        return [lambda: xp.multiply(ins[0], 3, out)]


class WrongAdjoint(gn.Node):
    """The value itself, which says that its adjoint is Sum."""

    x: gn.Node
    adjoint = "Sum"
    samples = VECTOR

    def infer(self):
        return self.x.spec

    def forward(self, xp, x):
        return x + 0

    def vjp(self, g):
        return g


class NotLinear(gn.Elementwise):
    x: gn.Node
    formula = "x * x"
    adjoint = "Mul"
    samples = VECTOR


def test_an_op_that_is_right_passes():
    gn.testing.check_op(Double, lambda x: 2 * x)


@pytest.mark.parametrize(
    ("op", "says"),
    [
        (WrongSlope, r"WrongSlope\(\(N, 2\)\) with N=3: the first derivative by 'x0' is .* at \(\d, \d\), but"),
        (WrongCurve, r"WrongCurve\(\(N, 2\)\) with N=3: the second derivative by 'x0' is 0.0 at"),
        (WrongAdjoint, "WrongAdjoint names Sum as its adjoint, but its gradient is of"),
        (NotLinear, r"<A x, y> is .*, but <x, A\* y> is"),
    ],
)
def test_a_mistake_is_named(op, says):
    with pytest.raises(AssertionError, match=says):
        gn.testing.check_op(op)


def test_a_value_that_differs_from_the_reference_is_shown(monkeypatch):
    monkeypatch.setenv("GRAPHNN_CHECK", "0")  # which would find it at the step, before any result is compared
    with pytest.raises(AssertionError, match=r"WrongForward\(\(N, 2\)\) with N=3: result 0 against the reference"):
        gn.testing.check_op(WrongForward, lambda x: 2 * x)


def test_a_dtype_that_differs_from_the_reference_is_shown():
    with pytest.raises(AssertionError, match="of bool: the result is int64, but NumPy gives float64"):
        gn.testing.check_op(Double, lambda x: 2.0 * x)
    with pytest.raises(AssertionError, match=r"of bool: .*NumPy refuses it"):
        gn.testing.check_op(Double, lambda x: 2 * x if x.dtype.kind != "b" else -x)


@pytest.mark.parametrize(
    ("one", "says"),
    [
        (gn.refused(gn.ShapeError, (2,), (2,)), r"Add\(\(2,\), \(2,\)\), which must raise ShapeError, was not refused"),
        (gn.refused(gn.DTypeError, (2,), (3,)), r"which must raise DTypeError, raised ShapeError"),
        (gn.refused(gn.ShapeError, (2,), (3,), culprits=("x2",)), "does not name x2 with spec and line"),
    ],
)
def test_a_refusal_that_is_none_or_names_too_little_is_found(one, says):
    with pytest.raises(AssertionError, match=says):
        gn.testing.check_refusal(gn.Add, one)
