"""Plots: files without a display, axes with names, and refusals."""

import numpy as np
import pytest

import graphnn as gn


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
