"""Node types that treat each element alike."""

from functools import reduce

import numpy as np

import graphnn as gn

from .adapter import DTYPES, UnsupportedError, constant, op, rule

UNARY = {
    "Abs": "Abs", "Acos": "Arccos", "Acosh": "Arccosh", "Asin": "Arcsin", "Asinh": "Arcsinh", "Atan": "Arctan",
    "Atanh": "Arctanh", "Ceil": "Ceil", "Cos": "Cos", "Cosh": "Cosh", "Erf": "Erf", "Exp": "Exp", "Floor": "Floor",
    "IsNaN": "IsNaN", "Log": "Log", "Mish": "Mish", "Neg": "Neg", "Not": "Not", "Reciprocal": "Reciprocal",
    "Relu": "ReLU", "Round": "Round", "Sigmoid": "Sigmoid", "Sign": "Sign", "Sin": "Sin", "Sinh": "Sinh",
    "Softplus": "Softplus", "Softsign": "Softsign", "Sqrt": "Sqrt", "Tan": "Tan", "Tanh": "Tanh",
}  # fmt: skip
BINARY = {
    "Add": "Add", "Sub": "Sub", "Mul": "Mul", "And": "And", "Or": "Or", "Xor": "Xor", "Equal": "Equal",
    "Greater": "Greater", "GreaterOrEqual": "GreaterEqual", "Less": "Less", "LessOrEqual": "LessEqual",
}  # fmt: skip


@rule(*UNARY)
def unary(call):
    return op(UNARY[call.type])(call[0])


@rule(*BINARY)
def binary(call):
    return op(BINARY[call.type])(call[0], call[1])


@rule("Div")
def div(call):
    x, y = call[0], call[1]
    return divide_whole(x, y) if x.dtype.kind in "iu" else gn.Div(x, y)


def divide_whole(x, y):
    """Integers divided and rounded towards zero, as a Cast rounds."""
    return (x.astype("float64") / y.astype("float64")).astype(x.dtype)


@rule("Mod")
def mod(call):
    x, y = call[0], call[1]
    if call.get("fmod", 0):  # the remainder has the sign of x
        return op("Sign")(x) * op("Mod")(gn.Abs(x), gn.Abs(y))
    return op("Mod")(x, y)


@rule("Pow")
def power(call):
    return gn.Power(call[0], call[1]).astype(call[0].dtype)


@rule("BitShift")
def shift(call):
    x, n = call[0], call[1]
    if call.get("direction") == "LEFT":
        return x * gn.Power(constant(2, x.dtype), n)
    return op("Floor")(x.astype("float64") / 2.0 ** n.astype("float64")).astype(x.dtype)


@rule("Max", "Min")
def extreme(call):
    return reduce({"Max": gn.Maximum, "Min": gn.Minimum}[call.type], call.inputs)


@rule("Sum", "Mean")
def total(call):
    added = gn.AddN(call.inputs)
    return added if call.type == "Sum" else added / float(len(call.inputs))


@rule("Clip")
def clip(call):
    return op("Clip")(call[0], call[1], call[2])


@rule("Where")
def where(call):
    return gn.Where(call[0], call[1], call[2])


@rule("IsInf")
def is_inf(call):
    x = call[0]
    found = op("IsInf")(x)
    if not call.get("detect_negative", 1):
        found = op("And")(found, x > 0)
    return found if call.get("detect_positive", 1) else op("And")(found, x < 0)


# Activations ---------------------------------------------------------------------------------------------------------


@rule("PRelu")
def prelu(call):
    x = call[0]
    return gn.Where(x < 0, call[1] * x, x)


@rule("LeakyRelu")
def leaky_relu(call):
    return op("LeakyReLU")(call[0], call.get("alpha", 0.01))


@rule("Elu")
def elu(call):
    return op("ELU")(call[0], call.get("alpha", 1.0))


@rule("Celu")
def celu(call):
    x, alpha = call[0], call.get("alpha", 1.0)
    return gn.Maximum(x, 0.0) + gn.Minimum(alpha * op("Expm1")(x / alpha), 0.0)


@rule("Selu")
def selu(call):
    alpha, gamma = call.get("alpha", 1.67326319217681884765625), call.get("gamma", 1.05070102214813232421875)
    if call.attributes:  # other constants than those that the op has
        return gamma * op("ELU")(call[0], alpha)
    return op("SELU")(call[0])


@rule("Gelu")
def gelu(call):
    return op("GELU")(call[0], call.get("approximate", "none"))


@rule("HardSigmoid")
def hard_sigmoid(call):
    return op("HardSigmoid")(call[0], call.get("alpha", 0.2), call.get("beta", 0.5))


@rule("HardSwish")
def hard_swish(call):
    return call[0] * op("Clip")(call[0] / 6.0 + 0.5, 0.0, 1.0)


@rule("Swish")
def swish(call):
    x, alpha = call[0], call.get("alpha", 1.0)
    return op("SiLU")(x) if alpha == 1.0 else x * gn.Sigmoid(alpha * x)


@rule("ThresholdedRelu")
def thresholded_relu(call):
    return gn.Where(call[0] > call.get("alpha", 1.0), call[0], 0.0)


@rule("Shrink")
def shrink(call):
    x, bias, bound = call[0], call.get("bias", 0.0), call.get("lambd", 0.5)
    return gn.Where(x < -bound, x + bias, gn.Where(x > bound, x - bias, 0.0)).astype(x.dtype)


# Dtypes --------------------------------------------------------------------------------------------------------------


@rule("Cast")
def cast(call):
    to = call.get("to")
    if to not in DTYPES:
        raise UnsupportedError(f"dtype number {to}")
    return to_dtype(call[0], np.dtype(DTYPES[to]))


@rule("CastLike")
def cast_like(call):
    return to_dtype(call[0], call[1].dtype)


def to_dtype(x, dtype):
    return x.astype(dtype)


@rule("Identity")
def identity(call):
    return call[0]


@rule("Dropout")
def dropout(call):
    training = call[2] is not None and bool(call.known(2))
    ratio = float(call.known(1)) if call[1] is not None else call.get("ratio", 0.5)
    if training and ratio:
        raise UnsupportedError("random numbers of another generator")
    return call[0], gn.Equal(call[0], call[0])  # nothing is dropped


# Quantisation: whole numbers that stand for scale * (x - zero) -------------------------------------------------------


def along(parameter, x, axis):
    """A scale or zero point: a scalar, or one for each element along an axis."""
    if parameter is None or not parameter.ndim:
        return parameter
    if parameter.ndim > 1:
        raise UnsupportedError("blocked quantisation")
    return parameter.reshape(tuple(-1 if a == axis % x.ndim else 1 for a in range(x.ndim)))


@rule("DequantizeLinear")
def dequantize(call):
    x, axis = call[0], call.get("axis", 1)
    scale, zero = along(call[1], x, axis), along(call[2], x, axis)
    shifted = x.astype("int32") if zero is None else x.astype("int32") - zero.astype("int32")
    return shifted.astype(scale.dtype) * scale


@rule("QuantizeLinear")
def quantize(call):
    x, axis = call[0], call.get("axis", 1)
    scale, zero = along(call[1], x, axis), along(call[2], x, axis)
    dtype = np.dtype("uint8") if zero is None else zero.dtype
    whole = op("Round")(x / scale)
    if zero is not None:
        whole = whole + zero.astype(whole.dtype)
    limits = np.iinfo(dtype)
    return op("Clip")(whole, float(limits.min), float(limits.max)).astype(dtype)


@rule("DynamicQuantizeLinear")
def dynamic_quantize(call):
    x = call[0]
    low, high = gn.Minimum(op("Min")(x), 0.0), gn.Maximum(gn.Max(x), 0.0)
    scale = (high - low) / 255.0
    zero = op("Clip")(op("Round")(-low / scale), 0.0, 255.0)
    return op("Clip")(op("Round")(x / scale) + zero, 0.0, 255.0).astype("uint8"), scale, zero.astype("uint8")


@rule("QLinearMatMul")
def quantised_matmul(call):
    a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = call.inputs
    whole = gn.MatMul(a.astype("int32") - a_zero.astype("int32"), b.astype("int32") - b_zero.astype("int32"))
    product = whole.astype("float32") * (a_scale * b_scale / y_scale).astype("float32")
    limits = np.iinfo(y_zero.dtype)
    rounded = op("Round")(product) + y_zero.astype("float32")
    return op("Clip")(rounded, float(limits.min), float(limits.max)).astype(y_zero.dtype)
