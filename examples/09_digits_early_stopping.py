"""Handwritten digits with validation: training ends when unseen digits are not read better any more.

A net of one hidden layer learns from 1,000 of scikit-learn's 1,797 images of 8x8. After each epoch it is measured on
400 others; when their loss has not fallen for eight epochs, training ends and the best weights are put back. The 397
that are left, which decided nothing, say how good it is. Everything is saved into the folder `output` beside this file.
"""

from pathlib import Path

import numpy as np

import graphnn as gn

OUTPUT = Path(__file__).parent / "output"
EPOCHS, BATCH, HIDDEN, LR, PATIENCE = 200, 50, 100, 0.003, 8


def data(seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Images (N, 64) in 0..1 and labels: to learn from, to decide by, and to be judged by."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise SystemExit("This example needs scikit-learn: pip install 'graphnn[sklearn]'") from None
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(images))
    x, t = images[order] / 16, labels[order]
    return [(x[:1000], t[:1000]), (x[1000:1400], t[1000:1400]), (x[1400:], t[1400:])]


def declare(seed: int = 0) -> gn.Model:
    """Affine, ReLU, Affine."""
    rng = np.random.default_rng(seed)
    x, t = gn.Input("x", ("N", 64)), gn.Input("t", ("N",), dtype="int64")
    W1 = gn.Parameter("W1", rng.normal(0, np.sqrt(2 / 64), (64, HIDDEN)))
    W2 = gn.Parameter("W2", rng.normal(0, np.sqrt(2 / HIDDEN), (HIDDEN, 10)))
    h = gn.ReLU(gn.Affine(x, W1, gn.Parameter("b1", np.zeros(HIDDEN))))
    scores = gn.Affine(h, W2, gn.Parameter("b2", np.zeros(10)))
    return gn.Model(x, t, scores, gn.SoftmaxCE(scores, t))


def main(epochs: int = EPOCHS) -> gn.Trainer:
    OUTPUT.mkdir(exist_ok=True)
    (x, t), validation, test = data()
    trainer = gn.Trainer(declare(), gn.Adam(lr=LR))
    stopper = gn.EarlyStopping("val_loss", patience=PATIENCE)
    trainer.fit(x, t, epochs, BATCH, eval_interval=None, validation=validation, callbacks=[stopper])
    print(f"ended after {trainer.epoch} epochs; the weights are those of epoch {stopper.best_epoch}:")
    best = trainer.history[stopper.best_epoch - 1]
    print(f"validation loss {best['val_loss']:.4f}, accuracy {best['val_accuracy']:.3f}")
    print("plotted:", gn.plot.loss(trainer.history, OUTPUT / "digits_loss.png"))
    print(f"of digits that decided nothing, {trainer.model.accuracy(*test):.1%} are read right")
    return trainer


if __name__ == "__main__":
    main()
