"""Imports point down: the layers of the house, read from the source."""

import ast
from pathlib import Path

import pytest

import graphnn

ROOT = Path(graphnn.__file__).parent
LAYERS = [
    {"errors"},
    {"ir"},
    {"ops"},
    {"transform"},
    {"plan"},
    {"backends", "view"},
    {"runtime", "debug", "executable", "compile"},
    {"train", "interop", "testing"},
]
LEVEL = {name: i for i, layer in enumerate(LAYERS) for name in layer}
LEVEL |= {"__init__": 99, "__main__": 99}

DOORS = {
    "backends/registry.py": {"backends.cupy", "backends.native"},
    "ir/graph.py": {"debug.observe", "plan.schedule"}
    | {"view.listing", "view.dot", "view.mermaid", "view.notebook", "view.render"},
    "plan/memory.py": {"view.report"},
    "backends/numpy/program.py": {"view.report"},
    "runtime/compiled.py": {"view.ledger", "view.memory", "view.notebook", "view.plan", "view.report"},
    "runtime/footprint.py": {"view.memory"},
    "runtime/profile.py": {"view.report"},
    "train/history.py": {"view.notebook"},
    "train/model.py": {"view.notebook"},
    "view/plane.py": {"view.figure"},
}
"""One-line imports inside a method of a public handle, to what shows it."""

NETWORKX = {"ir/graph.py", "plan/schedule.py"}
FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))


def imports(file: str):
    """(module inside graphnn, is it inside a function) for each of a file's own imports."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    package = file.split("/")[:-1]
    inside = {n for f in ast.walk(tree) if isinstance(f, (ast.FunctionDef, ast.AsyncFunctionDef)) for n in ast.walk(f)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            if node.module:
                yield ".".join([*base, node.module]), node in inside
            else:
                for alias in node.names:
                    yield ".".join([*base, alias.name]), node in inside


def test_every_file_has_a_layer():
    unknown = {file.split("/")[0].removesuffix(".py") for file in FILES} - set(LEVEL)
    assert not unknown, f"no layer for {unknown}"


@pytest.mark.parametrize("file", FILES)
def test_imports_point_down(file):
    mine = LEVEL[file.split("/")[0].removesuffix(".py")]
    for module, inside in imports(file):
        if inside:
            assert module in DOORS.get(file, set()), f"{file} hides an import of {module} inside a function"
        elif not module.startswith("__"):
            assert LEVEL[module.split(".")[0]] <= mine, f"{file} imports {module}, which lies above it"


def test_ir_knows_no_op_and_networkx_has_its_places():
    for file in FILES:
        text = (ROOT / file).read_text(encoding="utf-8")
        if "import networkx" in text:
            assert file in NETWORKX or file.startswith("view/"), file


def test_importing_graphnn_loads_nothing_slow(run_python):
    loaded = run_python("import sys, graphnn; print(' '.join(sys.modules))").split()
    for slow in ("matplotlib", "scipy", "llvmlite", "cupy", "pygraphviz", "onnx", "sklearn", "tqdm"):
        assert slow not in loaded, slow


def test_a_public_name_that_is_misspelt_leads_to_the_one_that_was_meant():
    with pytest.raises(AttributeError, match="module 'graphnn' has no attribute 'relu'") as caught:
        _ = graphnn.relu
    assert caught.value.name == "relu" and caught.value.obj is graphnn  # by these Python adds: Did you mean: 'ReLU'?
