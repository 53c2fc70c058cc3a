"""Loops and branches: what they run stands in a frame, and values enter it and leave it by arrows."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.view.bodies import with_bodies
from graphnn.view.collapse import collapse
from graphnn.view.layout import Layout
from graphnn.view.picture import picture
from graphnn.view.plan import plan_picture


def loop():
    x, W, h = gn.Input("x", ("T", 1, 4)), gn.Parameter("W", np.eye(4)), gn.Parameter("h", np.zeros((1, 4)))
    last, ys = gn.Scan(lambda h, x: (gn.Tanh(h @ W + x), gn.Exp(h)), h, x)
    return gn.Graph(gn.Mean(last) + gn.Mean(ys))


def branch():
    x, w = gn.Parameter("x", 2.0), gn.Parameter("w", 3.0)
    return gn.Graph(gn.Cond(x > 1.0, lambda: gn.Exp(x) * 2.0, lambda: gn.Cond(w > 0.0, lambda: w * x, lambda: w)))


def frames(box):
    return [frame.text for frame in box.place if frame.kind == "body"]


def arrows(shown):
    return {(a.tail.lines[0], a.head.lines[0], a.text) for a in shown.arrows}


def test_a_loop_has_its_body_in_a_frame_with_what_it_is_given_and_returns():
    shown = with_bodies(picture(loop(), "forward"))
    inside = {box.lines[0]: box for box in shown.boxes if frames(box)}
    assert set(inside) == {"carry0", "x0", "W", "MatMul", "Add", "Tanh", "Exp", "Scan"}
    assert all(frames(box) == ["Scan, length=T"] for box in inside.values())
    assert inside["carry0"].lines[-1] == "from turn to turn" and inside["carry0"].kind == "saved"
    found = arrows(shown)
    assert {("h", "carry0", ""), ("x", "x0", ""), ("W", "W", ""), ("carry0", "MatMul", "")} <= found
    assert {("Tanh", "Scan", "next carry0"), ("Exp", "Scan", "")} <= found
    assert not any(tail in ("h", "x") and head == "Scan" for tail, head, _ in found)


def test_a_branch_has_a_frame_for_each_way_and_branches_inside_too():
    shown = with_bodies(picture(branch(), "forward"))
    found = {}
    for box in shown.boxes:
        found.setdefault(tuple(frames(box)), []).append(box.lines[0])
    assert found[("Cond", "then")] == ["x", "Exp", "Mul"]
    assert found[("Cond", "otherwise", "Cond", "then")] == ["x", "w", "Mul"]
    assert found[("Cond", "otherwise", "Cond", "otherwise")] == ["w"]
    assert ("Greater", "out = Cond", "") in arrows(shown)  # the condition stays outside


@pytest.mark.parametrize("graph", [loop, branch])
@pytest.mark.parametrize("view", ["forward", "backward", "both"])
def test_arrows_are_between_what_is_drawn_and_no_id_stands_twice(graph, view):
    before = picture(graph(), view)
    shown = with_bodies(before)
    drawn = set(shown.boxes)
    assert len(shown.boxes) > len(before.boxes)
    assert all(box in drawn for tail, head, _ in shown.arrows for box in (tail, head))
    assert all(box in drawn for pair in shown.partners for box in pair)
    assert len({box.id for box in shown.boxes}) == len(shown.boxes)


@pytest.mark.parametrize("view", ["forward", "both"])
def test_frames_hold_their_own_and_nothing_else(view):
    shown = with_bodies(picture(loop(), view))
    layout = Layout(shown, view)
    for box in shown.boxes:
        left, top, right, low = layout.bounds(box)
        around = [
            frame for frame, x, y, w, h in layout.frames() if x <= left and right <= x + w and y <= top and low <= y + h
        ]
        assert tuple(around) == box.place


def test_a_body_closes_like_a_scope():
    shown = collapse(with_bodies(picture(loop(), "forward")), 0)
    assert ("Scan, length=T", "8 nodes") in [box.lines for box in shown.boxes]
    assert "depth=1 opens one level more" in shown.remark


def test_without_loops_and_branches_nothing_changes():
    shown = picture(gn.Graph(gn.Sum(gn.Exp(gn.Input("x", ("N",))))), "forward")
    assert with_bodies(shown) is shown


@pytest.mark.parametrize("text", ["to_dot", "to_mermaid"])
def test_both_languages_have_bodies(text):
    assert "carry0" in getattr(loop(), text)("both")


def test_every_file_has_them(renderer, tmp_path):
    for name in ("net.svg", "net.png", "net.pdf"):
        loop().render(tmp_path / name, view="both")
    assert "from turn to turn" in (tmp_path / "net.svg").read_text()


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_a_plan_has_them_too(backend):
    if gn.backends()[backend] != "ok":
        pytest.skip(gn.backends()[backend])
    graph = loop()
    loss = graph.outputs["out"]
    f = gn.compile(loss, gn.SGD(lr=1.0).updates(loss), backend=backend)
    stages = [(stage.graph, stage.record) for stage in f.stages]
    for seconds in (None, [1e-6] * len(f.plan.steps)):
        shown = plan_picture(stages, f.plan, None, seconds)
        inside = [box for box in shown.boxes if frames(box) and not box.nodes]
        assert len(inside) > 10 and {box.fill for box in inside} == {"#ffffff"}
        closed = plan_picture(stages, f.plan, 0, seconds)
        assert len(closed.boxes) <= len(shown.boxes) - len(inside)


def test_names_inside_stay_text(tmp_path):
    x = gn.Parameter("</text><script>alert(1)</script>", np.ones(3))
    last, _ = gn.Scan(lambda h: (h * x, h), np.ones(3), length=3)
    gn.Graph(gn.Sum(last)).render(tmp_path / "net.svg", view="both")
    assert "<script" not in (tmp_path / "net.svg").read_text()
