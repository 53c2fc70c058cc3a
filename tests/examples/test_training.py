"""The pages about training do what they say: early stopping, a training that is killed and goes on, a sweep."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import graphnn as gn

PAGES = Path(__file__).parents[2] / "examples"


def test_early_stopping_ends_before_the_last_epoch(page, monkeypatch, tmp_path, capsys):
    pytest.importorskip("sklearn")
    here = page("09_digits_early_stopping")
    monkeypatch.setattr(here, "OUTPUT", tmp_path)
    trained = here.main()
    assert trained.ended and trained.epoch < here.EPOCHS
    assert trained.model.accuracy(*here.data()[2]) > 0.95
    assert "of digits that decided nothing, 9" in capsys.readouterr().out
    assert (tmp_path / "digits_loss.png").exists()


def test_a_killed_training_goes_on_with_the_same_bits():
    env = {**os.environ, "PYTHONPATH": str(Path(gn.__file__).parents[1])}
    ran = subprocess.run([sys.executable, PAGES / "10_resume.py"], capture_output=True, text=True, env=env, timeout=120)
    assert ran.returncode == 0, ran.stderr
    killed, goes_on, rows, same = ran.stdout.splitlines()
    assert killed == "the first process ended with code 1"
    assert goes_on == "interrupted.safetensors: goes on after epoch 16"
    assert rows.startswith("after 40 epochs: loss 0.4") and rows.endswith("40 rows of history")
    assert same == "the same bits as a training never interrupted: True"


def test_a_sweep_finds_a_rate_that_learns_the_spiral(page, monkeypatch, tmp_path, capsys):
    here = page("11_learning_rate_sweep")
    monkeypatch.setattr(here, "OUTPUT", tmp_path)
    assert here.main(epochs=60) > 0.9
    said = capsys.readouterr().out
    assert "32 trainings in" in said and "the best: rate" in said
    assert (tmp_path / "sweep_boundary.png").exists()
