"""Checkpoints: a folder with safetensors for all tensors and JSON for the rest; no pickle anywhere."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from growmix.component import Component
from growmix.data import Shape
from growmix.density import LatentDensity
from growmix.errors import BadCheckpoint, BadInput
from growmix.training import TrainingLog

SCHEMA = 2
DOCUMENT = "state.json"
TENSORS = "tensors.safetensors"
OTHERS = "others."
"""Before the names of tensors that are no component's."""


@dataclass(frozen=True, eq=False)
class ComponentState:
    """A component as it lies in a checkpoint: its outline from the JSON, its tensors, its density."""

    shape: Shape
    target_shape: Shape | None
    classes: tuple[int, ...]
    supervised: bool
    tensors: dict[str, Tensor]
    density: LatentDensity | None

    def fill(self, component: Component) -> Component:
        """Make an untrained component, built as the saved one was, into it.

        Raises
        ------
        BadCheckpoint
            If the tensors do not fit its networks.
        """
        component.add_classes(self.classes)
        try:
            component.load_state_dict(self.tensors)
        except RuntimeError as error:
            raise BadCheckpoint(f"{TENSORS}: tensors do not fit the networks of this model: {error}") from error
        component.density = self.density
        component.freeze()
        return component


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What lies in a checkpoint: the JSON document, the components, and all other tensors by name."""

    document: dict[str, Any]
    components: tuple[ComponentState, ...]
    tensors: dict[str, Tensor]


def save(
    path: Path,
    kind: str,
    document: dict[str, Any],
    components: Sequence[Component],
    others: Mapping[str, Tensor] | None = None,
) -> None:
    """Write a checkpoint to a new folder, then put it in the place of the old one.

    Parameters
    ----------
    path
        The folder.
    kind
        Of model, such as ``mixture``.
    document
        What is no tensor, ready for JSON.
    components
        With their tensors.
    others
        Further tensors, by name.

    Raises
    ------
    BadInput
        If the place can't be written.
    """
    outlines = [
        {
            "shape": list(c.shape),
            "target_shape": None if c.target_shape is None else list(c.target_shape),
            "classes": list(c.classes),
            "supervised": c.supervised,
            "density": c.density is not None,
        }
        for c in components
    ]
    tensors = {f"{OTHERS}{name}": t.detach().cpu().contiguous().clone() for name, t in (others or {}).items()}
    for k, component in enumerate(components):
        tensors |= {
            f"components.{k}.{name}": t.detach().cpu().contiguous().clone()
            for name, t in component.state_dict().items()
        }
        if component.density is not None:
            tensors |= {f"densities.{k}.{f.name}": getattr(component.density, f.name) for f in fields(LatentDensity)}
    whole = {"schema": SCHEMA, "kind": kind, **document, "components": outlines}
    try:
        _replace(path.absolute(), lambda folder: _write(folder, whole, tensors))
    except (OSError, SafetensorError) as error:
        raise BadInput(f"path {str(path)!r} can't be written: {error}") from error


def _write(folder: Path, document: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    (folder / DOCUMENT).write_text(json.dumps(document, indent=1, allow_nan=False), encoding="utf-8")
    save_file(tensors, folder / TENSORS)


def _replace(path: Path, fill: Callable[[Path], None]) -> None:
    """Fill a new folder, then put it where an older checkpoint may lie; if that fails, the older one is back."""
    if path.exists() and not (path / DOCUMENT).is_file():
        raise BadInput(f"path {str(path)!r} exists and is no checkpoint; give a new folder")
    fresh = path.with_name(f".{path.name}.new-{os.getpid()}")
    stale = path.with_name(f".{path.name}.old-{os.getpid()}")
    try:
        fresh.mkdir(parents=True)
        fill(fresh)
        if path.exists():
            path.rename(stale)
        fresh.rename(path)
    finally:
        if fresh.parent.exists() and not path.exists() and stale.exists():
            stale.rename(path)
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(stale, ignore_errors=True)


def load(path: Path, kind: str) -> Checkpoint:
    """Read a checkpoint.

    Raises
    ------
    BadCheckpoint
        A file is missing, can't be read, or is of another kind or schema.
    """
    document = _read_document(path / DOCUMENT, kind)
    try:
        tensors = load_file(path / TENSORS)
    except (OSError, SafetensorError) as error:
        raise BadCheckpoint(f"{path / TENSORS} can't be read: {error}") from error
    try:
        states = tuple(_state(outline, k, tensors) for k, outline in enumerate(document["components"]))
    except (KeyError, TypeError, ValueError) as error:
        raise BadCheckpoint(f"{path / DOCUMENT} does not fit {TENSORS}: {error!r}") from error
    return Checkpoint(document, states, under(OTHERS, tensors))


def _state(outline: Mapping[str, Any], k: int, tensors: Mapping[str, Tensor]) -> ComponentState:
    density = None
    if outline["density"]:
        density = LatentDensity(**{f.name: tensors[f"densities.{k}.{f.name}"] for f in fields(LatentDensity)})
    target = outline["target_shape"]
    return ComponentState(
        shape=_shape(outline["shape"]),
        target_shape=None if target is None else _shape(target),
        classes=tuple(int(label) for label in outline["classes"]),
        supervised=bool(outline["supervised"]),
        tensors=under(f"components.{k}.", tensors),
        density=density,
    )


def _shape(numbers: Sequence[int]) -> Shape:
    channels, height, width = numbers
    return channels, height, width


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with a prefix before their names."""
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors that :func:`prefixed` gave this prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


@contextmanager
def understanding(path: Path) -> Iterator[None]:
    """What is read from a document may be anything: all that does not fit is a bad checkpoint."""
    try:
        yield
    except (BadInput, KeyError, TypeError, ValueError, IndexError, AttributeError, RuntimeError) as error:
        if isinstance(error, BadCheckpoint):
            raise
        raise BadCheckpoint(f"{path / DOCUMENT} can't be understood: {error!r}") from error


def _read_document(file: Path, kind: str) -> dict[str, Any]:
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadCheckpoint(f"{file} can't be read: {error}") from error
    if not isinstance(document, dict) or document.get("kind") != kind:
        raise BadCheckpoint(f"{file} is not the checkpoint of a {kind}")
    if document.get("schema") != SCHEMA:
        raise BadCheckpoint(f"{file} has schema {document.get('schema')}; this version of growmix reads {SCHEMA}")
    return document


def log_to_json(log: TrainingLog) -> dict[str, Any]:
    """A training log, ready for JSON."""
    return asdict(log)


def log_from_json(document: dict[str, Any]) -> TrainingLog:
    """The log that :func:`log_to_json` wrote."""
    return TrainingLog(**{**document, "losses": tuple(document["losses"])})
