"""Refuses docstrings that are riddles: too short to be a thought, or a fragment that can't be read alone.

Usage: ``python tools/plain_words.py [--count] [FILE or FOLDER ...]``, by default the folder ``src``. It names each
place as ``file:line``, exits with 1 where it refuses anything, and with ``--count`` tells only how many per folder.

The adversary is haste, ours: words that are clear to who writes them and to nobody else. What is refused:

- The first line of a docstring has fewer than four words, or is a fragment ("Of everything random."). That holds for
  modules, classes and functions, and for a string that stands under a constant or a field as its documentation.
- A description under Parameters, Attributes, Returns, Yields, Raises or Warns

  - is missing, for a parameter or an attribute, or is "None." or the like;
  - has fewer than three words, or fewer than four under Raises ("Absolute.", "The folder.", "It can't.");
  - starts with a preposition ("Of the component.", "By name."), except "In [0, 1]", "By default the largest" and
    "At most three of the examples";
  - starts with a pronoun or with a comparison to something else ("It is none.", "Their names.", "The same.", "As
    above."), or with a verb whose subject is missing ("Is there.", "Told of the run.");
  - starts with "what", "how", "where" and the like, and has fewer than five words ("What is trained.", "How many.").

A noun phrase that can be read alone is fine: "Learning rate of AdamW.", "Class positions, shape ``(n,)``.".
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

SUMMARY_WORDS = 4
"""Fewest words that the first line of a docstring may have."""

DESCRIPTION_WORDS = {"Raises": 4, "Warns": 4}
"""Fewest words that a description may have, by section; three in those that are not named here."""

QUESTION_WORDS = 5
"""Fewest words of a description that starts like a question: "What is trained." hides what it is."""

SECTIONS = ("Parameters", "Other Parameters", "Attributes", "Returns", "Yields", "Raises", "Warns")
"""Sections of a numpydoc docstring whose entries are checked."""

DESCRIBED_SECTIONS = ("Parameters", "Other Parameters", "Attributes")
"""Sections whose entries need a description; a returned ``float`` may be described by the first line."""

_AUXILIARY = r"(is|are|was|were|has|have|had|can|could|does|did|do)(n't|not|'t)?"
_PREPOSITION = re.compile(
    r"(of|along|by(?! default)|for|to|with|on|at(?! (most|least)( \S+){3})|from|between|before|after|until"
    r"|in(?! \[| \(| ``))\s",
    re.I,
)
_PRONOUN = re.compile(
    rf"(it|they|it's|they're)\s|(one|nothing|there) {_AUXILIARY}( not| none| any)?[.;,]"
    r"|(its|their|those|these|that|the same|likewise|another one|as(?! (soon|long|many|often) as))\b",
    re.I,
)
_SUBJECTLESS = re.compile(r"(is|are|has|have|was|were|knows|told|wanted|does|gets)\s", re.I)
_QUESTION = re.compile(r"(what|how|where|which|who|whose|why|when)\s|whether \S+ \S+$", re.I)
_WORD = re.compile(r"\S*\w\S*")
_SUMMARY_FRAGMENT = re.compile(
    rf"of\s|(it|they|one|there) {_AUXILIARY}( not| none)?\.|(its|their)\b|the same( (with|for|from|of|as)\b|[.,:;])",
    re.I,
)


class Riddle(NamedTuple):
    """One refused line: where it stands, what is wrong with it, and how it reads."""

    line: int
    reason: str
    text: str


def refusal_of_summary(text: str) -> str | None:
    """Say why the first line of a docstring is refused, or ``None`` where it reads well.

    Examples
    --------
    >>> refusal_of_summary("Itself.")
    'fewer than 4 words'
    >>> refusal_of_summary("Return the largest gap between two samples.") is None
    True
    """
    if len(_WORD.findall(text)) < SUMMARY_WORDS:
        return f"fewer than {SUMMARY_WORDS} words"
    if _SUMMARY_FRAGMENT.match(text):
        return "a fragment"
    return None


def refusal_of_description(section: str, text: str) -> str | None:
    """Say why a description in this section of a docstring is refused, or ``None`` where it reads well.

    Examples
    --------
    >>> refusal_of_description("Parameters", "Of the component.")
    'starts with a preposition'
    >>> refusal_of_description("Parameters", "Learning rate of AdamW.") is None
    True
    """
    if not text:
        return "no description" if section in DESCRIBED_SECTIONS else None
    words = len(_WORD.findall(text))
    fewest = DESCRIPTION_WORDS.get(section, 3)
    if words < fewest:
        return f"fewer than {fewest} words"
    if _PREPOSITION.match(text):
        return "starts with a preposition"
    if _PRONOUN.match(text):
        return "starts with a pronoun or a comparison"
    if _SUBJECTLESS.match(text):
        return "starts with a verb, its subject is missing"
    if _QUESTION.match(text) and words < QUESTION_WORDS:
        return f"starts like a question and has fewer than {QUESTION_WORDS} words"
    return None


def riddles(source: str) -> list[Riddle]:
    """Find every refused line in the text of one Python module, in the order of its lines."""
    found: list[Riddle] = []
    for constant in _docstrings(ast.parse(source)):
        found += _riddles_of_docstring(constant)
    return sorted(found)


def _docstrings(tree: ast.Module) -> Iterator[ast.Constant]:
    """Yield the strings that document something: the first of a body, and those under an assignment."""
    for node in ast.walk(tree):
        if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        holds_constants = isinstance(node, (ast.Module, ast.ClassDef))
        for before, statement in zip([None, *node.body], node.body, strict=False):
            documents = before is None or (holds_constants and isinstance(before, (ast.Assign, ast.AnnAssign)))
            value = statement.value if documents and isinstance(statement, ast.Expr) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield value


def _riddles_of_docstring(constant: ast.Constant) -> Iterator[Riddle]:
    lines = [line.rstrip() for line in str(constant.value).expandtabs().splitlines()]
    if not any(lines):
        yield Riddle(constant.lineno, "empty", "")
        return
    first = next(number for number, line in enumerate(lines) if line)
    summary = lines[first].strip()
    reason = refusal_of_summary(summary)
    if reason is not None:
        yield Riddle(constant.lineno + first, reason, summary)
    indent = min((len(line) - len(line.lstrip()) for line in lines[1:] if line), default=0)
    body = [line.strip() if number == 0 else line[indent:] for number, line in enumerate(lines)]
    for number, section, entry, description in _entries(body):
        reason = refusal_of_description(section, description)
        if reason is not None:
            yield Riddle(constant.lineno + number, f"{section}, {entry}: {reason}", description)


def _entries(lines: Sequence[str]) -> Iterator[tuple[int, str, str, str]]:
    """Yield the entries of the sections: number of the line to be read, section, entry, its first paragraph."""
    section = ""
    for number, line in enumerate(lines):
        underlined = number + 1 < len(lines) and re.fullmatch(r"-{3,}", lines[number + 1]) is not None
        if underlined:
            section = line
            continue
        is_entry = bool(line) and not line.startswith(" ") and re.fullmatch(r"-{3,}", line) is None
        if section not in SECTIONS or not is_entry:
            continue
        paragraph: list[str] = []
        for following in lines[number + 1 :]:
            if not following.startswith(" "):
                break
            paragraph.append(following.strip())
        yield (number + 1 if paragraph else number), section, line, " ".join(paragraph)


def _files(places: Sequence[str]) -> Iterator[Path]:
    for place in places:
        path = Path(place)
        if path.is_dir():
            yield from sorted(path.rglob("*.py"))
        elif path.is_file():
            yield path
        else:
            raise SystemExit(f"plain_words: {place} is neither a file nor a folder")


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the files that the command line names; the exit status is 1 where something is refused."""
    parser = argparse.ArgumentParser(description="Refuse docstrings that can't be read alone.")
    parser.add_argument("places", nargs="*", default=["src"], help="files or folders (default: src)")
    parser.add_argument("--count", action="store_true", help="tell only how many there are in each folder")
    options = parser.parse_args(arguments)
    count: Counter[str] = Counter()  # by folder
    for file in _files(options.places):
        for riddle in riddles(file.read_text(encoding="utf-8")):
            count[file.parent.as_posix()] += 1
            if not options.count:
                print(f'{file}:{riddle.line}: {riddle.reason}: "{riddle.text}"')
    if options.count:
        for folder, number in sorted(count.items()):
            print(f"{number:5d}  {folder}")
    total = sum(count.values())
    if total:
        print(f"plain_words: {total} docstrings or descriptions can't be read alone", file=sys.stderr)
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
