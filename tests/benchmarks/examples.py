"""The examples as modules, for benchmarks of their nets."""

import importlib.util
from pathlib import Path
from types import ModuleType


def example(name: str) -> ModuleType:
    """The example of that name, such as "04_digits_convnet"."""
    spec = importlib.util.spec_from_file_location(name[3:], Path(__file__).parents[2] / "examples" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
