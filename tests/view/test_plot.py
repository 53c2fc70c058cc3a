"""Plots: files without a display, axes with names, and refusals."""

import numpy as np
import pytest

import graphnn as gn
from graphnn.train.history import History


class Nearest:
    """Scores by the distance to three centres."""

    def predict(self, X):
        return -np.stack([np.hypot(X[:, 0] - a, X[:, 1] - b) for a, b in ((0, 1), (1, 0), (-1, 0))], axis=-1)


def test_each_plot_writes_a_picture_and_returns_its_path(tmp_path):
    points, labels = gn.data.spiral()
    paths = [tmp_path / name for name in ("data.png", "loss.png", "boundary.png")]
    assert gn.plot.dataset(points, labels, paths[0]) == str(paths[0])
    assert gn.plot.loss([1.0, 0.5], paths[1]) == str(paths[1])
    assert gn.plot.decision_boundary(Nearest(), points, labels, paths[2]) == str(paths[2])
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_figures_name_their_axes_and_tell_classes_apart_by_marker():
    points, labels = gn.data.spiral(one_hot=True)
    axes = gn.plot.decision_boundary(Nearest(), points, labels).axes[0]
    assert axes.get_xlabel() and axes.get_ylabel()
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["class 0", "class 1", "class 2"]
    markers = {
        tuple(map(tuple, c.get_paths()[0].vertices.round(3))) for c in axes.collections if c.get_label() in legend
    }
    assert len(markers) == 3


@pytest.mark.parametrize(
    ("points", "labels", "says"),
    [(np.ones((3, 3)), [0, 1, 2], r"shape \(N, 2\)"), (np.ones((3, 2)), [0, 1], "3 points need as many labels")],
)
def test_what_is_not_in_the_plane_is_refused(points, labels, says):
    with pytest.raises(gn.FeedError, match=says):
        gn.plot.dataset(points, labels)


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(gn.RenderError, match="cannot write"):
        gn.plot.loss([1.0], tmp_path / "nowhere" / "loss.png")


def test_the_trainer_plots_what_it_logged(tmp_path):
    x, t = gn.Input("x", ("N", 2)), gn.Input("t", ("N",), dtype="int64")
    scores = x @ gn.Parameter("W", np.zeros((2, 2)))
    trainer = gn.Trainer(gn.Model(x, t, scores, gn.SoftmaxCE(scores, t)), gn.SGD(lr=1.0))
    trainer.fit(np.eye(2), [0, 1], max_epoch=3, batch_size=1, eval_interval=1)
    line = trainer.plot().axes[0].lines[0]
    np.testing.assert_array_equal(line.get_ydata(), trainer.loss_list)
    assert trainer.plot(tmp_path / "loss.png") == str(tmp_path / "loss.png")


def rows(*losses):
    return [{"epoch": i, "loss": loss, "seconds": 0.1} for i, loss in enumerate(losses, 1)]


def test_a_history_shows_training_and_validation_told_apart_without_colour(tmp_path):
    history = History(rows(1.0, 0.5, 0.25))
    history.rows[0]["val_loss"], history.rows[2]["val_loss"] = 1.2, 0.4  # the second epoch was not validated
    axes = gn.plot.loss(history).axes[0]
    training, validation = axes.lines
    np.testing.assert_array_equal(training.get_xydata(), [(1, 1.0), (2, 0.5), (3, 0.25)])
    np.testing.assert_array_equal(validation.get_xydata(), [(1, 1.2), (3, 0.4)])
    assert training.get_linestyle() != validation.get_linestyle() and training.get_marker() != validation.get_marker()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["training", "validation"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("epochs", "loss")
    assert axes.get_ylim()[0] == 0 and axes.get_ylim()[1] > 1.2
    assert gn.plot.loss(history, tmp_path / "loss.png") == str(tmp_path / "loss.png")


def test_one_epoch_is_a_point_that_can_be_seen_and_negative_losses_are_not_cut_off():
    axes = gn.plot.loss(History(rows(2.0))).axes[0]
    assert axes.lines[0].get_marker() == "o" and axes.get_ylim()[1] > 2 and axes.get_legend() is None
    assert all(tick == round(tick) for tick in axes.get_xticks())
    assert gn.plot.loss([1.0, -3.0]).axes[0].get_ylim()[0] < -3
    assert gn.plot.loss(History(rows(float("nan"), 0.0))).axes[0].get_ylim() == (0, 1)


def test_a_history_without_losses_is_refused():
    with pytest.raises(gn.FeedError, match="a history without losses has no curve: it has no epochs"):
        gn.plot.loss(History())


def test_histograms_count_every_weight_and_its_gradient_beneath(tmp_path):
    x, t = gn.Input("x", ("N", 2)), gn.Input("t", ("N",), dtype="int64")
    W, b = gn.Parameter("W", np.arange(6.0).reshape(2, 3)), gn.Parameter("b", [0.0, np.nan, 1.0])
    scores = gn.Affine(x, W, b)
    model = gn.Model(x, t, scores, gn.SoftmaxCE(scores, t))
    figure = gn.plot.histograms(model, gradients={"W": np.ones((2, 3))})
    weights, gradient, bias = figure.axes
    assert [sum(bar.get_height() for bar in axes.patches) for axes in figure.axes] == [6, 6, 2]
    assert weights.get_title() == "W (2, 3)" and bias.get_title() == "b (3,), 1 not finite"
    assert (weights.get_xlabel(), gradient.get_xlabel(), weights.get_ylabel()) == ("weight", "gradient", "count")
    assert gradient.patches[0].get_hatch() and not weights.patches[0].get_hatch()
    figure.canvas.draw()
    assert gradient.get_position().y1 < weights.get_position().y0
    path = tmp_path / "weights.png"
    assert gn.plot.histograms(gn.compile(scores).state, path) == str(path)
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("weights", "gradients", "says"),
    [
        ({}, None, "there are no weights to draw"),
        ({f"w{i}": [1.0] for i in range(49)}, None, "49 in one picture cannot be read: give 48 of them or fewer"),
        ({"w": [1.0]}, {"v": [1.0]}, "the gradient of 'v' belongs to none of w"),
        ({"w": [1.0]}, {"w": [1.0, 2.0]}, r"'w' has shape \(1,\), and its gradient \(2,\)"),
    ],
)
def test_histograms_refuse_what_is_no_picture(weights, gradients, says):
    with pytest.raises(gn.FeedError, match=says):
        gn.plot.histograms(weights, gradients=gradients)


def test_a_name_is_never_read_as_mathematics(tmp_path):
    gn.plot.histograms({r"$\frac{": [1.0, 2.0]}, tmp_path / "w.png")
