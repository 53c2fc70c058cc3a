"""Drawing: by whatever is here, whole or not at all, and no label becomes anything but text."""

import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

import graphnn as gn
from graphnn.view import render as rendering


@pytest.fixture
def graph():
    x, w = gn.Input("x", ("N", 2)), gn.Parameter("w", np.ones((2, 3)))
    return gn.Graph(gn.Sum(gn.Tanh(x @ w)))


@pytest.mark.parametrize("view", ["forward", "backward", "both"])
def test_svg_shows_every_node(graph, renderer, tmp_path, view):
    path = tmp_path / "net.svg"
    assert graph.render(path, view=view) == str(path)
    text = " ".join(ElementTree.parse(path).getroot().itertext())
    shown = {"forward": ("Tanh", "MatMul", "Sum"), "backward": ("Repeat", "MatMul", "dw")}
    for word in shown.get(view, shown["forward"] + shown["backward"]):
        assert word in text


@pytest.mark.parametrize(("suffix", "starts"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".html", b"<!DOCTYPE html>")])
def test_the_suffix_decides(graph, renderer, tmp_path, suffix, starts):
    path = tmp_path / f"net{suffix}"
    graph.render(path)
    assert path.read_bytes().startswith(starts)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]  # and nothing else is left


def test_dot_text_needs_nothing(graph, tmp_path, monkeypatch):
    monkeypatch.setattr(rendering, "_run", lambda *a: pytest.fail("ran a renderer"))
    graph.render(tmp_path / "net.dot")
    assert (tmp_path / "net.dot").read_text().startswith("digraph")
    assert graph.to_mermaid("both").startswith("flowchart")


def test_refusals_leave_nothing_behind(graph, renderer, tmp_path):
    with pytest.raises(gn.RenderError, match=r"the suffix is one of \.svg"):
        graph.render(tmp_path / "net.gif")
    with pytest.raises(gn.RenderError, match="there is no view 'sideways'"):
        graph.render(tmp_path / "net.svg", view="sideways")
    with pytest.raises(gn.RenderError, match="cannot write"):
        graph.render(tmp_path / "nowhere" / "net.svg")
    assert not list(tmp_path.iterdir())


def test_a_renderer_that_hangs_is_stopped(monkeypatch):
    monkeypatch.setattr(rendering, "_SECONDS", 0.2)
    with pytest.raises(gn.RenderError, match="did not finish"):
        rendering._run([sys.executable, "-c", "import time; time.sleep(60)"], "", "dot")


def test_a_renderer_that_dies_is_reported():
    with pytest.raises(gn.RenderError, match="dot failed: no luck"):
        rendering._run([sys.executable, "-c", "import sys; sys.exit('no luck')"], "", "dot")


@pytest.mark.parametrize("view", ["forward", "both"])
def test_hostile_names_are_text_and_nothing_else(hostile, renderer, tmp_path, view):
    path = tmp_path / "hostile.svg"
    hostile.render(path, view=view)
    root = ElementTree.parse(path).getroot()
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert tags <= {"svg", "g", "title", "polygon", "path", "text", "ellipse", "polyline", "rect"}, tags
    boxes = [element for element in root.iter() if element.get("class") == "node"]
    assert len(boxes) >= len(hostile.parameters) + 2  # no node was lost


def test_hostile_names_in_mermaid_are_character_codes(hostile):
    text = hostile.to_mermaid()
    assert "<script" not in text and text.count(":::parameter") == len(hostile.parameters)


def test_a_notebook_shows_the_picture_and_the_listing(graph, renderer):
    bundle = graph._repr_mimebundle_()
    assert bundle["text/plain"] == str(graph)
    assert "<svg" in bundle["image/svg+xml"]


def test_a_notebook_without_a_renderer_shows_both_as_well(graph, bare):
    bundle = graph._repr_mimebundle_()
    assert bundle["text/plain"] == str(graph) and "Tanh" in bundle["image/svg+xml"]


@pytest.mark.parametrize("how", [["dot"], ["neato", "-n2"]])
def test_the_child_process_draws_by_pygraphviz(how):
    pytest.importorskip("pygraphviz")
    done = subprocess.run(
        [sys.executable, "-c", rendering._CHILD, "svg", *how],
        input=b"digraph { a -> b }",
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0 and b"<svg" in done.stdout
