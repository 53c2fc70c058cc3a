"""Dtypes: their short names, the default float dtype, and the dtype of constants."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..errors import DTypeError

__all__ = ["default_dtype", "as_dtype", "short_name", "constant_array"]

_FLOATS = ("float16", "float32", "float64")


class _Default:
    """The holder of the default float dtype. An instance restores a former one at the end of a `with` block."""

    current = np.dtype("float32")

    def __init__(self, previous: np.dtype[Any]) -> None:
        self._previous = previous

    def __enter__(self) -> None:
        return None

    def __exit__(self, *exception: object) -> None:
        _Default.current = self._previous


def default_dtype(dtype: DTypeLike | None = None) -> Any:
    """Get the name of the default float dtype, or set it.

    The default applies to every `Input` that is declared without `dtype=`, and to every `Parameter` and `Constant` that
    is declared without `dtype=` and has a float value. It is float32 at the start. Setting it takes effect at once. If
    the call is used as a context manager, the former default returns at the end of the block.

    Raises:
        DTypeError: when the argument is not float16, float32 or float64.

    >>> import graphnn as gn
    >>> with gn.default_dtype("float64"):
    ...     x = gn.Input("x", ("N", 2))
    >>> x.dtype.name, gn.default_dtype()
    ('float64', 'float32')
    """
    if dtype is None:
        return _Default.current.name
    chosen = as_dtype(dtype)
    if chosen.name not in _FLOATS:
        raise DTypeError(f"default_dtype: {chosen.name} is not a float dtype; choose one of {', '.join(_FLOATS)}.")
    restore = _Default(_Default.current)
    _Default.current = chosen
    return restore


def default_float() -> np.dtype[Any]:
    """The default float dtype as an object, for use inside this package."""
    return _Default.current


def as_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """The NumPy dtype that is meant, in native byte order.

    Raises:
        DTypeError: for anything but bool, integers and floats of up to 64 bits.
    """
    try:
        found = np.dtype(dtype)
        found = found if found.isnative else found.newbyteorder("=")  # NumPy has one object for each native dtype
    except TypeError as error:
        raise DTypeError(f"{dtype!r} is not a dtype: {error}.") from None
    if found.kind not in "buif" or found.itemsize > 8:
        raise DTypeError(f"dtype {found} is not supported; use bool, an integer, or {', '.join(_FLOATS)}.")
    return found


def short_name(dtype: np.dtype[Any]) -> str:
    """`f32` for float32, `i64` for int64, `u8` for uint8, `bool` for bool."""
    return "bool" if dtype.kind == "b" else f"{dtype.kind}{8 * dtype.itemsize}"


def constant_array(value: Any, beside: tuple[np.dtype[Any], ...] = (), dtype: DTypeLike | None = None) -> np.ndarray:
    """The array that a constant holds for a number or array: read-only, in C order.

    `beside` holds the dtypes of the other operands of the op. A Python number takes their dtype, so that it never
    promotes them; only a float beside integers gives floats, as in NumPy. A float array takes their float dtype, or the
    default one if there is none. Integer and bool arrays keep their dtype.

    Raises:
        DTypeError: for an integer that the dtype of the others cannot hold, as in NumPy.
    """
    array = _plain_array(value)
    if dtype is not None:
        target = as_dtype(dtype)
    elif isinstance(value, (bool, np.bool_)) or (array.ndim and array.dtype.kind in "biu"):
        target = array.dtype
    elif array.dtype.kind == "f":
        floats = [d for d in beside if d.kind == "f"]
        integers = [d for d in beside if d.kind in "biu"]
        target = np.result_type(*floats) if floats else np.result_type(*integers, 0.5) if integers else default_float()
    elif beside and not isinstance(value, np.generic):
        target = np.result_type(*beside, 0)
        if target.kind in "iu" and not fits(value, target):
            raise DTypeError(
                f"{value} is no {target}, and a Python number never promotes what it meets. Cast that first, as in "
                f"x.astype('{np.result_type(target, array.dtype)}')."
            )
    else:
        target = array.dtype
    result = np.array(array, dtype=target, order="C")
    result.flags.writeable = False
    return result


def operand_array(value: Any, beside: tuple[np.dtype[Any], ...]) -> np.ndarray:
    """As `constant_array`, for an operand beside nodes. Equal numbers share one array."""
    if value.__class__ in (int, float) and value:  # 0.0 and -0.0 would be one key
        return _number_array(value, beside, default_float())
    return constant_array(value, beside)


@lru_cache(maxsize=1024, typed=True)
def _number_array(value: float, beside: tuple[np.dtype[Any], ...], default: np.dtype[Any]) -> np.ndarray:
    return constant_array(value, beside)


def fits(value: Any, dtype: np.dtype[Any]) -> bool:
    """Can an integer dtype hold a number?"""
    limits = np.iinfo(dtype)
    return bool(limits.min <= int(value) <= limits.max)


def _plain_array(value: Any) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "buif" or array.dtype.itemsize > 8:
        what = type(value).__name__ if array.dtype == object else f"dtype {array.dtype}"
        raise DTypeError(f"{what} cannot be a value in a graph; use numbers, or arrays of bool, integers or floats.")
    return array
