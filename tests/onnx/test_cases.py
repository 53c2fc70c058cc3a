"""The ONNX project's own node test cases, run against graphnn through the adapter, at their own tolerances.

`not_run.toml` lists those that are not run, with the reason; the table in `tests/golden/onnx_cases.txt` counts the
others for each node type. A listed case that passes, an unlisted one that does not, and a count that differs fail.
"""

import re
import tomllib
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from .cases import load, problem

pytestmark = pytest.mark.usefixtures("compiled_once_more")

HERE = Path(__file__).parent
TABLE = "onnx_cases.txt"
KINDS = re.findall(r"^(\S.*?) \d+ of \d+$", (HERE.parent / "golden" / TABLE).read_text(encoding="utf-8"), re.MULTILINE)
GROUPS = tomllib.loads((HERE / "not_run.toml").read_text(encoding="utf-8"))["group"]


@pytest.fixture(autouse=True)
def _onnx():
    pytest.importorskip("onnx", minversion="1.21", reason="the official cases are made by onnx>=1.21: pip install onnx")


def reason(name):
    """Why a case is not run, as listed; empty for one that must pass."""
    return next((g["reason"] for g in GROUPS if any(fnmatchcase(name, pattern) for pattern in g["cases"])), "")


@cache
def outcome(kind):
    """Each case of a node type, with its problem."""
    with np.errstate(all="ignore"):
        return {name: problem(case) for name, case in load().get(kind, {}).items()}


@pytest.mark.parametrize("kind", KINDS)
def test_official_cases(kind):
    wrong = [f"{name}: {why}" for name, why in outcome(kind).items() if why and not reason(name)]
    fixed = [
        f"{name} passes now: take it off not_run.toml"
        for name, why in outcome(kind).items()
        if not why and reason(name)
    ]
    assert not wrong + fixed, "\n".join(wrong + fixed)


def test_every_case_is_counted(golden, request):
    import onnx

    version = "onnx " + ".".join(onnx.__version__.split(".")[:2])
    kept = (HERE.parent / "golden" / TABLE).read_text(encoding="utf-8")
    if not kept.startswith(version + ":") and not request.config.getoption("--update-golden"):
        pytest.skip(f"the table counts the cases of another version than {version}")
    passed = {kind: sum(not why for why in outcome(kind).values()) for kind in sorted(load())}
    total = sum(map(len, load().values()))
    rows = [f"{kind} {good} of {len(load()[kind])}" for kind, good in passed.items()]
    golden(TABLE, "\n".join([f"{version}: {sum(passed.values())} cases pass, of {total}", "", *rows]))


def test_every_reason_still_has_a_case():
    names = [name for kind in load() for name in load()[kind]]
    idle = [p for g in GROUPS for p in g["cases"] if not any(fnmatchcase(name, p) for name in names)]
    assert not idle, f"not_run.toml lists cases that there are not: {idle}"
