"""Node types that reduce or accumulate along axes."""

import numpy as np

import graphnn as gn

from .adapter import UnsupportedError, op, rule


def axes_of(call):
    """The axes to reduce; None for none at all."""
    axes = call.ints(1, "axes")
    if not axes:
        return None if call.get("noop_with_empty_axes", 0) else tuple(range(call[0].ndim))
    return axes


def reduction(name, before=lambda x: x, after=lambda x: x):
    @rule(name)
    def reduced(call):
        x, axes, keep = call[0], axes_of(call), bool(call.get("keepdims", 1))
        x = before(x)
        return after(REDUCE[name](x, axes, keep) if axes is not None else x)

    return reduced


REDUCE = {
    "ReduceSum": lambda x, a, k: gn.Sum(x, a, k).astype(x.dtype),
    "ReduceMean": lambda x, a, k: gn.Mean(x, a, k).astype(x.dtype),
    "ReduceMax": lambda x, a, k: extreme(x, a, k, "Max", "Any"),
    "ReduceMin": lambda x, a, k: extreme(x, a, k, "Min", "All"),
    "ReduceProd": lambda x, a, k: op("Prod")(x, a, k).astype(x.dtype),
    "ReduceL1": lambda x, a, k: op("Norm")(x, a, k, ord=1),
    "ReduceL2": lambda x, a, k: op("Norm")(x, a, k, ord=2),
    "ReduceLogSum": lambda x, a, k: gn.Sum(x, a, k).astype(x.dtype),
    "ReduceLogSumExp": lambda x, a, k: op("LogSumExp")(not_empty(x, a, -np.inf), a, k),
    "ReduceSumSquare": lambda x, a, k: gn.Sum(x, a, k).astype(x.dtype),
}


def extreme(x, axes, keep, name, of_bools):
    """The largest or smallest; of bools, whether any or all hold; of nothing, the dtype's own limit."""
    if x.dtype.kind == "b":
        return op(of_bools)(x, axes, keep)
    low, high = (-np.inf, np.inf) if x.dtype.kind == "f" else (np.iinfo(x.dtype).min, np.iinfo(x.dtype).max)
    return op(name)(not_empty(x, axes, low if name == "Max" else high), axes, keep)


def not_empty(x, axes, neutral):
    """Where there is nothing along an axis to reduce, one element that changes nothing."""
    more = tuple(int(a in [b % x.ndim for b in axes] and x.shape[a] == 0) for a in range(x.ndim))
    return op("Pad")(x, (0,) * x.ndim, more, value=neutral) if any(more) else x


def square(x):
    return x * x


for _name in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL2", "ReduceLogSumExp"):
    reduction(_name)
reduction("ReduceL1")
reduction("ReduceLogSum", after=gn.Log)
reduction("ReduceSumSquare", before=square)


@rule("ArgMax", "ArgMin")
def argument(call):
    x, axis, keep = call[0], call.get("axis", 0) % call[0].ndim, bool(call.get("keepdims", 1))
    if not call.get("select_last_index", 0):
        return op(call.type)(x, axis, keep)
    return x.shape[axis] - 1 - op(call.type)(op("Flip")(x, axis), axis, keep)


@rule("CumSum", "CumProd")
def cumulative(call):
    x, axis = call[0], int(call.known(1))
    return op(call.type)(x, axis, bool(call.get("exclusive", 0)), bool(call.get("reverse", 0))).astype(x.dtype)


@rule("TopK")
def top_k(call):
    x, axis = call[0], call.get("axis", -1)
    k = int(call.known(1).reshape(())) if call[1] is not None else call.get("k")
    return op("TopK")(x, k, axis, bool(call.get("largest", 1)))


def softmax_axis(call):
    return call.get("axis", -1 if call.opset >= 13 else 1)


@rule("Softmax", "LogSoftmax")
def softmax(call):
    x, axis = call[0], softmax_axis(call)
    if call.opset < 13:  # everything from the axis on is one
        flat = op("Flatten")(x, axis)
        return op(call.type)(flat, -1).reshape(x.shape)
    return op(call.type)(x, axis)


@rule("Hardmax")
def hardmax(call):
    x, axis = call[0], softmax_axis(call) % call[0].ndim
    order = (*(a for a in range(x.ndim) if a != axis), axis)
    rows = gn.OneHot(op("ArgMax")(x, axis), x.shape[axis], x.dtype)
    return gn.Transpose(rows, tuple(order.index(a) for a in range(x.ndim)))


@rule("LpNormalization")
def lp_normalization(call):
    x, axis, p = call[0], call.get("axis", -1), call.get("p", 2)
    norm = op("Norm")(x, axis, True, ord=p)
    return gn.Where(gn.Equal(norm, 0.0), 0.0, x / norm)


@rule("MeanVarianceNormalization")
def mean_variance(call):
    x, axes = call[0], tuple(call.get("axes", (0, 2, 3)))
    return (x - gn.Mean(x, axes, True)) / (gn.Sqrt(op("Variance")(x, axes, True)) + 1e-9)


@rule("NonZero", "Unique", "Compress")
def of_data(call):
    raise UnsupportedError("a shape that depends on the data")
