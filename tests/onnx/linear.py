"""Node types of linear algebra."""

import graphnn as gn

from .adapter import op, rule


@rule("MatMul")
def matmul(call):
    return gn.MatMul(call[0], call[1])


@rule("MatMulInteger")
def matmul_integer(call):
    a, b = call[0].astype("int32"), call[1].astype("int32")
    if call[2] is not None:
        a = a - call[2].astype("int32")
    if call[3] is not None:
        b = b - call[3].astype("int32")
    return gn.MatMul(a, b)


@rule("Gemm")
def gemm(call):
    alpha, beta = call.get("alpha", 1.0), call.get("beta", 1.0)
    return op("Gemm")(call[0], call[1], call[2], alpha, beta, bool(call.get("transA", 0)), bool(call.get("transB", 0)))


@rule("Einsum")
def einsum(call):
    return op("Einsum")(call.get("equation"), call.inputs)
