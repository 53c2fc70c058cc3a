"""What the tests of pictures share: a machine that cannot draw, and names that try to be more than text."""

import pytest

import graphnn as gn
from graphnn.view import render as rendering

HOSTILE = [
    '"]; a -> b; x["', "<b>bold</b>", "</text><script>alert(1)</script>", "a:b:c", "\\N\\G", "&lt;&amp;", "{a|b}",
    "javascript:alert(1)", "line\nbreak", "%s%n", "'; DROP", "\x00\x07", "日本語", "-->", "]]>", "#quot;", "`x`",
]  # fmt: skip


@pytest.fixture
def hostile():
    """A graph whose parameters have the names of an attacker."""
    nodes = [gn.Parameter(name, [1.0, 2.0]) for name in HOSTILE]
    return gn.Graph(gn.Sum(gn.AddN(tuple(nodes))))


@pytest.fixture
def bare(monkeypatch):
    """A machine without any renderer."""

    def missing(*_):
        raise gn.RenderError("pygraphviz failed: ModuleNotFoundError: No module named 'pygraphviz'")

    monkeypatch.setattr(rendering.shutil, "which", lambda name: None)
    monkeypatch.setattr(rendering, "_run", missing)


@pytest.fixture
def renderer():
    """Skips where nothing can draw."""
    try:
        rendering.draw("digraph { a -> b }", "svg")
    except gn.RenderError as missing:
        pytest.skip(str(missing))
