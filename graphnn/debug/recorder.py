"""Recording NumPy: an array module that computes like NumPy, and writes down each call as a line of source.

The `forward(xp, *arrays)` of an op is called with a `Recorder` as `xp` and with `Recorded` arrays. These implement
NumPy's protocols, so functions that an op calls on `numpy` itself are recorded too. A call that NumPy alone cannot
make, such as one of another library, raises `Unsayable`; the caller then keeps the value as data.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

__all__ = ["Recorded", "Recorder", "Unsayable"]


class Unsayable(Exception):  # noqa: N818 - it is an answer, not a fault
    """Raised for something that cannot be written as a call of NumPy."""


class Recorder:
    """NumPy with a record of its calls: `lines` of source, and the `data` that they read by name.

    >>> import numpy as np
    >>> from graphnn.debug.recorder import Recorder
    >>> xp = Recorder()
    >>> x = xp.given(np.array([1.0, 2.0]))
    >>> _ = np.exp(x) + 1
    >>> print(*xp.lines, sep="\\n")
    v0 = data["d0"]
    v1 = np.exp(v0)
    v2 = np.add(v1, 1)
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.data: dict[str, np.ndarray] = {}
        self._made = 0

    def given(self, array: Any) -> Recorded:
        """A recorded array that the source reads from the data."""
        return self._assigned(self._stored(np.asarray(array)), np.asarray(array))

    def __getattr__(self, name: str) -> Any:
        return _part(self, f"np.{name}", getattr(np, name))

    def call(self, text: str, function: Callable[..., Any], args: Sequence[Any], named: Mapping[str, Any]) -> Any:
        """Call a function, which the source calls `text`, and record the call."""
        said = [self._say(a) for a in args] + [f"{key}={self._say(value)}" for key, value in named.items()]
        return self.keep(f"{text}({', '.join(said)})", function(*_plain(list(args)), **_plain(dict(named))))

    def write(self, target: Recorded, key: Any, value: Any) -> None:
        """Write into a recorded array, and record it."""
        self.lines.append(f"{target.name}[{self._say(key)}] = {self._say(value)}")
        target.value[_plain(key)] = _plain(value)

    def read(self, source: Recorded, key: Any) -> Any:
        """Read a part of a recorded array, and record it."""
        return self.keep(f"{source.name}[{self._say(key)}]", source.value[_plain(key)])

    def keep(self, text: str, value: Any) -> Any:
        """Record `text` as the source of a value. Arrays become recorded arrays with names."""
        if isinstance(value, (np.ndarray, np.generic)):
            return self._assigned(text, np.asarray(value))
        if value is None:
            self.lines.append(text)
        if isinstance(value, (tuple, list)) and any(isinstance(part, np.ndarray) for part in value):
            whole = self._named(text)
            return tuple(self._assigned(f"{whole}[{i}]", np.asarray(part)) for i, part in enumerate(value))
        return value

    def _assigned(self, text: str, value: np.ndarray) -> Recorded:
        return Recorded(self, self._named(text), value)

    def _named(self, text: str) -> str:
        name = f"v{self._made}"
        self._made += 1
        self.lines.append(f"{name} = {text}")
        return name

    def _stored(self, array: np.ndarray) -> str:
        name = f"d{len(self.data)}"
        self.data[name] = np.array(array)
        return f'data["{name}"]'

    def _say(self, value: Any) -> str:
        """A value as source text. It is made of numbers and of names from here, never of names from the user."""
        if isinstance(value, Recorded):
            return value.name
        if isinstance(value, (np.ndarray, np.generic)):
            return (
                self._stored(np.asarray(value))
                if value.ndim
                else f"np.array({_number(value.item())}, {_dtype(value.dtype)})"
            )
        if isinstance(value, (tuple, list)):
            said = ", ".join(map(self._say, value))
            return f"[{said}]" if isinstance(value, list) else f"({said},)" if value else "()"
        if isinstance(value, slice):
            return f"slice({', '.join(map(self._say, (value.start, value.stop, value.step)))})"
        if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic)):
            return _dtype(np.dtype(value))
        if value is None or value is Ellipsis or isinstance(value, (bool, int, str)):
            return "..." if value is Ellipsis else ascii(value)
        if isinstance(value, float):
            return _number(value)
        if value in (bool, int, float):
            return str(value.__name__)
        raise Unsayable(f"{type(value).__name__} in a call of NumPy")


class Recorded(NDArrayOperatorsMixin):
    """An array with a name in the source: all that is done with it is recorded."""

    def __init__(self, recorder: Recorder, name: str, value: np.ndarray) -> None:
        self.recorder, self.name, self.value = recorder, name, value

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **named: Any) -> Any:
        text = f"np.{ufunc.__name__}"
        if getattr(np, ufunc.__name__, None) is not ufunc:
            raise Unsayable(f"{ufunc.__name__}, which is not of NumPy")
        out = named.get("out")
        if isinstance(out, tuple) and len(out) == 1:
            named["out"] = out[0]
        function = ufunc if method == "__call__" else getattr(ufunc, method)
        return self.recorder.call(text if method == "__call__" else f"{text}.{method}", function, inputs, named)

    def __array_function__(
        self, function: Callable[..., Any], types: Any, args: Sequence[Any], named: Mapping[str, Any]
    ) -> Any:
        module = function.__module__
        if getattr(sys.modules[module], function.__name__, None) is not function:
            raise Unsayable(f"{function.__name__}, which has no public name")
        text = f"np{module.removeprefix('numpy')}.{function.__name__}"
        return self.recorder.call(text, function, args, named)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.value, dtype=dtype)

    def __getitem__(self, key: Any) -> Any:
        return self.recorder.read(self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.recorder.write(self, key, value)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.value, name)
        if callable(found):
            return lambda *args, **named: self.recorder.call(f"{self.name}.{name}", found, args, named)
        return self.recorder.keep(f"{self.name}.{name}", found) if isinstance(found, np.ndarray) else found

    def __len__(self) -> int:
        return len(self.value)

    def __bool__(self) -> bool:
        return bool(self.value)

    def __int__(self) -> int:
        return int(self.value)

    def __index__(self) -> int:
        return int(self.value.__index__())

    def __float__(self) -> float:
        return float(self.value)


class _Recording:
    """A function or a namespace of NumPy whose calls are recorded."""

    def __init__(self, recorder: Recorder, text: str, part: Any) -> None:
        self._recorder, self._text, self._part = recorder, text, part

    def __call__(self, *args: Any, **named: Any) -> Any:
        return self._recorder.call(self._text, self._part, args, named)

    def __getattr__(self, name: str) -> Any:
        return _part(self._recorder, f"{self._text}.{name}", getattr(self._part, name))


def _part(recorder: Recorder, text: str, part: Any) -> Any:
    recorded = isinstance(part, ModuleType) or (callable(part) and not isinstance(part, type))
    return _Recording(recorder, text, part) if recorded else part


def _plain(value: Any) -> Any:
    """A value, or a nest of values, with NumPy arrays in place of recorded ones."""
    if isinstance(value, Recorded):
        return value.value
    if isinstance(value, (tuple, list)):
        return type(value)(_plain(part) for part in value)
    return {key: _plain(part) for key, part in value.items()} if isinstance(value, dict) else value


def _number(value: float | int | bool) -> str:
    return repr(value) if np.isfinite(value) else f'float("{value}")'


def _dtype(dtype: np.dtype[Any]) -> str:
    return f'np.dtype("{dtype.str}")'
