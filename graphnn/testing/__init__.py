"""Tests that every op and every program must pass, for the test suite and for the ops of users."""

from .compare import agree, check_grad
from .ops import check_op, check_refusal, check_sample, samples_of
from .sampling import build, feeds_for
from .trial import Trial

__all__ = [
    "Trial",
    "agree",
    "build",
    "check_grad",
    "check_op",
    "check_refusal",
    "check_sample",
    "feeds_for",
    "samples_of",
]
