"""The command line."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import graphnn as gn
from graphnn.__main__ import main

NET = """
import graphnn as gn
x, w = gn.Input("x", ("N", 2)), gn.Parameter("w", [[1.0], [2.0]])
y = x @ w
loss = gn.Mean(y * y)
"""


@pytest.fixture
def net(tmp_path):
    path = tmp_path / "net.py"
    path.write_text(NET)
    return path


def test_render_draws_the_graph_that_is_named(net, tmp_path, capsys):
    out = tmp_path / "net.dot"
    assert main(["render", f"{net}:loss", "-o", str(out), "--view", "both"]) == 0
    assert out.read_text().startswith("digraph") and "dw" in out.read_text()
    assert capsys.readouterr().out.strip() == str(out)


def test_a_page_has_both_halves_unless_one_is_asked_for(net, tmp_path):
    out = tmp_path / "net.html"
    assert main(["render", f"{net}:loss", "-o", str(out)]) == 0
    assert '"half":"backward"' in out.read_text()
    assert main(["render", f"{net}:loss", "-o", str(out), "--view", "forward"]) == 0
    assert '"half":"backward"' not in out.read_text()


def test_render_opens_scopes_and_draws_the_plan_of_what_is_compiled(net, tmp_path, capsys):
    net.write_text(NET.replace("y = x @ w", "with gn.scope('s'):\n    y = x @ w") + "f = gn.compile(loss)\n")
    out = tmp_path / "net.dot"
    assert main(["render", f"{net}:loss", "-o", str(out), "--depth", "0"]) == 0
    assert "depth=1 opens one level more" in out.read_text()
    assert main(["render", f"{net}:f", "-o", str(out)]) == 0
    assert "%0 MatMul" in out.read_text() and "slot 0" in out.read_text()
    assert main(["render", f"{net}:f", "-o", str(out), "--view", "forward"]) == 0
    assert "slot" not in out.read_text()


def test_a_page_shows_the_run_on_feeds_from_a_file(net, tmp_path, capsys):
    feeds, out = tmp_path / "feeds.npz", tmp_path / "net.html"
    np.savez(feeds, x=[[1.0, 2.0], [3.0, 4.0]])
    assert main(["render", f"{net}:loss", "-o", str(out), "--feeds", str(feeds)]) == 0
    assert '"numbers":[5.0,11.0]' in out.read_text()  # x @ w
    out.unlink()
    np.save(tmp_path / "one.npy", [1.0])
    np.savez(tmp_path / "objects.npz", x=np.array([{}]))
    (tmp_path / "text.npz").write_text("no arrays")
    for name in ("one.npy", "objects.npz", "text.npz"):
        assert main(["render", f"{net}:loss", "-o", str(out), "--feeds", str(tmp_path / name)]) == 1
        assert f"{name} holds no arrays by name, as numpy.savez writes them" in capsys.readouterr().err
    assert main(["render", f"{net}:loss", "-o", str(out), "--feeds", str(tmp_path / "nowhere.npz")]) == 1
    assert "cannot read the feeds: No such file or directory" in capsys.readouterr().err
    np.savez(feeds, y=[1.0])
    assert main(["render", f"{net}:loss", "-o", str(out), "--feeds", str(feeds)]) == 1
    assert "not fed: 'x'" in capsys.readouterr().err and not out.exists()


def test_info_lists_and_counts(net, capsys):
    assert main(["info", f"{net}:y"]) == 0
    text = capsys.readouterr().out
    assert "MatMul(x, w)" in text and "2 numbers in 1 parameters" in text
    assert main(["info", f"{net}:y", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["inputs"] == {"x": "f32[N, 2]"} and told["sizes"] == ["N"]


def test_a_file_with_one_graph_needs_no_name(tmp_path, capsys):
    path = tmp_path / "one.py"
    path.write_text(NET + "graph = gn.Graph(loss)\n")
    assert main(["info", str(path)]) == 0
    assert "Mean" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["info", "{net}"], 1, "has y, loss: say which"),
        (["info", "{net}:z"], 1, "has no graph 'z'; it has y, loss"),
        (["info", "nowhere.py"], 1, "cannot be run"),
        (["render", "{net}:y", "-o", "y.gif"], 1, "the suffix is one of"),
        (["render", "{net}:y"], 2, "required: -o"),
        (["render", "{net}:y", "-o", "y.svg", "--view", "plan"], 1, "only what gn.compile returns has a plan"),
        (["render", "{net}:y", "-o", "y.svg", "--depth", "-1"], 1, "the number of nested scopes to open"),
        (["paint"], 2, "invalid choice"),
    ],
)
def test_what_does_not_work_says_so(net, capsys, words, code, says):
    assert main([word.format(net=net) for word in words]) == code
    assert says in capsys.readouterr().err


def test_doctor_tells_what_works_and_how_to_mend_the_rest(capsys):
    main(["doctor", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["backends"]["numpy"] == "ok" and told["libraries"]["numpy"]
    assert told["renderers"]["pygraphviz"] == "ok" or "pip install" in told["renderers"]["pygraphviz"]
    main(["doctor"])
    assert "renderers" in capsys.readouterr().out


def test_it_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "graphnn", "--version"],
        capture_output=True, text=True, timeout=60, cwd=Path(gn.__file__).parents[1],
    )  # fmt: skip
    assert done.returncode == 0 and done.stdout.strip() == f"graphnn {gn.__version__}"


def test_a_script_runs_as_by_itself_beside_its_own_modules(tmp_path, capsys, monkeypatch):
    (tmp_path / "sizes_of_mine.py").write_text("FEATURES = 3\n")
    path = tmp_path / "net.py"
    path.write_text(
        "import sys, graphnn as gn\nfrom sizes_of_mine import FEATURES\n"
        "assert sys.argv == [__file__] and __name__ != '__main__'\n"
        "loss = gn.Mean(gn.Input('x', ('N', FEATURES)))\n"
    )
    before = list(sys.path), list(sys.argv)
    assert main(["info", str(path)]) == 0
    assert "f32[N, 3]" in capsys.readouterr().out
    assert (sys.path, sys.argv) == before


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def f(", "SyntaxError"),
        ("import sys\nsys.exit('over')", "SystemExit: over"),
        ("import graphnn as gn\nx = gn.Input('x', (2,))\ny = x @ gn.Input('y', (3,))", "inner sizes differ"),
        ("import graphnn as gn\ndef net():\n    return gn.Mean(gn.Input('x', ('N',)))", "no graph at its top level"),
    ],
)
def test_a_script_that_fails_is_told_from_its_own_line_on(tmp_path, capsys, text, says):
    path = tmp_path / "net.py"
    path.write_text(text)
    assert main(["info", str(path)]) == 1
    told = capsys.readouterr().err
    assert says in told and "runpy" not in told and "__main__.py" not in told
