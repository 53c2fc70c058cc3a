"""Pictures drawn by graphnn itself: every node and arrow, nothing on top of anything, and no markup from labels."""

import itertools
from xml.etree import ElementTree

import numpy as np
import pytest

import graphnn as gn
from graphnn.view.columns import columns
from graphnn.view.layout import Layout
from graphnn.view.picture import picture
from graphnn.view.routes import routes
from graphnn.view.svg import to_svg

VIEWS = ["forward", "backward", "both"]


def net(layers=2):
    x, t = gn.Input("x", ("N", 4)), gn.Input("t", ("N",), dtype="int64")
    h = x
    for i in range(layers):
        with gn.scope(f"layer{i}"):
            w, b = gn.Parameter("W", np.ones((4, 4))), gn.Parameter("b", np.zeros(4))
            h = h + gn.Tanh(gn.Affine(h, w, b))
    return gn.Graph(gn.SoftmaxCE(h, t))


def drawn(graph, view):
    return ElementTree.fromstring(to_svg(picture(graph, view), view).encode())


@pytest.mark.parametrize("view", VIEWS)
def test_every_box_is_a_group_with_its_lines(view):
    graph = net()
    shown, root = picture(graph, view), drawn(graph, view)
    groups = [["".join(text.itertext()) for text in g if text.tag.endswith("text")] for g in root if g.get("class")]
    assert groups == [list(box.lines) for box in shown.boxes]
    assert len(root.findall("{*}path")) == len(shown.arrows)


@pytest.mark.parametrize("view", VIEWS)
def test_no_two_boxes_overlap_and_frames_hold_their_own_alone(view):
    shown = picture(net(3), view)
    layout = Layout(shown, view)
    width, height = layout.size
    bounds = {box: layout.bounds(box) for box in shown.boxes}
    for a, b in itertools.combinations(bounds.values(), 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
    assert all(0 <= left < right <= width and 0 <= top < low <= height for left, top, right, low in bounds.values())
    for box, (left, top, right, low) in bounds.items():
        around = []
        for frame, x, y, w, h in layout.frames():
            if x <= left and right <= x + w and y <= top and low <= y + h:
                around.append(frame)
            else:
                assert right <= x or x + w <= left or low <= y or y + h <= top, (frame, box.lines)
        assert tuple(around) == box.place


def test_the_halves_flow_against_each_other_and_partners_share_a_column():
    shown = picture(net(), "both")
    column = columns(shown, "both")
    within = [(tail, head) for tail, head, *_ in shown.arrows if tail.half == head.half]
    assert {tail.half for tail, _ in within} == {"forward", "backward"}
    assert all((column[head] > column[tail]) == (head.half == "forward") for tail, head in within)
    assert shown.partners and all(column[f] == column[b] for f, b in shown.partners)


@pytest.mark.parametrize("view", VIEWS)
def test_a_machine_without_a_renderer_still_draws(bare, tmp_path, view):
    graph = net()
    for name in ("net.svg", "net.html"):
        graph.render(tmp_path / name, view=view)
        assert "SoftmaxCE" in (tmp_path / name).read_text(encoding="utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.html", "net.svg"]


@pytest.mark.parametrize("suffix", [".png", ".pdf"])
def test_what_needs_a_renderer_names_the_mends(bare, tmp_path, suffix):
    with pytest.raises(gn.RenderError, match=r"Install Graphviz .* pip install 'graphnn\[render\]'; or draw an \.svg"):
        net().render(tmp_path / f"net{suffix}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("view", VIEWS)
def test_hostile_names_are_text_and_nothing_else(hostile, view):
    root = drawn(hostile, view)
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert tags <= {"svg", "g", "rect", "ellipse", "polygon", "path", "text"}
    assert not any("href" in key or key.startswith("on") for element in root.iter() for key in element.attrib)
    assert len(root.findall("{*}g")) == len(picture(hostile, view).boxes)
    if view != "backward":
        words = [text.text for text in root.findall(".//{*}text")]
        assert {"<b>bold</b>", "</text><script>alert(1)</script>", "line\\nbreak", "日本語"} <= set(words)
        assert sum(g.find("{*}path") is not None for g in root.findall("{*}g")) == len(hostile.parameters)


@pytest.mark.slow
def test_the_same_bytes_every_time(run_python):
    code = (
        "import numpy as np, graphnn as gn\n"
        "from graphnn.view.picture import picture\n"
        "from graphnn.view.svg import to_svg\n"
        "loss = gn.Sum(gn.Tanh(gn.Affine(gn.Input('x', ('N', 2)), np.ones((2, 4)), gn.Parameter('b', np.ones(4)))))\n"
        "print(to_svg(picture(gn.Graph(loss), 'both'), 'both'))\n"
    )
    assert run_python(code, PYTHONHASHSEED="1") == run_python(code, PYTHONHASHSEED="2")


def test_an_empty_picture_is_a_picture():
    from graphnn.view.picture import Picture

    root = ElementTree.fromstring(to_svg(Picture((), (), (), ""), "forward").encode())
    assert root.tag.endswith("svg")


def crossed(route, bounds, ends):
    """The boxes that a route runs through, other than those that it joins: its curves at nine places each."""
    found = set()
    points = route.curve
    for i in range(0, len(points) - 1, 3):
        curve = np.array(points[i : i + 4])
        for t in np.linspace(0, 1, 9):
            x, y = np.array([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3]) @ curve
            found |= {b for b, (left, top, right, low) in bounds.items() if left < x < right and top < y < low}
    return found - set(ends)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("trained", [False, True])
def test_no_arrow_runs_behind_a_box(view, trained):
    graph = net(3)
    if trained:
        loss = graph.outputs["out"]
        graph = gn.Graph(loss, gn.Momentum(lr=1.0).updates(loss))
    shown = picture(graph, view)
    layout = Layout(shown, view)
    bounds = {box: layout.bounds(box) for box in shown.boxes}
    for arrow, route in zip(shown.arrows, routes(shown, layout), strict=True):
        assert not crossed(route, bounds, (arrow.tail, arrow.head)), (arrow.tail.lines, arrow.head.lines)


def test_lanes_of_different_values_lie_apart():
    a, b = gn.Input("a", (2,)), gn.Input("b", (2,))
    far = [gn.Tanh(gn.Tanh(gn.Exp(node))) for node in (a, b)]
    shown = picture(gn.Graph(gn.Sum(gn.AddN((*far, gn.Sin(a), gn.Sin(b))))), "forward")
    layout = Layout(shown, "forward")
    lanes = {}
    for arrow, route in zip(shown.arrows, routes(shown, layout), strict=True):
        for one, other in itertools.pairwise(route.curve):
            if one[1] == other[1] and other[0] - one[0] > 40:
                lanes.setdefault(arrow.tail, set()).add(one[1])
    for one, other in itertools.combinations(lanes.values(), 2):
        assert one.isdisjoint(other)


def test_arrows_over_many_columns_run_beneath_all_boxes():
    x = gn.Input("x", ("N",))
    node = first = gn.Exp(x)
    for _ in range(50):
        node = gn.Tanh(node)
    shown = picture(gn.Graph(gn.Sum(node + first)), "forward")
    layout = Layout(shown, "forward")
    lowest = max(layout.bounds(box)[3] for box in shown.boxes)
    by_ends = {(a.tail.lines[0], a.head.lines[0]): r for a, r in zip(shown.arrows, routes(shown, layout), strict=True)}
    route = by_ends["Exp", "Add"]
    assert lowest < max(y for _, y in route.curve) < layout.size[1]
