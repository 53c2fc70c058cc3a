"""The story of a run: what a page says at each box, and in which order."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.debug.observe import observer
from graphnn.view.chain import chain
from graphnn.view.collapse import collapse
from graphnn.view.picture import picture
from graphnn.view.steps import tell


def net():
    x, t = gn.Input("x", ("N", 2)), gn.Input("t", ("N",), dtype="int64")
    W, b = gn.Parameter("W", np.eye(2)), gn.Parameter("b", np.zeros(2))
    return gn.Graph(gn.SoftmaxCE(gn.Sigmoid(gn.Affine(x, W, b)), t))


def story(graph, view="both", feeds=None, depth=None):
    whole = chain(graph)
    shown = picture(whole.graph, view)
    return tell(shown if depth is None else collapse(shown, depth), whole, None if feeds is None else observer(feeds))


def by_name(told):
    return {box["name"]: box for box in told["boxes"]}


def test_forward_comes_first_and_everything_after_what_it_reads():
    told = story(net())
    halves = [told["boxes"][i]["half"] for i in told["order"]]
    assert halves == sorted(halves, key=["forward", "backward"].index) and set(halves) == {"forward", "backward"}
    step = {box: i for i, box in enumerate(told["order"])}
    assert all(step[read] < step[i] for i, box in enumerate(told["boxes"]) for read in box["reads"])


def test_boxes_read_as_mathematics_over_the_names_of_the_picture():
    told = by_name(story(net()))
    said = {name: box.get("formula") for name, box in told.items()}
    assert said["x"] is None and said["Affine"] == "Affine(x, W, b)" and said["L"] == "SoftmaxCE(Sigmoid, t)"
    assert said["Sigmoid"] == "1 / (1 + exp(-Affine))"
    assert said["dL/dAffine"] == "Mul * (1 - Sigmoid)" and said["dL/dW"] == "x.T @ dL/dAffine"
    assert said["Softmax"] == "Softmax(Sigmoid, axis=1)"


def test_boxes_tell_what_they_read_and_differentiate_even_where_the_picture_only_says_so():
    told = story(net())
    boxes, named = told["boxes"], by_name(told)
    assert [boxes[i]["name"] for i in named["dL/dW"]["reads"]] == ["x", "dL/dAffine"]
    assert boxes[named["dL/dW"]["of"]]["name"] == "Affine"
    assert boxes[named["Affine"]["arrives"]]["name"] == "dL/dAffine"


def test_boxes_quote_their_lines():
    box = by_name(story(net()))["Sigmoid"]
    assert box["where"].startswith("test_steps.py:") and box["code"] == (
        "return gn.Graph(gn.SoftmaxCE(gn.Sigmoid(gn.Affine(x, W, b)), t))"
    )


def test_names_that_are_shared_are_numbered_and_the_other_half_has_others():
    x, w = gn.Input("x", ()), gn.Parameter("w", 2.0)
    told = story(gn.Graph(gn.Tanh(gn.Tanh(w * x))))
    forward = [told["boxes"][i]["name"] for i in told["order"] if told["boxes"][i]["half"] == "forward"]
    assert forward == ["x", "w", "Mul", "Tanh₁", "L"]
    others = [box["name"] for box in told["boxes"] if box["half"] == "backward"]
    assert len(set(others)) == len(others) and {"dL/dTanh₁", "dL/dMul", "dL/dw"} <= set(others)
    assert not set(others) & set(forward)


def test_a_loss_is_not_called_like_a_parameter():
    told = story(gn.Graph(gn.Sum(gn.Parameter("L", [1.0, 2.0]) ** 2)))
    assert told["loss"] == "Sum" and "dSum/dL" in by_name(told)


def test_values_and_gradients_are_those_of_the_run():
    feeds = {"x": [[1.0, -1.0], [0.5, 2.0]], "t": [0, 1]}
    graph = net()
    told = story(graph, feeds=feeds)
    named, values = by_name(told), told["values"]
    assert values[named["x"]["value"]]["numbers"] == [1.0, -1.0, 0.5, 2.0]
    W = graph.parameters["W"]
    dW = gn.compile(gn.grad(graph.outputs["out"], W))(**feeds)
    np.testing.assert_allclose(values[named["W"]["gradient"]]["numbers"], dW.ravel(), rtol=1e-6)
    assert named["W"]["gradient"] == named["dL/dW"]["value"]
    assert "gradient" not in named["x"]


@pytest.mark.parametrize("view", ["forward", "backward"])
def test_one_half_alone_tells_its_own(view):
    told = story(net(), view, {"x": np.eye(2), "t": [0, 1]})
    named = by_name(told)
    assert "gradient" in named["Sigmoid"] and ("arrives" in named["Sigmoid"]) == (view == "backward")
    assert ("dL/dW" in named) == (view == "backward")


@pytest.mark.parametrize(("view", "depth"), [("backward", None), ("forward", 0)])
def test_all_inputs_are_fed_whatever_is_drawn(view, depth):
    with gn.scope("all"):
        x, t, w = gn.Input("x", ("N",)), gn.Input("t", ("M",)), gn.Parameter("w", 2.0)
        graph = gn.Graph(gn.Sum(w * x) + gn.Sum(t))
    told = story(graph, view, {"x": [1.0, 2.0], "t": [3.0]}, depth)
    assert (depth == 0) == (told["values"] == [])


def test_updates_come_last():
    w = gn.Parameter("w", [1.0, 2.0])
    loss = gn.Sum(w * w)
    told = story(gn.Graph(loss, gn.SGD(lr=0.5).updates(loss)), feeds={})
    last = told["boxes"][told["order"][-1]]
    assert last["half"] == "update" and told["values"][last["value"]]["numbers"] == [0.0, 0.0]


def test_a_closed_scope_lists_what_it_holds():
    h = gn.Input("x", ("N", 2))
    for i in range(60):
        with gn.scope(f"layer{i}"):
            h = gn.Tanh(h @ gn.Parameter("W", np.eye(2)))
    told = story(gn.Graph(gn.Sum(h)), "forward", {"x": np.eye(2)}, depth=0)
    box = by_name(told)["layer0 … layer59"]
    assert box["spec"] == "× 60 3 nodes each" and len(box["inside"]) == 101 and "value" not in box
    assert box["inside"][0].startswith("layer0.W f32[2, 2] (test_steps.py:") and box["inside"][-1] == "and 80 more"
    assert [told["boxes"][i]["name"] for i in box["reads"]] == ["x"]
    assert "depth=1" in told["remark"]


def test_numbers_without_a_box_are_written_where_they_are_read():
    told = by_name(story(gn.Graph(gn.Input("x", ("N",)) * 2 + 1), "forward"))
    assert told["Mul"]["formula"] == "x * 2" and told["Add"]["formula"] == "Mul + 1"


def test_a_loop_tells_what_it_runs():
    xs, w = gn.Input("xs", ("T", 1, 2)), gn.Parameter("w", np.eye(2))
    last, _ = gn.Scan(lambda h, x: (gn.Tanh(h @ w + x), h), init=np.zeros((1, 2)), xs=xs)
    told = by_name(story(gn.Graph(gn.Sum(last)), "forward", {"xs": np.ones((3, 1, 2))}))
    assert "Tanh" in told["Scan"]["body"] and "value" not in told["Scan"]
