"""Each op's kernels beside NumPy's steps, on the same arrays in the same run: `python tests/benchmarks/kernels.py`.

For each op, dtype and shape it prints how many times as fast as the plan on NumPy the native one is, the slowest first:
both plans' steps, each the best of many rounds taken in turn. Compare on one core: `OPENBLAS_NUM_THREADS=1`.
`--only Arg` takes the ops whose name has that in it, `--below 1` prints what is slower than NumPy alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

import graphnn as gn

Make = Callable[..., Any]
SHAPES = ((64, 1000), (1000, 64), (256, 256))
FLOATS = ("float32", "float64")
ALL = (*FLOATS, "float16", "int64", "int8", "bool")
ROUNDS = 4
RNG = np.random.default_rng(0)

ONE = [
    "Abs", "Arccos", "Arccosh", "Arcsin", "Arcsinh", "Arctan", "Arctanh", "Ceil", "CELU", "Cos", "Cosh", "ELU", "Erf",
    "Exp", "Expm1", "Floor", "GELU", "HardSigmoid", "HardSwish", "IsInf", "IsNaN", "LeakyReLU", "Log", "Log1p",
    "LogSigmoid", "Mish", "Neg", "Reciprocal", "ReLU", "Round", "SELU", "Sigmoid", "Sign", "SiLU", "Sin", "Sinh",
    "Softplus", "Softsign", "Sqrt", "Square", "Tan", "Tanh", "ThresholdedReLU",
]  # fmt: skip
TWO = [
    "Add", "Arctan2", "Div", "Equal", "Greater", "Huber", "L1", "Less", "Maximum", "Minimum", "Mod", "MSE", "Mul",
    "Power", "SigmoidCE", "Sub",
]  # fmt: skip
FOLDS = ["Sum", "Mean", "Prod", "Max", "Min", "Variance", "Norm", "LogSumExp"]
TRUTHS = ["All", "Any"]
PLACES = ["ArgMax", "ArgMin"]
INTEGERS = ["Abs", "Add", "Equal", "Less", "Maximum", "Mod", "Mul", "Neg", "Power", "Sign", "Square"]
BITS = ["And", "Or", "Xor"]
ROWS = ["Softmax", "LogSoftmax", "CumSum", "CumProd"]
DOMAINS = {"Arccosh": (1, 9), "Log": (0.1, 9), "Log1p": (0, 9), "Sqrt": (0, 9), "Power": (0.1, 3), "Norm": (0.1, 1)}


def cases() -> Iterator[tuple[str, str, Make, int]]:
    """Name, dtype, how to make it of operands, and how many operands."""
    for dtype in (*FLOATS, "float16"):
        for op in ONE:
            yield op, dtype, getattr(gn, op), 1
        for op in TWO:
            yield op, dtype, getattr(gn, op), 2
        for op in ROWS:
            for axis in (0, 1):
                yield f"{op} axis {axis}", dtype, partial(getattr(gn, op), axis=axis), 1
        for op in FOLDS:
            yield from over_axes(op, dtype)
        yield "Clip", dtype, lambda x: gn.Clip(x, -0.5, 0.5), 1
        yield "Where", dtype, lambda x, y: gn.Where(gn.Less(x, y), x, y), 2
        yield "Square by power 3", dtype, lambda x: x**3, 1
    for dtype in ("int64", "int32", "int8", "uint8"):
        for op in (*INTEGERS, *BITS):
            yield op, dtype, getattr(gn, op), 1 if op in ONE else 2
        for op in ("Sum", "Prod", "Max"):
            yield from over_axes(op, dtype)
        yield "Cast to float32", dtype, lambda x: x.astype("float32"), 1
        yield "power 3", dtype, lambda x: x**3, 1
    for op in (*BITS, "Not"):
        yield op, "bool", getattr(gn, op), 1 if op == "Not" else 2
    for dtype in ALL:
        for op in (*TRUTHS, *PLACES):
            yield from over_axes(op, dtype)
    for dtype in FLOATS:
        for k in (1, 5, 50):
            yield f"TopK {k}", dtype, partial(topk, k=k, axis=1), 1
            yield f"TopK {k} axis 0", dtype, partial(topk, k=k, axis=0), 1
        yield "TopK 256", dtype, partial(topk, k=256, axis=1), 1
        yield "TopK 900", dtype, partial(topk, k=900, axis=1), 1
        yield "TopK all axis 0", dtype, lambda x: list(gn.TopK(x, x.shape[0], 0)), 1
        for reverse in (False, True):
            yield f"CumSum exclusive, reverse={reverse}", dtype, partial(gn.CumSum, exclusive=True, reverse=reverse), 1
        yield "Transpose", dtype, lambda x: gn.Transpose(x) + 0.0, 1
        yield "Flip", dtype, lambda x: gn.Flip(x, 1) + 0.0, 1
        yield "Concat 0", dtype, lambda x, y: gn.Concat((x, y), 0), 2
        yield "Concat 1", dtype, lambda x, y: gn.Concat((x, y), 1), 2
        yield "Tile", dtype, lambda x: gn.Tile(x, (2, 2)), 1
        yield "Pad", dtype, lambda x: gn.Pad(x, (1, 2)), 1
        yield "Cast", dtype, lambda x: x.astype("float64" if x.dtype == np.float32 else "float32"), 1
        yield "Cast to half", dtype, lambda x: x.astype("float16"), 1
        yield "Uniform", dtype, lambda x: gn.Uniform(x.shape, kind=x.dtype) + x, 1
        yield "Normal", dtype, lambda x: gn.Normal(x.shape, kind=x.dtype) + x, 1
        yield "Dropout", dtype, gn.Dropout, 1
        yield "LayerNorm", dtype, lambda x: gn.LayerNorm(x, None, None), 1
        yield "Gather", dtype, lambda x: gn.Gather(x, RNG.integers(0, 64, 500)), 1
        yield "Gather axis 1", dtype, lambda x: gn.Gather(x, RNG.integers(0, 64, 500), axis=1), 1
        yield "ScatterAdd", dtype, lambda x: gn.ScatterAdd(x, RNG.integers(0, 64, x.shape[0]), 64), 1


def topk(x: gn.Node, k: int, axis: int) -> list[gn.Node]:
    size = x.shape[axis]
    return list(gn.TopK(x, min(k, size) if isinstance(size, int) else k, axis))


def over_axes(op: str, dtype: str) -> Iterator[tuple[str, str, Make, int]]:
    """All elements; down the columns; along the rows; the same of a transposed view."""
    made = getattr(gn, op)
    for axis in (None, 0, 1):
        yield f"{op} axis {axis}", dtype, partial(made, axis=axis), 1
    yield f"{op} axis 0 of a transposed view", dtype, lambda x: made(gn.Transpose(x), axis=0), 1


def values(op: str, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers of an op's domain; of truths those that need to be read to the end."""
    if op in ("All", "Any"):
        return np.full(shape, op == "All").astype(dtype)
    if dtype == "bool":
        return RNG.integers(0, 2, shape).astype(bool)
    if np.dtype(dtype).kind in "iu":
        return RNG.integers(1, 5 if op == "Power" else 9, shape).astype(dtype)
    low, high = DOMAINS.get(op, (-0.99, 0.99))
    return RNG.uniform(low, high, shape).astype(dtype)


def measure(name: str, dtype: str, make: Make, operands: int, shape: tuple[int, ...]) -> dict[str, float]:
    """Seconds of all steps, by backend; zeros where the op does not take such operands, or there is nothing to do."""
    declared = shape if "axis 0" in name or name == "ScatterAdd" else ("N", shape[1])
    inputs = [gn.Input(f"x{i}", declared, dtype=dtype) for i in range(operands)]
    try:
        outputs = make(*inputs)
    except (gn.DTypeError, TypeError, gn.GraphError):
        return {"native": 0.0}
    op = name.split()[0]
    feeds = {x.name: values(op, dtype, shape) for x in inputs}
    programs = {backend: gn.compile(outputs, backend=backend) for backend in ("numpy", "native")}
    best = dict.fromkeys(programs, float("inf"))
    for _ in range(ROUNDS):
        for backend, program in programs.items():
            best[backend] = min(best[backend], sum(program.profile(**feeds).seconds))
    return best


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    reader.add_argument("--only", default="", help="the ops whose name has this in it")
    reader.add_argument("--below", type=float, default=float("inf"), help="what is at most so many times as fast")
    asked = reader.parse_args()
    found = []
    for name, dtype, make, operands in cases():
        if asked.only in name:
            for shape in SHAPES:
                best = measure(name, dtype, make, operands, shape)
                if all(best.values()):
                    found.append((best["numpy"] / best["native"], name, dtype, shape, best))
    for ratio, name, dtype, shape, best in sorted(found, key=lambda row: row[0]):
        if ratio <= asked.below:
            print(
                f"{ratio:6.2f}  {name:38} {dtype:8} {'x'.join(map(str, shape)):8} "
                f"numpy {1e6 * best['numpy']:8.1f} us, native {1e6 * best['native']:8.1f} us"
            )


if __name__ == "__main__":
    main()
