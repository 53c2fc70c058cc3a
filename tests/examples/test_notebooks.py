"""The example notebooks run from top to bottom, and what they show is there as SVG, as PNG and as text."""

import json
import sys
from base64 import b64decode
from pathlib import Path
from xml.etree import ElementTree

import pytest

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

FOLDER = Path(__file__).parents[2] / "examples" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
BOTH = {"image/svg+xml", "image/png", "text/plain"}
SHOWN = {
    "mirror": ["(x f64[]", "(x f64[]", "() -> (out f64[], dv", "<Executable"],
    "spiral": ["Figure", "(x f64[N, 2]", "(x f64[N, 2]", "<Executable", "epoch ", "Figure", "<Model"],
}
"""How the text of each picture begins: graphs, programs, histories, figures, models."""


# In a process of its own, which ends with all that it opened. The kernel speaks over Unix sockets: there is no network,
# not even to this machine.
RUN = """
import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

notebook = nbformat.read({path!r}, as_version=4)
km = AsyncKernelManager(kernel_name="this", transport="ipc", ip={folder!r} + "/kernel")
NotebookClient(notebook, km=km, timeout=100, resources={{"metadata": {{"path": {folder!r}}}}}).execute()
nbformat.write(notebook, {folder!r} + "/run.ipynb")
"""


@pytest.fixture
def run_notebook(run_python, tmp_path):
    """`run_notebook(path)`: the notebook as this very Python runs it, in a world without anybody's settings."""
    folder = tmp_path / "kernels" / "this"
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": command, "display_name": "this", "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(spec))
    names = ("JUPYTER_PATH", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")

    def run(path):
        run_python(RUN.format(path=str(path), folder=str(tmp_path)), **dict.fromkeys(names, str(tmp_path)))
        return nbformat.read(tmp_path / "run.ipynb", as_version=4)

    return run


@pytest.mark.parametrize(
    "path",
    [path if path.stem == "spiral" else pytest.param(path, marks=pytest.mark.slow) for path in NOTEBOOKS],
    ids=lambda path: path.stem,
)
def test_it_runs_and_everything_shows_itself(path, run_notebook, tmp_path):
    notebook = run_notebook(path)
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    pictures = [output.data for output in outputs if "image/svg+xml" in output.get("data", {})]
    assert all(data.keys() == BOTH for data in pictures)
    texts = [data["text/plain"] for data in pictures]
    assert len(texts) == len(SHOWN[path.stem])
    for data, begins in zip(pictures, SHOWN[path.stem], strict=True):
        assert data["text/plain"].startswith(begins)
        assert ElementTree.fromstring(data["image/svg+xml"]).tag.endswith("svg")
        assert b64decode(data["image/png"]).startswith(b"\x89PNG")
    pages = list((tmp_path / "output").glob("*.html"))
    assert [page.stem for page in pages] == [path.stem]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_kept_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert cell.cell_type == "markdown" or (cell.outputs == [] and cell.execution_count is None)


def test_every_notebook_has_its_pictures_listed():
    assert [path.stem for path in NOTEBOOKS] == sorted(SHOWN)
