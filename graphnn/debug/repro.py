"""Repros: a script that reproduces a failed step with NumPy alone, from data in a file beside it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CheckpointError, GraphError, NonFiniteError
from ..ir.node import Node, describe
from ..ir.walk import ordered, walk
from .recorder import Recorded, Recorder

__all__ = ["Evidence", "write_repro"]

_HEAD = """\
# {message}
#
# Written by graphnn: the nodes that lead there, computed by NumPy alone from the step's own data in "{data}".
from pathlib import Path

import numpy as np

np.seterr(all="ignore")
data = np.load(Path(__file__).with_name("{data}"))

"""
_TAIL = """
parts = {name} if isinstance({name}, tuple) else ({name},)
bad = sum(int((~np.isfinite(part)).sum()) for part in parts)
print("{label}")
print(bad, "of", sum(np.size(part) for part in parts), "elements are not finite")
"""


@dataclass(frozen=True)
class Evidence:
    """The node that is to blame for a failed step, and the values from which it was computed."""

    node: Node
    leaves: Mapping[Node, np.ndarray]
    """The values of the inputs, and those of the parameters before the step."""
    sizes: Mapping[str, int]


def write_repro(error: NonFiniteError, path: str | os.PathLike[str]) -> str:
    """Write a script that reproduces a NaN or infinity with NumPy alone, and return its path.

    `error` is an error that a training raised and that names a node. `path` ends in `.py`; the data is written beside
    the script, in a file that ends in `.npz`. From the batch and the parameters of the failed step, the script computes
    the node and all that it depends on. It has one line for each call of NumPy, and comments with the user's source
    lines. A value that NumPy alone cannot compute is read from the data.

    Raises:
        GraphError: when the error names no node, or `path` does not end in `.py`.
        CheckpointError: when a file cannot be written.

    >>> import graphnn as gn, tempfile, os
    >>> from pathlib import Path
    >>> x, w = gn.Input("x", ("N",)), gn.Parameter("w", 1.0)
    >>> loss = gn.Sum(gn.Log(x) * w)
    >>> step = gn.compile(loss, gn.SGD().updates(loss))
    >>> try:
    ...     step(x=[1.0, 0.0])
    ... except gn.NonFiniteError as error:
    ...     path = gn.write_repro(error, os.path.join(tempfile.mkdtemp(), "nan.py"))
    >>> print(Path(path).read_text())
    # Log f32[N] (...), in the forward half, makes the first value that is not finite: -inf at (1,). ...
    ...
    v1 = np.log(v0)
    ...
    """
    script = Path(path)
    if script.suffix != ".py":
        raise GraphError(f"write_repro: {os.fspath(path)!r} does not end in .py.")
    if not isinstance(error.evidence, Evidence):
        raise GraphError("write_repro: this error names no node that a step computed: there is nothing to run again.")
    recorder, name = _recorded(error.evidence)
    data = script.with_suffix(".npz")
    head = _HEAD.format(message=_harmless(str(error)), data=_harmless(data.name).replace('"', '\\"'))
    tail = _TAIL.format(name=name, label=_harmless(describe(error.evidence.node)).replace('"', "'"))
    try:
        np.savez(data, **recorder.data)  # type: ignore[arg-type]  # every keyword is an array's name
        script.write_text(head + "\n".join(recorder.lines) + "\n" + tail, encoding="utf-8")
    except OSError as failure:
        raise CheckpointError(f"cannot write {os.fspath(path)}: {failure.strerror or failure}.") from None
    return os.fspath(path)


def _recorded(evidence: Evidence) -> tuple[Recorder, str]:
    """The recorded calls that compute the node that is to blame, and the name of its value there."""
    recorder = Recorder()
    values: dict[Node, Any] = {}
    with np.errstate(all="ignore"):
        for node in ordered(walk([evidence.node])):
            recorder.lines.append(f"# {_harmless(describe(node))}")
            values[node] = _value(recorder, node, values, evidence)
    result = values[evidence.node]
    if isinstance(result, tuple):
        recorder.lines.append(f"result = ({', '.join(part.name for part in result)},)")
        return recorder, "result"
    return recorder, result.name


def _value(recorder: Recorder, node: Node, values: Mapping[Node, Any], evidence: Evidence) -> Any:
    if node in evidence.leaves:
        return recorder.given(evidence.leaves[node])
    here, known = len(recorder.lines), len(recorder.data)
    operands = [values[operand] for operand in node.operands]
    bound = node.at(evidence.sizes)
    try:
        made = bound.forward(recorder, *operands)
        parts = made if isinstance(made, tuple) else (made,)
        written = all(isinstance(part, Recorded) for part in parts)
    except Exception:  # an op may fail on recorded arrays in any way; the plain call below decides
        written = False
    if written:
        return made
    del recorder.lines[here:]
    recorder.data = dict(list(recorder.data.items())[:known])
    plain = bound.forward(np, *(_plain_value(operand) for operand in operands))
    recorder.lines.append("# as data: NumPy alone does not compute it")
    return tuple(map(recorder.given, plain)) if isinstance(plain, tuple) else recorder.given(plain)


def _plain_value(value: Any) -> Any:
    return tuple(map(np.asarray, value)) if isinstance(value, tuple) else np.asarray(value)


def _harmless(text: str) -> str:
    """The text with special characters escaped, so that it cannot end a comment or a string."""
    return text.encode("unicode_escape").decode()
