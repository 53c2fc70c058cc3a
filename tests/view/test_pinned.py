"""Sheets painted by Graphviz at places that graphnn tells: the same places, and as quickly as they are many."""

import re
import struct
from xml.etree import ElementTree

import numpy as np
import pytest

import graphnn as gn
from graphnn.view import render as rendering
from graphnn.view.layout import LID
from graphnn.view.picture import picture
from graphnn.view.pinned import sheet_to_dot
from graphnn.view.sheet import sheet_of


def chain(length):
    node = gn.Input("x", ("N", 4))
    for i in range(length // 4):
        node = node + gn.Tanh(node @ gn.Parameter(f"W{i}", np.ones((4, 4))))
    return gn.Graph(gn.Sum(node))


def drawn(sheet):
    return ElementTree.fromstring(rendering.draw(sheet_to_dot(sheet), "svg", pinned=True))


def test_every_box_stands_where_its_layout_says(renderer):
    sheet = sheet_of(picture(chain(12), "both"), "both")
    [part] = sheet.parts
    root = drawn(sheet)
    nodes = [g for g in root.iter() if g.get("class") == "node"]
    assert len(nodes) == len(part.shown.boxes)
    assert len([g for g in root.iter() if g.get("class") == "edge"]) == len(part.shown.arrows)
    assert len([g for g in root.iter() if g.get("class") == "cluster"]) == len(list(part.layout.frames()))
    by_title = {g.find("{*}title").text: g for g in nodes}
    shifts = []
    for box in part.shown.boxes:
        left, top, right, bottom = part.layout.bounds(box)
        words = by_title[f"p0{box.id}"].findall("{*}text")
        assert [word.text.replace("\xa0", " ") for word in words] == list(box.lines)
        places = [(float(word.get("x")), float(word.get("y"))) for word in words]
        lid = LID if box.kind == "parameter" else 0
        x, y = np.mean(places, axis=0) - ((left + right) / 2, (top + lid + bottom) / 2)
        shifts.append((x, y))
    # Graphviz counts from a corner of its own: all are shifted alike.
    assert np.ptp(np.array(shifts), axis=0).max() <= 3


@pytest.mark.parametrize("view", ["forward", "backward", "both"])
def test_hostile_names_are_text_and_nothing_else(hostile, renderer, view):
    sheet = sheet_of(picture(hostile, view), view)
    root = drawn(sheet)
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert tags <= {"svg", "g", "title", "polygon", "path", "text", "ellipse", "polyline"}, tags
    boxes = [element for element in root.iter() if element.get("class") == "node"]
    assert len(boxes) == len(sheet.parts[0].shown.boxes)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".png", ".pdf"])
def test_a_thousand_nodes_without_scopes_are_painted(renderer, tmp_path, suffix):
    path = tmp_path / f"net{suffix}"
    chain(1000).render(path, view="both")
    assert path.read_bytes()[:4] in (b"\x89PNG", b"%PDF")


def test_the_same_bytes_every_time():
    first, second = (sheet_to_dot(sheet_of(picture(chain(20), "both"), "both")) for _ in range(2))
    assert first == second and not re.search(r"URL|href|<", first.replace("->", "").replace("<-", ""))


@pytest.mark.parametrize(("length", "longest"), [(12, 4000), (1000, 9000)])
def test_bitmaps_stay_within_bounds(renderer, tmp_path, length, longest):
    path = tmp_path / "net.png"
    chain(length).render(path, view="both")
    width, height = struct.unpack(">II", path.read_bytes()[16:24])  # of the header
    assert longest / 4 < max(width, height) <= longest and width * height < 14_000_000
