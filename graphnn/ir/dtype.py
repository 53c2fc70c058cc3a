"""Dtypes: short names, the default float type, and what a plain number or array becomes."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..errors import DTypeError

__all__ = ["default_dtype", "as_dtype", "short_name", "constant_array"]

_FLOATS = ("float16", "float32", "float64")


class _Default:
    """Holds the default float dtype; the object that `default_dtype(name)` returns restores it."""

    current = np.dtype("float32")

    def __init__(self, previous: np.dtype[Any]) -> None:
        self._previous = previous

    def __enter__(self) -> None:
        return None

    def __exit__(self, *exception: object) -> None:
        _Default.current = self._previous


def default_dtype(dtype: DTypeLike | None = None) -> Any:
    """The float dtype of declarations that name none: without an argument its name, else sets it.

    It applies to `Input`, and to float values of `Parameter` and `Constant`, declared without `dtype=`.
    Setting takes effect at once; used as a context manager the former one comes back at the end.

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
    """The default float dtype as an object, for this package's own use."""
    return _Default.current


def as_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """The NumPy dtype meant, in native byte order.

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
    """A number or array as the array that a constant holds: read-only, in C order.

    `beside` are the dtypes it will meet in one op. A Python number takes theirs and so never promotes them,
    except that a float beside integers makes floats, as in NumPy. A float array takes their float dtype, else
    the default one; integer and bool arrays stay what they are.

    Raises:
        DTypeError: for an integer that theirs cannot hold, as in NumPy.
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
    """`constant_array` for a number or array that stands beside nodes; one array for equal numbers."""
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
