"""Large graphs: scopes close and open, equal ones roll up, and nothing that is drawn hangs in the air."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.view.collapse import collapse
from graphnn.view.columns import columns
from graphnn.view.picture import picture


def blocks(count, width=4, odd=None):
    """A chain of scoped layers, each with a scope inside; the odd one out has another activation."""
    x, t = gn.Input("x", ("N", width)), gn.Input("t", ("N",), dtype="int64")
    h = x
    for i in range(count):
        with gn.scope(f"layer{i}"):
            with gn.scope("inner"):
                a = gn.Affine(h, gn.Parameter("W", np.ones((width, width))), gn.Parameter("b", np.zeros(width)))
            h = gn.Exp(a) if i == odd else gn.Tanh(a)
    return gn.Graph(gn.SoftmaxCE(h, t))


def heads(shown):
    return [box.lines for box in shown.boxes]


def test_small_pictures_stay_as_they_are():
    shown = picture(blocks(3), "both")
    assert collapse(shown, None) is shown and collapse(shown, 9) is shown


def test_depth_opens_scope_by_scope():
    graph = blocks(2)
    shown = picture(graph, "forward")
    assert heads(collapse(shown, 0))[2:4] == [("layer0", "4 nodes"), ("layer1", "4 nodes")]
    opened = heads(collapse(shown, 1))
    assert opened.count(("inner", "3 nodes")) == 2 and ("Tanh", "f32[N, 4]") in opened
    assert heads(collapse(shown, 2)) == heads(shown)
    assert collapse(picture(blocks(1), "forward"), 0).remark == "1 scope is closed: depth=1 opens one level more."


def test_equal_layers_are_one_box_with_their_number():
    shown = collapse(picture(blocks(96), "forward"), None)
    assert heads(shown) == [
        ("x", "f32[N, 4]"),
        ("t", "i64[N]"),
        ("layer0 … layer95", "× 96", "4 nodes each"),
        ("out = SoftmaxCE", "f32[]"),
    ]
    assert [(a.tail.lines[0], a.head.lines[0]) for a in shown.arrows] == [
        ("x", "layer0 … layer95"),
        ("layer0 … layer95", "out = SoftmaxCE"),
        ("t", "out = SoftmaxCE"),
    ]
    assert "96 scopes are closed: depth=1 opens one level more." in shown.remark


def test_scopes_with_something_between_them_are_not_one_box():
    h = gn.Input("x", ("N", 4))
    for i in range(5):
        with gn.scope(f"layer{i}"):
            h = gn.MatMul(h, gn.Parameter("W", np.ones((4, 4))))
        h = gn.Tanh(h)
    shown = collapse(picture(gn.Graph(h), "forward"), 0)
    assert [lines[0] for lines in heads(shown)].count("layer0") == 1 and len(shown.boxes) == 11
    column = columns(shown, "forward")
    assert all(column[arrow.tail] < column[arrow.head] for arrow in shown.arrows)


def test_updates_close_with_the_layers_of_their_parameters():
    loss = next(iter(blocks(60).outputs.values()))
    graph = gn.Graph(loss, gn.Momentum(lr=0.1).updates(loss))
    shown = collapse(picture(graph, "both"), 0)
    updates = [box.lines for box in shown.boxes if box.half == "update"]
    assert ("layer0 … layer59", "× 60", "10 nodes each") in updates and len(updates) < 10


def test_a_layer_of_another_structure_parts_the_run():
    words = [lines[0] for lines in heads(collapse(picture(blocks(60, odd=40), "forward"), 0))]
    assert words[2:5] == ["layer0 … layer39", "layer40", "layer41 … layer59"]


def test_it_opens_as_far_as_an_overview_allows():
    x = gn.Input("x", ("N", 4))
    parts = []
    for i, op in enumerate((gn.Tanh, gn.Exp, gn.Sigmoid)):
        with gn.scope(f"part{i}"), gn.scope("inner"):
            h = x
            for _ in range(80):
                h = op(h)
            parts.append(h)
    shown = picture(gn.Graph(gn.Sum(gn.AddN(tuple(parts)))), "forward")
    words = [lines[0] for lines in heads(collapse(shown, None))]
    assert words == ["x", "inner", "inner", "inner", "AddN", "out = Sum"]


@pytest.mark.parametrize("view", ["forward", "backward", "both"])
def test_arrows_and_partners_are_between_what_is_drawn(view):
    shown = picture(blocks(80), view)
    found = collapse(shown, None)
    drawn = set(found.boxes)
    assert len(drawn) < 200 < len(shown.boxes)
    assert {box for tail, head, _ in found.arrows for box in (tail, head)} <= drawn
    assert all(tail is not head for tail, head, _ in found.arrows)
    partners = [box for pair in found.partners for box in pair]
    assert len(partners) == len(set(partners)) and drawn.issuperset(partners)
    assert len({box.id for box in found.boxes}) == len(found.boxes)


def test_every_language_takes_a_depth_and_says_what_is_closed(tmp_path):
    graph = blocks(4)
    graph.render(tmp_path / "net.svg", view="both", depth=0)
    for text in (graph.to_dot("both", depth=0), graph.to_mermaid("both", depth=0), (tmp_path / "net.svg").read_text()):
        assert "depth=1 opens one level more" in text
        assert "4 nodes each" in text and "Affine" not in text


def test_graphviz_is_told_to_hurry_with_many_boxes():
    graph = blocks(60)
    assert "splines=line" in graph.to_dot(depth=2) and "splines=line" not in graph.to_dot()


@pytest.mark.parametrize("depth", [-1, 1.5, "1"])
def test_a_depth_that_is_none_is_refused(depth):
    with pytest.raises(gn.RenderError, match="the number of nested scopes to open, from 0 on"):
        blocks(1).to_dot(depth=depth)
