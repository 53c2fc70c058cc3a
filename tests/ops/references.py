"""What NumPy or SciPy says of each op: name -> function(*arrays, **attributes) -> array, or a tuple of them."""

import numpy as np
import scipy.special

# Activations

ACTIVATIONS = {
    "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "Tanh": np.tanh,
    "ReLU": lambda x: np.maximum(x, 0),
}

# Arithmetic

ARITHMETIC = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.true_divide,
    "Neg": np.negative,
    "Power": np.power,
    "AddN": lambda *values: sum(values[1:], start=values[0]),
}

# Comparisons

COMPARE = {
    "Less": np.less,
    "LessEqual": np.less_equal,
    "Greater": np.greater,
    "GreaterEqual": np.greater_equal,
    "Equal": np.equal,
    "NotEqual": np.not_equal,
}

# Functions

FUNCTIONS = {
    "Exp": np.exp,
    "Log": np.log,
    "Sqrt": np.sqrt,
    "Abs": np.abs,
    "Maximum": np.maximum,
    "Minimum": np.minimum,
    "Where": np.where,
}

# Reductions

REDUCTIONS = {
    "Sum": np.sum,
    "Max": np.max,
    "Mean": np.mean,
}

# Shape


def repeat(x, n, axis=0):
    return np.repeat(x, n, axis)


SHAPE = {
    "Reshape": lambda x, to: np.reshape(x, to),
    "Transpose": np.transpose,
    "Repeat": repeat,
}

# Indexing


def one_hot(labels, classes, kind="float32"):
    return (np.asarray(labels)[..., None] == np.arange(classes)).astype(kind)


def pick(x, labels):
    return np.take_along_axis(x, labels[..., None], -1)[..., 0]


INDEXING = {
    "OneHot": one_hot,
    "Pick": pick,
}

# Linear algebra

LINEAR = {
    "MatMul": np.matmul,
    "Dot": np.dot,
    "Affine": lambda x, W, b: x @ W + b,
}

# Structure

STRUCTURE = {
    "Branch": lambda x, n: (x,) * n,
    "Cast": lambda x, to: x.astype(to),
    "StopGradient": lambda x: x,
}

# Losses


def softmax(x, axis=-1):
    return scipy.special.softmax(x, axis).astype(np.result_type(x, np.float16))


def log_softmax(x, axis=-1):
    return scipy.special.log_softmax(x, axis)


def softmax_ce(scores, labels, reduction="mean"):
    if scores.dtype.kind != "f":
        raise TypeError("scores are floats")
    t = labels if labels.ndim == scores.ndim else np.eye(scores.shape[-1], dtype=scores.dtype)[labels]
    rows = -np.sum(t * scipy.special.log_softmax(scores, -1), -1)
    return rows if reduction == "none" else getattr(np, reduction)(rows)


LOSSES = {
    "Softmax": softmax,
    "LogSoftmax": log_softmax,
    "SoftmaxCE": softmax_ce,
}

# Normalising

NORMALISE = {}

# Nets

NETS = {}

# Random and control

RANDOM = {}
CONTROL = {}

REFERENCES = {
    **ACTIVATIONS, **ARITHMETIC, **COMPARE, **FUNCTIONS, **REDUCTIONS, **SHAPE, **INDEXING, **LINEAR, **STRUCTURE,
    **LOSSES, **NORMALISE, **NETS, **RANDOM, **CONTROL,
}  # fmt: skip

WITHOUT_REFERENCE = {}
"""Ops that have none, with the reason."""

DTYPE_EXCEPTIONS = {
    "Mean": {"bool": "refused, for a mean of bools is mostly a mistake; a visible cast says that it is meant"},
}
"""Op -> {dtype: reason}: where the result's dtype is not NumPy's, or NumPy's refusal is not ours."""
