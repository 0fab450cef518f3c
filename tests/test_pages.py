"""What the pages for people name is there: linked files, modules, classes, and what their examples import."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")
NAME = re.compile(r"`(growmix(?:\.\w+)+)")
IMPORT = re.compile(r"^from (growmix[\w.]*) import (.+)$", re.MULTILINE)


def named_in(text: str) -> Iterator[str]:
    """Yield each dotted name of growmix that a page has, as text or in an import."""
    yield from NAME.findall(text)
    for module, names in IMPORT.findall(text):
        yield from (f"{module}.{name.strip()}" for name in names.split(","))


def find(name: str) -> Any:
    """Return the module, or what lies in it, that a dotted name stands for."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, member = name.rpartition(".")
        return getattr(find(module), member)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not [link for link in LINK.findall(text) if not (page.parent / link).exists()]
    for name in named_in(text):
        find(name)
