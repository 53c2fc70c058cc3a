"""Leaves: the nodes without operands. Inputs are fed, parameters own a value, constants and counts never change."""

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

__all__ = ["Input", "Parameter", "Constant", "Count", "DeviceCopy", "fetch_for_writing"]


class Input(Node):
    """A value that is given at every call: `Input(name, shape, dtype=None)`.

    `shape` holds ints and named sizes, such as `("N", 2)`. Without `dtype`, the input has the default float dtype.

    Raises:
        GraphError: when the name is not a Python identifier.
        ShapeError: when the shape is not a tuple of sizes.

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


class DeviceCopy(Protocol):
    """A copy of a parameter's value on a device. It may be newer than the value on the host."""

    def fetch(self) -> None:
        """Bring the host's array up to date, for reading."""
        ...

    def fetch_for_writing(self) -> None:
        """Bring the host's array up to date, and let the device read it again before it uses its copy."""
        ...


def fetch_for_writing(parameters: Iterable[Parameter]) -> None:
    """Bring the host's arrays of parameters up to date, before a program on the host reads and writes them."""
    for parameter in parameters:
        if parameter.device_copy is not None:
            parameter.device_copy.fetch_for_writing()


class Parameter(Node):
    """A value that the program owns and may update: `Parameter(name, value, dtype=None, trainable=True)`.

    `value` is an array or a number. Without `dtype`, a float value takes the default float dtype, and an integer value
    stays an integer. All programs compiled from a parameter share its storage: reading `p.value` gives a copy, and
    assigning `p.value = a` writes into the storage. Optimisers do not update a parameter with `trainable=False`.

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
    device_copy: ClassVar[DeviceCopy | None] = None
    """The copy on a device, once a program there has used the parameter."""

    def __init__(self, name: str, value: ArrayLike, dtype: DTypeLike | None = None, trainable: bool = True) -> None:
        _check_name(name, "Parameter")
        try:
            storage = constant_array(value, dtype=dtype)
        except DTypeError as error:
            raise DTypeError(f"Parameter '{name}': {error}") from None
        except ValueError as error:
            raise ShapeError(f"Parameter '{name}': the value is not an array: {error}") from None
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

        If a device holds a newer value, it is fetched first. The device reads this array again before its next run.
        """
        if self.device_copy is not None:
            self.device_copy.fetch_for_writing()
        held: np.ndarray = self.__dict__["_storage"]
        return held

    @property
    def value(self) -> np.ndarray:
        """A copy of the current value; assigning writes into the same storage."""
        if self.device_copy is not None:
            self.device_copy.fetch()
        held: np.ndarray = self.__dict__["_storage"]
        return held.copy()

    @value.setter
    def value(self, value: ArrayLike) -> None:
        self.storage[...] = self.accept(value)

    def keep_device_copy(self, copy: DeviceCopy) -> None:
        """From now on, a device holds a copy as well."""
        self.__dict__["device_copy"] = copy

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "value":
            raise GraphError(f"{self.label}: only the value of a parameter changes, not its {name}.")
        object.__setattr__(self, name, value)

    def accept(self, value: ArrayLike) -> np.ndarray:
        """The value as an array of this parameter's shape and dtype.

        Raises:
            DTypeError: when it is not numeric, or cannot be cast: a float to an integer, or one that is out of range.
            ShapeError: when its shape differs.
        """
        try:
            array = np.asarray(value)
        except ValueError as error:
            raise ShapeError(f"{self.label}: the value is not an array: {error}.") from None
        integers = array.dtype.kind in "iu" and self.dtype.kind in "iu"
        if array.dtype.kind not in "buif" or not (integers or np.can_cast(array.dtype, self.dtype, "same_kind")):
            raise DTypeError(
                f"{self.label} is {self.spec} ({self.origin}) and cannot take a value of dtype {array.dtype}."
            )
        if array.shape != self.shape:
            raise ShapeError(
                f"{self.label} is {self.spec} ({self.origin}) and cannot take a value of shape {array.shape}."
            )
        cast = array.astype(self.dtype, copy=False)
        if integers and not np.array_equal(cast, array):
            limits = np.iinfo(self.dtype)
            raise DTypeError(
                f"{self.label} is {self.spec} ({self.origin}), from {limits.min} to {limits.max}, and cannot take "
                f"{array.min()} to {array.max()}."
            )
        return cast

    @property
    def label(self) -> str:
        """The name, quoted."""
        return f"'{self.name}'"


class Constant(Node, role="constant"):
    """A value that never changes: `Constant(value, dtype=None)`.

    A number or array in an expression becomes a constant by itself. Without `dtype`, a float value takes the default
    float dtype; in an expression, it takes the float dtype of the nodes that it is combined with.

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
    """The product of some sizes, as a scalar: the number of elements that a mean divides by.

    `dims` holds ints and named sizes, `kind` is the dtype. The value is known once the named sizes are.
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
    """The product of the sizes `dims`: a constant if all of them are ints, else a `Count`."""
    if any(isinstance(dim, Size) for dim in dims):
        return Count(dims, dtype)
    return Constant(prod(dim for dim in dims if isinstance(dim, int)), dtype=dtype)


def _check_name(name: Any, what: str) -> None:
    if not isinstance(name, str) or not name:
        raise GraphError(f"{what}: the name comes first and is a string, as in {what}('x', ...); got {name!r}.")


def scalar_constant(node: Node) -> bool:
    """Is the node a scalar that is known before the run? Such an operand meets an array without a Repeat."""
    return node.static and isinstance(node.spec, Spec) and not node.spec.shape


def require_float(node: Node, what: str) -> None:
    """Refuse a node that has no gradient, because its dtype is not a float dtype."""
    if node.dtype.kind != "f":
        mend = " Declare it with a float dtype, or with trainable=False." if isinstance(node, Parameter) else ""
        raise DTypeError(f"{what}: {describe(node)} is not of a float dtype, so it has no gradient.{mend}")
