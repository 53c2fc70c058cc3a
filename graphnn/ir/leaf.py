"""Leaves: the nodes without operands. Inputs are fed, parameters own their value, constants and counts are known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ..errors import DTypeError, GraphError, ShapeError
from .context import current_scope, like
from .dtype import as_dtype, constant_array, default_float
from .node import Node, describe
from .spec import Dim, Shape, Size, Spec, as_shape, spec_of

__all__ = ["Input", "Parameter", "Constant", "Count", "Elsewhere", "come_home"]


class Input(Node):
    """A value given at every call: `Input(name, shape, dtype=None)`.

    `shape` holds ints and named sizes, such as `("N", 2)`; the dtype is the default float dtype unless said.

    Raises:
        GraphError: when the name is not a word.
        ShapeError: when the shape is not one.

    >>> import graphnn as gn
    >>> gn.Input("x", ("N", 2)).spec
    Spec(shape=(N, 2), dtype=dtype('float32'))
    """

    name: str
    size: Any
    kind: Any

    def __init__(self, name: str, shape: Any = (), dtype: DTypeLike | None = None) -> None:
        _check_name(name, "Input")
        if not name.isidentifier():
            raise GraphError(f"Input: {name!r} cannot be passed by name to a call; use a word such as 'x'.")
        self.__dict__.update(name=name, size=as_shape(shape), kind=as_dtype(dtype) if dtype else default_float())
        self.__post_init__()

    def infer(self) -> Spec:
        """As declared."""
        return Spec(self.size, as_dtype(self.kind))

    @property
    def label(self) -> str:
        """The name, quoted."""
        return f"'{self.name}'"


class Elsewhere(Protocol):
    """A copy of a parameter's value that a device holds, and that may be newer than the host's."""

    def fetch(self) -> None:
        """Bring the host's array up to date."""
        ...

    def come_home(self) -> None:
        """Bring the host's array up to date for somebody who may write into it."""
        ...


def come_home(parameters: Iterable[Parameter]) -> None:
    """Bring the arrays of parameters up to date, before a program of the host reads and writes them."""
    for parameter in parameters:
        if parameter.elsewhere is not None:
            parameter.elsewhere.come_home()


class Parameter(Node):
    """A value that the program owns and may update: `Parameter(name, value, dtype=None, trainable=True)`.

    `value` is an array or a number; float values take the default float dtype unless `dtype` is given, integers
    stay integers. Every program compiled from it shares the one storage: `p.value` reads a copy, `p.value = a`
    writes into it. `trainable=False` keeps optimisers away from it.

    Raises:
        DTypeError: when the value is not numeric, or an assigned one does not fit the dtype.
        ShapeError: when an assigned value has another shape.

    >>> import graphnn as gn
    >>> b = gn.Parameter("b", [0.0, 0.0])
    >>> b.value = [1, 2]
    >>> b.value
    array([1., 2.], dtype=float32)
    """

    name: str
    trainable: bool
    elsewhere: ClassVar[Elsewhere | None] = None
    """A copy that a device holds, once a program there has used it."""

    def __init__(self, name: str, value: ArrayLike, dtype: DTypeLike | None = None, trainable: bool = True) -> None:
        _check_name(name, "Parameter")
        try:
            storage = constant_array(value, dtype=dtype)
        except DTypeError as error:
            raise DTypeError(f"Parameter '{name}': {error}") from None
        storage.flags.writeable = True
        scoped = ".".join((*current_scope(), name))
        self.__dict__.update(name=scoped, trainable=trainable, _storage=storage)
        self.__post_init__()

    def infer(self) -> Spec:
        """The shape and dtype of the value."""
        return spec_of(self.storage.shape, self.storage.dtype)

    @property
    def storage(self) -> np.ndarray:
        """The one array that holds the value: programs read and write it in place.

        What a device holds that is newer is fetched first, and the device looks here again before it goes on.
        """
        if self.elsewhere is not None:
            self.elsewhere.come_home()
        held: np.ndarray = self.__dict__["_storage"]
        return held

    @property
    def value(self) -> np.ndarray:
        """A copy of the current value; assigning writes into the same storage."""
        if self.elsewhere is not None:
            self.elsewhere.fetch()
        held: np.ndarray = self.__dict__["_storage"]
        return held.copy()

    @value.setter
    def value(self, value: ArrayLike) -> None:
        self.storage[...] = self.accept(value)

    def keep_elsewhere(self, copy: Elsewhere) -> None:
        """From now on a device holds a copy too."""
        self.__dict__["elsewhere"] = copy

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "value":
            raise GraphError(f"{self.label}: only the value of a parameter changes, not its {name}.")
        object.__setattr__(self, name, value)

    def accept(self, value: ArrayLike) -> np.ndarray:
        """The value as an array of this parameter's shape and dtype.

        Raises:
            DTypeError: when it is not numeric, or cannot be cast (a float to an integer).
            ShapeError: when its shape differs.
        """
        try:
            array = np.asarray(value)
        except ValueError as error:
            raise ShapeError(f"{self.label}: the value is not an array: {error}.") from None
        if array.dtype.kind not in "buif" or not np.can_cast(array.dtype, self.dtype, casting="same_kind"):
            raise DTypeError(
                f"{self.label} is {self.spec} ({self.origin}) and cannot take a value of dtype {array.dtype}."
            )
        if array.shape != self.shape:
            raise ShapeError(
                f"{self.label} is {self.spec} ({self.origin}) and cannot take a value of shape {array.shape}."
            )
        return array.astype(self.dtype, copy=False)

    @property
    def label(self) -> str:
        """The name, quoted."""
        return f"'{self.name}'"


class Constant(Node, role="constant"):
    """A value that never changes: `Constant(value, dtype=None)`.

    Numbers and arrays in expressions become constants by themselves. Float values take the default float dtype
    unless `dtype` is given; in an expression they take that of the nodes beside them.

    Raises:
        DTypeError: when the value is not numeric.

    >>> import graphnn as gn
    >>> gn.Constant([1, 2, 3])
    <Constant i64[3] (...)>
    """

    value: np.ndarray

    def __init__(self, value: ArrayLike, dtype: DTypeLike | None = None) -> None:
        ready = isinstance(value, np.ndarray) and not value.flags.writeable and dtype is None
        self.__dict__["value"] = value if ready else constant_array(value, dtype=dtype)
        self.__post_init__()

    def __post_init__(self) -> None:
        super().__post_init__()
        self.__dict__["static"] = True

    def infer(self) -> Spec:
        """The shape and dtype of the value."""
        return spec_of(self.value.shape, self.value.dtype)

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """The value."""
        return xp.asarray(self.value)

    def cast(self, dtype: np.dtype[Any]) -> Node:
        """The constant in another dtype."""
        if self.dtype == dtype:
            return self
        with like(self):
            return Constant(constant_array(self.value, dtype=dtype))


class Count(Node, role="count"):
    """The number of elements along some sizes, as a scalar: what a mean divides by.

    `dims` holds ints and named sizes, `kind` is the dtype. It is known as soon as the named sizes are.
    """

    dims: Shape
    kind: Any

    def __post_init__(self) -> None:
        super().__post_init__()
        self.__dict__["static"] = True

    def infer(self) -> Spec:
        """A scalar."""
        return Spec((), as_dtype(self.kind))

    def at(self, sizes: Mapping[str, int]) -> Node:
        """The count as a constant."""
        return count_of(Spec(self.dims, self.dtype).concrete(sizes), self.dtype)

    def cast(self, dtype: np.dtype[Any]) -> Node:
        """The same count in another dtype."""
        if self.dtype == dtype:
            return self
        with like(self):
            return Count(self.dims, dtype)


def count_of(dims: tuple[Dim, ...], dtype: np.dtype[Any]) -> Node:
    """How many elements `dims` hold: a constant when all are known, else a `Count`."""
    if any(isinstance(dim, Size) for dim in dims):
        return Count(dims, dtype)
    return Constant(prod(dim for dim in dims if isinstance(dim, int)), dtype=dtype)


def _check_name(name: Any, what: str) -> None:
    if not isinstance(name, str) or not name:
        raise GraphError(f"{what}: the name comes first and is a string, as in {what}('x', ...); got {name!r}.")


def scalar_constant(node: Node) -> bool:
    """Is it a scalar known before the run? Such operands need no Repeat to meet an array."""
    return node.static and isinstance(node.spec, Spec) and not node.spec.shape


def require_float(node: Node, what: str) -> None:
    """Refuse a node whose dtype has no derivative."""
    if node.dtype.kind != "f":
        raise DTypeError(f"{what}: {describe(node)} is not of a float dtype, so it has no gradient.")
