"""Graphs as scikit-learn estimators: for pipelines, cross-validation and grid search.

`gn.sklearn.GraphClassifier` and `gn.sklearn.GraphRegressor` train a net through the compiled loop. The net is a
multi-layer perceptron, unless `build` is given. An estimator keeps its weights as arrays, so it can be copied and
pickled like any other; the graph is declared again when it is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as missing:
    raise ImportError("gn.sklearn needs scikit-learn. Run: pip install 'graphnn[sklearn]'") from missing

from ..compile import compile
from ..errors import GraphError
from ..ir.dtype import default_dtype
from ..ir.leaf import Input, Parameter
from ..ir.node import Node
from ..ops.activations import Sigmoid, Tanh
from ..ops.linear import Affine
from ..ops.losses import SoftmaxCE
from ..ops.rectifiers import ReLU
from ..ops.reductions import Mean
from ..train.adaptive import Adam
from ..train.model import Model
from ..train.optim import Optimizer

__all__ = ["GraphClassifier", "GraphRegressor"]

Build: TypeAlias = Callable[[Node, int, np.random.RandomState], Node]
"""From the input (N, features), the number of outputs and a generator, to the scores (N, outputs)."""

_ACTIVATIONS = {"tanh": Tanh, "relu": ReLU, "sigmoid": Sigmoid}


class _GraphEstimator(BaseEstimator):
    """The base of both estimators: the options, the net, and its training."""

    def __init__(
        self,
        hidden: Sequence[int] = (32,),
        activation: str = "tanh",
        build: Build | None = None,
        optimizer: Callable[[], Optimizer] | None = None,
        lr: float = 0.01,
        max_epoch: int = 200,
        batch_size: int = 32,
        weight_decay: float = 0.0,
        backend: str = "numpy",
        dtype: str = "float64",
        random_state: Any = None,
    ) -> None:
        self.hidden, self.activation, self.build, self.optimizer = hidden, activation, build, optimizer
        self.lr, self.max_epoch, self.batch_size, self.weight_decay = lr, max_epoch, batch_size, weight_decay
        self.backend, self.dtype, self.random_state = backend, dtype, random_state

    def _net(self, x: Node, outputs: int, rng: np.random.RandomState) -> Node:
        """The declared net: the user's, or layers with Glorot and Bengio's uniform weights."""
        if self.build is not None:
            return self.build(x, outputs, rng)
        if self.activation not in _ACTIVATIONS:
            raise GraphError(f"activation {self.activation!r} is none of {', '.join(_ACTIVATIONS)}.")
        h, widths = x, [self.n_features_in_, *self.hidden, outputs]
        for i, (rows, columns) in enumerate(pairwise(widths), start=1):
            bound = np.sqrt(6 / (rows + columns))
            W = Parameter(f"W{i}", rng.uniform(-bound, bound, (rows, columns)))
            h = Affine(h, W, Parameter(f"b{i}", np.zeros(columns)))
            h = _ACTIVATIONS[self.activation](h) if i < len(widths) - 1 else h
        return h

    def _declare(self, outputs: int) -> Model:
        with default_dtype(self.dtype):
            x = Input("x", ("N", self.n_features_in_))
            scores = self._net(x, outputs, check_random_state(self._seed))
            t, loss = self._loss(scores)
            return Model(x, t, scores, loss, backend=self.backend)

    def _loss(self, scores: Node) -> tuple[Input, Node]:
        raise NotImplementedError

    def _train(self, X: np.ndarray, T: np.ndarray, outputs: int) -> None:  # noqa: N803
        rng = check_random_state(self.random_state)
        self._seed = int(rng.randint(2**31 - 1))
        model = self._declare(outputs)
        optimizer = self.optimizer() if self.optimizer is not None else Adam(self.lr)
        loss = model.loss
        if self.weight_decay:
            weights = [p for p in model.parameters.values() if p.ndim > 1]
            for p in weights:
                loss = loss + 0.5 * self.weight_decay * (p * p).sum()
        step = compile(loss, optimizer.updates(loss), backend=self.backend)
        losses = step.loop({"x": X, "t": T}, min(self.batch_size, len(X)), self.max_epoch, shuffle=self._seed)
        self.loss_curve_ = losses.mean(axis=1)
        self.n_iter_ = self.max_epoch
        self.weights_ = {name: p.value for name, p in model.parameters.items()}
        self._model = model

    def _scores(self, X: Any) -> np.ndarray:  # noqa: N803
        check_is_fitted(self, "weights_")
        X = validate_data(self, X, reset=False, dtype=self.dtype)
        if self.__dict__.get("_model") is None:
            self._model = self._declare(self._outputs)
            for name, parameter in self._model.parameters.items():
                parameter.value = self.weights_[name]
        return self._model.predict(X)

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_model"}


class GraphClassifier(ClassifierMixin, _GraphEstimator):
    """A classifier whose net is a graph, trained by softmax with loss.

    `hidden` are the widths of the layers and `activation` "tanh", "relu" or "sigmoid"; or `build` is a function of the
    input node, the number of classes and a RandomState that returns the scores. `optimizer` is a function that makes
    one; by default Adam with `lr`. `backend`, `dtype`, `max_epoch`, `batch_size` and `weight_decay` are as their names
    say; `random_state` fixes weights and orders.

    After `fit`: `classes_`, `weights_` (arrays by name), `loss_curve_` (the mean loss of each epoch), `n_iter_`.

    >>> import graphnn as gn
    >>> x, t = gn.data.moons(100)
    >>> gn.sklearn.GraphClassifier(lr=0.05, random_state=0).fit(x, t).score(x, t) > 0.9
    True
    """

    def fit(self, X: Any, y: Any) -> GraphClassifier:  # noqa: N803 - scikit-learn's names
        """Train on samples (N, features) and labels (N,)."""
        X, y = validate_data(self, X, y, dtype=self.dtype)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"GraphClassifier tells two or more classes apart; y holds one class, {self.classes_[0]!r}."
            )
        self._train(X, labels.astype(np.int64), len(self.classes_))
        return self

    @property
    def _outputs(self) -> int:
        return len(self.classes_)

    def _loss(self, scores: Node) -> tuple[Input, Node]:
        t = Input("t", ("N",), dtype="int64")
        return t, SoftmaxCE(scores, t)

    def decision_function(self, X: Any) -> np.ndarray:  # noqa: N803
        """The scores, (N, classes); for two classes, the score of the second minus that of the first, (N,)."""
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def predict_proba(self, X: Any) -> np.ndarray:  # noqa: N803
        """The probability of each class, (N, classes)."""
        scores = self._scores(X)
        e = np.exp(scores - scores.max(axis=1, keepdims=True))
        proba: np.ndarray = e / e.sum(axis=1, keepdims=True)
        return proba

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """The class with the highest score, (N,)."""
        best = self._scores(X).argmax(axis=1)
        found: np.ndarray = self.classes_[best]
        return found


class GraphRegressor(RegressorMixin, _GraphEstimator):
    """A regressor whose net is a graph, trained by the mean squared error; options as for `GraphClassifier`.

    After `fit`: `weights_` (arrays by name), `loss_curve_` (the mean loss of each epoch), `n_iter_`.

    >>> import graphnn as gn, numpy as np
    >>> x = np.linspace(-2, 2, 80)[:, None]
    >>> gn.sklearn.GraphRegressor(random_state=0).fit(x, np.sin(x[:, 0])).score(x, np.sin(x[:, 0])) > 0.9
    True
    """

    def fit(self, X: Any, y: Any) -> GraphRegressor:  # noqa: N803
        """Train on samples (N, features) and numbers (N,) or (N, outputs)."""
        X, y = validate_data(self, X, y, dtype=self.dtype, multi_output=True, y_numeric=True)
        T = np.asarray(y, self.dtype).reshape(len(X), -1)
        # Numbers are learnt around their mean, in units of their spread, so that one learning rate suits all.
        self._flat = np.ndim(y) == 1
        self._mean, spread = T.mean(axis=0), T.std(axis=0)
        self._spread = np.where(spread > 0, spread, 1.0)
        self._outputs = T.shape[1]
        self._train(X, (T - self._mean) / self._spread, self._outputs)
        return self

    def _loss(self, scores: Node) -> tuple[Input, Node]:
        t = Input("t", ("N", self._outputs))
        return t, Mean((scores - t) ** 2)

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """The predicted numbers, of the shape that was given to `fit`."""
        scores = self._scores(X)
        found: np.ndarray = scores * self._spread + self._mean
        return found[:, 0] if self._flat else found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
