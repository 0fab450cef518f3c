"""Names the modules of ``src/growmix`` that have no test file where they stand.

Usage: ``python tools/mirror.py``. ``src/growmix/learning/replay.py`` is tested in ``tests/learning/test_replay.py``;
``__init__.py``, which only names what is public, and ``__main__.py`` need none. It exits with 1 where one is missing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
"""The folder that ``src`` and ``tests`` are in."""


def missing(repository: Path) -> Iterator[tuple[Path, Path]]:
    """Yield each module that has no test file, with the test file that is missing."""
    source = repository / "src" / "growmix"
    for module in sorted(source.rglob("*.py")):
        if module.name.startswith("__"):
            continue
        place = module.relative_to(source)
        tests = repository / "tests" / place.parent / f"test_{place.name}"
        if not tests.is_file():
            yield module.relative_to(repository), tests.relative_to(repository)


def main() -> int:
    """Print what is missing; the exit status is 1 where anything is."""
    found = list(missing(REPOSITORY))
    for module, tests in found:
        print(f"{module}: no {tests}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
