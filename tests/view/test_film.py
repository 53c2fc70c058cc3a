"""Films: what a callback records through training, as a GIF that is the same every time."""

import numpy as np
import pytest
from PIL import Image

import graphnn as gn


def trainer(seed=0):
    rng = np.random.default_rng(seed)
    x, t = gn.Input("x", ("N", 2)), gn.Input("t", ("N",), dtype="int64")
    scores = gn.Affine(x, gn.Parameter("W", rng.normal(size=(2, 3))), gn.Parameter("b", np.zeros(3)))
    return gn.Trainer(gn.Model(x, t, scores, gn.SoftmaxCE(scores, t)), gn.SGD(lr=1.0))


def filmed(epochs=6, every=2, resume=None):
    points, labels = gn.data.spiral()
    film, training = gn.plot.BoundaryFilm(points, labels, every=every), trainer()
    if resume:
        training.resume(resume)
    training.fit(points, labels, max_epoch=epochs, batch_size=30, eval_interval=None, callbacks=[film])
    return film, training


def test_a_film_has_a_picture_for_each_time_it_recorded_and_rests_on_the_last(tmp_path):
    film, _ = filmed()
    path = tmp_path / "boundary.gif"
    assert film.save(path, fps=5) == str(path)
    with Image.open(path) as gif:
        assert gif.format == "GIF" and gif.n_frames == 3 and gif.size == (480, 480) and gif.info["loop"] == 0
        lasts = []
        for i in range(gif.n_frames):
            gif.seek(i)
            lasts.append(gif.info["duration"])
    assert lasts[0] == lasts[1] == 200 and lasts[2] > 1500
    assert [p.name for p in tmp_path.iterdir()] == ["boundary.gif"]


@pytest.mark.slow
def test_the_same_bytes_every_time(tmp_path):
    for name in ("a.gif", "b.gif"):
        filmed(2, 1)[0].save(tmp_path / name)
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()


def test_what_was_recorded_is_saved_with_a_training(tmp_path):
    whole, _ = filmed(4, 1)
    _, half = filmed(2, 1)
    half.save(tmp_path / "training.safetensors")
    rest, _ = filmed(2, 1, resume=tmp_path / "training.safetensors")
    assert list(rest.state()["epochs"]) == list(whole.state()["epochs"]) == [1, 2, 3, 4]
    np.testing.assert_array_equal(rest.state()["classes"], whole.state()["classes"])


def test_a_picture_shows_the_regions_of_its_epoch(tmp_path):
    film, training = filmed(1, 1)
    mesh = film._plane._mesh.reshape(-1, 2)
    np.testing.assert_array_equal(film.state()["classes"][0].ravel(), training.model.predict(mesh).argmax(-1))


def test_what_is_no_film_is_refused(tmp_path):
    points, labels = gn.data.spiral()
    with pytest.raises(gn.FeedError, match="nothing was recorded: train 7 epochs or more with it"):
        gn.plot.BoundaryFilm(points, labels, every=7).save(tmp_path / "f.gif")
    film, _ = filmed(1, 1)
    with pytest.raises(gn.RenderError, match=r"cannot write 'f.mp4': a film is a \.gif"):
        film.save(tmp_path / "f.mp4")
    with pytest.raises(gn.RenderError, match="cannot write"):
        film.save(tmp_path / "nowhere" / "f.gif")
    with pytest.raises(gn.FeedError, match="every is 0"):
        gn.plot.BoundaryFilm(points, labels, every=0)
    with pytest.raises(gn.FeedError, match=r"shape \(N, 2\)"):
        gn.plot.BoundaryFilm(np.ones((3, 3)), [0, 1, 2])


@pytest.mark.slow
def test_a_model_that_gives_all_to_one_class_is_a_picture(tmp_path):
    class One:
        epoch = 1

        class model:  # noqa: N801
            @staticmethod
            def predict(X):
                return np.eye(3)[np.zeros(len(X), int)]

    film = gn.plot.BoundaryFilm(*gn.data.spiral())
    film(One)
    film.save(tmp_path / "one.gif")
