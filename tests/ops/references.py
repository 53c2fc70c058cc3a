"""What NumPy or SciPy says of each op: name -> function(*arrays, **attributes) -> array, or a tuple of them.

It is longer than a file should be, since it is one table: an op is looked up here and nowhere else.
"""

import math

import numpy as np
import scipy.signal
import scipy.special

# Activations


def gelu(x, approximate="none"):
    inside = np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)
    half = 1 + np.tanh(inside) if approximate == "tanh" else 1 + special(scipy.special.erf)(x / 2**0.5)
    return (0.5 * x * half).astype(np.result_type(x, np.float16) if x.dtype.kind == "f" else half.dtype)


def selu(x, alpha=1.6732632423543772, gamma=1.0507009873554805):
    return gamma * np.where(x > 0, x, alpha * np.expm1(x))


def special(function):
    """A function of SciPy with NumPy's dtypes: it knows no float16."""
    return lambda x: function(x).astype(np.exp(x).dtype)


ACTIVATIONS = {
    "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "Tanh": np.tanh,
    "ReLU": lambda x: np.maximum(x, 0),
    "LogSigmoid": lambda x: -np.log1p(np.exp(-x)),
    "Softplus": lambda x: np.log1p(np.exp(x)),
    "Softsign": lambda x: x / (1 + np.abs(x)),
    "SiLU": lambda x: x / (1 + np.exp(-x)),
    "Mish": lambda x: x * np.tanh(np.log1p(np.exp(x))),
    "GELU": gelu,
    "LeakyReLU": lambda x, alpha=0.01: np.maximum(x, 0) + alpha * np.minimum(x, 0),
    "PReLU": lambda x, slope: np.where(x > 0, x, slope * x),
    "ThresholdedReLU": lambda x, alpha=1.0: np.where(x > alpha, x, 0),
    "ELU": lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(x)),
    "CELU": lambda x, alpha=1.0: np.maximum(x, 0) + alpha * np.expm1(np.minimum(x, 0) / alpha),
    "SELU": selu,
    "HardSigmoid": lambda x, alpha=0.2, beta=0.5: np.clip(alpha * x + beta, 0, 1),
    "HardSwish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
}

# Arithmetic

ARITHMETIC = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.true_divide,
    "Neg": np.negative,
    "Power": np.power,
    "Mod": lambda x, y, fmod=False: np.fmod(x, y) if fmod else np.remainder(x, y),
    "Reciprocal": lambda x: 1 / x,
    "Square": np.square,
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
    "Expm1": np.expm1,
    "Log1p": np.log1p,
    "Sign": np.sign,
    "Floor": np.floor,
    "Ceil": np.ceil,
    "Round": lambda x: np.round(x) if x.dtype.kind != "b" else x,
    "Erf": special(scipy.special.erf),
}

TRIGONOMETRY = {
    "Sin": np.sin,
    "Cos": np.cos,
    "Tan": np.tan,
    "Arcsin": np.arcsin,
    "Arccos": np.arccos,
    "Arctan": np.arctan,
    "Arctan2": np.arctan2,
    "Sinh": np.sinh,
    "Cosh": np.cosh,
    "Arcsinh": np.arcsinh,
    "Arccosh": np.arccosh,
    "Arctanh": np.arctanh,
}

CHOICE = {
    "Maximum": np.maximum,
    "Minimum": np.minimum,
    "Where": np.where,
    "Clip": lambda x, low=None, high=None: x if low is None and high is None else np.clip(x, low, high),
}

LOGIC = {
    "And": np.bitwise_and,
    "Or": np.bitwise_or,
    "Xor": np.bitwise_xor,
    "Not": np.invert,
    "IsNaN": np.isnan,
    "IsInf": lambda x, detect_negative=True, detect_positive=True: (
        np.isinf(x) & ((x < 0) & detect_negative | (x > 0) & detect_positive)
    ),
}

# Reductions


def log_sum_exp(x, axis=None, keepdims=False):
    return np.log(np.sum(np.exp(x), axis, keepdims=keepdims))


def norm(x, axis=None, keepdims=False, ord=2):
    x = x if x.dtype.kind == "f" else x.astype(float)
    y = np.sum(np.abs(x) ** ord, axis, keepdims=keepdims)
    return y if ord == 1 else np.sqrt(y)


def cumulative(ufunc, start):
    def reference(x, axis=None, exclusive=False, reverse=False):
        rows = np.moveaxis(x.reshape(-1) if axis is None else x, 0 if axis is None else axis, 0)
        rows = rows[::-1] if reverse else rows
        y = ufunc(rows, axis=0)
        y = np.concatenate([np.full_like(y[:1], start), y[:-1]]) if exclusive else y
        return np.moveaxis(y[::-1] if reverse else y, 0, 0 if axis is None else axis)

    return reference


def place_of(extreme):
    def reference(x, axis=None, keepdims=False, last=False):
        rows = (x.reshape(-1) if axis is None else np.moveaxis(x, axis, -1)).astype(float)
        equal = rows == extreme(rows, axis=-1, keepdims=True)
        y = np.where(equal, np.arange(rows.shape[-1]), -1).max(-1) if last else np.argmax(equal, -1)
        if not keepdims:
            return np.asarray(y)
        return np.reshape(y, (1,) * x.ndim) if axis is None else np.expand_dims(y, axis)

    return reference


def top_k(x, k, axis=-1, largest=True, results=(0, 1)):
    order = np.lexsort((np.zeros(x.shape), -x.astype(float) if largest else x.astype(float)), axis=axis)
    places = np.take(order, np.arange(k), axis)
    both = np.take_along_axis(x, places, axis), places
    return tuple(both[result] for result in results)


REDUCTIONS = {
    "Sum": np.sum,
    "Mean": np.mean,
    "Max": np.max,
    "Min": np.min,
    "Prod": np.prod,
    "All": np.all,
    "Any": np.any,
    "LogSumExp": log_sum_exp,
    "Norm": norm,
    "Variance": np.var,
    "CumSum": cumulative(np.cumsum, 0),
    "CumProd": cumulative(np.cumprod, 1),
    "ArgMax": place_of(np.max),
    "ArgMin": place_of(np.min),
    "TopK": top_k,
}

# Shape


def repeat(x, n, axis=0):
    return np.repeat(x, n, axis)


def flatten(x, axis=1):
    axis %= x.ndim or 1
    return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


def split(x, parts, axis=0):
    return np.split(x, parts if isinstance(parts, int) else np.cumsum(parts)[:-1], axis)


def part(x, start=0, stop=None, step=1, axis=0):
    index = [slice(None)] * x.ndim
    if not isinstance(axis, tuple):
        start, stop, step, axis = (start,), (stop,), (step,), (axis,)
    for a, *places in zip(axis, start, stop, step, strict=True):
        index[a] = slice(*places)
    return x[tuple(index)]


def pad(x, before, after=None, value=0.0, mode="constant", between=0):
    each = [v if isinstance(v, tuple) else (v,) * x.ndim for v in (before, before if after is None else after, between)]
    for a, gap in enumerate(each[2]):
        apart = np.full((*x.shape[:a], x.shape[a] * (gap + 1) - gap, *x.shape[a + 1 :]), value, x.dtype)
        apart[(*(slice(None),) * a, slice(None, None, gap + 1))] = x
        x = apart
    options = {"constant_values": value} if mode == "constant" else {}
    return np.pad(x, list(zip(*each[:2], strict=True)), mode, **options) if x.ndim else x


SHAPE = {
    "Reshape": lambda x, to: np.reshape(x, to),
    "Transpose": np.transpose,
    "Repeat": repeat,
    "Flatten": flatten,
    "Squeeze": np.squeeze,
    "Unsqueeze": np.expand_dims,
    "Broadcast": lambda x, to: np.broadcast_to(x, to),
    "Tile": lambda x, reps: np.tile(x, reps),
    "Concat": lambda *values, axis=0: np.concatenate(values, axis),
    "Stack": lambda *values, axis=0: np.stack(values, axis),
    "Split": split,
    "Slice": part,
    "Flip": np.flip,
    "Pad": pad,
    "Trilu": lambda x, upper=True, k=0: (np.triu if upper else np.tril)(x, k),
}

# Indexing


def one_hot(labels, classes, kind="float32", axis=-1, on=1, off=0):
    found = np.asarray(labels)[..., None] == np.arange(classes)
    return np.moveaxis(np.where(found, on, off).astype(kind), -1, axis)


def pick(x, labels):
    return np.take_along_axis(x, labels[..., None], -1)[..., 0]


def scatter_add(x, index, n, axis=0):
    out = np.zeros((*x.shape[:axis], n, *x.shape[axis + index.ndim :]), x.dtype)
    for at in np.ndindex(index.shape):
        out[(*(slice(None),) * axis, index[at])] += x[(*(slice(None),) * axis, *at)]
    return out


def scatter_elements(x, index, updates, axis=0, reduction="none"):
    out = x.astype(np.result_type(x, updates))
    combine = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}
    for at in np.ndindex(index.shape):
        to = list(at)
        to[axis] = index[at]
        out[tuple(to)] = updates[at] if reduction == "none" else combine[reduction](out[tuple(to)], updates[at])
    return out


INDEXING = {
    "OneHot": one_hot,
    "Pick": pick,
    "Gather": lambda x, index, axis=0: np.take(x, index, axis),
    "ScatterAdd": scatter_add,
    "GatherElements": lambda x, index, axis=0: np.take_along_axis(x, index.astype(np.int64), axis),
    "ScatterElements": scatter_elements,
    "Embedding": lambda index, W: W[index],
}

# Linear algebra


def gemm(A, B, C=None, alpha=1.0, beta=1.0, transA=False, transB=False):
    product = alpha * ((A.T if transA else A) @ (B.T if transB else B))
    return product if C is None else product + beta * C


LINEAR = {
    "MatMul": np.matmul,
    "Dot": np.dot,
    "Affine": lambda x, W, b: x @ W + b,
    "Outer": np.outer,
    "Einsum": lambda *values, equation: np.einsum(equation, *values),
    "Gemm": gemm,
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


def floats(*arrays):
    """As the ops do, refuse what is not of a float dtype."""
    if not any(a.dtype.kind == "f" for a in arrays):
        raise TypeError("floats are needed")


def reduce(losses, reduction, weights=None):
    if reduction == "mean" and weights is not None:
        return losses.sum() / weights.sum()
    return losses if reduction == "none" else getattr(np, reduction)(losses)


def nll(log_y, labels, reduction="mean", weight=None, ignore=None, smoothing=0.0):
    floats(log_y)
    classes = log_y.shape[-1]
    w = np.ones(classes, log_y.dtype) if weight is None else np.asarray(weight, log_y.dtype)
    one_hot = labels.ndim == log_y.ndim
    kept = np.ones(log_y.shape[:-1], bool) if one_hot or ignore is None else labels != ignore
    t = labels.astype(log_y.dtype) if one_hot else (labels[..., None] == np.arange(classes)).astype(log_y.dtype)
    smooth = t * (1 - smoothing) + smoothing / classes if smoothing else t
    losses = -np.sum(smooth * w * log_y, -1) * kept
    return reduce(losses, reduction, None if weight is None and ignore is None else np.sum(t * w, -1) * kept)


def softmax_ce(scores, labels, *options, **named):
    floats(scores)
    return nll(log_softmax(scores), labels, *options, **named)


def sigmoid_ce(scores, labels, reduction="mean"):
    floats(scores)
    t = labels.astype(np.result_type(scores, labels) if labels.dtype.kind == "f" else scores.dtype)
    losses = -(t * np.log(scipy.special.expit(scores)) + (1 - t) * np.log(scipy.special.expit(-scores)))
    return reduce(losses.astype(t.dtype), reduction)


def of_difference(loss):
    def reference(y, t, reduction="mean", **options):
        floats(y, t)
        return reduce(loss(y - t, **options), reduction)

    return reference


LOSSES = {
    "Softmax": softmax,
    "LogSoftmax": log_softmax,
    "SoftmaxCE": softmax_ce,
    "NLL": nll,
    "SigmoidCE": sigmoid_ce,
    "MSE": of_difference(np.square),
    "L1": of_difference(np.abs),
    "Huber": of_difference(lambda d, delta=1.0: scipy.special.huber(delta, d).astype(d.dtype)),
}

# Normalising


def normal(x, axes, epsilon):
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + x.dtype.type(epsilon))


def along(factor, x, axes):
    """One value for each place along some axes of x, to broadcast against it."""
    axes = [a % x.ndim for a in axes]
    return np.reshape(factor, [n if a in axes else 1 for a, n in enumerate(x.shape)])


def layer_norm(x, scale=None, shift=None, axis=-1, epsilon=1e-5):
    floats(x)
    axes = axis if isinstance(axis, tuple) else (axis,)
    y = normal(x, axes, epsilon)
    y = y if scale is None else y * along(scale, x, axes).astype(x.dtype)
    return y if shift is None else y + along(shift, x, axes).astype(x.dtype)


def rms_norm(x, scale=None, axis=-1, epsilon=1e-5):
    floats(x)
    axes = axis if isinstance(axis, tuple) else (axis,)
    y = x / np.sqrt(np.mean(x * x, axes, keepdims=True) + x.dtype.type(epsilon))
    return y if scale is None else y * along(scale, x, axes).astype(x.dtype)


def batch_norm(x, scale, shift, mean, variance, epsilon=1e-5, axis=1, training=True):
    floats(x)
    scale, shift, mean, variance = (along(a, x, (axis,)).astype(x.dtype) for a in (scale, shift, mean, variance))
    others = tuple(a for a in range(x.ndim) if a != axis % x.ndim)
    y = normal(x, others, epsilon) if training else (x - mean) / np.sqrt(variance + x.dtype.type(epsilon))
    return y * scale + shift


def group_norm(x, scale, shift, groups=None, epsilon=1e-5):
    floats(x)
    groups = groups or x.shape[1]
    grouped = x.reshape(len(x), groups, x.shape[1] // groups, *x.shape[2:])
    y = normal(grouped, tuple(range(2, grouped.ndim)), epsilon).reshape(x.shape)
    return y * along(scale, x, (1,)).astype(x.dtype) + along(shift, x, (1,)).astype(x.dtype)


NORMALISE = {
    "LayerNorm": layer_norm,
    "RMSNorm": rms_norm,
    "BatchNorm": batch_norm,
    "InstanceNorm": group_norm,
    "GroupNorm": group_norm,
}

# Nets


def no_bools(x, W):
    if np.result_type(x, W).kind == "b":
        raise TypeError("a convolution of bools counts nothing")


def conv(x, W, b=None, stride=1, padding="valid", dilation=1, groups=1):
    """By SciPy's correlation of every channel with every filter, then every stride-th place."""
    no_bools(x, W)
    axes = x.ndim - 2
    stride, dilation = (np.broadcast_to(v, axes) for v in (stride, dilation))
    extent = [(k - 1) * d + 1 for k, d in zip(W.shape[2:], dilation, strict=True)]
    pairs = pads(padding, x.shape[2:], extent, stride)
    padded = np.pad(x, [(0, 0), (0, 0), *pairs])
    spread = np.zeros((*W.shape[:2], *extent), W.dtype)
    spread[(slice(None), slice(None), *(slice(None, None, d) for d in dilation))] = W
    room = [n - e + 1 for n, e in zip(padded.shape[2:], extent, strict=True)]
    y = np.zeros((len(x), len(W), *room), np.result_type(x, W))
    wide = "f8" if y.dtype.kind == "f" else y.dtype
    for n, o, c in np.ndindex(len(x), *W.shape[:2]):
        channel = padded[n, c + o // (len(W) // groups) * W.shape[1]]
        y[n, o] += scipy.signal.correlate(channel.astype(wide), spread[o, c].astype(wide), "valid").astype(y.dtype)
    y = y[(slice(None), slice(None), *(slice(None, None, s) for s in stride))]
    return y if b is None else y + b.reshape(-1, *(1,) * axes)


def pads(padding, image, extent, stride):
    if padding == "valid":
        return [(0, 0)] * len(image)
    if padding == "same":
        total = [max((-(-n // s) - 1) * s + e - n, 0) for n, e, s in zip(image, extent, stride, strict=True)]
        return [(t // 2, t - t // 2) for t in total]
    many = padding if isinstance(padding, tuple) else (padding,) * len(image)
    return [p if isinstance(p, tuple) else (p, p) for p in many]


def conv_transpose(x, W, b=None, stride=1, padding="valid", dilation=1, groups=1, extra=0):
    """Every value of x lays down its filter, one by one."""
    no_bools(x, W)
    axes = x.ndim - 2
    stride, dilation, extra = (np.broadcast_to(v, axes) for v in (stride, dilation, extra))
    extent = [(k - 1) * d + 1 for k, d in zip(W.shape[2:], dilation, strict=True)]
    full = [(n - 1) * s + e + r for n, s, e, r in zip(x.shape[2:], stride, extent, extra, strict=True)]
    outs = W.shape[1]
    y = np.zeros((len(x), outs * groups, *full), np.result_type(x, W))
    for n, c, *at in np.ndindex(x.shape):
        first = c // (x.shape[1] // groups) * outs
        where = (slice(p * s, p * s + e, d) for p, s, e, d in zip(at, stride, extent, dilation, strict=True))
        y[(n, slice(first, first + outs), *where)] += x[(n, c, *at)] * W[c]
    same = [(max(e - s, 0) // 2, max(e - s, 0) - max(e - s, 0) // 2) for e, s in zip(extent, stride, strict=True)]
    pairs = same if padding == "same" else pads(padding, x.shape[2:], extent, stride)
    y = y[(slice(None), slice(None), *(slice(a, n - z) for (a, z), n in zip(pairs, full, strict=True)))]
    return y if b is None else y + b.reshape(-1, *(1,) * axes)


def conv_weight(x, g, kernel, stride=1, padding="valid", dilation=1, groups=1):
    """The gradient of a sum that is linear in the filters: one filter element set to one at a time."""
    no_bools(x, g)
    shape = (g.shape[1], x.shape[1] // groups, *kernel)
    dW = np.zeros(shape, np.result_type(x, g))
    for at in np.ndindex(shape):
        one = np.zeros(shape, dW.dtype)
        one[at] = 1
        dW[at] = np.sum(conv(x, one, None, stride, padding, dilation, groups) * g)
    return dW


def windows(x, kernel, stride=None, padding="valid", dilation=1, ceil_mode=False, fill=0):
    """What a window sees at every place, one by one: (N, C, *places, taps); beyond the image, `fill`."""
    no_bools(x, x)
    axes = x.ndim - 2
    kernel = np.broadcast_to(kernel, axes)
    stride, dilation = (np.broadcast_to(v, axes) for v in (kernel if stride is None else stride, dilation))
    extent = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    pairs = pads(padding, x.shape[2:], extent, stride)
    places = []
    for n, e, s, (a, z) in zip(x.shape[2:], extent, stride, pairs, strict=True):
        count = len(range(0, n + a + z - e + 1, s))
        places.append(count + (ceil_mode and (count - 1) * s + e < n + a + z and count * s < n + a))
    behind = [z + e + s for e, s, (_, z) in zip(extent, stride, pairs, strict=True)]
    wide = np.pad(x, [(0, 0), (0, 0), *((a, z) for (a, _), z in zip(pairs, behind, strict=True))], constant_values=fill)
    seen = np.empty((*x.shape[:2], *places, *kernel), x.dtype)
    for p in np.ndindex(*places):
        at = (slice(i * s, i * s + e, d) for i, s, e, d in zip(p, stride, extent, dilation, strict=True))
        seen[(slice(None), slice(None), *p)] = wide[(slice(None), slice(None), *at)]
    return seen.reshape(*x.shape[:2], *places, np.prod(kernel))


def max_pool(x, kernel, **how):
    no_bools(x, x)
    return windows(x, kernel, fill=-np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min, **how).max(-1)


def first_maxima(x, kernel, **how):
    """Which tap has the maximum, the first of equal ones."""
    no_bools(x, x)
    return windows(x, kernel, fill=-np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min, **how).argmax(-1)


def max_pick(v, x, kernel, **how):
    first = first_maxima(x, kernel, **how)[..., None]
    return np.take_along_axis(windows(v.astype("f8"), kernel, **how), first, -1)[..., 0].astype(v.dtype)


def max_unpool(g, x, kernel, **how):
    """The transpose of picking, element by element."""
    no_bools(g, x)
    out = np.zeros(x.shape, g.dtype)
    for at in np.ndindex(x.shape[2:]):
        one = np.zeros(x.shape, "f8")
        one[(slice(None), slice(None), *at)] = 1
        picked = max_pick(one, x, kernel, **how) * g
        out[(slice(None), slice(None), *at)] = picked.sum(tuple(range(2, x.ndim)))
    return out


def average_pool(x, kernel, padding="valid", ceil_mode=False, count_include_pad=False, **how):
    total = windows(x, kernel, padding=padding, ceil_mode=ceil_mode, **how).sum(-1)
    ones = np.ones((1, 1, *x.shape[2:]), "f4")
    if count_include_pad:
        ones, padding = np.ones((1, 1, *(n + 2 * padding for n in x.shape[2:])), "f4"), "valid"
    count = windows(ones, kernel, padding=padding, ceil_mode=ceil_mode, **how).sum(-1)
    places = tuple(map(slice, total.shape[2:]))  # with its padding for an image, a last window may seem to begin inside
    return total / count[(..., *places)].astype(total.dtype)


def global_average_pool(x):
    no_bools(x, x)
    return x.mean(tuple(range(2, x.ndim)), keepdims=True)


def window_spread(g, image, kernel, **how):
    """The transpose of the sum, element by element."""
    no_bools(g, g)
    out = np.zeros((*g.shape[:2], *image), g.dtype)
    for at in np.ndindex(image):
        one = np.zeros((1, 1, *image), g.dtype)
        one[(0, 0, *at)] = 1
        seen = windows(one, kernel, **how).sum(-1) * g
        out[(slice(None), slice(None), *at)] = seen.sum(tuple(range(2, g.ndim)))
    return out


def expit(x):
    return 1 / (1 + np.exp(-x))


def rnn_cell(x, h, W, R, b=0):
    return np.tanh(x @ W + h @ R + b)


def lstm_cell(x, h, c, W, R, b=0):
    i, f, g, o = np.split(x @ W + h @ R + b, 4, axis=-1)
    c = expit(f) * c + expit(i) * np.tanh(g)
    return expit(o) * np.tanh(c), c


def gru_cell(x, h, W, R, b=0, d=0, reset_after=True):
    wide = np.zeros(W.shape[1], np.result_type(x, W))
    (wr, wz, wn), (rr, rz, rn) = np.split(x @ W + b + wide, 3, axis=-1), np.split(R, 3, axis=-1)
    dr, dz, dn = np.split(d + wide, 3)
    r, z = expit(wr + h @ rr + dr), expit(wz + h @ rz + dz)
    n = np.tanh(wn + r * (h @ rn + dn) if reset_after else wn + (r * h) @ rn + dn)
    return (1 - z) * n + z * h


NETS = {
    "RNNCell": rnn_cell,
    "LSTMCell": lstm_cell,
    "GRUCell": gru_cell,
    "MaxPool": max_pool,
    "MaxUnpool": max_unpool,
    "MaxPick": max_pick,
    "AveragePool": average_pool,
    "GlobalAveragePool": global_average_pool,
    "WindowSum": lambda x, kernel, **how: windows(x, kernel, **how).sum(-1).astype(x.dtype),
    "WindowSpread": window_spread,
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "ConvWeight": conv_weight,
}

# Random and control

WORD = 0xFFFFFFFF


def philox(counter, key):
    """Philox4x32-10 in whole numbers of Python, after the paper."""
    a, b, c, d = counter
    k, m = key
    for _ in range(10):
        p, q = a * 0xD2511F53, c * 0xCD9E8D57
        a, b, c, d = (q >> 32) ^ b ^ k, q & WORD, (p >> 32) ^ d ^ m, p & WORD
        k, m = (k + 0x9E3779B9) & WORD, (m + 0xBB67AE85) & WORD
    return a, b, c, d


def random_uniform(size, low=0.0, high=1.0, seed=0, kind="float32", step=0, place=0, lane=0):
    kind = np.dtype(kind)
    bits = {2: 11, 4: 24, 8: 53}[kind.itemsize]

    def element(k):
        key = seed & WORD, seed >> 32
        first, second = (philox((k // 4 + (lane << 31) + (half << 30), place, step, 0), key)[k % 4] for half in (0, 1))
        return ((first << 21 | second >> 11) >> 53 - bits) * 2.0**-bits

    draws = np.array([element(k) for k in range(np.prod(size, dtype=int))], kind).reshape(size)
    return draws * kind.type(high - low) + kind.type(low)


def random_normal(size, loc=0.0, scale=1.0, seed=0, kind="float32"):
    u, v = random_uniform(size, seed=seed, kind=kind), random_uniform(size, seed=seed, kind=kind, lane=1)
    return np.sqrt(-2 * np.log(1 - u)) * np.cos(2 * np.pi * v) * scale + loc


def dropout(x, rate=0.5, seed=0):
    if np.asarray(x).dtype.kind != "f":
        raise TypeError("a mask for floats")
    kept = random_uniform(np.shape(x), seed=seed, kind="float32") >= rate
    return np.where(kept, x / x.dtype.type(1 - rate), 0).astype(x.dtype)


RANDOM = {"Uniform": random_uniform, "Normal": random_normal, "Dropout": dropout}
CONTROL = {}

REFERENCES = {
    **ACTIVATIONS, **ARITHMETIC, **COMPARE, **FUNCTIONS, **TRIGONOMETRY, **CHOICE, **LOGIC, **REDUCTIONS, **SHAPE,
    **INDEXING, **LINEAR, **STRUCTURE, **LOSSES, **NORMALISE, **NETS, **RANDOM, **CONTROL,
}  # fmt: skip

WITHOUT_REFERENCE = {
    "Scan": "each sample has a body of its own: see test_control.py",
    "Cond": "each sample has branches of its own: see test_control.py",
}
"""Ops that have none, with the reason."""

DTYPE_EXCEPTIONS = {
    "Gemm": {"bool": "NumPy takes the product of bools, which counts to one, before it scales; here all are floats"},
    "Softplus": {"bool": "refused, for the formula takes an absolute value with its sign changed"},
    "Mish": {"bool": "refused, as Softplus"},
    "Square": {"bool": "a bool, as the product is; NumPy's square is an int8"},
    **{name: {"bool": "refused, as the mean of bools is"} for name in ("LogSumExp", "Norm", "Variance")},
    "Mean": {"bool": "refused, for a mean of bools is mostly a mistake; a visible cast says that it is meant"},
}
"""Op -> {dtype: reason}: where the result's dtype is not NumPy's, or NumPy's refusal is not ours."""
