"""The stand-in offers nothing that CuPy does not have."""

from importlib.util import find_spec

import pytest

from .stand_in import World, make_cupy


@pytest.mark.skipif(find_spec("cupy") is None, reason="cupy is not installed")
def test_its_names_are_names_of_cupy():
    import cupy

    made = make_cupy(World(None))
    for name in ("RawModule", "cuda", "ndarray"):
        assert hasattr(made, name) and hasattr(cupy, name)
    for name in vars(made.cuda):
        assert hasattr(cupy.cuda, name), name
    for name in vars(made.cuda.runtime):
        assert hasattr(cupy.cuda.runtime, name), name
    for kind in ("Stream", "Graph"):
        mine = getattr(made.cuda, kind, None)
        for name in vars(mine) if mine else ():
            assert name.startswith("_") or hasattr(getattr(cupy.cuda, kind), name), f"{kind}.{name}"
