"""Notebooks: everything that has a picture shows it, as SVG and PNG beside text, and no cell is lost to it."""

import struct
from base64 import b64decode
from xml.etree import ElementTree

import numpy as np
import pytest

import graphnn as gn
from graphnn.train.history import History
from graphnn.view import notebook
from graphnn.view import render as rendering


def make(what):
    """A graph, a program that trains, a model, and the history of a fit."""
    x, t = gn.Input("x", ("N", 2)), gn.Input("t", ("N",), dtype="int64")
    scores = gn.Affine(gn.Tanh(x), gn.Parameter("W", np.eye(2)), gn.Parameter("b", np.zeros(2)))
    loss = gn.SoftmaxCE(scores, t)
    model = gn.Model(x, t, scores, loss)
    if what == "History":
        trainer = gn.Trainer(model, gn.SGD(lr=1.0))
        trainer.fit(np.eye(2), [0, 1], max_epoch=3, batch_size=1, validation=(np.eye(2), [0, 1]), eval_interval=None)
        return trainer.history
    return {"Graph": gn.Graph(loss), "Executable": gn.compile(loss, gn.SGD().updates(loss)), "Model": model}[what]


@pytest.fixture(scope="module")
def painter():
    """Skips where nothing paints PNG."""
    try:
        rendering.draw("digraph { a -> b }", "png")
    except gn.RenderError as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize("what", ["Graph", "Executable", "Model", "History"])
def test_it_shows_itself_as_text_svg_and_png(what, painter, capfd):
    shown = make(what)
    capfd.readouterr()
    bundle = shown._repr_mimebundle_(include=None, exclude=None)
    assert set(bundle) == {"text/plain", "image/svg+xml", "image/png"}
    assert bundle["text/plain"] == (str(shown) if what in ("Graph", "History") else repr(shown))
    root = ElementTree.fromstring(bundle["image/svg+xml"])
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.get("viewBox") and "max-width:100%" in root.get("style")
    assert b64decode(bundle["image/png"]).startswith(b"\x89PNG")
    assert capfd.readouterr() == ("", "")


def test_a_plot_shows_itself_without_a_magic_word():
    bundle = gn.plot.loss([2.0, 1.0])._repr_mimebundle_()
    assert bundle["text/plain"] == "Figure(700x400)"
    assert ElementTree.fromstring(bundle["image/svg+xml"]).get("viewBox")
    assert b64decode(bundle["image/png"]).startswith(b"\x89PNG")


def test_the_picture_of_a_program_is_that_of_its_forward_half(painter):
    text = " ".join(ElementTree.fromstring(make("Executable")._repr_mimebundle_()["image/svg+xml"]).itertext())
    assert "SoftmaxCE" in text and "OneHot" not in text  # OneHot is the gradient's


def test_the_picture_of_a_graph_with_gradients_is_the_mirror(painter):
    bundle = make("Graph").with_gradients()._repr_mimebundle_()
    text = " ".join(ElementTree.fromstring(bundle["image/svg+xml"]).itertext())
    assert "SoftmaxCE" in text and "OneHot" in text and "adjoint of Affine" in text
    assert b64decode(bundle["image/png"]).startswith(b"\x89PNG")


@pytest.mark.parametrize("what", ["Graph", "Executable", "Model"])
def test_without_any_renderer_there_is_svg(what, bare):
    assert set(make(what)._repr_mimebundle_()) == {"text/plain", "image/svg+xml"}


def test_hostile_names_stay_text(hostile, bare):
    svg = hostile._repr_mimebundle_()["image/svg+xml"]
    tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(svg).iter()}
    assert not tags & {"script", "a", "b", "foreignObject"}


@pytest.mark.parametrize("what", ["Graph", "Executable", "Model", "History"])
def test_when_drawing_fails_the_text_says_why(what, monkeypatch):
    shown = make(what)

    def broken(*_, **__):
        raise MemoryError("no room")

    monkeypatch.setattr(notebook, "paint", broken)
    monkeypatch.setattr(notebook.plot, "loss", broken)
    bundle = shown._repr_mimebundle_()
    assert set(bundle) == {"text/plain"}
    assert bundle["text/plain"].endswith("\n(no picture: MemoryError: no room)")


def test_a_history_of_nothing_and_one_without_losses_are_text():
    assert History()._repr_mimebundle_() == {"text/plain": "<History of 0 epochs: >"}
    history = History([{"epoch": 1}])
    assert history._repr_mimebundle_() == {"text/plain": str(history)}


def test_a_history_that_diverged_is_shown():
    history = History([{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": np.inf}, {"epoch": 3, "loss": np.nan}])
    assert "image/png" in history._repr_mimebundle_()


def test_a_large_graph_is_listed():
    node = gn.Input("x", ())
    for _ in range(2000):
        node = gn.Tanh(node)
    bundle = gn.Graph(node)._repr_mimebundle_()
    assert "%1999 = Tanh(%1998)" in bundle["text/plain"]


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_long_picture_is_painted_no_larger_than_a_cell_can_use(painter, mirrored):
    node = gn.Parameter("x", 1.0)
    for _ in range(60 if mirrored else 120):
        node = gn.Exp(node)
    graph = gn.Graph(node).with_gradients() if mirrored else gn.Graph(node)
    png = b64decode(graph._repr_mimebundle_()["image/png"])
    width, height = struct.unpack(">II", png[16:24])  # of the header
    assert 1000 < width <= 3000 and height <= 3000
