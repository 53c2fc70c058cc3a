"""Makes `ops.md`, the op catalogue, from the ops themselves: run `pytest tests/test_catalogue.py --update-golden`.

Nothing in it is written twice: the sentences are the docstrings', the formulas are those that are compiled, shapes
and dtypes are what the ops infer, and the numbers of official cases are those that the last test run counted.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import graphnn as gn
from graphnn.ir import formula as language
from graphnn.ir.dtype import short_name
from graphnn.ir.node import Node
from graphnn.ir.slopes import derivative
from graphnn.ir.spec import show_shape
from graphnn.ir.walk import walk
from graphnn.testing import build

FAMILIES = {
    "Arithmetic": ("arithmetic",),
    "Functions": ("functions", "trigonometry", "choice"),
    "Comparisons and logic": ("compare", "logic"),
    "Activations": ("activations", "rectifiers"),
    "Reductions": ("reductions", "measures", "truth", "scans"),
    "Shape": ("shape", "reshaping", "joining", "slicing", "padding", "triangle"),
    "Linear algebra": ("linear", "gemm", "einsum"),
    "Indexing": ("indexing", "gathering", "elements", "ranking"),
    "Normalising": ("softmax", "normalise", "batchnorm"),
    "Losses": ("losses", "regression"),
    "Convolution and pooling": ("conv", "filters", "maxpool", "pool"),
    "Recurrent": ("recurrent",),
    "Random": ("random",),
    "Control": ("control", "scan", "cond"),
    "Structure": ("structure",),
}
"""The chapters, and the files of `graphnn/ops` that each is made of."""

DTYPES = ("float16", "float32", "float64", "int32", "int64", "uint8", "bool")
GREEK = {"alpha", "beta", "gamma", "delta", "epsilon"}
HEAD = """# The op catalogue

Every op of graphnn, made from the ops themselves. Shapes are written with named sizes, as a user declares them; the
dtypes are those of the operands that are not fixed, `f32` for float32, and what comes out. *Cases* says how many of
the ONNX project's own test cases for that node type graphnn reproduces. Operands that broadcast do so by NumPy's
rules, through visible Reshape and Repeat nodes; two dtypes in one op meet through a visible Cast.
"""


def catalogue(cases: str = "") -> str:
    """The text of `ops.md`; `cases` has a line for each ONNX node type, such as `Abs 1 of 1`.

    Raises:
        LookupError: when an op stands in a file that no family names.
    """
    counts = dict(line.split(" ", 1) for line in cases.splitlines() if " of " in line)
    chapters = _chapters()
    contents = [
        f"- [{title}](#{_anchor(title)}): " + ", ".join(f"[{op.__name__}](#{_anchor(op.__name__)})" for op in ops)
        for title, ops in chapters.items()
    ]
    parts = [HEAD, "\n".join(contents), ""]
    for title, ops in chapters.items():
        parts += [f"## {title}", ""]
        for op in ops:
            parts += [_entry(op, counts), ""]
    return "\n".join(parts).rstrip() + "\n"


def _chapters() -> dict[str, list[type[Node]]]:
    known = {file: title for title, files in FAMILIES.items() for file in files}
    found: dict[str, list[type[Node]]] = {title: [] for title in FAMILIES}
    for name in dict.fromkeys(gn.ops.__all__):
        op = getattr(gn, name)
        if not (isinstance(op, type) and issubclass(op, Node) and op.samples):
            continue
        file = op.__module__.rpartition(".")[2]
        if file not in known:
            raise LookupError(f"docs/catalogue.py: no family for graphnn/ops/{file}.py, where {name} is.")
        found[known[file]].append(op)
    return {title: ops for title, ops in found.items() if ops}


def _anchor(title: str) -> str:
    return re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")


def _entry(op: type[Node], counts: dict[str, str]) -> str:
    one = next(s for s in op.samples if s.error is None and any(s.shapes)) if _with_axes(op) else op.samples[0]
    with gn.default_dtype("float32"):
        node = build(op, one)[1]
    sentence, rest, example = _docstring(op)
    lines = [f"### {op.__name__}", "", f"`gn.{_signature(op)}`", "", sentence]
    if rest:
        lines += ["", rest]
    formula = _formula(node)
    if formula:
        lines += ["", f"$${formula}$$"]
    lines += ["", "| | |", "|---|---|"]
    lines += [f"| {key} | {value} |" for key, value in _facts(op, node, counts) if value]
    # The blank line ends what the last example prints, for doctest.
    return "\n".join([*lines, "", "```python", example, "", "```"])


def _with_axes(op: type[Node]) -> bool:
    return any(s.error is None and any(s.shapes) for s in op.samples)


def _signature(op: type[Node]) -> str:
    """The constructor as it is called."""
    kinds = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    parts = []
    for one in inspect.signature(op).parameters.values():
        bare = one.default is inspect.Parameter.empty
        parts.append(kinds.get(one.kind, "") + one.name if bare else f"{one.name}={one.default!r}")
    return f"{op.__name__}({', '.join(parts)})"


def _docstring(op: type[Node]) -> tuple[str, str, str]:
    """The first sentence, what else is said before `Raises`, and the example."""
    text = inspect.getdoc(op) or ""
    prose, _, example = text.partition(">>>")
    prose = prose.partition("Raises:")[0].strip()
    first, *others = [
        _plain(" ".join(part.split())) for part in prose.replace("\nSource:", "\n\nSource:").split("\n\n")
    ]
    return first, "\n\n".join(others), ">>>" + example.rstrip()


def _plain(text: str) -> str:
    """Prose in which a star outside code is a star, and begins nothing slanted."""
    parts = text.split("`")
    return "`".join(part if i % 2 else part.replace("*", r"\*") for i, part in enumerate(parts))


def _formula(node: Node) -> str:
    """An elementwise op's formula as LaTeX, its words set as words."""
    if not isinstance(node, gn.Elementwise):
        return ""
    text = vars(type(node)).get("formula")
    body = language.parse(text) if isinstance(text, str) else node.body
    pretty = {name: language.name(_word(name)) for name in body.names()}
    return body.substitute(pretty).latex()


def _word(name: str) -> str:
    if name in GREEK:
        return "\\" + name
    letters = re.fullmatch(r"([a-zA-Z])(\d*)", name)
    if letters:
        return letters[1] + (f"_{{{letters[2]}}}" if letters[2] else "")
    return r"\mathrm{" + name.replace("_", r"\_") + "}"


def _facts(op: type[Node], node: Node, counts: dict[str, str]) -> list[tuple[str, str]]:
    return [
        ("Shapes", _shapes(op)),
        ("Dtypes", _dtypes(op)),
        ("Made of", _made_of(node)),
        ("Gradient", _gradient(op, node)),
        ("Adjoint", f"[{op.adjoint}](#{_anchor(op.adjoint)})" if op.adjoint else ""),
        ("ONNX", _onnx(op, counts)),
    ]


def _shapes(op: type[Node]) -> str:
    """Each accepted sample with what comes out."""
    found = []
    for one in op.samples:
        if one.error is None and one.call is None:
            node = build(op, one)[1]
            specs = node.spec if isinstance(node.spec, tuple) else (node.spec,)
            given = ", ".join("None" if s is None else show_shape(s) for s in one.shapes)
            options = "".join(f", {name}={value!r}" for name, value in one.attributes.items())
            came = ", ".join(show_shape(spec.shape) for spec in specs)
            found.append(f"`{given}{options}` → `{came}`")
    return "<br>".join(dict.fromkeys(found))


def _dtypes(op: type[Node]) -> str:
    """What comes out for each dtype of the operands that are not fixed."""
    one = next((s for s in op.samples if s.error is None), None)
    if one is None or not one.shapes or len([d for d in one.dtypes if d]) == len(one.shapes):
        return ""
    found: dict[str, list[str]] = {}
    for dtype in DTYPES:
        try:
            node = build(op, one, dtype)[1]
        except gn.DTypeError:
            continue
        specs = node.spec if isinstance(node.spec, tuple) else (node.spec,)
        came = ", ".join(dict.fromkeys(short_name(spec.dtype) for spec in specs))
        short = short_name(gn.Input("x", (), dtype=dtype).dtype)
        found.setdefault("the same" if came == short else came, []).append(short)
    return "; ".join(f"{', '.join(given)} → {came}" for came, given in found.items())


def _made_of(node: Node) -> str:
    """The ops in a composite's expansion, in the order in which they run."""
    if not isinstance(node, gn.Composite):
        return ""
    made = node.expansion if isinstance(node.expansion, tuple) else (node.expansion,)
    inside = walk(made, stop=frozenset(node.operands))
    names = dict.fromkeys(
        part.op for part in inside if part not in node.operands and part.op in gn.ops.__all__ and part.op != "Map"
    )
    return ", ".join(f"[{name}](#{_anchor(name)})" for name in names)


def _gradient(op: type[Node], node: Node) -> str:
    if not any(one.differentiable for one in op.samples if one.error is None):
        return "none"
    base = next(base for base in op.__mro__ if "vjp" in vars(base))
    if base is gn.Elementwise:
        return _slopes(node)
    if base is gn.Composite:
        return "The chain rule through what it is made of."
    said = inspect.getdoc(vars(base)["vjp"]) or ""
    return said.split("\n")[0].replace("|", r"\|")


def _slopes(node: Node) -> str:
    """The derivatives of the formula, as they are compiled."""
    assert isinstance(node, gn.Elementwise)
    body = node.body
    found = []
    for name, operand in node.named_operands().items():
        slope = derivative(body, name)
        if operand.dtype.kind == "f" and slope is not language.literal(0):
            pretty = {n: language.name(_word(n)) for n in slope.names()}
            text = slope.substitute(pretty).latex().replace("|", r"\vert ")
            found.append(f"by `{name}`: $g \\cdot {text}$" if text != "1" else f"by `{name}`: $g$")
    return "<br>".join(found)


def _onnx(op: type[Node], counts: dict[str, str]) -> str:
    if not op.onnx:
        return ""
    names = op.onnx.split(", ")
    link = "[{0}](https://onnx.ai/onnx/operators/onnx__{0}.html)"
    return "; ".join(link.format(n) + (f", {counts[n]} cases" if n in counts else "") for n in names)


HERE = Path(__file__).parent


def read_counts() -> str:
    """The table of official cases that the test suite keeps."""
    kept = HERE.parent / "tests" / "golden" / "onnx_cases.txt"
    return kept.read_text(encoding="utf-8") if kept.exists() else ""


def main() -> Any:
    """Write the catalogue beside this file."""
    (HERE / "ops.md").write_text(catalogue(read_counts()), encoding="utf-8")


if __name__ == "__main__":
    main()
