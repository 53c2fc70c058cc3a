"""The mirror: rules of the textbook, each beneath the node it belongs to, saying what it multiplies by."""

from xml.etree import ElementTree

import numpy as np
import pytest

import graphnn as gn
from graphnn.view import render as rendering
from graphnn.view.bodies import with_bodies
from graphnn.view.columns import columns
from graphnn.view.layout import Layout
from graphnn.view.picture import picture
from graphnn.view.routes import routes


def weight(*shape, name="W"):
    return gn.Parameter(name, np.ones(shape))


def rules(loss):
    """For each forward op what faces it: the op in the gradient, and what its arrows say."""
    shown = picture(gn.Graph(loss), "both")
    return {
        forward.lines[0]: (backward.lines[0], [arrow.text for arrow in shown.arrows if arrow.head is backward])
        for forward, backward in shown.partners
    }


def test_mul_swaps_its_inputs():
    x, w = gn.Input("x", ("N", 2)), weight(2, 2)
    shown = picture(gn.Graph(gn.Sum(gn.Mul(gn.MatMul(x, w), gn.Exp(gn.MatMul(x, weight(2, 2, name="V")))))), "both")
    said = {arrow.text for arrow in shown.arrows if arrow.head.place[-1].text == "adjoint of Mul"}
    assert said == {"× Exp", "× MatMul₁"}
    assert [box.lines[0] for box in shown.boxes if box.lines[0].startswith("MatMul")][:2] == ["MatMul₁", "MatMul₂"]


def test_a_name_leaves_out_the_scopes_that_its_frames_say():
    with gn.scope("net"), gn.scope("layer1"):
        h = gn.Input("x", ("N", 2)) @ weight(2, 2)
    loss = gn.Sum(gn.Tanh(h) @ next(iter(gn.Graph(h).parameters.values())))  # read again outside its scope
    shown = picture(gn.Graph(loss, gn.SGD().updates(loss)), "both")
    heads = {box.lines[0]: [frame.text for frame in box.place if frame.kind == "scope"] for box in shown.boxes}
    assert heads["W"] == heads["W <- Sub"] == ["net", "layer1"]
    gradients = picture(gn.Graph(gn.Sum(h)), "both")
    assert "dW = MatMul" in {box.lines[0] for box in gradients.boxes}
    assert "net.layer1.W" in gn.Graph(loss).parameters  # in pictures alone


def test_words_that_arrive_at_one_box_stand_one_above_the_other():
    x, h0 = gn.Input("xs", ("T", "N", 2)), weight(2, 2)
    last, _ = gn.Scan(lambda h, x: (gn.Tanh(h @ h0 + x), h), gn.Input("h", ("N", 2)), x)
    shown = with_bodies(picture(gn.Graph(gn.Sum(last)), "both"))
    said = [route for route in routes(shown, Layout(shown, "both")) if route.text.startswith("next")]
    assert len(said) >= 3 and len({route.at for route in said}) == len(said)


def test_an_update_stands_beneath_the_gradient_that_it_reads():
    h = gn.Input("x", ("N", 2))
    for name in ("U", "V", "W"):
        h = gn.Tanh(h @ weight(2, 2, name=name))
    loss = gn.Sum(h)
    shown = picture(gn.Graph(loss, gn.Momentum(lr=0.1).updates(loss, max_grad=1.0)), "both")
    column = columns(shown, "both")
    crossing = [a for a in shown.arrows if a.head.half == "update" and a.tail.half == "backward"]
    assert len(crossing) >= 3 and all(column[a.tail] == column[a.head] for a in crossing)
    into = {box.lines[0][0]: column[box] for box in shown.boxes if box.lines[0][1:].startswith(" <-")}
    gradients = {column[a.tail] for a in crossing}
    assert sorted(into) == ["U", "V", "W"] and all(min(abs(at - g) for g in gradients) <= 3 for at in into.values())
    assert min(column.values()) == 0


def test_a_product_of_matrices_transposes():
    x, w, v = gn.Input("x", ("N", 2)), weight(2, 3), weight(3, 4, name="V")
    shown = picture(gn.Graph(gn.Sum(gn.Tanh(x @ w) @ v)), "both")
    products = {arrow.text for arrow in shown.arrows if "MatMul" in arrow.head.lines[0] and arrow.text}
    assert products == {"x.T ×", "Tanh.T ×", "× V.T"}
    assert not any("Transpose" in box.lines[0] for box in shown.boxes)  # the words have it all


def test_repeat_faces_sum_and_branch_faces_a_sum():
    x = gn.Input("x", ("N", 3))
    a, b = gn.Branch(gn.Add(x, gn.Repeat(weight(1, 3, name="c"), "N", axis=0)), 2)
    found = rules(gn.Sum(a * gn.Exp(b)))
    assert found["Repeat"][0] == "dc = Sum"
    assert found["Branch"][0] == "AddN"
    assert found["Exp"] == ("Mul", ["× Exp"])
    assert "Add" not in found  # it passes the gradient on


def test_what_is_short_stands_on_the_arrow_and_what_is_long_keeps_its_box():
    found = rules(gn.Sum(gn.Sigmoid(gn.Input("x", ("N", 2)) @ weight(2, 2))))
    assert found["Sigmoid"] == ("Mul", ["× (1 - Sigmoid)"])
    t = gn.Input("t", ("N",), dtype="int64")
    shown = picture(gn.Graph(gn.SoftmaxCE(gn.Input("x", ("N", 2)) @ weight(2, 2), t)), "both")
    softmax = next(box for box in shown.boxes if box.lines[0] == "Softmax")
    assert softmax.lines[1] == "(MatMul), axis=1"


def test_no_arrow_runs_from_the_forward_half_to_another():
    x, w = gn.Input("x", ("N", 2)), weight(2, 3)
    loss = gn.Sum(gn.Tanh(x @ w))
    shown = picture(gn.Graph(loss, gn.SGD(lr=1.0).updates(loss)), "both")
    assert {(a.tail.half, a.head.half) for a in shown.arrows} >= {("forward", "forward"), ("backward", "update")}
    assert not any(a.tail.half == "forward" != a.head.half for a in shown.arrows)


def test_an_adjoint_is_named_after_the_node_that_the_user_wrote():
    shown = picture(gn.Graph(gn.Mean(gn.Square(gn.Input("x", ("N", 2)) @ weight(2, 2)))), "both")
    frames = {box.place[-1].text for box in shown.boxes if box.half == "backward"}
    assert frames == {"adjoint of Mean", "adjoint of Square", "adjoint of MatMul"}


@pytest.mark.parametrize("text", ["to_dot", "to_mermaid"])
def test_both_languages_say_the_factor(text):
    x, w = gn.Input("x", ("N", 2)), weight(2, 3)
    said = getattr(gn.Graph(gn.Sum(gn.Tanh(x @ w))), text)("both")
    assert ("x.T ×" in said) if text == "to_dot" else ("x.T #215;" in said)


def test_hostile_names_stay_text_on_arrows(hostile, renderer, tmp_path):
    names = [*hostile.parameters]
    product = gn.Input("x", (2,))
    for name in names:
        product = product * gn.Parameter(name, [1.0, 2.0])
    graph = gn.Graph(gn.Sum(product))
    graph.render(tmp_path / "net.svg", view="both")
    root = ElementTree.parse(tmp_path / "net.svg").getroot()
    said = {text.text for text in root.iterfind("{*}text")}
    assert {"× <b>bold</b>", "× </text><script>alert(1)</script>", "× a:b:c"} <= said
    assert rendering.draw(graph.to_dot("both"), "svg").count(b'class="edge"') >= len(picture(graph, "both").arrows)
