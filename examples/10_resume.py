"""A training that is killed, and goes on: it ends with the same bits as one that was never interrupted.

After every epoch the whole training is written to a file: weights, Adam's means, the order of the samples, the masks
that dropout will draw, counters and history. The first process is ended without warning in the midst of it; starting
the program again finds the file and trains the epochs that are missing.
"""

import multiprocessing
import os
from pathlib import Path

import numpy as np

import graphnn as gn

OUTPUT = Path(__file__).parent / "output"
EPOCHS, BATCH, HIDDEN, KILLED_AFTER = 40, 30, 20, 17


def declare() -> gn.Trainer:
    """A net with dropout, to be trained by Adam."""
    rng = np.random.default_rng(0)
    x, t = gn.Input("x", ("N", 2)), gn.Input("t", ("N",), dtype="int64")
    W1 = gn.Parameter("W1", rng.normal(size=(2, HIDDEN)))
    W2 = gn.Parameter("W2", rng.normal(size=(HIDDEN, 3)))
    h = gn.Dropout(gn.Tanh(gn.Affine(x, W1, gn.Parameter("b1", np.zeros(HIDDEN)))), 0.1)
    scores = gn.Affine(h, W2, gn.Parameter("b2", np.zeros(3)))
    return gn.Trainer(gn.Model(x, t, scores, gn.SoftmaxCE(scores, t)), gn.Adam(lr=0.02))


def train(path: Path, killed_after: int | None = None) -> gn.Trainer:
    """Begin a training of so many epochs, or go on with the one that is in the file."""
    trainer = declare()
    if path.exists():
        trainer.resume(path)
        print(f"{path.name}: goes on after epoch {trainer.epoch}")
    x, t = gn.data.spiral()

    def die(trainer: gn.Trainer) -> None:
        if trainer.epoch == killed_after:
            os._exit(1)  # at once: nothing is closed, nothing is written

    callbacks = [gn.Checkpoint(path), die]
    trainer.fit(x, t, EPOCHS - trainer.epoch, BATCH, eval_interval=None, shuffle=7, callbacks=callbacks)
    return trainer


def main() -> bool:
    OUTPUT.mkdir(exist_ok=True)
    interrupted, whole = OUTPUT / "interrupted.safetensors", OUTPUT / "whole.safetensors"
    for path in (interrupted, whole):
        path.unlink(missing_ok=True)

    child = multiprocessing.get_context("spawn").Process(target=train, args=(interrupted, KILLED_AFTER))
    child.start()
    child.join()
    print(f"the first process ended with code {child.exitcode}")

    resumed, never_interrupted = train(interrupted), train(whole)
    same = all(p.value.tobytes() == never_interrupted.state[name].value.tobytes() for name, p in resumed.state.items())
    print(
        f"after {resumed.epoch} epochs: loss {resumed.history['loss'][-1]:.4f}, {len(resumed.history)} rows of history"
    )
    print(f"the same bits as a training never interrupted: {same}")
    return same


if __name__ == "__main__":
    main()
