"""The pages on vectors say what happens: every line of their examples is run."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parent.parent / "docs"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "examples"), [("vectors.md", 12), ("gaussian.md", 11)])
def test_the_examples_of_the_page_run_as_written(name: str, examples: int) -> None:
    file = DOCS / name
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.REPORT_ONLY_FIRST_FAILURE
    # without the fences, which doctest would take for output
    text = "\n".join(line for line in file.read_text(encoding="utf-8").split("\n") if not line.startswith("```"))
    page = doctest.DocTestParser().get_doctest(text, {}, file.name, str(file), 0)
    said: list[str] = []
    outcome = doctest.DocTestRunner(optionflags=flags).run(page, out=said.append)
    assert outcome.attempted >= examples
    assert outcome.failed == 0, "".join(said)
