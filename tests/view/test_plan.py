"""The plan as a picture: frames hold what is one step, buffers have colours and numbers, and time is heat."""

import itertools
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from random_graphs import random_program

import graphnn as gn
from graphnn.backends.numpy import PASSES
from graphnn.transform.group import group
from graphnn.transform.products import products
from graphnn.transform.rows import rows
from graphnn.view.dot import picture_to_dot
from graphnn.view.plan import HEAT, SLOTS, STATE, plan_picture

GROUPED = (*PASSES, products, group)
"""These and no others, so that what is one step is known here."""


def net(scopes=("one", "two")):
    """A net of two layers, its loss, and its points."""
    rng = np.random.default_rng(0)
    x, t = gn.Input("x", ("N", 2)), gn.Input("t", ("N",), dtype="int64")
    h = x
    for name, high, wide in zip(scopes, (2, 10), (10, 3), strict=True):
        with gn.scope(name):
            W, b = gn.Parameter("W", rng.normal(size=(high, wide))), gn.Parameter("b", np.zeros(wide))
            h = gn.Sigmoid(gn.Affine(h, W, b))
    loss = gn.SoftmaxCE(h, t)
    return loss, {"x": rng.normal(size=(30, 2)), "t": rng.integers(0, 3, 30)}


def trained(backend, passes=GROUPED):
    loss, feeds = net()
    return gn.compile(loss, gn.SGD(lr=1.0).updates(loss), backend=backend, passes=passes), feeds


def drawn(f, depth=None, seconds=None, sizes=None):
    return plan_picture([(s.graph, s.record) for s in f.stages], f.plan, depth, seconds, sizes)


def step_of(box):
    return next((frame for frame in box.place if frame.kind == "step"), None)


BACKENDS = ["numpy", "native"]


@pytest.fixture(params=BACKENDS)
def backend(request):
    if gn.backends()[request.param] != "ok":
        pytest.skip(gn.backends()[request.param])
    return request.param


@pytest.fixture
def native():
    if gn.backends()["native"] != "ok":
        pytest.skip(gn.backends()["native"])
    return "native"


def check_steps(f):
    """Each step of a plan is drawn once, by the name that the printed plan has."""
    shown = drawn(f)
    called = re.findall(r"^  (%\d+) = .*   (?:slot|into)", str(f.plan), re.MULTILINE)
    heads = [word for box in shown.boxes if box.kind != "saved" for word in re.findall(r"%\d+(?= )", box.lines[0])]
    frames = {step_of(box) for box in shown.boxes if step_of(box)}
    heads += [word for frame in frames for word in re.findall(r"%\d+(?=, one step)", frame.text)]
    assert set(called) <= set(heads) and len(heads) == len(set(heads))
    assert len(called) == len(f.plan.steps)


def test_each_step_is_drawn_once_by_the_name_that_the_printed_plan_has(backend):
    check_steps(trained(backend)[0])
    check_steps(trained(backend, "default")[0])


@pytest.mark.parametrize("seed", range(12))
def test_random_programs_are_drawn(backend, seed):
    program = random_program(seed)
    f = gn.compile(program.outputs, program.updates, backend=backend, check_finite=None)
    check_steps(f)
    steps = {frame.serial for box in drawn(f, seconds=[0.0] * len(f.plan.steps)).boxes if (frame := step_of(box))}
    assert steps <= set(range(len(f.plan.steps)))


def test_what_is_one_step_stands_in_one_frame_with_the_nodes_that_it_computes(native):
    x, w = gn.Input("x", ("N",)), gn.Parameter("w", np.ones(3))
    f = gn.compile(gn.Sum(gn.Exp(gn.Tanh(x) * 2.0)) + gn.Sum(w), backend="native")
    shown = drawn(f)
    inside = [box for box in shown.boxes if step_of(box)]
    assert [box.lines[0] for box in inside] == ["Tanh", "Mul", "%0 Exp"]
    assert len({step_of(box) for box in inside}) == 1
    within = [(a.tail.lines[0], a.head.lines[0]) for a in shown.arrows if a.tail in inside]
    assert within == [("Tanh", "Mul"), ("Mul", "%0 Exp"), ("%0 Exp", "%1 Sum")]
    assert [type(step.node).__name__ for step in f.plan.steps] == ["Map", "Sum", "Sum", "Add"]


def test_groups_of_a_training_step_are_those_of_the_plan(native):
    f, _ = trained("native")
    frames = {}
    for box in drawn(f).boxes:
        if frame := step_of(box):
            frames.setdefault(frame.serial, []).append(box)
    made = [i for i, step in enumerate(f.plan.steps) if type(step.node).__name__ == "Map"]
    assert sorted(frames) == made and len(frames) >= 4
    assert ["Add", "%3 Sigmoid"] in [[box.lines[0] for box in boxes] for boxes in frames.values()]
    for i, boxes in frames.items():
        assert len(boxes) >= 2 and len({box.half for box in boxes}) == 1, f.plan.steps[i]


def test_a_step_with_several_results_says_at_each_where_it_is(native):
    x, t = gn.Input("x", ("N", 3)), gn.Input("t", ("N",), dtype="int64")
    W = gn.Parameter("W", np.ones((3, 3)))
    loss = gn.SoftmaxCE(x @ W, t)
    f = gn.compile(loss, gn.SGD(lr=1.0).updates(loss), backend="native", passes=(*GROUPED, rows))
    [step] = [step for step in f.plan.steps if type(step.node).__name__ == "Rows"]
    shown = drawn(f)
    inside = [box for box in shown.boxes if step_of(box) and step_of(box).text.endswith("one step")]
    assert {"Max", "Exp", "Sum", "Log"} <= {box.lines[0] for box in inside}
    assert {box.half for box in inside} == {"forward"}
    found = [(re.match(r"slot (\d+) · ", box.lines[-1]), box) for box in inside]
    told = {int(match[1]): box for match, box in found if match}
    assert sorted(told) == sorted(f.plan.values[step.node].slots) and len(told) == 2
    assert all(box.fill == SLOTS[slot % len(SLOTS)] for slot, box in told.items())
    timed = [box for box in drawn(f, seconds=[1e-6] * len(f.plan.steps)).boxes if step_of(box)]
    assert any(f"one step · 1.0 us, {100 / len(f.plan.steps):.0f} %" in step_of(box).text for box in timed)


def test_without_passes_that_fuse_each_step_is_by_itself(backend):
    f, _ = trained(backend, passes="none")
    assert not any(step_of(box) for box in drawn(f).boxes)


def test_equal_buffers_have_equal_colours_and_every_one_its_number(backend):
    f, _ = trained(backend)
    shown = drawn(f)
    fills = {}
    for box in shown.boxes:
        whole = step_of(box) and not step_of(box).text.endswith("one step")
        told, fill = (step_of(box).text, step_of(box).fill) if whole else (box.lines[-1], box.fill)
        if found := re.match(r"slot (\d+)", told):
            assert fills.setdefault(int(found[1]), fill) == fill
            assert fill == SLOTS[int(found[1]) % len(SLOTS)]
        elif told.startswith("into "):
            assert fill == STATE
    assert {slot for value in f.plan.values.values() for slot in value.slots} >= set(fills) and len(fills) > 4
    assert shown.legend == tuple(
        (fills[slot], text) for slot, (_, text) in zip(sorted(fills), shown.legend, strict=True)
    )
    assert shown.legend[0][1] == "slot 0: 40·N bytes"


def test_bytes_are_formulas_or_numbers(backend):
    f, _ = trained(backend)
    bounds = [drawn(f), drawn(f, sizes={"N": 3000})]
    formula, number = (next(box for box in shown.boxes if box.lines[0] == "%0 MatMul").lines[-1] for shown in bounds)
    assert formula == "slot 0 · 40·N bytes" and number == "slot 0 · 117.2 KiB"


def test_time_is_heat_and_adds_up_in_closed_scopes(backend):
    f, _ = trained(backend)
    seconds = [1e-6 * (i + 1) for i in range(len(f.plan.steps))]
    shown = drawn(f, seconds=seconds)
    first = next(box for box in shown.boxes if "%0 MatMul" in box.lines)
    assert f"in {sum(seconds) * 1e6:.1f} us" in shown.remark
    assert first.fill == heat(1 / len(seconds))
    assert shown.legend[0] == (HEAT[0], "0.0 us") and shown.legend[-1] == (HEAT[-1], f"{len(seconds)}.0 us")
    closed = drawn(f, depth=0, seconds=seconds)
    told = [float(t) for text in said(closed) for t in re.findall(r"([\d.]+) us", text)]
    assert sum(told) == pytest.approx(sum(seconds) * 1e6, rel=1e-3)


def said(shown):
    """What boxes, and frames once each, say."""
    frames = {step_of(box): None for box in shown.boxes if step_of(box)}
    return [*(text for box in shown.boxes for text in box.lines), *(frame.text for frame in frames)]


def heat(part):
    low, high = (np.array([int(c[i : i + 2], 16) for i in (1, 3, 5)]) for c in HEAT[:2])
    assert part <= 0.5
    return "#" + "".join(f"{round(v):02x}" for v in low + (high - low) * 2 * part)


def linear(colour):
    channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def lab(light):
    """Source: CIE 1976 L*a*b*, for the white point D65."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ np.clip(light, 0, 1) / (0.9505, 1.0, 1.089)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


# Source: G. Machado, M. Oliveira and L. Fernandes, A Physiologically-based Model for Simulation of Color Vision
# Deficiency, 2009, at severity 1.
EYES = {
    "usual": np.eye(3),
    "protanope": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranope": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}


@pytest.mark.parametrize("eye", EYES)
def test_colours_of_buffers_are_told_apart_by_every_eye(eye):
    seen = [lab(EYES[eye] @ linear(colour)) for colour in (*SLOTS, STATE, "#ffffff")]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 15


def test_black_text_is_read_on_every_colour_and_heat_is_read_as_grey():
    light = {colour: linear(colour) @ (0.2126, 0.7152, 0.0722) for colour in (*SLOTS, STATE, *HEAT)}
    assert all((value + 0.05) / 0.05 > 4.5 for value in light.values())
    assert light[HEAT[0]] > 1.5 * light[HEAT[1]] > 2 * light[HEAT[2]]


def test_views_and_what_is_known_before_take_no_step(backend):
    f, _ = trained(backend)
    for box in drawn(f).boxes:
        [node] = box.nodes
        if box.lines[-1] == "a view":
            assert box.kind == "saved" and not box.fill and node.view(True) is not None
        if box.lines[-1] == "before the run":
            assert node.static


def test_hostile_names_stay_text(backend, tmp_path):
    nodes = [gn.Parameter(name, [1.0, 2.0]) for name in ("</text><script>alert(1)</script>", '"]; a -> b', "a:b:c")]
    x = gn.Input("x", (2,))
    with gn.scope("<b>bold</b>"):
        loss = gn.Sum(gn.Tanh(gn.AddN((*nodes, gn.Parameter("javascript:alert(1)", [1.0, 2.0]), x)) * 2.0))
    f = gn.compile(loss, gn.SGD(lr=1.0).updates(loss), backend=backend)
    for name in ("plan.svg", "plan.dot", "plan.html"):
        f.render(tmp_path / name, view="plan")
    root = ElementTree.parse(tmp_path / "plan.svg").getroot()
    assert {e.tag.rpartition("}")[2] for e in root.iter()} <= {"svg", "g", "rect", "ellipse", "polygon", "path", "text"}
    assert len([e for e in root.iter() if e.get("class") == "node"]) == len(drawn(f).boxes)
    assert "<script" not in (tmp_path / "plan.html").read_text()


@pytest.mark.parametrize("suffix", [".svg", ".png", ".pdf", ".dot", ".html"])
def test_a_plan_is_what_a_program_draws_and_the_suffix_decides(backend, renderer, tmp_path, suffix):
    f, feeds = trained(backend)
    path = tmp_path / f"plan{suffix}"
    assert f.render(path, view="plan", profile=f.profile(**feeds), depth=0, N=30) == str(path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    if suffix == ".dot":
        f.render(path)
        assert path.read_text() == picture_to_dot(drawn(f), "both")


def test_other_views_are_those_of_the_graph_as_declared(tmp_path):
    f, _ = trained("numpy")
    f.render(tmp_path / "f.dot", view="both", depth=1)
    assert (tmp_path / "f.dot").read_text() == f.graph.to_dot("both", depth=1)


def test_what_no_plan_can_be_drawn_of_is_refused(tmp_path):
    f, feeds = trained("numpy")
    other, _ = trained("numpy")
    path = tmp_path / "plan.svg"
    with pytest.raises(gn.RenderError, match=r"not one of this plan: make one by profile\(\) of the same program"):
        f.render(path, profile=other.profile(**feeds))
    with pytest.raises(gn.RenderError, match='drawn with the plan alone: use view="plan"'):
        f.render(path, view="both", N=30)
    with pytest.raises(gn.FeedError, match="unknown: M"):
        f.render(path, N=30, M=2)
    with pytest.raises(gn.RenderError, match="the number of nested scopes to open"):
        f.render(path, depth=-1)
    assert not list(tmp_path.iterdir())


def test_equal_layers_roll_up_in_a_plan(backend):
    loss = gn.Input("x", ("N", 4))
    for i in range(96):
        with gn.scope(f"layer{i}"):
            loss = gn.Tanh(gn.Affine(loss, gn.Parameter("W", np.eye(4)), gn.Parameter("b", np.zeros(4))))
    shown = drawn(gn.compile(gn.Sum(loss), backend=backend))
    assert any("× 96" in box.lines for box in shown.boxes) and len(shown.boxes) < 10
    assert "depth=1 opens one level more" in shown.remark


def test_a_plan_within_a_budget_is_drawn(backend):
    x = gn.Input("x", (256, 64))
    h = x
    for i in range(8):
        h = gn.Tanh(h @ gn.Parameter(f"W{i}", np.eye(64)))
    loss = gn.Sum(h)
    free = gn.compile(loss, gn.SGD(lr=1.0).updates(loss), backend=backend)
    f = gn.compile(loss, gn.SGD(lr=1.0).updates(loss), backend=backend, memory_budget=int(0.85 * free.memory().total))
    assert f.memory().total < free.memory().total
    check_steps(f)


def test_a_program_without_steps_is_a_picture(tmp_path):
    x = gn.Input("x", (2,))
    f = gn.compile(x)
    f.render(tmp_path / "plan.svg", profile=f.profile(x=[1.0, 2.0]))
    assert "0 steps" in (tmp_path / "plan.svg").read_text()


@pytest.mark.slow
def test_the_same_bytes_whatever_the_hash_seed(run_python):
    code = (
        "import numpy as np, graphnn as gn\n"
        "from graphnn.view.plan import plan_picture\n"
        "from graphnn.view.svg import to_svg\n"
        "x = gn.Input('x', ('N', 2))\n"
        "loss = gn.Sum(gn.Tanh(gn.Affine(x, gn.Parameter('W', np.ones((2, 4))), gn.Parameter('b', np.ones(4)))))\n"
        "f = gn.compile(loss, gn.Adam().updates(loss))\n"
        "print(to_svg(plan_picture([(s.graph, s.record) for s in f.stages], f.plan), 'both'))\n"
    )
    assert run_python(code, PYTHONHASHSEED="1") == run_python(code, PYTHONHASHSEED="2")


def test_the_plan_of_a_small_program(native, golden):
    gn.default_dtype("float64")
    x, W = gn.Input("x", ("N", 2)), gn.Parameter("W", np.ones((2, 3)))
    loss = gn.Mean(gn.Sigmoid(x @ W + 1.0))
    f = gn.compile(loss, gn.SGD(lr=1.0).updates(loss), backend="native", passes=GROUPED)
    golden("small_plan.dot", picture_to_dot(drawn(f), "both"))
