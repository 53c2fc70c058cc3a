"""Random programs over the whole vocabulary: `random_program(seed)`, typed and with shapes that fit.

An op joins by its own samples: a sample's shapes are patterns, and operands are drawn from the nodes made so far
where one matches, else declared anew. Between them stand the idioms that passes look for: ones, zeros and minus
ones, double transposes, values computed twice, repeats, chains of products, logarithms of what underflows.
"""

from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

import graphnn as gn
from graphnn.errors import GraphNNError
from graphnn.ir.spec import Size, as_shape
from graphnn.testing.sampling import apply, in_numbers

DIMS = (1, 2, 19, 33, "N")  # large enough that the order of a sum shows in its last bits
N = 21


@dataclass
class Program:
    """Outputs by name, updates, and feeds; `restore` puts the parameters back."""

    outputs: dict
    updates: dict
    feeds: dict
    start: dict = field(default_factory=dict)

    def run(self, steps=1, **options):
        """The outputs of some steps, and the parameters after them, by name; everything starts anew."""
        for parameter, value in self.start.items():
            parameter.value = value
        f = gn.compile(self.outputs, self.updates, check_finite=None, **options)
        feeds = {name: self.feeds[name] for name in f.graph.inputs}
        sizes = {size: N for size in f.graph.sizes if not any(size in x.spec.sizes for x in f.graph.inputs.values())}
        results = {}
        for step in range(steps):
            results |= {f"{name} after {step}": value for name, value in f(**feeds, **sizes).items()}
        results |= {f"parameter {p.name}": p.value for p in f.graph.parameters.values()}
        return f, results


class Builder:
    """Draws nodes into a pool."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.dtype = str(self.rng.choice(["float64", "float32"]))
        self.pool, self.feeds, self.parameters = [], {}, {}
        for shape in (("N", 19), (19, 33), ("N", 19), (1, 19)):
            self.fresh(shape)

    def choice(self, things):
        return things[int(self.rng.integers(len(things)))]

    def fresh(self, shape, dtype=None, domain=(-2.0, 2.0)):
        """A new input or parameter."""
        name = f"v{len(self.feeds) + len(self.parameters)}"
        dtype = np.dtype(dtype or self.dtype)
        shape = as_shape(shape)
        numbers = tuple(dim({"N": N}) if isinstance(dim, Size) else dim for dim in shape)
        low, high = domain
        if dtype.kind == "f":
            value = self.rng.uniform(low, high, numbers)
        elif dtype.kind == "b":
            value = self.rng.integers(0, 2, numbers)
        else:
            value = self.rng.integers(max(int(np.ceil(low)), 0), max(int(high), 0) + 1, numbers)
        value = np.asarray(value).astype(dtype)
        trains = dtype.kind == "f" and numbers == tuple(d for d in shape if isinstance(d, int))
        if trains and self.rng.random() < 0.6:
            node = gn.Parameter(name, value, dtype=dtype)
            self.parameters[node] = value
        elif not shape and dtype.kind == "f" and self.rng.random() < 0.5:
            node = gn.Constant(value, dtype=dtype)
            self.feeds[name] = value
        else:
            node = gn.Input(name, shape, dtype=dtype)
            self.feeds[name] = value
        self.pool.append(node)
        return node

    def operand(self, pattern, dtype, domain, bound):
        """A node from the pool that the pattern fits, or a new one; `bound` learns the sizes."""
        if dtype is None or np.dtype(dtype).kind == "f":
            fitting = [node for node in self.pool if node.dtype == np.dtype(dtype or self.dtype)]
            fitting = [(node, found) for node in fitting if (found := match(pattern, node.shape, bound)) is not None]
            if fitting and self.rng.random() < 0.85:
                node, found = self.choice(fitting)
                bound.update(found)
                return node if domain == (-2.0, 2.0) else squeezed(node, *domain)
        for dim in pattern:
            if isinstance(dim, Size) and dim.name not in bound:
                bound[dim.name] = as_shape((self.choice(DIMS),))[0]
        return self.fresh(tuple(settle(dim, bound) for dim in pattern), dtype, domain)

    def by_sample(self, op, one):
        bound = {}
        operands = []
        for i, shape in enumerate(one.shapes):
            if shape is None:
                operands.append(None)
                continue
            dtype = one.dtypes[i] if i < len(one.dtypes) else None
            domain = (one.domains[i] if i < len(one.domains) else None) or one.domain
            operands.append(self.operand(as_shape(shape), dtype, tuple(domain), bound))
        attributes = {name: in_numbers(value, bound) for name, value in one.attributes.items()}
        return apply(op, gn.Sample(**{**vars(one), "attributes": attributes}), operands)

    def grow(self, catalogue):
        """One more op, or one more idiom."""
        if self.rng.random() < 0.45:
            node = self.choice(IDIOMS)(self.choice(self.floats()), self)
        else:
            op, one = self.choice(catalogue)
            node = self.by_sample(op, one)
        if any((dim({"N": N}) if isinstance(dim, Size) else dim) < 0 for dim in node.room()):
            raise gn.ShapeError("no room with so many rows")
        for result in node if isinstance(node.spec, tuple) else [node]:
            self.pool.append(result)

    def floats(self):
        return [node for node in self.pool if node.dtype == np.dtype(self.dtype)]


def match(pattern, shape, bound):
    """The sizes under which the pattern is the shape, or None."""
    if len(pattern) != len(shape):
        return None
    found = dict(bound)
    for wanted, dim in zip(pattern, shape, strict=True):
        if not isinstance(wanted, Size):
            if wanted != dim:
                return None
        elif (wanted.scale, wanted.offset) != (1, 0) or found.setdefault(wanted.name, dim) != dim:
            return None
    return found


def settle(dim, bound):
    return bound[dim.name] * dim.scale + dim.offset if isinstance(dim, Size) else dim


def squeezed(node, low, high):
    """Values brought into a domain."""
    return gn.Sigmoid(node) * (high - low) + low


def twice(x, b):
    f = b.choice([gn.Exp, gn.Tanh, gn.Neg, lambda v: v.T, gn.Sigmoid])
    return f(x), f(x)


def product_with_itself(x, b):
    a, c = twice(x, b)
    return a @ c.T if x.ndim == 2 else a * c


def log_of_softmax(x, b):
    return gn.Log(gn.Softmax(x)) if x.ndim and x.shape[-1] != 0 else gn.Log(gn.Sigmoid(x))


def log_sum_exp(x, b):
    return gn.Log(gn.Sum(gn.Exp(x), 0 if x.ndim else None, keepdims=True))


def chain(x, b):
    return x @ b.fresh((x.shape[-1], 4)) @ b.fresh((4, 2)) if x.ndim == 2 else x * 2 * 3


def repeated(x, b):
    return gn.Repeat(gn.Reshape(x, (1, *x.shape)), 3)


def branched(x, b):
    return next(iter(gn.Branch(x, 2)))


def naive_softmax(x, b):
    return gn.Exp(x) / gn.Sum(gn.Exp(x), -1 if x.ndim else None, keepdims=True)


def cross_entropy(x, b):
    y = gn.Sigmoid(x)
    return -(0.3 * gn.Log(y) + (1 - 0.3) * gn.Log(1 - y))


def matrix(f):
    """An idiom of matrices; other values are squared."""
    return lambda x, b: f(x) if x.ndim == 2 else x * x


SIMPLE = [
    lambda x: x * 1, lambda x: x + 0, lambda x: x - 0, lambda x: gn.Neg(-x), lambda x: x * -1, lambda x: x.T,
    lambda x: x.T.T, lambda x: gn.Reshape(gn.Reshape(x.T, -1), x.T.shape), lambda x: x + (-x * 0.5),
    lambda x: x * 0.5 * 3, lambda x: (x + 1) - 3, lambda x: -(x - x * 2), lambda x: gn.AddN((x,)), gn.stop_gradient,
    lambda x: gn.Where(True, x, x * 2), lambda x: gn.Maximum(x, x), lambda x: gn.Tanh(x) ** 2, lambda x: x + x,
    lambda x: gn.Log(1 + gn.Exp(x)), lambda x: gn.Exp(x) - 1, lambda x: gn.Log(1 - gn.Sigmoid(x)),
]  # fmt: skip
IDIOMS = [
    *(lambda x, b, f=f: f(x) for f in SIMPLE),
    matrix(lambda x: gn.Sum(x.T, 0) * 0.1),
    matrix(lambda x: gn.Sum(x.T * 1, 0) * 0.1),
    matrix(lambda x: (x.T @ x).T * 0.1),
    matrix(lambda x: x @ x.T * 0.1),
    lambda x, b: x.astype("float64").astype(b.dtype),
    lambda x, b: gn.Tanh(gn.Sum(repeated(x, b), 0)),
    lambda x, b: gn.Tanh(repeated(x, b)) * 2 + 1,
    lambda x, b: gn.Constant(2.0, dtype=b.dtype) * gn.Constant(3.0, dtype=b.dtype) * x,
    branched, product_with_itself, log_of_softmax, log_sum_exp, naive_softmax, cross_entropy, chain,
]  # fmt: skip


def catalogue():
    """Every op with its samples, in an order that is the same in every run."""
    return [
        (op, one)
        for name, op in sorted(gn.Node.ops.items())
        if op.__module__.startswith("graphnn.")
        for one in op.samples
        if one.error is None
    ]


def random_program(seed, ops=8):
    """A program drawn from a seed: some values, a scalar loss of them, its gradients, and a step of descent."""
    b = Builder(seed)
    known = catalogue()
    made = 0
    for _ in range(10 * ops):
        if made == ops:
            break
        try:
            b.grow(known)
            made += 1
        except GraphNNError:  # sizes that no operand in the pool has together
            continue
    tail = [node for node in b.pool if node.operands][-3:]
    loss = None
    for node in tail:
        term = gn.Mean(gn.Tanh(node.astype(b.dtype)))
        loss = term if loss is None else loss + term
    outputs = {"loss": loss, **{f"out{i}": node for i, node in enumerate(tail)}}
    reached = set(gn.Graph(loss).parameters.values())
    wrt = [p for p in b.parameters if p in reached]
    updates = {}
    if wrt:
        with suppress(GraphNNError):  # an op without a gradient rule may stand between
            updates = {p: p - 0.1 * g for p, g in zip(wrt, gn.grad(loss, wrt), strict=True)}
    return Program(outputs, updates, b.feeds, b.parameters)
