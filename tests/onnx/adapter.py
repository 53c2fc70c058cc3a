"""The adapter: an ONNX model as graphnn expressions, one rule a node type, so that the official cases can be run.

Everything that depends on the case's data is computed by graphnn. Only what ONNX passes as an input though it
decides a shape (the target of Reshape, the starts of Slice, axes) is read from the case while translating.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import graphnn as gn
from graphnn.ir.walk import evaluate, walk

__all__ = ["RULES", "Call", "UnsupportedError", "constant", "op", "rule", "translate"]

RULES: dict[str, Callable[[Call], Any]] = {}
DTYPES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 9: "bool", 10: "float16",
    11: "float64", 12: "uint32", 13: "uint64",
}  # fmt: skip
"""ONNX's numbers for the dtypes that graphnn has."""


class UnsupportedError(Exception):
    """What graphnn does not express: the reason why a case is not run."""


def rule(*names: str) -> Callable[[Any], Any]:
    """Makes a function the translation of some node types."""

    def register(function: Any) -> Any:
        RULES.update(dict.fromkeys(names, function))
        return function

    return register


def op(name: str) -> Any:
    """The graphnn op of that name."""
    if not hasattr(gn, name):
        raise UnsupportedError(f"no op {name}")
    return getattr(gn, name)


def constant(value: Any, dtype: Any = None) -> gn.Node:
    """An array as a constant of its own dtype."""
    array = np.asarray(value, dtype)
    check_dtype(array)
    return gn.Constant(array, dtype=array.dtype)


def check_dtype(array: Any) -> None:
    if not isinstance(array, np.ndarray) or array.dtype.name not in DTYPES.values():
        raise UnsupportedError(f"dtype {getattr(array, 'dtype', type(array).__name__)}")


def as_array(value: Any) -> Any:
    """A case's value as an array, where it is one; cases hold scalars and ONNX's own tensors too."""
    if isinstance(value, np.generic):
        return np.asarray(value)
    if type(value).__name__ == "TensorProto":
        import onnx

        return onnx.numpy_helper.to_array(value)
    return value


@dataclass(frozen=True)
class Call:
    """One node of a model, with nodes for its inputs; None for those left out."""

    type: str
    inputs: tuple[Any, ...]
    attributes: dict[str, Any]
    outputs: tuple[str, ...]
    opset: int
    scope: Scope

    def __getitem__(self, i: int) -> Any:
        """Input i, or None."""
        return self.inputs[i] if i < len(self.inputs) else None

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute."""
        return self.attributes.get(name, default)

    def known(self, i: int) -> Any:
        """The value of input i in this case, as an array; None when it is left out."""
        return None if self[i] is None else self.scope.known(self[i])

    def ints(self, i: int, name: str) -> Any:
        """Integers that stand in an attribute in old versions and in an input in new ones."""
        if self[i] is not None:
            return tuple(int(n) for n in self.known(i).reshape(-1))
        found = self.get(name)
        return tuple(found) if isinstance(found, (list, tuple)) else found


class Scope:
    """The values of a graph by name, over those of the graph around it, and the data of the case."""

    def __init__(self, data: dict[gn.Node, np.ndarray], outer: Scope | None = None) -> None:
        self.data = data
        self.values: dict[str, Any] = dict(outer.values) if outer else {"": None}
        self.attributes: dict[str, Any] = outer.attributes if outer else {}

    def known(self, node: gn.Node) -> np.ndarray:
        """A node's value in this case, computed by graphnn."""
        used = {part: self.data[part] for part in walk([node]) if part in self.data}
        with np.errstate(all="ignore"):
            return np.asarray(evaluate([node], used, np, {})[0])

    def run(self, graph: Any, opset: int) -> list[gn.Node]:
        """Translate a graph whose inputs are known by name; its outputs."""
        import onnx

        for tensor in graph.initializer:
            self.values[tensor.name] = constant(onnx.numpy_helper.to_array(tensor))
        self.run_nodes(graph.node, opset)
        return [self.values[out.name] for out in graph.output]

    def run_nodes(self, nodes: Any, opset: int) -> None:
        """Translate nodes in order; a type without a rule by the standard's own definition in terms of others."""
        import onnx

        for node in nodes:
            attributes = {a.name: a for a in node.attribute}
            for name, a in attributes.items():
                if a.ref_attr_name:  # inside a function: the caller's attribute
                    attributes[name] = self.attributes.get(a.ref_attr_name)
            given = {name: _attribute(onnx, a) for name, a in attributes.items() if a is not None}
            inputs = tuple(self.values[name] for name in node.input)
            call = Call(node.op_type, inputs, given, tuple(node.output), opset, self)
            if node.op_type in RULES and node.domain in ("", "ai.onnx"):
                found = RULES[node.op_type](call)
            else:
                found = self._by_definition(onnx, node, call, attributes)
            results = (found,) if isinstance(found, gn.Node) and not isinstance(found.spec, tuple) else tuple(found)
            self.values.update(zip(node.output, results, strict=False))

    def _by_definition(self, onnx: Any, node: Any, call: Call, attributes: dict[str, Any]) -> list[gn.Node]:
        if not onnx.defs.has(node.op_type, node.domain):
            raise UnsupportedError(f"node type {node.op_type}")
        if node.domain not in ("", "ai.onnx", "ai.onnx.preview"):
            raise UnsupportedError(f"domain {node.domain}")
        schema = onnx.defs.get_schema(node.op_type, max(call.opset, 1) if not node.domain else 1, node.domain)
        if schema.has_function:
            body = schema.function_body
        elif schema.has_context_dependent_function:
            types = [onnx.TypeProto() if x is None else _type_proto(onnx, x) for x in call.inputs]
            text = schema.get_context_dependent_function(
                node.SerializeToString(), [t.SerializeToString() for t in types]
            )
            body = onnx.FunctionProto.FromString(text)
        else:
            raise UnsupportedError(f"node type {node.op_type}")
        inner = Scope(self.data)
        defaults = {name: a.default_value for name, a in schema.attributes.items() if a.default_value.name}
        inner.attributes = {**defaults, **attributes}
        inner.values.update({name: call[i] for i, name in enumerate(body.input)})
        [opset] = [o.version for o in body.opset_import if o.domain in ("", "ai.onnx")] or [call.opset]
        inner.run_nodes(body.node, opset)
        return [inner.values.get(name) for name in body.output]


def _type_proto(onnx: Any, x: gn.Node) -> Any:
    number = next(n for n, dtype in DTYPES.items() if dtype == x.dtype.name)
    return onnx.helper.make_tensor_type_proto(number, x.shape)


def _attribute(onnx: Any, attribute: Any) -> Any:
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, onnx.TensorProto):
        return onnx.numpy_helper.to_array(value)
    if isinstance(value, list) and value and isinstance(value[0], bytes):
        return [part.decode() for part in value]
    return value


def translate(model: Any, arrays: list[Any]) -> tuple[list[gn.Node], dict[str, np.ndarray]]:
    """A model's outputs as nodes over the case's inputs, and the feeds."""
    given = [value.name for value in model.graph.input]
    feeds: dict[str, np.ndarray] = {}
    data: dict[gn.Node, np.ndarray] = {}
    scope = Scope(data)
    for i, (name, value) in enumerate(zip(given, map(as_array, arrays), strict=False)):
        check_dtype(value)
        node = gn.Input(f"i{i}", value.shape, dtype=value.dtype)
        scope.values[name] = node
        data[node] = feeds[f"i{i}"] = value
    [opset] = [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")] or [0]
    return scope.run(model.graph, opset), feeds
