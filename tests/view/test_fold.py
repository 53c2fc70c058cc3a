"""Folded layouts: what is long and slim goes on in the next row, and no arrow loses its way."""

import itertools

import numpy as np
import pytest

import graphnn as gn
from graphnn.view.fold import Folded
from graphnn.view.layout import Layout
from graphnn.view.page import to_page
from graphnn.view.picture import picture
from graphnn.view.routes import routes
from graphnn.view.sheet import sheet_of


def chain(length):
    node = gn.Input("x", ("N", 4))
    for i in range(length // 4):
        node = node + gn.Tanh(node @ gn.Parameter(f"W{i}", np.ones((4, 4))))
    return gn.Graph(gn.Sum(node))


def folded(length, view):
    shown = picture(chain(length), view)
    layout = Layout(shown, view)
    return shown, layout, Folded(shown, layout, fold=True)


VIEWS = ["forward", "backward", "both"]


@pytest.mark.parametrize("view", VIEWS)
def test_boxes_stand_apart_within_the_sheet_in_rows(view):
    shown, layout, fold = folded(160, view)
    width, height = fold.size
    assert layout.size[0] > 5 * width and height > 3 * layout.size[1] and 0.5 < width / height < 4
    bounds = [fold.bounds(box) for box in shown.boxes]
    for left, top, right, bottom in bounds:
        assert 0 <= left < right <= width and 0 <= top < bottom <= height
    for a, b in itertools.combinations(bounds, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


@pytest.mark.parametrize("view", VIEWS)
def test_frames_hold_their_own_in_each_row(view):
    shown, _, fold = folded(160, view)
    frames = list(fold.frames())
    width, height = fold.size
    for frame, x, y, w, h in frames:
        assert 0 <= x < x + w <= width and 0 <= y < y + h <= height, frame
    for box in shown.boxes:
        left, top, right, bottom = fold.bounds(box)
        around = [f for f, x, y, w, h in frames if x <= left and right <= x + w and y <= top and bottom <= y + h]
        assert tuple(around) == box.place


@pytest.mark.parametrize("view", VIEWS)
def test_arrows_go_on_in_the_next_row_at_the_same_height(view):
    shown, layout, fold = folded(160, view)
    pieces = {}
    for number, route in fold.routes():
        pieces.setdefault(number, []).append(route)
    assert list(pieces) == list(range(len(shown.arrows)))
    assert max(map(len, pieces.values())) > 1
    band = layout.size[1]
    for number, whole in enumerate(routes(shown, layout)):
        parts, arrow = pieces[number], shown.arrows[number]
        assert [part.tip is not None for part in parts] == [False] * (len(parts) - 1) + [True]
        assert parts[-1].text == whole.text
        for one, other in itertools.pairwise(parts):
            assert one.curve[-1][1] % band == pytest.approx(other.curve[0][1] % band)
            assert abs(one.curve[-1][1] - other.curve[0][1]) == pytest.approx(band)
        for point, box in ((parts[0].curve[0], arrow.tail), (parts[-1].curve[-1], arrow.head)):
            left, top, right, bottom = fold.bounds(box)
            assert left <= point[0] <= right and top <= point[1] <= bottom


@pytest.mark.parametrize("view", VIEWS)
def test_every_point_of_an_arrow_is_on_the_sheet(view):
    _, _, fold = folded(160, view)
    points = np.array([point for _, route in fold.routes() for point in route.curve])
    assert (points >= 0).all() and (points <= fold.size).all()


def test_what_is_short_stays_in_one_row():
    shown = picture(chain(12), "forward")
    layout = Layout(shown, "forward")
    fold = Folded(shown, layout, fold=True)
    assert fold.size == layout.size and list(fold.frames()) == list(layout.frames())
    assert [route for _, route in fold.routes()] == list(routes(shown, layout))
    assert all(fold.bounds(box) == layout.bounds(box) for box in shown.boxes)


def test_legend_and_remark_stand_beneath_the_last_row():
    shown = picture(chain(160), "forward")._replace(
        legend=tuple(("#ffffff", f"an entry of the legend, number {i}") for i in range(40)), remark="a remark"
    )
    sheet = sheet_of(shown, "forward")
    fold = sheet.parts[0].layout
    lowest = max(fold.bounds(box)[3] for box in shown.boxes)
    heights = sorted({swatch.y for swatch in fold.legend})
    assert len(heights) > 1 and lowest < heights[0] and heights[-1] + 18 < sheet.height
    assert all(swatch.x + 6.4 * len(swatch.text) <= sheet.width for swatch in fold.legend)


def test_pages_are_not_folded():
    graph = chain(160)
    page = to_page(graph, "chain", "forward")
    svg = page[page.index("<svg") : page.index("</svg>")]
    assert svg.count('<path d="M') - svg.count('stroke="#333333"/></g>') >= len(picture(graph, "forward").arrows)
    assert sheet_of(picture(graph, "forward"), "forward", fold=False).width > 5000
