"""The page as a file: self-contained, the same every time, and nothing of a graph is ever markup."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from random_graphs import N, random_program

import graphnn as gn
from graphnn.view import page as pages

VOID = {"meta", "input", "link", "br"}


class Reader(HTMLParser):
    """Every element with its attributes, and the text of script and style elements."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self.open, self._within = [], {}, [], None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._within = (tag, dict(attrs).get("id"))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        self._within = None

    def handle_data(self, data):
        if self._within and self._within[0] in ("script", "style"):
            self.texts[self._within] = self.texts.get(self._within, "") + data

    @property
    def told(self):
        return json.loads(self.texts["script", "told"])


def net():
    x, t = gn.Input("x", ("N", 2)), gn.Input("t", ("N",), dtype="int64")
    W = gn.Parameter("W", np.eye(2))
    return gn.Graph(gn.SoftmaxCE(gn.Sigmoid(x @ W), t))


FEEDS = {"x": [[1.0, 2.0], [3.0, 4.0]], "t": [0, 1]}


def render(graph, folder, **options):
    path = folder / "net.html"
    assert graph.render(path, **options) == str(path)
    return path.read_text(encoding="utf-8")


def test_a_page_is_whole_and_names_nothing_outside(tmp_path):
    text = render(net(), tmp_path, feeds=FEEDS)
    read = Reader(text)
    assert not read.open
    for tag, attributes in read.elements:
        assert not {"src", "href", "action", "style"} & attributes.keys(), (tag, attributes)
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
    assert re.findall(r"https?://[^\"' ]+", text).count("http://www.w3.org/2000/svg") == len(
        re.findall("https?://", text)
    )
    assert len(read.told["boxes"]) == sum(a.get("class") == "node" for _, a in read.elements)
    assert len({a["id"] for _, a in read.elements if "id" in a}) == sum("id" in a for _, a in read.elements)


def test_the_policy_allows_these_scripts_and_styles_and_nothing_else(tmp_path):
    read = Reader(render(net(), tmp_path))
    [policy] = [a["content"] for tag, a in read.elements if a.get("http-equiv") == "Content-Security-Policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'" and len(rules) == 5
    for kind in ("script", "style"):
        digest = hashlib.sha256(read.texts[kind, None].encode()).digest()
        assert rules[f"{kind}-src"] == f"'sha256-{base64.b64encode(digest).decode()}'"


def test_without_feeds_it_shows_structure_and_order_alone(tmp_path):
    told = Reader(render(net(), tmp_path)).told
    assert told["values"] == [] and not any("value" in box for box in told["boxes"])
    assert len(told["order"]) == len(told["boxes"])


def test_both_halves_are_shown_unless_a_view_is_asked_for(tmp_path):
    halves = lambda **options: {box["half"] for box in Reader(render(net(), tmp_path, **options)).told["boxes"]}  # noqa: E731
    assert halves() == halves(view="both") == {"forward", "backward"}
    assert halves(view="forward") == {"forward"}
    told = Reader(render(gn.Graph(gn.Tanh(gn.Input("x", ("N",)))), tmp_path)).told
    assert {box["half"] for box in told["boxes"]} == {"forward"}  # nothing to differentiate
    with pytest.raises(gn.GraphError, match="depends on no trainable parameter"):
        gn.Graph(gn.Sum(gn.Input("x", ("N",)))).render(tmp_path / "no.html", view="both")


def test_hostile_names_are_text_and_nothing_else(hostile, tmp_path):
    path = tmp_path / '<img src=x onerror=alert(1)>".html'
    hostile.render(path, feeds={})
    text = path.read_text(encoding="utf-8")
    read = Reader(text)
    tags = {tag for tag, _ in read.elements}
    assert not tags & {"img", "a", "b", "iframe"} and sum(tag == "script" for tag, _ in read.elements) == 2
    assert text.count("</script") == 2
    names = {box["name"] for box in read.told["boxes"]}
    assert {"<b>bold</b>", "</text><script>alert(1)</script>", "-->", "日本語", "line\\nbreak"} <= names


def test_the_same_graph_is_the_same_bytes(run_python, tmp_path):
    script = tmp_path / "net.py"
    script.write_text(
        "import sys, hashlib, graphnn as gn\n"
        "x, w = gn.Input('x', ('N', 2)), gn.Parameter('w', [[1.0], [2.0]])\n"
        "gn.Graph(gn.Mean(gn.Tanh(x @ w))).render(sys.argv[1], feeds={'x': [[1, 2]] * 99})\n"
        "print(hashlib.sha256(open(sys.argv[1], 'rb').read()).hexdigest())\n"
    )
    code = f"import sys, runpy; sys.argv = ['net.py', {str(tmp_path / 'net.html')!r}]; runpy.run_path({str(script)!r})"
    assert run_python(code, PYTHONHASHSEED="1") == run_python(code, PYTHONHASHSEED="2")


def deep(layers):
    rng = np.random.default_rng(0)
    x, t = gn.Input("x", ("N", 32)), gn.Input("t", ("N",), dtype="int64")
    h = x
    for i in range(layers):
        with gn.scope(f"layer{i}"):
            W, b = gn.Parameter("W", rng.normal(size=(32, 32)) / 6), gn.Parameter("b", np.zeros(32))
            h = h + gn.Tanh(gn.MatMul(h, W) + b)
    return gn.Graph(gn.SoftmaxCE(h, t)), {"x": rng.normal(size=(50, 32)), "t": np.arange(50) % 32}


def test_a_page_of_a_thousand_nodes_is_a_few_megabytes(tmp_path):
    graph, feeds = deep(55)
    assert len(graph.with_gradients().nodes) > 1000
    text = render(graph, tmp_path, feeds=feeds)
    assert len(text) < 2.5e6
    told = Reader(text).told
    assert len(told["boxes"]) > 700 and "remark" not in told  # nothing is closed: a page can be searched


def test_scopes_close_where_it_is_asked_for_and_beyond_what_a_browser_draws_at_ease(tmp_path, monkeypatch):
    graph, feeds = deep(25)
    assert len(Reader(render(graph, tmp_path, depth=0, feeds=feeds)).told["boxes"]) < 20
    monkeypatch.setattr(pages, "_MANY", 300)
    assert "closed" in Reader(render(graph, tmp_path)).told["remark"]


def test_feeds_are_for_pages_and_refused_feeds_leave_no_file(tmp_path):
    with pytest.raises(
        gn.RenderError, match=r"cannot show values in 'net.svg': only a page, \.html, steps through a run"
    ):
        net().render(tmp_path / "net.svg", feeds=FEEDS)
    with pytest.raises(gn.FeedError, match="not fed: 't'"):
        net().render(tmp_path / "net.html", feeds={"x": [[1.0, 2.0]]})
    assert not list(tmp_path.iterdir())


def test_a_program_draws_its_page_and_keeps_its_parameters(tmp_path):
    graph = net()
    [loss] = graph.outputs.values()
    step = gn.compile(loss, gn.SGD(lr=1.0).updates(loss))
    before = step.state["W"]
    step.render(tmp_path / "step.html", feeds=FEEDS)
    told = Reader((tmp_path / "step.html").read_text(encoding="utf-8")).told
    assert {box["half"] for box in told["boxes"]} == {"forward", "backward", "update"}
    np.testing.assert_array_equal(step.state["W"], before)


@pytest.mark.parametrize("seed", range(15))
def test_random_programs_have_pages(seed, tmp_path, compiled_once_more):
    program = random_program(seed)
    graph = gn.Graph(program.outputs, program.updates)
    feeds = {name: program.feeds[name] for name in graph.inputs}
    free = {size for size in graph.sizes if not any(size in x.spec.sizes for x in graph.inputs.values())}
    told = Reader(render(graph, tmp_path, feeds=feeds | dict.fromkeys(free, N))).told
    step = {box: i for i, box in enumerate(told["order"])}
    assert sorted(step) == list(range(len(told["boxes"])))
    for i, box in enumerate(told["boxes"]):
        assert box["name"] and all(step[read] < step[i] for read in box["reads"])
        assert ("value" in box) != box["spec"].startswith("(")  # several results have none of their own


@pytest.mark.parametrize("name", sorted(p.name for p in (Path(pages.__file__).parent / "assets").glob("*.js")))
def test_the_scripts_parse(name):
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    script = Path(pages.__file__).parent / "assets" / name
    done = subprocess.run([node, "--check", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_scripts_never_read_markup():
    for script in (Path(pages.__file__).parent / "assets").glob("*.js"):
        text = script.read_text(encoding="utf-8")
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "fetch(", "XMLHttp"):
            assert word not in text, (script.name, word)
