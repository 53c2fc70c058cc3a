"""Types: NumPy's dtypes as CUDA's, in memory and in registers; numbers, and conversions between them.

A half float is two bytes in memory and, in a register, a float that half precision can hold: arithmetic on it is
done in single precision and rounded, as NumPy does.
"""

from __future__ import annotations

import numpy as np

from ..kernels import DType

__all__ = ["PRELUDE", "convert", "is_half", "load", "memory_type", "number", "register_type", "rounded", "stored"]

_INTEGERS = {1: "char", 2: "short", 4: "int", 8: "long long"}
_FLOATS = {2: "float", 4: "float", 8: "double"}

PRELUDE = """\
typedef unsigned short half_bits;

#ifdef __CUDACC__
__device__ inline float from_half(half_bits h) { float x; asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(h)); return x; }
__device__ inline half_bits to_half(float x) { half_bits h; asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(x)); return h; }
__device__ inline half_bits to_half(double x) { half_bits h; asm("cvt.rn.f16.f64 %0, %1;" : "=h"(h) : "d"(x)); return h; }
#endif

// The place some bytes further on.
template <class T> __device__ inline T* at(T* place, long long bytes) { return (T*)((const char*)place + bytes); }

// A float as an integer: the nearest one where it lies beyond their range, and 0 for NaN.
template <class I> __device__ inline I whole(double x, I lowest, I highest) {
  return x != x ? 0 : x <= (double)lowest ? lowest : x >= (double)highest ? highest : (I)x;
}

// Four random words of a counter and a key.
struct Words { unsigned w[4]; };
__device__ inline Words philox(unsigned a, unsigned b, unsigned c, unsigned d, unsigned key0, unsigned key1) {
  for (int round = 0; round < 10; round++) {
    const unsigned long long p = 0xD2511F53ull * a, q = 0xCD9E8D57ull * c;
    a = (unsigned)(q >> 32) ^ b ^ key0, b = (unsigned)q;
    c = (unsigned)(p >> 32) ^ d ^ key1, d = (unsigned)p;
    key0 += 0x9E3779B9u, key1 += 0xBB67AE85u;
  }
  return Words{{a, b, c, d}};
}
"""  # noqa: E501 - one function a line
"""What stands before the kernels of every program."""


def is_half(dtype: DType) -> bool:
    """Is it a half float?"""
    return dtype.kind == "f" and dtype.itemsize == 2


def memory_type(dtype: DType) -> str:
    """The type of an element in memory."""
    return "half_bits" if is_half(dtype) else register_type(dtype)


def register_type(dtype: DType) -> str:
    """The type of a value that is computed with."""
    if dtype.kind == "b":
        return "bool"
    if dtype.kind == "f":
        return _FLOATS[dtype.itemsize]
    sign = "unsigned " if dtype.kind == "u" else "signed " if dtype.itemsize == 1 else ""
    return sign + _INTEGERS[dtype.itemsize]


def load(place: str, dtype: DType) -> str:
    """The value of what stands in memory."""
    return f"from_half({place})" if is_half(dtype) else place


def stored(value: str, dtype: DType) -> str:
    """A value as it is written to memory."""
    return f"to_half({value})" if is_half(dtype) else value


def rounded(value: str, dtype: DType) -> str:
    """A result of single precision as its dtype has it."""
    return f"from_half(to_half({value}))" if is_half(dtype) else value


def number(value: float, dtype: DType) -> str:
    """A number as CUDA writes it in a dtype, exactly."""
    if dtype.kind == "b":
        return "true" if value else "false"
    if dtype.kind != "f":
        return _integer(int(np.array(value).astype(dtype)), dtype)
    exact = np.float64(value) if dtype.itemsize == 8 else np.float32(dtype.type(value))
    if not np.isfinite(exact):
        bits = f"0x{exact.view(np.uint64 if dtype.itemsize == 8 else np.uint32):x}"
        return f"__longlong_as_double({bits}LL)" if dtype.itemsize == 8 else f"__int_as_float({bits})"
    text = str(exact) + ("" if dtype.itemsize == 8 else "f")  # the shortest that is read as the same number
    return f"({text})" if text.startswith("-") else text


def _integer(value: int, dtype: DType) -> str:
    if dtype.kind == "u":
        return f"(({register_type(dtype)}){value}ULL)"
    lowest = int(np.iinfo(dtype).min)
    text = f"({value + 1}LL - 1)" if value == lowest else f"{value}LL"  # the lowest is no literal
    return f"(({register_type(dtype)}){text})"


def convert(value: str, source: DType, target: DType) -> str:
    """A value of one dtype as one of another; a float becomes the nearest integer in range, and NaN becomes 0."""
    if source == target:
        return value
    kind = register_type(target)
    if target.kind == "b":
        return f"({value} != 0)"
    if is_half(target):
        single = value if source.kind == "f" else f"(float){value}"
        return rounded(single, target)
    if source.kind == "f" and target.kind in "iu":
        limits = np.iinfo(target)
        low, high = (_integer(int(n), target) for n in (limits.min, limits.max))
        return f"whole<{kind}>((double){value}, {low}, {high})"
    return f"({kind}){value}"
