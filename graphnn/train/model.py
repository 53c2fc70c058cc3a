"""Models: a network as its input, labels, scores and loss."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from ..compile import compile
from ..errors import CheckpointError, FormatError, GraphError, ShapeError
from ..executable import Executable
from ..interop.graphfile import GraphFile, read_graph, write_graph
from ..ir.graph import Graph
from ..ir.leaf import Input, Parameter
from ..ir.node import Node, describe
from ..transform.inference import inference
from . import checkpoint
from .metrics import accuracy

__all__ = ["Metric", "Model", "load_model"]

Metric: TypeAlias = Callable[[np.ndarray, np.ndarray], float]


class Model:
    """A network as its input, labels, scores and loss: `Model(x, t, scores, loss)`.

    The parameters are found from the scores and the loss. Prediction uses the inference form, in which for example
    dropout does nothing. It runs on NumPy unless another `backend` is given.

    Raises:
        GraphError: when x or t is not an Input, or the scores do not depend on x.
        ShapeError: when the loss is not a scalar.

    >>> import graphnn as gn
    >>> x, t = gn.Input("x", ("N", 2)), gn.Input("t", ("N",), dtype="int64")
    >>> scores = gn.MatMul(x, gn.Parameter("W", [[1.0, 0.0], [0.0, 1.0]]))
    >>> model = gn.Model(x, t, scores, gn.SoftmaxCE(scores, t))
    >>> model.accuracy([[2, 1], [0, 3]], [0, 1])
    1.0
    """

    def __init__(self, x: Input, t: Input, scores: Node, loss: Node, backend: str = "numpy") -> None:
        for name, node in (("x", x), ("t", t)):
            if not isinstance(node, Input):
                raise GraphError(f"Model: {name} is {node!r}; it must be an Input.")
        if loss.shape != ():
            raise ShapeError(f"Model: the loss {describe(loss)} is not a scalar.")
        self.x, self.t, self.scores, self.loss = x, t, scores, loss
        self.backend = backend
        self.graph = Graph({"scores": scores, "loss": loss})
        if x.name not in self.graph.inputs:
            raise GraphError(f"Model: neither scores nor loss depends on {describe(x)}.")
        self._predict: Executable | None = None
        self._evaluate: Executable | None = None

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """All parameters by name, including those that are not trained."""
        return self.graph.parameters

    def predict(self, X: ArrayLike) -> np.ndarray:  # noqa: N803 - the mission's letter for many samples
        """The scores of samples, `(N, ...)`. The predicted class is the argmax of each row."""
        if self._predict is None:
            form = inference.run(Graph({"scores": self.scores}))[0]
            self._predict = compile(form.outputs["scores"], backend=self.backend)
        result: np.ndarray = self._predict(**{self.x.name: X})
        return result

    def accuracy(self, X: ArrayLike, T: ArrayLike) -> float:  # noqa: N803
        """The fraction of samples whose highest score is that of their label. Labels are integers or one-hot rows.

        Raises:
            ShapeError: when there are not as many labels as samples.
        """
        return accuracy(self.predict(X), T)

    def evaluate(
        self,
        X: ArrayLike,  # noqa: N803
        T: ArrayLike,  # noqa: N803
        metrics: Mapping[str, Metric] | None = None,
    ) -> dict[str, float]:
        """The loss and the metrics on samples, by name, in inference form.

        `metrics` maps names to functions of scores and labels, such as those of `gn.metrics`. By default, it is the
        accuracy if labels are integers, and nothing else.

        Raises:
            FeedError, ShapeError, LabelError: for data that does not fit the model.
        """
        if self._evaluate is None:
            form = inference.apply(Graph({"scores": self.scores, "loss": self.loss}))
            self._evaluate = compile(form.outputs, backend=self.backend)
        if metrics is None:
            metrics = {"accuracy": accuracy} if self.t.dtype.kind in "iu" else {}
        found = self._evaluate(**{self.x.name: X, self.t.name: T})
        measured = {name: float(metric(found["scores"], np.asarray(T))) for name, metric in metrics.items()}
        return {"loss": float(found["loss"]), **measured}

    def save(self, path: str | os.PathLike[str], dtype: Any = None) -> checkpoint.Rounding | None:
        """Write the graph and the weights into a safetensors file, from which `gn.load_model` can rebuild the model.

        `dtype="float16"` stores the weights in half or a quarter of the space, and returns the loss of accuracy.

        Raises:
            CheckpointError: when the file cannot be written.
            FormatError: when an op of the user has an attribute that cannot be stored in a file. To store weights
                alone, use `gn.save` with a mapping.
        """
        return checkpoint.save(path, self, dtype)

    def contents(self) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        """What a file of this model holds: arrays by name, and the graph as a note."""
        file = write_graph({"x": self.x, "t": self.t, "scores": self.scores, "loss": self.loss})
        return dict(file.arrays), {checkpoint.GRAPH: file.text}

    def load(self, path: str | os.PathLike[str]) -> None:
        """Read the weights back, all of them or none."""
        checkpoint.load(path, self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        from ..view.notebook import show_graph  # a door

        return show_graph(self.graph, repr(self))

    def __repr__(self) -> str:
        count = sum(p.storage.size for p in self.parameters.values())
        return f"<Model {self.x.label} {self.x.spec} -> {self.scores.spec}: {count} parameters>"


def load_model(path: str | os.PathLike[str], backend: str = "numpy") -> Model:
    """The model that `Model.save` wrote: graph and weights, without the code that declared it.

    Ops of the user's own must be defined before, since a file holds no code.

    Raises:
        CheckpointError: when the file is missing, damaged, or holds weights alone.
        FormatError: when its graph is none, or uses an op that is not known here.

    >>> import graphnn as gn, os, tempfile
    >>> x, t = gn.Input("x", ("N", 2)), gn.Input("t", ("N",), dtype="int64")
    >>> scores = gn.MatMul(x, gn.Parameter("W", [[1.0, 0.0], [0.0, 1.0]]))
    >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
    >>> gn.Model(x, t, scores, gn.SoftmaxCE(scores, t)).save(path)
    >>> gn.load_model(path).accuracy([[2, 1], [0, 3]], [0, 1])
    1.0
    """
    arrays, notes = checkpoint.read(path)
    if checkpoint.GRAPH not in notes:
        raise CheckpointError(f"{os.fspath(path)} holds weights without a graph: declare the model, then gn.load.")
    nodes = read_graph(GraphFile(notes[checkpoint.GRAPH], arrays))
    if nodes.keys() != {"x", "t", "scores", "loss"}:
        raise FormatError(f"{os.fspath(path)} holds the graph of {', '.join(nodes)}, not that of a model.")
    x, t = nodes["x"], nodes["t"]
    if not isinstance(x, Input) or not isinstance(t, Input):
        raise FormatError(f"{os.fspath(path)} holds a graph whose x and t are not inputs.")
    return Model(x, t, nodes["scores"], nodes["loss"], backend)
