"""Names of the theory's files: a run knows them all as its own, and to know them imports nothing."""

from __future__ import annotations

import ast
from pathlib import Path

from growmix.experiment.folder import FILES
from growmix.report import theory_names


def test_every_file_of_the_theory_is_one_that_a_run_may_replace() -> None:
    assert set(theory_names.ALL) <= set(FILES)
    assert len(theory_names.ALL) == len(set(theory_names.ALL))


def test_every_name_is_among_all() -> None:
    names = {value for name, value in vars(theory_names).items() if name.isupper() and isinstance(value, str)}
    assert names == set(theory_names.ALL)


def test_nothing_is_imported_to_know_the_names() -> None:
    tree = ast.parse(Path(theory_names.__file__).read_text())
    imported = [each for each in ast.walk(tree) if isinstance(each, (ast.Import, ast.ImportFrom))]
    assert [ast.unparse(each) for each in imported] == ["from __future__ import annotations"]
