"""The op catalogue is what the ops say now, and everything in it leads somewhere."""

import importlib.util
import re
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def made():
    spec = importlib.util.spec_from_file_location("catalogue", DOCS / "catalogue.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.catalogue(module.read_counts())


def test_the_catalogue_is_what_the_ops_say(golden):
    golden("../../docs/ops.md", made())


def test_every_link_inside_the_catalogue_has_its_heading():
    text = (DOCS / "ops.md").read_text(encoding="utf-8")
    headings = {re.sub(r"[^a-z0-9 -]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^#+ (.*)$", text, re.M)}
    assert set(re.findall(r"\]\(#(.*?)\)", text)) <= headings
