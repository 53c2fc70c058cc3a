"""Characters: a net that reads a text letter by letter and then writes on: an LSTM in a loop, `gn.Scan`.

The body of the loop is declared once, whatever the length of the text. Its gradient is a loop the other way. After
some seconds of training the net completes most words and sentences of `data/lighthouse.txt`.
"""

import time
from pathlib import Path

import numpy as np

import graphnn as gn

TEXT = Path(__file__).parent / "data" / "lighthouse.txt"
UNITS, LENGTH, BATCH, EPOCHS, LR, SEED = 64, 32, 32, 12, 0.01, 0


class Reader:
    """A text as numbers, one for each of its characters."""

    def __init__(self, text: str) -> None:
        self.characters = sorted(set(text))
        self.numbers = np.array([self.characters.index(c) for c in text])

    def windows(self, length: int = LENGTH) -> tuple[np.ndarray, np.ndarray]:
        """Every stretch of the text, and the same one character further: what comes next at each place."""
        starts = np.arange(len(self.numbers) - length)[:, None] + np.arange(length)
        return self.numbers[starts], self.numbers[starts + 1]


def declare(characters: int, units: int = UNITS, seed: int = SEED) -> gn.Model:
    """A vector for each character, an LSTM over the sequence, and scores for the next character at each place."""
    rng = np.random.default_rng(seed)
    x, t = gn.Input("x", ("N", "T"), dtype="int64"), gn.Input("t", ("N", "T"), dtype="int64")
    table = gn.Parameter("table", rng.normal(0, 1, (characters, units)))
    W = gn.Parameter("W", rng.normal(0, units**-0.5, (units, 4 * units)))
    R = gn.Parameter("R", rng.normal(0, units**-0.5, (units, 4 * units)))
    b = gn.Parameter("b", np.repeat([0.0, 1.0, 0.0, 0.0], units))  # at first the forget gate keeps what there is
    V, a = gn.Parameter("V", rng.normal(0, units**-0.5, (units, characters))), gn.Parameter("a", np.zeros(characters))

    def turn(state, letter):
        h, c = gn.LSTMCell(letter, *state, W, R, b)
        return (h, c), h

    # A loop goes through the first axis, so the sequence comes first: (T, N, units).
    letters = gn.Transpose(gn.Embedding(x, table), (1, 0, 2))
    start = gn.Repeat(np.zeros((1, units), np.float32), "N")
    _, _, hidden = gn.Scan(turn, (start, start), letters)
    scores = gn.Transpose(hidden, (1, 0, 2)) @ V + a
    return gn.Model(x, t, scores, gn.SoftmaxCE(scores, t))


def write(model: gn.Model, reader: Reader, beginning: str, count: int) -> str:
    """The likeliest continuation, character by character."""
    numbers = [reader.characters.index(c) for c in beginning]
    for _ in range(count):
        scores = model.predict([numbers[-LENGTH:]])
        numbers.append(int(scores[0, -1].argmax()))
    return "".join(reader.characters[n] for n in numbers)


def main(epochs: int = EPOCHS) -> float:
    reader = Reader(TEXT.read_text(encoding="utf-8"))
    model = declare(len(reader.characters))
    print(model)
    x, t = reader.windows()
    trainer = gn.Trainer(model, gn.Adam(lr=LR))
    start = time.perf_counter()
    trainer.fit(x, t, max_epoch=epochs, batch_size=BATCH, eval_interval=None, max_grad=5.0)
    right = model.accuracy(x, t)
    print(f"trained for {time.perf_counter() - start:.1f} s; of all next characters {right:.1%} are right")
    print(write(model, reader, "the keeper opens the book", 120))
    return right


if __name__ == "__main__":
    main()
