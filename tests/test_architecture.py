"""The house keeps its order: rooms import only rooms below them, files stay short, and no import goes in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import growmix

SOURCE = Path(growmix.__file__).parent
MOST_LINES = 450
MOST_ROOMS = 23

FLOORS = (
    ("__main__",),
    ("cli",),
    ("studies",),
    ("experiment",),
    ("theory", "checks"),
    ("config", "metrics", "sklearn"),
    ("evaluation", "report", "baselines"),
    ("learning",),
    ("checkpoints", "nets"),
    ("training",),
    ("streams", "components"),
    ("data", "storage"),
    ("system",),
    ("settings",),
    ("errors",),
)
"""Rooms from the top floor to the ground: a module may import from floors below its own, and from its own room."""

FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def modules() -> dict[str, Path]:
    found = {}
    for file in sorted(SOURCE.rglob("*.py")):
        parts = file.relative_to(SOURCE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imports(file: Path, *, at_once: bool) -> Iterator[str]:
    """Names that a module imports from growmix; ``at_once``: only those that importing it imports."""
    waiting: list[ast.AST] = [ast.parse(file.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if at_once and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "growmix":
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "growmix")
        waiting += ast.iter_child_nodes(node)


def room(name: str) -> str:
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else ""


def test_every_room_has_its_floor_and_there_are_few() -> None:
    rooms = {room(name) for name in modules()} - {""}
    assert rooms <= FLOOR.keys()
    assert len(rooms) <= MOST_ROOMS


def test_rooms_import_only_from_floors_below_them() -> None:
    upwards = [
        f"{name} imports {imported}"
        for name, file in modules().items()
        for imported in imports(file, at_once=False)
        if (own := room(name)) and (other := room(imported)) in FLOOR
        if other != own and FLOOR[other] <= FLOOR[own]
    ]
    assert upwards == []


def test_no_import_goes_in_a_circle() -> None:
    known = modules()
    graph = {
        name: {
            imported if imported in known else imported.rpartition(".")[0] for imported in imports(file, at_once=True)
        }
        & known.keys()
        for name, file in known.items()
    }
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join((*way, name))
        if name in done:
            return
        for other in sorted(graph[name] - {name}):
            visit(other, (*way, name))
        done.add(name)

    for name in graph:
        visit(name, ())


def test_no_file_is_longer_than_a_reader_can_hold() -> None:
    long = {
        name: lines for name, file in modules().items() if (lines := len(file.read_text().splitlines())) > MOST_LINES
    }
    assert long == {}
