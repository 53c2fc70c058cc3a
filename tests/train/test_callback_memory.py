"""What callbacks remember goes with a training into its file, and comes back."""

import shutil

import numpy as np
import pytest

import graphnn as gn

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 2))
T = ((X[:, 0] > X[:, 1]) ^ (RNG.random(40) < 0.2)).astype(int)
HELD = RNG.normal(size=(30, 2)), RNG.integers(0, 2, 30)
EPOCHS = 30


def trainer():
    gn.default_dtype("float64")
    x, t = gn.Input("x", ("N", 2)), gn.Input("t", ("N",), dtype="int64")
    rng = np.random.default_rng(1)
    h = gn.Tanh(gn.Affine(x, gn.Parameter("W1", rng.normal(size=(2, 5))), gn.Parameter("b1", np.zeros(5))))
    scores = gn.Affine(h, gn.Parameter("W2", rng.normal(size=(5, 2))), gn.Parameter("b2", np.zeros(2)))
    return gn.Trainer(gn.Model(x, t, scores, gn.SoftmaxCE(scores, t)), gn.Adam(lr=0.1))


def fit(trained, epochs, *callbacks):
    stopper = gn.EarlyStopping("val_loss", patience=5)
    trained.fit(X, T, epochs, 8, eval_interval=None, validation=HELD, callbacks=[*callbacks, stopper])
    return stopper


def bits(trained):
    return {name: p.value.tobytes() for name, p in trained.state.items()}


class KeepEach:
    """A copy of the file after every epoch: any of them may be what a kill leaves."""

    last = True

    def __init__(self, path, folder):
        self.path, self.folder = path, folder

    def __call__(self, trained):
        shutil.copy(self.path, self.folder / str(trained.epoch))


def test_early_stopping_goes_on_from_any_epoch_with_its_best_weights_and_what_it_waited(tmp_path):
    whole = trainer()
    saved = tmp_path / "saved"
    stopper = fit(whole, EPOCHS, gn.Checkpoint(saved), KeepEach(saved, tmp_path))
    assert whole.ended and 1 < whole.epoch == stopper.best_epoch + 5 < EPOCHS
    for epoch in range(1, whole.epoch + 1):
        resumed = trainer()
        resumed.resume(tmp_path / str(epoch))
        assert resumed.epoch == epoch
        again = fit(resumed, EPOCHS - epoch)
        assert (again.best, again.best_epoch, resumed.epoch) == (stopper.best, stopper.best_epoch, whole.epoch)
        assert bits(resumed) == bits(whole) and resumed.ended
        np.testing.assert_array_equal(resumed.history["val_loss"], whole.history["val_loss"])


def test_a_training_that_had_ended_is_only_finished_and_the_next_fit_trains_on(tmp_path):
    whole = trainer()
    fit(whole, EPOCHS, gn.Checkpoint(tmp_path / "saved"))
    resumed = trainer()
    resumed.resume(tmp_path / "saved")
    fit(resumed, 10)
    assert resumed.epoch == whole.epoch and bits(resumed) == bits(whole)
    resumed.fit(X, T, 2, 8, eval_interval=None)
    assert resumed.epoch == whole.epoch + 2 and not resumed.ended
    other = trainer()
    other.resume(tmp_path / "saved")
    other.fit(X, T, 2, 8, eval_interval=None)  # nobody there who had ended it
    assert other.epoch == whole.epoch + 2


def test_a_training_that_is_broken_off_keeps_its_weights_and_goes_on_with_the_same_bits():
    def interrupt(trained):
        if trained.epoch == 4:
            raise KeyboardInterrupt

    whole, broken = trainer(), trainer()
    fit(whole, EPOCHS)
    stopper = gn.EarlyStopping("val_loss", patience=5)
    how = {"batch_size": 8, "eval_interval": None, "validation": HELD}
    with pytest.raises(KeyboardInterrupt):
        broken.fit(X, T, EPOCHS, callbacks=[stopper, interrupt], **how)
    broken.fit(X, T, EPOCHS - broken.epoch, callbacks=[stopper], **how)
    assert bits(broken) == bits(whole) and broken.epoch == whole.epoch


def test_what_is_saved_after_a_training_has_ended_can_be_trained_on(tmp_path):
    whole, resumed = trainer(), trainer()
    fit(whole, EPOCHS)
    whole.save(tmp_path / "saved")
    resumed.resume(tmp_path / "saved")
    fit(resumed, 3)
    assert resumed.epoch > whole.epoch


class Seen:
    """A callback of a user's own, which counts."""

    def __init__(self, count=0):
        self.count = count

    def __call__(self, trained):
        self.count += 1

    def state(self):
        return {"count": np.int64(self.count)}

    def go_on(self, state):
        self.count = int(state["count"])


def test_each_memory_goes_to_the_next_callback_of_its_kind(tmp_path):
    first = trainer()
    one, two = Seen(), Seen(100)
    first.fit(X, T, 2, 8, eval_interval=None, callbacks=[one, gn.Checkpoint(tmp_path / "saved"), two])
    second = trainer()
    second.resume(tmp_path / "saved")
    again = Seen(), Seen(), Seen()
    second.fit(X, T, 1, 8, eval_interval=None, callbacks=again)
    assert [seen.count for seen in again] == [3, 103, 1]


@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_stopper_that_has_seen_nothing_remembers_that(mode):
    fresh, other = gn.EarlyStopping(mode=mode), gn.EarlyStopping(mode=mode)
    other.go_on(fresh.state())
    assert (other.best, other.best_epoch) == (fresh.best, 0)
