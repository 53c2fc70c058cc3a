"""Elementwise ops, which are defined by a formula for one element."""

from __future__ import annotations

from functools import lru_cache, partial
from itertools import count
from typing import Any, ClassVar

import numpy as np

from ..errors import DTypeError, FormatError
from ..ir import formula as language
from ..ir.broadcast import broadcast_shape, stretch
from ..ir.formula import Formula, Literal
from ..ir.functions import ufunc
from ..ir.leaf import scalar_constant
from ..ir.node import Call, Node, describe
from ..ir.slopes import derivative, times
from ..ir.spec import Shape, Spec
from .registers import Registers, registers
from .ufuncs import bind_ufunc

__all__ = ["Elementwise", "Map", "operand_dtypes"]

_MOST = 4096
_agreements: dict[tuple[Any, ...], tuple[tuple[np.dtype[Any], ...], Shape]] = {}
_NUMBERS = (bool, int, float, np.bool_, np.integer, np.floating)


class Elementwise(Node):
    """The base of elementwise ops: a class with operands and a `formula` over their names.

    The formula gives the dtype, the value on every backend, the gradient (unless `vjp` is defined), and the printed
    mathematics. Operands are brought to one dtype by Cast, and to one shape by Repeat. A formula, see
    `graphnn.ir.formula`, is made of names of operands and attributes, numbers, `+ - * / % **`, comparisons, `& | ^ ~`,
    and functions such as `exp`, `tanh`, `maximum(x, y)` and `where(condition, x, y)`.

    Raises:
        ShapeError: when operands do not broadcast.
        DTypeError: when the formula cannot take their dtype.
        FormatError: when the formula is not in the language, or uses an unknown name.

    >>> import graphnn as gn
    >>> class Swish(gn.Elementwise):
    ...     x: gn.Node
    ...     formula = "x / (1 + exp(-x))"
    >>> x = gn.Input("x", ())
    >>> round(float(gn.compile(gn.grad(Swish(x), x))(x=1.0)), 4)
    0.9277
    """

    formula: ClassVar[str]
    indifferent = True
    by_specs = True
    elements = "alike"

    def named_operands(self) -> dict[str, Node]:
        """The operands under the names that the formula has for them."""
        mine = self.__dict__
        return {name: mine[name] for name in self.field_names if isinstance(mine[name], Node)}

    @property
    def body(self) -> Formula:
        """The formula over the operands alone, the attributes filled in."""
        return self.read(self.formula)

    def read(self, text: str) -> Formula:
        """A formula over the operands and those attributes that are numbers."""
        if self.node_fields == self.field_names:
            return _read(self.op, text, (), self.field_names)
        numbers = tuple([(name, v) for name, v in self.attributes().items() if isinstance(v, _NUMBERS)])
        return _read(self.op, text, numbers, tuple(self.named_operands()))

    def prepare(self) -> None:
        """Cast the operands to one dtype and repeat them to one shape."""
        operands = self.named_operands()
        dtypes, shape = self._agreement(operands)
        for node, dtype in zip(operands.values(), dtypes, strict=True):
            if node.dtype is not dtype or (node.shape != shape and not scalar_constant(node)):
                break
        else:
            return
        agreed = {
            name: stretch(node.cast(dtype), shape) for (name, node), dtype in zip(operands.items(), dtypes, strict=True)
        }
        self.place(agreed)

    def _agreement(self, operands: dict[str, Node]) -> tuple[tuple[np.dtype[Any], ...], Shape]:
        """The dtypes and the shape that the operands are brought to: asked once of operands of the same specs."""
        body = self.body
        asked = (body, *operands, *[node.spec for node in operands.values()])
        known = _agreements.get(asked)
        if known is None:
            try:
                dtypes = operand_dtypes(body, self._signature(operands))
            except TypeError as error:
                raise _refused(self, error) from None
            if len(_agreements) >= _MOST:
                _agreements.clear()
            known = _agreements[asked] = dtypes, broadcast_shape(self.op, operands)
        return known

    def place(self, operands: dict[str, Node]) -> None:
        """Put the agreed operands where the fields are."""
        self.__dict__.update(operands)

    def infer(self) -> Spec:
        """The operands' common shape; the dtype by NumPy's rules."""
        operands = self.named_operands()
        body = self.body
        try:
            dtype = language.dtypes(body, self._signature(operands))[body]
        except TypeError as error:
            raise _refused(self, error) from None
        for node in operands.values():
            if not scalar_constant(node):
                return node.spec if node.dtype is dtype else Spec(node.shape, np.dtype(dtype))
        return Spec((), np.dtype(dtype))

    @staticmethod
    def _signature(operands: dict[str, Node]) -> tuple[tuple[str, np.dtype[Any]], ...]:
        return tuple([(name, node.dtype) for name, node in operands.items()])

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """The formula's value."""
        value = language.evaluate(self.body, xp, dict(zip(self.named_operands(), arrays, strict=True)), self.dtype)
        if any(value is array for array in arrays):  # a formula that is one name: the result is no alias of it
            value = xp.array(value)
        return xp.asarray(value, dtype=self.dtype)

    def vjp(self, g: Node) -> Node | tuple[Node | None, ...]:
        """The derivative of the formula by each operand, times the upstream gradient, as one `Map` each."""
        operands = self.named_operands()
        return tuple(self._slope(g, name, operands) for name in operands)

    def _slope(self, g: Node, by: str, operands: dict[str, Node]) -> Node | None:
        if operands[by].dtype.kind != "f":
            return None
        slope = _sent(self.body, by, tuple(operands))
        if slope is None:
            return None
        text, used, upstream = slope
        return g if text == upstream else Map(text, used, tuple([operands.get(name, g) for name in used]))

    # On NumPy and CuPy: one ufunc call an instruction -------------------------------------------------------------

    def _registers(self) -> Registers:
        shared = self.shared  # planning and binding ask several times
        if "registers" not in shared:
            shared["registers"] = registers(self.body, self._signature(self.named_operands()), self.dtype)
        kept: Registers = shared["registers"]
        return kept

    def work(self) -> tuple[Shape, ...]:
        """One operation for each function in the formula, element by element."""
        return ((len(self._registers().instructions), *self.shape),)

    def scratch(self) -> tuple[Spec, ...]:
        """One array for each value that has to be kept beside the result."""
        shared = self.shared
        if "scratch" not in shared:
            shared["scratch"] = tuple([Spec(self.shape, dtype) for dtype in self._registers().scratch])
        specs: tuple[Spec, ...] = shared["scratch"]
        return specs

    def overwrites(self) -> tuple[int, ...]:
        """The operands that have been read for the last time when the result is first written to."""
        shared = self.shared
        if "overwrites" not in shared:
            free, operands = self._registers().overwritable, self.named_operands()
            shared["overwrites"] = tuple(
                [i for i, (name, n) in enumerate(operands.items()) if name in free and not scalar_constant(n)]
            )
        places: tuple[int, ...] = shared["overwrites"]
        return places

    def bind(self, xp: Any, ins: tuple[Any, ...], out: Any, scratch: tuple[Any, ...]) -> list[Call]:
        """The formula as ufunc calls with `out=`."""
        arrays = _as_simple_as_possible([out, *scratch, *[_scalar_if_one_element(array) for array in ins]])
        shared = self.shared
        if "places" not in shared:  # what instructions name: registers by number, operands by name
            shared["places"] = (*range(1 + len(scratch)), *self.named_operands())
        known = dict(zip(shared["places"], arrays, strict=True))
        calls: list[Call] = []
        for function, arguments, target in self._registers().instructions:
            values = [a.value if isinstance(a, Literal) else known[a] for a in arguments]
            calls += _calls(xp, function, values, known[target])
        return calls


@lru_cache(maxsize=4096)
def _read(op: str, text: str, attributes: tuple[tuple[str, Any], ...], operands: tuple[str, ...]) -> Formula:
    body = language.parse(text).substitute({name: language.literal(value) for name, value in attributes})
    unknown = [name for name in body.names() if name not in operands]
    if unknown:
        has = ", ".join((*operands, *(name for name, _ in attributes)))
        raise FormatError(f"{op}: the formula {text!r} uses {unknown[0]!r}, but has {has}.")
    return body


@lru_cache(maxsize=4096)
def _sent(body: Formula, by: str, operands: tuple[str, ...]) -> tuple[str, tuple[str, ...], str] | None:
    """What a formula sends to one of its operands: a formula, the names in it, and that of the upstream gradient.

    None when it sends nothing.
    """
    slope = derivative(body, by)
    if slope is language.literal(0):
        return None
    upstream = next(name for i in count() if (name := f"g{i or ''}") not in operands)
    sent = times(language.name(upstream), slope)
    return str(sent), sent.names(), upstream


@lru_cache(maxsize=4096)
def operand_dtypes(body: Formula, operands: tuple[tuple[str, np.dtype[Any]], ...]) -> tuple[np.dtype[Any], ...]:
    """The dtypes that a formula's operands are to have: one for all but the conditions, which stay as they are.

    Integers that the formula turns into floats become floats in sight.
    """
    asked = language.conditions(body)
    kinds = {dtype for name, dtype in operands if name not in asked}
    common = next(iter(kinds)) if len(kinds) == 1 else np.result_type(*kinds or {np.dtype(bool)})
    if common.kind != "f":
        result = language.dtypes(body, operands)[body]
        common = result if isinstance(result, np.dtype) and result.kind == "f" and kinds else common
    return tuple(dtype if name in asked else common for name, dtype in operands)


def _refused(node: Elementwise, error: Exception) -> DTypeError:
    operands = " and ".join(describe(operand) for operand in node.named_operands().values())
    return DTypeError(f"{node.op}: {operands} cannot be used in the formula {node.body}: {error}")


def _scalar_if_one_element(array: Any) -> Any:
    """One element seen through zero strides, as the scalar it is: ufuncs are several times faster on that."""
    if not array.ndim or not array.size or (array.strides[-1] and array.shape[-1] > 1):
        return array
    repeated = all(n == 1 or not s for n, s in zip(array.shape, array.strides, strict=True))
    return array[(0,) * array.ndim + (...,)] if repeated else array


def _as_simple_as_possible(arrays: list[Any]) -> list[Any]:
    """Arrays of one shape, all in C order, as vectors: ufuncs enter those several times faster, scalars beside them.

    The first is the result. An array that occurs twice stays one object: where the result overwrites an operand,
    NumPy then need not look for an overlap.
    """
    shape = arrays[0].shape
    if len(shape) == 1:
        return arrays
    simple: list[Any] = []
    flat: dict[int, Any] = {}
    for a in arrays:
        vector = flat.get(id(a))
        if vector is None:
            vector = a
            if a.shape == shape and a.flags.c_contiguous:
                vector = flat[id(a)] = a.reshape(-1)
            elif a.ndim:
                return arrays
        simple.append(vector)
    return simple


def _calls(xp: Any, function: str, arguments: list[Any], target: Any) -> list[Call]:
    if function == "where":  # NumPy's where has no out
        condition, x, y = arguments
        return [partial(xp.copyto, target, y), partial(xp.copyto, target, x, "same_kind", condition)]
    if function == "copy":
        return [partial(xp.copyto, target, *arguments)]
    return [bind_ufunc(ufunc(xp, function), arguments, target)]


class Map(Elementwise):
    """A formula over given operands. Derivatives of formulas are such nodes.

    `text` is the formula, `names` what it calls the `operands`, which stand in the same order.

    >>> import graphnn as gn
    >>> x = gn.Input("x", ("N",))
    >>> gn.Map("x * x + 1", ("x",), (x,)).spec
    Spec(shape=(N,), dtype=dtype('float32'))
    """

    text: str
    names: tuple[str, ...]
    values: tuple[Node, ...]

    def named_operands(self) -> dict[str, Node]:
        """As given."""
        return dict(zip(self.names, self.values, strict=True))

    @property
    def body(self) -> Formula:
        """The formula as given."""
        return _read("Map", self.text, (), self.names)

    def place(self, operands: dict[str, Node]) -> None:
        """They stand in one tuple."""
        self.__dict__["values"] = tuple(operands.values())
