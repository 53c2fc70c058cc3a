"""Node types of networks: convolution, pooling, normalising, losses, embeddings."""

import numpy as np

import graphnn as gn

from .adapter import UnsupportedError, constant, op, rule


def window(call, size, kernel):
    """Strides, dilations and pads ((before...), (after...)) of a window moving over axes of these sizes."""
    rank = len(kernel)
    strides = tuple(call.get("strides") or (1,) * rank)
    dilations = tuple(call.get("dilations") or (1,) * rank)
    pads = tuple(call.get("pads") or (0,) * 2 * rank)
    before, after = list(pads[:rank]), list(pads[rank:])
    auto = call.get("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        for i, n in enumerate(size):
            need = max((-(-n // strides[i]) - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 - n, 0)
            small, large = need // 2, need - need // 2
            before[i], after[i] = (small, large) if auto == "SAME_UPPER" else (large, small)
    return strides, dilations, before, after


def padded(x, before, after, value=0.0):
    """The axes after batch and channels padded."""
    if not any((*before, *after)):
        return x
    return op("Pad")(x, (0, 0, *before), (0, 0, *after), value=value)


@rule("Conv")
def conv(call):
    x, weights, bias = call[0], call[1], call[2]
    strides, dilations, before, after = window(call, x.shape[2:], weights.shape[2:])
    pads = tuple(zip(before, after, strict=True))
    return op("Conv")(x, weights, bias, strides, pads, dilations, call.get("group", 1))


@rule("ConvTranspose")
def conv_transpose(call):
    x, weights, bias = call[0], call[1], call[2]
    kernel = weights.shape[2:]
    strides, dilations, before, after = window(call, x.shape[2:], kernel)
    extra = list(call.get("output_padding") or (0,) * len(kernel))
    wanted = call.get("output_shape")
    if wanted is None and call.get("auto_pad", "NOTSET").startswith("SAME"):
        wanted = [n * s for n, s in zip(x.shape[2:], strides, strict=True)]
    for i, new in enumerate(wanted or ()):
        total = strides[i] * (x.shape[2 + i] - 1) + extra[i] + (kernel[i] - 1) * dilations[i] + 1 - new
        small, large = total // 2, total - total // 2
        before[i], after[i] = (small, large) if call.get("auto_pad") == "SAME_UPPER" else (large, small)
    pads = tuple((max(a, 0), max(z, 0)) for a, z in zip(before, after, strict=True))
    y = op("ConvTranspose")(x, weights, None, strides, pads, dilations, call.get("group", 1), tuple(extra))
    y = padded(y, [max(-n, 0) for n in before], [max(-n, 0) for n in after])  # a larger result is asked for
    return y if bias is None else y + bias.reshape((-1, *[1] * len(kernel)))


@rule("ConvInteger")
def conv_integer(call):
    x, weights = call[0].astype("int32"), call[1].astype("int32")
    if call[2] is not None:
        x = x - call[2].astype("int32")
    if call[3] is not None:
        weights = weights - call[3].astype("int32").reshape((-1, *[1] * (weights.ndim - 1)))
    strides, dilations, before, after = window(call, x.shape[2:], weights.shape[2:])
    pads = tuple(zip(before, after, strict=True))
    return op("Conv")(x, weights, None, strides, pads, dilations, call.get("group", 1)).astype("int32")


@rule("GlobalAveragePool", "GlobalMaxPool")
def global_pool(call):
    axes = tuple(range(2, call[0].ndim))
    return gn.Mean(call[0], axes, True) if "Average" in call.type else gn.Max(call[0], axes, True)


@rule("BatchNormalization")
def batch_norm(call):
    if call.get("training_mode", 0):
        raise UnsupportedError("running statistics as outputs: graphnn carries them as state")
    x, scale, shift, mean, variance = call.inputs
    return op("BatchNorm")(x, scale, shift, mean, variance, epsilon=call.get("epsilon", 1e-5), training=False)


@rule("InstanceNormalization")
def instance_norm(call):
    return op("InstanceNorm")(call[0], call[1], call[2], call.get("epsilon", 1e-5))


@rule("GroupNormalization")
def group_norm(call):
    return op("GroupNorm")(call[0], call[1], call[2], call.get("num_groups"), call.get("epsilon", 1e-5))


@rule("LayerNormalization")
def layer_norm(call):
    x, axis, epsilon = call[0], call.get("axis", -1), call.get("epsilon", 1e-5)
    axes = tuple(range(axis % x.ndim, x.ndim))
    mean = gn.Mean(x, axes, True)
    deviation = gn.Sqrt(op("Variance")(x, axes, True) + epsilon)
    return op("LayerNorm")(x, call[1], call[2], axes, epsilon), mean, 1.0 / deviation


@rule("RMSNormalization")
def rms_norm(call):
    x, axis = call[0], call.get("axis", -1)
    axes = tuple(range(axis % x.ndim, x.ndim))
    return op("RMSNorm")(x, call[1], axes, call.get("epsilon", 1e-5))


@rule("LRN")
def local_response(call):
    x, size = call[0], call.get("size")
    alpha, beta, bias = call.get("alpha", 1e-4), call.get("beta", 0.75), call.get("bias", 1.0)
    before = (size - 1) // 2
    channels = x.shape[1]
    squares = op("Pad")(x * x, (0, before, 0, 0), (0, size - 1 - before, 0, 0))
    near = gn.AddN(tuple(op("Slice")(squares, i, i + channels, 1, 1) for i in range(size)))
    return x / (bias + alpha / size * near) ** beta


# Losses: classes lie along axis 1 there, along the last one here -----------------------------------------------------


def rows_last(x):
    order = (0, *range(2, x.ndim), 1)
    return gn.Transpose(x, order)


def weighed(call, log_y):
    """The negative logarithm at each label, weighted, ignoring a label, and reduced."""
    labels, ignored = call[1], call.get("ignore_index")
    return op("NLL")(rows_last(log_y), labels.astype("int64"), call.get("reduction", "mean"), call[2], ignored)


@rule("NegativeLogLikelihoodLoss")
def nll(call):
    return weighed(call, call[0])


@rule("SoftmaxCrossEntropyLoss")
def softmax_ce(call):
    log_y = gn.LogSoftmax(call[0], 1)
    return weighed(call, log_y), log_y


# Positions -----------------------------------------------------------------------------------------------------------


@rule("RotaryEmbedding")
def rotary(call):
    x, cos, sin, places = call[0], call[1], call[2], call[3]
    original = x.shape
    heads = call.get("num_heads", 0)
    if x.ndim == 3:
        x = gn.Transpose(x.reshape((x.shape[0], x.shape[1], heads, -1)), (0, 2, 1, 3))
    size = x.shape[-1]
    turned = call.get("rotary_embedding_dim", 0) or size
    if places is not None:
        cos, sin = op("Gather")(cos, places, 0), op("Gather")(sin, places, 0)
    cos, sin = op("Unsqueeze")(cos, 1), op("Unsqueeze")(sin, 1)
    half, step = turned // 2, 2 if call.get("interleaved", 0) else 1
    if step == 2:
        a, b = op("Slice")(x, 0, turned, 2, -1), op("Slice")(x, 1, turned, 2, -1)
    else:
        a, b = op("Slice")(x, 0, half, 1, -1), op("Slice")(x, half, turned, 1, -1)
    real, imaginary = cos * a - sin * b, sin * a + cos * b
    if step == 2:
        shape = (*x.shape[:-1], turned)
        rotated = op("Stack")((real, imaginary), -1).reshape(shape)
    else:
        rotated = op("Concat")((real, imaginary), -1)
    if turned < size:
        rotated = op("Concat")((rotated, op("Slice")(x, turned, size, 1, -1)), -1)
    return gn.Transpose(rotated, (0, 2, 1, 3)).reshape(original) if len(original) == 3 else rotated


# Resampling: every axis is a weighted sum of neighbours, found by Gather ---------------------------------------------


@rule("Upsample")
def upsample(call):
    if call.get("mode", "nearest") != "nearest":
        raise UnsupportedError("resampling other than nearest")
    x = call[0]
    for axis, scale in enumerate(call.known(1)):
        places = np.floor(np.arange(int(x.shape[axis] * scale)) / scale).astype("int64")
        x = op("Gather")(x, constant(places), axis)
    return x
