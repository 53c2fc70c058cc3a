"""Recurrent node types, step by step."""

import graphnn as gn

from .adapter import UnsupportedError, constant, op, rule

ACTIVATIONS = {"Sigmoid": gn.Sigmoid, "Tanh": gn.Tanh, "Relu": gn.ReLU}


def part(x, i, axis=0):
    """Element i along an axis, which goes."""
    return op("Squeeze")(op("Slice")(x, i, i + 1, 1, axis), axis)


class Recurrence:
    """What the three types share: directions, layouts, biases, initial states, lengths."""

    def __init__(self, call, gates, states):
        self.call, self.gates = call, gates
        self.hidden = call.get("hidden_size")
        self.batch_first = bool(call.get("layout", 0))
        self.x = gn.Transpose(call[0], (1, 0, 2)) if self.batch_first else call[0]
        self.directions = call[1].shape[0]
        if call.get("clip") or call.get("input_forget", 0):
            raise UnsupportedError("clipped or coupled gates")
        self.states = [self.initial(5 + i) for i in range(states)]
        names = call.get("activations") or []
        self.activations = [ACTIVATIONS.get(name) for name in names]
        if None in self.activations:
            raise UnsupportedError(f"activations {names}")

    def initial(self, i):
        _steps, batch, _ = self.x.shape
        if self.call[i] is None:
            return op("Broadcast")(constant(0.0, self.x.dtype), (self.directions, batch, self.hidden))
        return gn.Transpose(self.call[i], (1, 0, 2)) if self.batch_first else self.call[i]

    def weights(self, d):
        """Of a direction: for each gate the matrices for input and state, and their biases."""
        w, r = part(self.call[1], d), part(self.call[2], d)
        many = [self.hidden] * self.gates
        ws, rs = list(op("Split")(w, tuple(many), 0)), list(op("Split")(r, tuple(many), 0))
        if self.call[3] is None:
            zero = constant(0.0, self.x.dtype)
            return ws, rs, [zero] * self.gates, [zero] * self.gates
        biases = list(op("Split")(part(self.call[3], d), tuple(many * 2), 0))
        return ws, rs, biases[: self.gates], biases[self.gates :]

    def run(self, cell):
        """Every direction, every step; the outputs stacked as the type has them."""
        steps, _batch, _ = self.x.shape
        lengths = None if self.call[4] is None else self.call[4]
        rows, last = [], []
        for d in range(self.directions):
            state = [part(s, d) for s in self.states]
            backwards = d == 1 or self.call.get("direction", "forward") == "reverse"
            outputs = [None] * steps
            for t in reversed(range(steps)) if backwards else range(steps):
                found = cell(d, part(self.x, t), state)
                if lengths is not None:
                    alive = op("Unsqueeze")(lengths > t, 1)
                    outputs[t] = gn.Where(alive, found[0], 0.0)
                    state = [gn.Where(alive, new, old) for new, old in zip(found, state, strict=True)]
                else:
                    outputs[t], state = found[0], found
            rows.append(op("Stack")(tuple(outputs), 0))
            last.append(state)
        y = op("Stack")(tuple(rows), 1)
        ends = [op("Stack")(tuple(column), 0) for column in zip(*last, strict=True)]
        if self.batch_first:
            return [gn.Transpose(y, (2, 0, 1, 3)), *(gn.Transpose(end, (1, 0, 2)) for end in ends)]
        return [y, *ends]


@rule("RNN")
def rnn(call):
    over = Recurrence(call, 1, 1)
    weights = [over.weights(d) for d in range(over.directions)]
    activations = over.activations or [gn.Tanh] * over.directions

    def cell(d, x, state):
        [w], [r], [b], [c] = weights[d]
        return [activations[d](x @ w.T + b + state[0] @ r.T + c)]

    return over.run(cell)


@rule("GRU")
def gru(call):
    over = Recurrence(call, 3, 1)
    weights = [over.weights(d) for d in range(over.directions)]
    activations = over.activations or [gn.Sigmoid, gn.Tanh] * over.directions
    late = call.get("linear_before_reset", 0)

    def cell(d, x, state):
        (wz, wr, wh), (rz, rr, rh), (bz, br, bh), (cz, cr, ch) = weights[d]
        f, g = activations[2 * d : 2 * d + 2]
        [h] = state
        z = f(x @ wz.T + h @ rz.T + bz + cz)
        r = f(x @ wr.T + h @ rr.T + br + cr)
        inner = r * (h @ rh.T + ch) + bh if late else (r * h) @ rh.T + ch + bh
        return [(1.0 - z) * g(x @ wh.T + inner) + z * h]

    return over.run(cell)


@rule("LSTM")
def lstm(call):
    over = Recurrence(call, 4, 2)
    weights = [over.weights(d) for d in range(over.directions)]
    activations = over.activations or [gn.Sigmoid, gn.Tanh, gn.Tanh] * over.directions

    def cell(d, x, state):
        (wi, wo, wf, wc), (ri, ro, rf, rc), (bi, bo, bf, bc), (ci, co, cf, cc) = weights[d]
        f, g, out = activations[3 * d : 3 * d + 3]
        h, c = state
        peep = [constant(0.0, x.dtype)] * 3
        if call[7] is not None:
            peep = list(op("Split")(part(call[7], d), (over.hidden,) * 3, 0))
        i = f(x @ wi.T + h @ ri.T + bi + ci + peep[0] * c)
        forget = f(x @ wf.T + h @ rf.T + bf + cf + peep[2] * c)
        new = forget * c + i * g(x @ wc.T + h @ rc.T + bc + cc)
        o = f(x @ wo.T + h @ ro.T + bo + co + peep[1] * new)
        return [o * out(new), new]

    return over.run(cell)
