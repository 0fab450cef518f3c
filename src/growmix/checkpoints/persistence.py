"""Models in checkpoints: which document and which tensors a model is, written and read back component by component.

The adversary is a stranger's checkpoint. Promised is that what is read is the model that its document tells of:
the networks are built without memory first, and compared with the tensors' shapes and types before any of them is read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from growmix.checkpoints.filling import check_density, check_limits, load_state
from growmix.checkpoints.folders import read_folder, write_folder
from growmix.components.abilities import CodeDensity, Codes, Limited, Pairs
from growmix.components.component import Component
from growmix.components.density import LatentDensity
from growmix.data.domain import Domain
from growmix.data.task import MOST_PIXELS
from growmix.errors import LONGEST_REASON, BadCheckpoint, shown
from growmix.storage.checkpoint_files import DOCUMENT, TENSORS
from growmix.storage.typed import MOST_SECONDS, check_range, record_from
from growmix.training.callbacks import TrainingLog

OTHERS = "others."
"""What comes before the names of tensors that are no component's."""


@dataclass(frozen=True)
class Outline:
    """All of a component that is no tensor, as the document says it."""

    domain: Domain
    target: Domain | None
    classes: tuple[int, ...]
    supervised: bool
    density: bool

    @classmethod
    def of(cls, component: Component) -> Outline:
        """Return the outline of a component that is to be written."""
        return cls(
            domain=component.domain,
            target=component.target if isinstance(component, Pairs) else None,
            classes=component.classes,
            supervised=component.supervised,
            density=isinstance(component, CodeDensity) and component.density is not None,
        )

    def check(self) -> None:
        """See that there can be such a component.

        Raises
        ------
        ValueError
            No component has such a shape or such classes.
        """
        for domain in filter(None, (self.domain, self.target)):
            domain.check(MOST_PIXELS)
        if len(set(self.classes)) < len(self.classes) or not all(0 <= label < 2**63 for label in self.classes):
            raise ValueError("classes are no different numbers of 0 or more, below 2**63")


@dataclass(frozen=True, eq=False)
class ComponentState:
    """A component as it lies in a checkpoint: its outline from the JSON, its tensors, its density."""

    outline: Outline
    tensors: dict[str, Tensor]
    density: LatentDensity | None

    def fill(self, component: Component, *, foreign: bool) -> Component:
        """Make an untrained component, built as the saved one was, into the saved one.

        Parameters
        ----------
        component
            An untrained component of the same kind.
        foreign
            Whether it holds a user's own modules, whose numbers need not be finite.

        Raises
        ------
        BadCheckpoint
            The tensors do not fit its networks.
        """
        component.add_classes(self.outline.classes, torch.Generator())
        load_state(component, self.tensors, foreign=foreign)
        for module in component.modules():  # a component of several networks has others within
            if isinstance(module, Component):
                check_limits({"class_counts": (module.class_counts, 0.0), "unlabelled": (module.unlabelled_count, 0.0)})
            if isinstance(module, Limited):
                check_limits(module.limits())
        if self.density is not None:
            if not isinstance(component, CodeDensity) or not isinstance(component, Codes):
                raise BadCheckpoint(f"{TENSORS} holds a density of codes, which a {type(component).__name__} lacks")
            check_density(self.density, component.latent, len(component.classes))
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
    """Write a model's checkpoint.

    Parameters
    ----------
    path
        The folder to be written.
    kind
        The kind of model, such as ``mixture``.
    document
        What is no tensor, ready for JSON.
    components
        The model's components, whose tensors are written.
    others
        Further tensors, by name.

    Raises
    ------
    BadInput
        The place can't be written.
    """
    tensors = prefixed(OTHERS, others or {})
    for k, component in enumerate(components):
        tensors |= prefixed(f"components.{k}.", component.state_dict())
        if isinstance(component, CodeDensity) and component.density is not None:
            tensors |= {f"densities.{k}.{f.name}": getattr(component.density, f.name) for f in fields(LatentDensity)}
    outlined = [asdict(Outline.of(component)) for component in components]
    write_folder(path, {"kind": kind, **document, "components": outlined}, tensors)


def load(path: Path, kind: str, look: Callable[[Checkpoint], None]) -> Checkpoint:
    """Read a model's checkpoint.

    Parameters
    ----------
    path
        The folder to be read.
    kind
        The kind of model that it must hold.
    look
        Given the checkpoint before its tensors are read: they have shapes and types, but no memory. Raises if they
        are not those of the model that the document tells of; otherwise they are read.

    Raises
    ------
    BadCheckpoint
        A file is missing, can't be read, or is of another kind or of a schema that is not known.
    """
    inside = path / "checkpoint"
    if not os.path.lexists(path / DOCUMENT) and os.path.lexists(inside / DOCUMENT):
        raise BadCheckpoint(f"{path} is no checkpoint, but the folder of a run; its checkpoint is {inside}")
    if not os.path.lexists(path):
        raise BadCheckpoint(f"there is no folder {path}; give the one that save(...) wrote")

    def look_at(document: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        if document.get("kind") != kind:
            raise BadCheckpoint(f"{path / DOCUMENT} is not the checkpoint of a {kind}")
        with understanding(path):
            outline = _checkpoint(document, tensors)
        look(outline)

    document, tensors = read_folder(path, look_at)
    return _checkpoint(document, tensors)


def _checkpoint(document: dict[str, Any], tensors: dict[str, Tensor]) -> Checkpoint:
    if len(document["components"]) > len(tensors):  # before any is looked at: every component has some
        raise ValueError(f"{len(document['components'])} components have {len(tensors)} tensors")
    parts = _parts(tensors)
    states = tuple(
        _state(record_from(outline, Outline), parts.pop(f"components.{k}", {}), parts.pop(f"densities.{k}", None))
        for k, outline in enumerate(document["components"])
    )
    others = parts.pop(OTHERS.removesuffix("."), {})
    if parts:
        raise BadCheckpoint(f"{TENSORS} holds tensors that {DOCUMENT} does not tell of: {shown(sorted(parts)[0])}")
    return Checkpoint(document, states, others)


def _parts(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Return the tensors of each component, of each density and all others, by the names that they have there."""
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        first, _, rest = name.partition(".")
        if first in ("components", "densities"):
            number, _, rest = rest.partition(".")
            first = f"{first}.{number}"
        parts.setdefault(first, {})[rest] = tensor
    return parts


def _state(outline: Outline, tensors: dict[str, Tensor], density: dict[str, Tensor] | None) -> ComponentState:
    outline.check()
    if outline.density != (density is not None):
        raise ValueError("a component has a density, or tensors of one, but not both")
    return ComponentState(outline, tensors, None if density is None else LatentDensity(**density))


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors with a prefix before their names."""
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors that :func:`prefixed` gave this prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


@contextmanager
def understanding(path: Path) -> Iterator[None]:
    """Make whatever is raised within a ``BadCheckpoint``: what is read from a document may be anything."""
    try:
        yield
    except BadCheckpoint:
        raise
    except (ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError) as error:
        reason = shown(error, LONGEST_REASON)
        raise BadCheckpoint(f"{path / DOCUMENT} can't be understood, or does not fit {TENSORS}: {reason}") from error


@contextmanager
def without_memory(path: Path) -> Iterator[None]:
    """Build networks without memory within, to see which tensors a document needs before they are read."""
    with understanding(path), torch.device("meta"):
        yield


def check_log(log: TrainingLog) -> None:
    """See that there can have been such a training.

    Raises
    ------
    ValueError
        A number of it is out of its range.
    """
    numbers = {name: getattr(log, name) for name in ("epochs", "steps", "examples")}
    least = int(any(numbers.values()))  # what is learnt in closed form takes no step
    for name, value in numbers.items():
        check_range(name, value, least)
    check_range("seconds", log.seconds, 0.0, MOST_SECONDS)
