"""The page on kinds of components says what happens: every line of its examples is run."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parent.parent / "docs" / "components.md"


@pytest.mark.slow
def test_the_examples_of_the_page_on_components_run_as_written() -> None:
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.REPORT_ONLY_FIRST_FAILURE
    # without the fences, which doctest would take for output
    text = "\n".join(line for line in PAGE.read_text(encoding="utf-8").split("\n") if not line.startswith("```"))
    page = doctest.DocTestParser().get_doctest(text, {}, PAGE.name, str(PAGE), 0)
    said: list[str] = []
    outcome = doctest.DocTestRunner(optionflags=flags).run(page, out=said.append)
    assert outcome.attempted >= 9
    assert outcome.failed == 0, "".join(said)
