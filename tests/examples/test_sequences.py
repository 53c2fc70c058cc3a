"""The pages about sequences do what they say: an LSTM that writes on, a transformer that writes backwards."""

import re
from pathlib import Path

import numpy as np
import pytest

PAGES = Path(__file__).parents[2] / "examples"


def run(run_python, name, **settings):
    """In a process of its own: threads of BLAS that wait for each other would only measure the machine."""
    given = ", ".join(f"{setting}={value}" for setting, value in settings.items())
    code = f"import runpy; runpy.run_path({str(PAGES / name)!r} + '.py')['main']({given})"
    printed = run_python(code, OPENBLAS_NUM_THREADS="1")
    return float(re.search(r"([\d.]+)% are", printed)[1]), printed


def test_an_lstm_learns_to_write_on(run_python):
    right, printed = run(run_python, "05_characters_lstm", epochs=5)
    assert right > 75 and "the keeper opens the book" in printed


def test_an_lstm_answers_for_sequences_of_any_length_and_sees_no_future(page):
    here = page("05_characters_lstm")
    reader = here.Reader(here.TEXT.read_text(encoding="utf-8"))
    model = here.declare(len(reader.characters), units=8)
    x, _ = reader.windows()
    whole = model.predict(x[:3])
    np.testing.assert_allclose(model.predict(x[:3, :7]), whole[:, :7], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_transformer_learns_to_write_backwards(run_python):
    right, printed = run(run_python, "07_transformer", epochs=3, rows=4000)
    assert right > 95, printed


def test_masked_attention_sees_no_future(page):
    here = page("07_transformer")
    model = here.declare(blocks=1)
    x, _ = here.data(4, seed=3)
    later = x.copy()
    later[:, 8:] = 0
    np.testing.assert_allclose(model.predict(later)[:, :8], model.predict(x)[:, :8], rtol=1e-4, atol=1e-5)
