"""What every op and every program must satisfy, for the suite and for users' own ops."""

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
