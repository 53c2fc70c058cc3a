"""Node types that pool: what a moving window sees, reduced to one value."""

import graphnn as gn

from .adapter import UnsupportedError, op, rule
from .nets import window


def movement(call):
    """Kernel, stride, padding, dilation and rounding, as graphnn's pools take them."""
    kernel = tuple(call.get("kernel_shape"))
    strides, dilations, before, after = window(call, call[0].shape[2:], kernel)
    return kernel, strides, tuple(zip(before, after, strict=True)), dilations, bool(call.get("ceil_mode", 0))


@rule("MaxPool")
def max_pool(call):
    if len(call.outputs) > 1:
        raise UnsupportedError("the places of the maxima as a further result")
    return op("MaxPool")(call[0], *movement(call))


@rule("AveragePool")
def average_pool(call):
    return op("AveragePool")(call[0], *movement(call), bool(call.get("count_include_pad", 0)))


@rule("LpPool")
def lp_pool(call):
    p = call.get("p", 2)
    return op("WindowSum")(gn.Abs(call[0]) ** float(p), *movement(call)) ** (1.0 / p)
