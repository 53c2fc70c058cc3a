"""What the tests of examples share: a page, loaded as a module."""

import importlib.util
from pathlib import Path

import pytest

PAGES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def page():
    """`page(name)`: an example, imported and not run."""

    def load(name):
        spec = importlib.util.spec_from_file_location("page", PAGES / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load
