"""The official cases: loaded once, told apart by the node type that each is about, and run."""

import warnings
from collections import defaultdict
from functools import cache

import numpy as np

import graphnn as gn

from . import control, linear, nets, pointwise, pool, recurrent, reducing, resize, shaping  # noqa: F401 - rules
from .adapter import UnsupportedError, as_array, check_dtype, translate


@cache
def load():
    """Node type -> its cases by name. A function's expansion counts as a case of the function."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of making the cases, not of running them
        from onnx.backend.test.loader import load_model_tests

        cases = load_model_tests(kind="node")
    named = {case.name: case for case in cases}
    found = defaultdict(dict)
    for name, case in named.items():
        about = named.get(name.split("_expanded")[0], case)
        kinds = {node.op_type for node in about.model.graph.node if node.op_type not in ("Constant", "Identity")}
        found[min(kinds) if len(kinds) == 1 else "several nodes"][name] = case
    return dict(found)


def problem(case):
    """Why a case does not pass: a sentence; empty when it does."""
    try:
        for arrays, expected in case.data_sets:
            wanted = [as_array(value) for value in expected]
            for want in wanted:
                check_dtype(want)
            outputs, feeds = translate(case.model, arrays)
            f = gn.compile(outputs, passes="none")
            results = f(**{name: feeds[name] for name in f.graph.inputs})
            for value, want in zip(results, wanted, strict=True):
                if value.dtype != want.dtype or value.shape != want.shape:
                    return f"differs: {value.dtype} {value.shape}, not {want.dtype} {want.shape}"
                np.testing.assert_allclose(value, want, case.rtol, case.atol)
    except UnsupportedError as reason:
        return f"unsupported: {reason}"
    except AssertionError as difference:
        return f"differs: {' '.join(str(difference).split())[:200]}"
    except gn.GraphNNError as error:
        return f"refused: {error}"
    return ""
