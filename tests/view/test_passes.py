"""What the passes did: a row for each that changed something, what went and what came marked, and nothing else."""

from xml.etree import ElementTree

import numpy as np
import pytest

import graphnn as gn
from graphnn.view.passes import GONE, NEW, passes_sheet
from graphnn.view.svg import sheet_to_svg


def log_of_softmax(backend="numpy", **options):
    x, W = gn.Input("x", ("N", 4)), gn.Parameter("W", np.ones((4, 4)))
    return gn.compile(gn.Sum(gn.Log(gn.Softmax(x @ W)) * 1.0), backend=backend, **options)


def chain(length):
    x = gn.Input("x", ("N", 4))
    for i in range(length // 4):
        x = x + gn.Tanh(gn.Mul(x @ gn.Parameter(f"W{i}", np.ones((4, 4))), 1.0))
    loss = gn.Sum(x)
    return gn.compile(loss, gn.SGD(lr=1.0).updates(loss))


def marked(part, fill):
    return [box.lines[0] for box in part.shown.boxes if box.fill == fill]


def test_each_pass_that_changed_something_has_its_graph_before_and_after():
    f = log_of_softmax()
    sheet = passes_sheet(f.stages)
    changed = [b for a, b in zip(f.stages, f.stages[1:], strict=False) if a.graph is not b.graph]
    assert len(sheet.parts) == 2 * len(changed)
    words = [heading.text for heading in sheet.headings]
    assert words[0] == "stabilise (stabilising): 8 -> 7 nodes, by log of softmax (1)"
    assert words[1:3] == ["before", "after"] and words.count("before") == len(changed)
    assert words[-1].startswith("unchanged by ") and "trim" in words[-1]


def test_what_went_has_a_minus_and_what_came_a_plus():
    before, after, *_ = passes_sheet(log_of_softmax().stages).parts
    assert marked(before, GONE) == ["− Softmax", "− Log"] and marked(after, NEW) == ["+ LogSoftmax"]
    others = [box for part in (before, after) for box in part.shown.boxes if box.lines[0][0] not in "−+"]
    assert len(others) == 10 and {box.fill for box in others} == {"#ffffff"}  # built again over others is no change


def test_equal_nodes_that_became_one_are_gone_but_for_one():
    x = gn.Input("x", ("N",))
    f = gn.compile(gn.Sum(gn.Exp(x) * gn.Tanh(gn.Exp(x))))
    i = next(i for i, stage in enumerate(f.stages) if stage.name == "share")
    before, after = passes_sheet(f.stages[i - 1 : i + 1]).parts
    assert marked(before, GONE) == ["− Exp"] and marked(after, NEW) == []


def test_before_and_after_stand_side_by_side_or_where_they_are_wide_one_above_the_other():
    parts = passes_sheet(log_of_softmax().stages).parts
    first, second = parts[:2]
    assert first.y == second.y and second.x > first.x + first.layout.size[0]
    left, right = next((a, b) for a, b in zip(parts[::2], parts[1::2], strict=True) if a.y != b.y)
    assert right.x == left.x and right.y > left.y + left.layout.size[1]


def test_no_two_pictures_overlap_and_all_lie_on_the_sheet():
    sheet = passes_sheet(chain(40).stages)
    bounds = [(p.x, p.y, p.x + p.layout.size[0], p.y + p.layout.size[1]) for p in sheet.parts]
    for i, a in enumerate(bounds):
        assert a[0] >= 0 and a[1] >= 0 and a[2] <= sheet.width and a[3] <= sheet.height
        for b in bounds[i + 1 :]:
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
    assert all(0 <= y <= sheet.height and x < sheet.width for x, y, _ in sheet.headings)


def test_of_a_large_graph_what_changed_is_drawn_with_its_neighbours():
    f = chain(400)
    sheet = passes_sheet(f.stages)
    assert all(len(part.shown.boxes) <= 40 for part in sheet.parts)
    part = next(part for part in sheet.parts if marked(part, GONE))
    assert "what changes, and what is next to it" in part.shown.remark
    drawn = set(part.shown.boxes)
    assert all(arrow.tail in drawn and arrow.head in drawn for arrow in part.shown.arrows)


def test_closed_scopes_count_what_changed_in_them():
    x = gn.Input("x", ("N", 4))
    for i in range(3):
        with gn.scope(f"layer{i}"):
            x = gn.Tanh(x) if i == 1 else gn.Log(gn.Softmax(gn.Tanh(x)))
    f = gn.compile(gn.Sum(x))
    first = passes_sheet(f.stages[:2], depth=0).parts[0]
    assert [box.lines for box in first.shown.boxes][1:4] == [
        ("layer0", "3 nodes", "− 2"), ("layer1", "1 node"), ("layer2", "3 nodes", "− 2"),
    ]  # fmt: skip


@pytest.mark.parametrize("suffix", [".svg", ".png", ".pdf", ".html", ".dot"])
def test_the_suffix_decides(renderer, tmp_path, suffix):
    path = tmp_path / f"passes{suffix}"
    assert gn.render_passes(log_of_softmax(), path) == str(path)
    starts = {".svg": b"<?xml", ".png": b"\x89PNG", ".pdf": b"%PDF", ".html": b"<!DOCTYPE", ".dot": b"digraph"}
    assert path.read_bytes().startswith(starts[suffix]) and [p.name for p in tmp_path.iterdir()] == [path.name]


def test_native_passes_are_drawn_too(tmp_path):
    if gn.backends()["native"] != "ok":
        pytest.skip(gn.backends()["native"])
    words = [heading.text for heading in passes_sheet(log_of_softmax("native").stages).headings]
    assert any(text.startswith("rows (exact)") for text in words)


def test_a_program_without_passes_says_so(tmp_path):
    f = log_of_softmax(passes=[])
    gn.render_passes(f, tmp_path / "passes.svg")
    assert ElementTree.parse(tmp_path / "passes.svg").getroot().tag.endswith("svg")
    kept = passes_sheet(gn.compile(gn.Sum(gn.Input("x", (2,)))).stages)
    assert not kept.parts and kept.headings[0].text.startswith("unchanged by stabilise")


def test_hostile_names_stay_text(tmp_path):
    nodes = [gn.Parameter(name, [1.0, 2.0]) for name in ("</text><script>alert(1)</script>", '"]; a -> b', "a:b:c")]
    with gn.scope("<b>bold</b>"):
        f = gn.compile(gn.Sum(gn.AddN(tuple(nodes)) * 1.0))
    gn.render_passes(f, tmp_path / "passes.svg")
    root = ElementTree.parse(tmp_path / "passes.svg").getroot()
    assert {e.tag.rpartition("}")[2] for e in root.iter()} <= {"svg", "g", "rect", "ellipse", "polygon", "path", "text"}
    assert len([e for e in root.iter() if e.get("class") == "node"]) == sum(
        len(part.shown.boxes) for part in passes_sheet(f.stages).parts
    )


@pytest.mark.slow
def test_passes_over_a_thousand_nodes_are_drawn():
    assert sheet_to_svg(passes_sheet(chain(1000).stages)).endswith("</svg>\n")


@pytest.mark.slow
def test_the_same_bytes_whatever_the_hash_seed(run_python):
    code = (
        "import numpy as np, graphnn as gn\n"
        "from graphnn.view.passes import passes_sheet\n"
        "from graphnn.view.svg import sheet_to_svg\n"
        "x, t = gn.Input('x', ('N', 2)), gn.Input('t', ('N',), dtype='int64')\n"
        "loss = gn.SoftmaxCE(gn.Affine(x, gn.Parameter('W', np.ones((2, 4))), gn.Parameter('b', np.ones(4))), t)\n"
        "print(sheet_to_svg(passes_sheet(gn.compile(loss, gn.Adam().updates(loss)).stages)))\n"
    )
    assert run_python(code, PYTHONHASHSEED="1") == run_python(code, PYTHONHASHSEED="2")
