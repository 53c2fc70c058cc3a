"""Fitting: validation, callbacks, streams, histories; and trainings that go on elsewhere with the same bits."""

import csv
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest

import graphnn as gn

X = np.random.default_rng(0).normal(size=(40, 2))
T = (X[:, 0] > X[:, 1]).astype(int)


def trainer(optimizer=None, **options):
    gn.default_dtype("float64")
    x, t = gn.Input("x", ("N", 2)), gn.Input("t", ("N",), dtype="int64")
    rng = np.random.default_rng(1)
    h = gn.Tanh(gn.Affine(x, gn.Parameter("W1", rng.normal(size=(2, 5))), gn.Parameter("b1", np.zeros(5))))
    scores = gn.Affine(h, gn.Parameter("W2", rng.normal(size=(5, 2))), gn.Parameter("b2", np.zeros(2)))
    model = gn.Model(x, t, scores, gn.SoftmaxCE(scores, t))
    return gn.Trainer(model, optimizer or gn.Adam(lr=0.05), **options)


def bits(trained):
    return {name: p.value.tobytes() for name, p in trained.state.items()}


def test_the_history_has_a_row_an_epoch_with_what_was_measured(tmp_path):
    trained = trainer()
    trained.fit(
        X,
        T,
        3,
        8,
        eval_interval=None,
        validation=(X, T),
        metrics={"f1": gn.metrics.f1},
        callbacks=[gn.CSVLog(tmp_path / "log.csv")],
    )
    assert trained.history.columns == ("epoch", "loss", "seconds", "val_loss", "val_f1")
    np.testing.assert_array_equal(trained.history["epoch"], [1, 2, 3])
    assert trained.history["val_loss"][-1] < trained.history["val_loss"][0]
    with open(tmp_path / "log.csv") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["val_loss"]) for row in rows] == list(trained.history["val_loss"])
    with pytest.raises(gn.GraphError, match="the history has no 'val_accuracy': it has epoch, loss"):
        trained.history["val_accuracy"]


def test_early_stopping_ends_and_puts_the_best_weights_back():
    trained = trainer(gn.SGD(lr=0.0))
    stopper = gn.EarlyStopping("val_loss", patience=2)
    best = trained.model.parameters["W1"].value

    def spoil(trainer):
        trainer.model.parameters["W1"].value = best + trainer.epoch  # every epoch is worse than the one before

    trained.fit(X, T, 20, 8, eval_interval=None, validation=(X, T), callbacks=[stopper, spoil])
    assert trained.epoch == 3 and stopper.best_epoch == 1
    np.testing.assert_array_equal(trained.model.parameters["W1"].value, best)


@pytest.mark.parametrize("stream", ["list", "generator", "mappings"])
def test_batches_from_an_iterable_train_as_arrays_do(stream):
    pairs = [(X[i : i + 8], T[i : i + 8]) for i in range(0, 40, 8)]
    source = {
        "list": pairs,
        "generator": lambda: iter(pairs),
        "mappings": [{"x": x, "t": t} for x, t in pairs],
    }[stream]
    one, other = trainer(), trainer()
    one.fit(source, max_epoch=3, eval_interval=None)
    other.fit(X, T, 3, 8, eval_interval=None, shuffle=None)
    assert bits(one) == bits(other)
    np.testing.assert_array_equal(one.history["loss"], other.history["loss"])
    assert not any(thread.name == "graphnn prefetch" for thread in threading.enumerate())


def test_what_an_iterable_raises_is_raised_and_bad_batches_are_named():
    def broken():
        yield X[:8], T[:8]
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        trainer().fit(broken, max_epoch=1, eval_interval=None)
    with pytest.raises(gn.FeedError, match=r"a batch is a pair .* not int"):
        trainer().fit([3], max_epoch=1)
    with pytest.raises(gn.FeedError, match="no iterable of batches"):
        trainer().fit(3, max_epoch=1)
    with pytest.raises(gn.FeedError, match="pass a function that makes one"):
        trainer().fit(iter([(X, T)]), max_epoch=2, eval_interval=None)


def test_memory_mapped_data_is_read_where_it_lies(tmp_path):
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    one, other = trainer(), trainer()
    one.fit(mapped, T, 2, 8, eval_interval=None)
    other.fit(X, T, 2, 8, eval_interval=None)
    assert bits(one) == bits(other)


SHUFFLES = {
    "none": lambda: None,
    "seed": lambda: 3,
    "generator": lambda: np.random.default_rng(5),
    "legacy": lambda: np.random.RandomState(5),
    "philox": lambda: np.random.Generator(np.random.Philox(7)),
}


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_a_training_that_is_resumed_has_the_bits_of_one_never_interrupted(tmp_path, shuffle):
    path = tmp_path / "training"
    whole = trainer(gn.Adam(lr=0.05, schedule=gn.schedules.cosine(40)), average=gn.Average(0.9))
    whole.fit(X, T, 6, 8, eval_interval=2, shuffle=SHUFFLES[shuffle]())
    first = trainer(gn.Adam(lr=0.05, schedule=gn.schedules.cosine(40)), average=gn.Average(0.9))
    first.fit(X, T, 4, 8, eval_interval=2, shuffle=SHUFFLES[shuffle](), callbacks=[gn.Checkpoint(path)])
    second = trainer(gn.Adam(lr=0.05, schedule=gn.schedules.cosine(40)), average=gn.Average(0.9))
    second.resume(path)
    assert second.epoch == 4
    second.fit(X, T, 2, 8, eval_interval=2, shuffle=SHUFFLES[shuffle]())
    assert bits(second) == bits(whole)
    assert second.loss_list == whole.loss_list and len(second.history) == 6


def test_a_killed_training_goes_on_with_the_same_bits(tmp_path):
    program = tmp_path / "train.py"
    here = Path(__file__).parent
    program.write_text(
        textwrap.dedent(
            f"""
            import sys
            sys.path.insert(0, {str(here)!r})
            import graphnn as gn
            from test_fit import X, T, trainer
            trained = trainer()
            print("ready", flush=True)
            trained.fit(X, T, 100_000, 8, eval_interval=None, callbacks=[gn.Checkpoint({str(tmp_path / "saved")!r})])
            """
        )
    )
    where = str(Path(gn.__file__).parents[1])
    child = subprocess.Popen(
        [sys.executable, str(program)], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": where}
    )
    child.stdout.readline()
    while not (tmp_path / "saved").exists():
        assert child.poll() is None
    threading.Event().wait(0.3)
    child.send_signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
    child.wait(timeout=30)
    child.stdout.close()
    resumed, whole = trainer(), trainer()
    resumed.resume(tmp_path / "saved")
    epochs = resumed.epoch
    assert epochs >= 1
    resumed.fit(X, T, 3, 8, eval_interval=None)
    whole.fit(X, T, epochs + 3, 8, eval_interval=None)
    assert bits(resumed) == bits(whole)


def test_a_file_of_another_training_changes_nothing(tmp_path):
    path = tmp_path / "training"
    first = trainer(gn.SGD())
    first.fit(X, T, 1, 8, eval_interval=None)
    first.save(path)
    other = trainer(gn.Adam())
    before = bits(other)
    with pytest.raises(gn.CheckpointError, match="is a training by SGD; this one is by Adam"):
        other.resume(path)
    gn.save(tmp_path / "weights", first.model)
    with pytest.raises(gn.CheckpointError, match="holds weights, not a training"):
        other.resume(tmp_path / "weights")
    assert bits(other) == before and other.epoch == 0


def test_progress_is_a_line_an_epoch_where_there_is_no_terminal(capsys):
    for interval in (20, None):
        trainer().fit(X, T, 2, 8, progress=True, validation=(X, T), eval_interval=interval)
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 2
        assert lines[1].startswith("| epoch 2 |  time 0[s] | loss 0.") and "val_accuracy" in lines[1]


def test_without_progress_nothing_is_printed(capsys):
    quiet = trainer()
    quiet.fit(X, T, 2, 8, progress=False, validation=(X, T))
    assert capsys.readouterr().out == "" and len(quiet.loss_list) == len(quiet.history) == 2


def test_data_that_does_not_fit_is_refused_before_anything_is_trained():
    trained = trainer()
    before = bits(trained)
    for x, t, error in ((X, T[:-1], gn.FeedError), (X, T + 5, gn.LabelError), (X[:0], T[:0], gn.FeedError)):
        with pytest.raises(error):
            trained.fit(x, t, 1, 8)
    with pytest.raises(gn.LabelError):
        trained.fit(X, T, 1, 8, validation=(X, T - 1))
    with pytest.raises(gn.FeedError, match=r"validation is a pair \(x, t\) of samples and labels, not ndarray"):
        trained.fit(X, T, 1, 8, validation=X)
    for callbacks in ([3], gn.EarlyStopping()):
        with pytest.raises(gn.GraphError, match=r"callbacks is .* a sequence of functions .* \[gn.EarlyStopping\(\)\]"):
            trained.fit(X, T, 1, 8, callbacks=callbacks)
    for epochs in (-1, 1.5):
        with pytest.raises(gn.FeedError, match=r"max_epoch is .*; it must be a number, 0 or more"):
            trained.fit([(X, T)], max_epoch=epochs)
    assert bits(trained) == before and trained.epoch == 0
