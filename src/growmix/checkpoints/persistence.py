"""Checkpoints: a folder with safetensors for all tensors and JSON for the rest; no pickle anywhere."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from growmix import __version__
from growmix.checkpoints.migration import SCHEMA, can_be_read, migrated
from growmix.components.component import Component
from growmix.components.density import MOST_GAUSSIANS, LatentDensity
from growmix.data.task import MOST_PIXELS, UNLABELLED, Shape
from growmix.errors import LONGEST_REASON, BadCheckpoint, BadInput, shortened, shown
from growmix.storage import sealing
from growmix.storage.sealing import (
    FILE_BROWSER_FILES,
    SEAL,
    folder_identity,
    is_leftover,
    read_seal,
    replace_folder,
    standing,
)
from growmix.storage.typed import MOST_SECONDS, check_range, record_from
from growmix.storage.untrusted import (
    DTYPES,
    OpenFile,
    Slot,
    open_files,
    outlines,
    read_slots,
    read_tensors,
    strict_json,
)
from growmix.training.loop import TrainingLog

DOCUMENT = "state.json"
TENSORS = "tensors.safetensors"
OTHERS = "others."
"""Before the names of tensors that are no component's."""

MOST_JSON = 64 * 2**20
"""Bytes of a document beside few tensors; beside many it may be four times as large as they are, within bounds."""

MOST_JSON_OF_ALL = 2**28

_LOOKS = 20
"""How often a folder that is not there is looked for again: it may be about to be replaced."""

Look: TypeAlias = Callable[[dict[str, Any], dict[str, Tensor]], None]
"""Looks at a document and at tensors that have shape and type but no memory (on the device ``meta``)."""

R = TypeVar("R")


@dataclass(frozen=True)
class Outline:
    """What of a component is no tensor."""

    shape: Shape
    target_shape: Shape | None
    classes: tuple[int, ...]
    supervised: bool
    density: bool

    @classmethod
    def of(cls, component: Component) -> Outline:
        """Of a component that is to be written."""
        return cls(
            shape=component.shape,
            target_shape=component.target_shape,
            classes=component.classes,
            supervised=component.supervised,
            density=component.density is not None,
        )

    def check(self) -> None:
        """See that there can be such a component.

        Raises
        ------
        ValueError
            There can't.
        """
        for channels, height, width in filter(None, (self.shape, self.target_shape)):
            if min(channels, height, width) < 1 or channels * height * width > MOST_PIXELS:
                raise ValueError(f"an image of shape {(channels, height, width)}")
        if len(set(self.classes)) < len(self.classes) or not all(0 <= label < 2**63 for label in self.classes):
            raise ValueError("classes are no different numbers of 0 or more, below 2**63")


@dataclass(frozen=True, eq=False)
class ComponentState:
    """A component as it lies in a checkpoint: its outline from the JSON, its tensors, its density."""

    outline: Outline
    tensors: dict[str, Tensor]
    density: LatentDensity | None

    def fill(self, component: Component) -> Component:
        """Make an untrained component, built as the saved one was, into it.

        Raises
        ------
        BadCheckpoint
            If the tensors do not fit its networks.
        """
        component.add_classes(self.outline.classes)
        load_state(component, self.tensors, foreign=component.structure is None)
        counts = {"class_counts": component.class_counts, "unlabelled_count": component.unlabelled_count}
        check_finite(counts)
        if not component.class_counts.is_meta and any(bool((count < 0).any()) for count in counts.values()):
            raise BadCheckpoint(f"{TENSORS}: a component learnt fewer than no examples")
        if self.density is not None:
            _check_density(self.density, component)
        component.density = self.density
        component.freeze()
        return component


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What lies in a checkpoint: the JSON document, the components, and all other tensors by name."""

    document: dict[str, Any]
    components: tuple[ComponentState, ...]
    tensors: dict[str, Tensor]


def write_folder(path: Path, document: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write a document and tensors to a new folder, with checksums, then put it in the place of the old one.

    At every instant one whole folder exists; whatever fails, the old one is what is read. Folders inside the old one
    go with it.

    Parameters
    ----------
    path
        The folder.
    document
        What is no tensor, ready for JSON; the schema and the version of growmix are added.
    tensors
        By name.

    Raises
    ------
    BadInput
        The place can't be written, or what is there is no checkpoint.
    """
    path = path.absolute()
    own = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    of = {"schema": SCHEMA, "growmix": __version__}
    try:
        content = json.dumps({**of, **document, **of}, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise BadInput(f"path {str(path)!r}: what is to be kept can't be written as JSON: {error}") from error
    _check_readable(path, content, own)

    def fill(folder: Path) -> None:
        (folder / DOCUMENT).write_bytes(content)
        save_file(own, folder / TENSORS)
        # safetensors makes it for its owner alone; whoever may read the document may read the numbers
        (folder / TENSORS).chmod((folder / DOCUMENT).stat().st_mode & 0o777)

    try:
        if path.is_symlink():
            raise BadInput(f"path {str(path)!r} is a symbolic link; give the folder that it leads to")
        if path.exists():
            _check_replaceable(path)
        replace_folder(path, fill, is_whole, _check_written)
    except (OSError, SafetensorError) as error:
        raise BadInput(f"path {str(path)!r} can't be written: {error}") from error
    except BadCheckpoint as error:
        raise BadInput(f"path {str(path)!r}: what was written there could not be read back: {error}") from error


def _check_replaceable(path: Path) -> None:
    """See that a folder holds checkpoints alone: all that is in it goes with it."""
    if not path.is_dir() or not any((path / name).is_file() for name in (DOCUMENT, SEAL)):
        raise BadInput(f"path {str(path)!r} exists and is no checkpoint; give a new folder")
    foreign = foreign_in(path)
    if foreign is not None:
        raise BadInput(
            f"path {str(path)!r} holds {str(foreign.relative_to(path))!r} beside a checkpoint; give a new folder"
        )


def foreign_in(folder: Path) -> Path | None:
    """A file in a folder, or in one inside it, that is no checkpoint's: nobody is to remove it; if there is one."""
    for place in sorted(folder.glob("*")):
        if place.name in FILE_BROWSER_FILES or is_leftover(place):
            continue
        if place.is_dir() and not place.is_symlink():
            inside = foreign_in(place)
            if inside is not None:
                return inside
        elif place.name not in (DOCUMENT, TENSORS, SEAL):
            return place
    return None


def read_document(path: Path) -> dict[str, Any]:
    """The document of a folder that :func:`write_folder` wrote, everything in it checked, but no tensor read.

    Raises
    ------
    BadCheckpoint
        As :func:`read_folder` does.
    """
    return _read(path, lambda document, slots, file: document)


def read_folder(path: Path, look: Look) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read back what :func:`write_folder` wrote, of this schema or an older one.

    Nothing is executed, and before tensors are read, checksums and sizes are checked.

    Parameters
    ----------
    path
        The folder. Where it is missing because a process was ended while it replaced it, what that left is read.
    look
        Called before any tensor is read, with the document and the tensors' outlines; raises if they do not fit.

    Raises
    ------
    BadCheckpoint
        A file is missing, is not what was written, or is of a newer schema; the message names it.
    """

    def read(document: dict[str, Any], slots: dict[str, Slot], file: OpenFile) -> tuple[Any, dict[str, Tensor]]:
        look(document, outlines(slots))
        return document, read_tensors(file, slots)

    return _read(path, read)


def _read(path: Path, read: Callable[[dict[str, Any], dict[str, Slot], OpenFile], R]) -> R:
    """Read the folder that stands there, again if it was replaced meanwhile."""
    path = path.absolute()
    missed = 0
    while True:
        folder = standing(path, is_whole)
        met = folder_identity(folder)
        try:
            with _opened(folder) as (document, slots, file):
                return read(document, slots, file)
        except BadCheckpoint:
            missed += met is None
            if folder_identity(standing(path, is_whole)) == met and (met is not None or missed > _LOOKS):
                raise  # otherwise it was replaced under our eyes: read the new one
            time.sleep(0.001)


def exists(path: Path) -> bool:
    """Whether :func:`read_folder` finds anything at that path, readable or not."""
    return os.path.lexists(standing(path.absolute(), is_whole))


def recover(path: Path) -> None:
    """Put a folder in its place where a process was ended while it replaced it, and clear what that left beside it."""
    sealing.recover(path.absolute(), is_whole)


def is_whole(folder: Path) -> bool:
    """Whether a folder can be read: one that an interrupted process left may be unfinished."""
    try:
        with _opened(folder):
            return True
    except BadCheckpoint:
        return False


@contextmanager
def _opened(folder: Path) -> Iterator[tuple[dict[str, Any], dict[str, Slot], OpenFile]]:
    """The document of a folder of which everything was checked, and where its tensors lie in the open file."""
    with open_files(folder, (DOCUMENT, TENSORS), optional=SEAL) as files:
        seal = read_seal(files.pop(SEAL)) if SEAL in files else None
        if seal is not None:
            seal.check(files[DOCUMENT])
        # looked at before anything else: a newer growmix, which it tells of, may write other files beside it
        document = _read_document(files[DOCUMENT], files[TENSORS].size, sealed=seal is not None)
        if seal is not None:
            seal.check_names(files)
            seal.check(files[TENSORS])
        slots = read_slots(files[TENSORS])
        with understanding(folder):
            document = migrated(document)
        yield document, slots, files[TENSORS]


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
    tensors = prefixed(OTHERS, others or {})
    for k, component in enumerate(components):
        tensors |= prefixed(f"components.{k}.", component.state_dict())
        if component.density is not None:
            tensors |= {f"densities.{k}.{f.name}": getattr(component.density, f.name) for f in fields(LatentDensity)}
    outlined = [asdict(Outline.of(component)) for component in components]
    write_folder(path, {"kind": kind, **document, "components": outlined}, tensors)


def load(path: Path, kind: str, look: Callable[[Checkpoint], None]) -> Checkpoint:
    """Read a model's checkpoint.

    Parameters
    ----------
    path
        The folder.
    kind
        Of model.
    look
        Given the checkpoint before its tensors are read: they have shapes and types, but no memory. Raises if they
        are not those of the model that the document tells of; otherwise they are read.

    Raises
    ------
    BadCheckpoint
        A file is missing, can't be read, or is of another kind or a newer schema.
    """
    inside = path / "checkpoint"
    if not os.path.lexists(path / DOCUMENT) and os.path.lexists(inside / DOCUMENT):
        raise BadCheckpoint(f"{path} is no checkpoint, but the folder of a run; its checkpoint is {inside}")

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
    """The tensors of each component and of each density, and all others, by the names that they have there."""
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


def _check_density(density: LatentDensity, component: Component) -> None:
    gaussians, latent = len(density.weight), component.latent
    if gaussians > MOST_GAUSSIANS * (len(component.classes) + 1):
        raise BadCheckpoint(f"{TENSORS}: a density of {len(component.classes)} classes has {gaussians} Gaussians")
    needed = {
        "weight": ((gaussians,), torch.float32),
        "mean": ((gaussians, latent), torch.float32),
        "scale": ((gaussians, latent, latent), torch.float32),
        "owner": ((gaussians,), torch.int64),
    }
    for name, (shape, dtype) in needed.items():
        tensor: Tensor = getattr(density, name)
        if tensor.shape != shape or tensor.dtype != dtype or not gaussians:
            raise BadCheckpoint(f"{TENSORS}: {name} of a density is {tensor.dtype} of shape {tuple(tensor.shape)}")
    check_finite({name: getattr(density, name) for name in needed})
    if density.weight.is_meta:
        return
    owners = (int(density.owner.min()), int(density.owner.max()))
    if float(density.weight.min()) <= 0 or owners[0] < UNLABELLED or owners[1] >= len(component.classes):
        raise BadCheckpoint(f"{TENSORS}: a density has weights of 0 or less, or owners {owners} that are no classes")


def load_state(module: nn.Module, tensors: Mapping[str, Tensor], *, foreign: bool) -> None:
    """Fill a module with all of its state, each tensor in its own shape and type.

    Parameters
    ----------
    module
        To be filled.
    tensors
        Of all its weights and buffers, by name.
    foreign
        Whether it is made of a user's own modules, which may hold what is not finite, and change a buffer's type.

    Raises
    ------
    BadCheckpoint
        They are not the module's.
    """
    if foreign:
        _take_types(module, tensors)
    for name, tensor in module.state_dict().items():
        if name in tensors and tensors[name].dtype != tensor.dtype:
            raise BadCheckpoint(f"{TENSORS}: {name} is of {tensors[name].dtype}, needed {tensor.dtype}")
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        reason = shortened(str(error), LONGEST_REASON)
        raise BadCheckpoint(f"{TENSORS}: tensors do not fit the networks of this model: {reason}") from error
    if not foreign:
        check_finite(dict(module.named_parameters()))


def _take_types(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give the buffers of modules inside a module the types that they were saved in: they may have changed in use."""
    for name, buffer in list(module.named_buffers()):
        parent, _, own = name.rpartition(".")
        if parent and name in tensors and tensors[name].dtype != buffer.dtype:
            setattr(module.get_submodule(parent), own, buffer.to(tensors[name].dtype))


def check_finite(tensors: Mapping[str, Tensor]) -> None:
    """See that all numbers are finite, of tensors that have any.

    Raises
    ------
    BadCheckpoint
        One is not.
    """
    for name, tensor in tensors.items():
        if not tensor.is_meta and not bool(torch.isfinite(tensor).all()):
            raise BadCheckpoint(f"{TENSORS}: {name} has numbers that are not finite")


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
    except BadCheckpoint:
        raise
    except (ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError) as error:
        reason = shown(error, LONGEST_REASON)
        raise BadCheckpoint(f"{path / DOCUMENT} can't be understood, or does not fit {TENSORS}: {reason}") from error


@contextmanager
def without_memory(path: Path) -> Iterator[None]:
    """Networks built within have shapes but no memory: to see what tensors a document needs before they are read."""
    with understanding(path), torch.random.fork_rng(devices=[]), torch.device("meta"):
        yield


def _read_document(file: OpenFile, beside: int, *, sealed: bool) -> dict[str, Any]:
    """What the document says, as this schema says it."""
    if file.size > _most_json(beside):
        raise BadCheckpoint(f"{file.path} has {file.size} bytes; this many tensors take less")
    document: Any = strict_json(file.read(file.size), file.path)
    schema = document.get("schema") if isinstance(document, dict) else None
    if type(schema) is not int or schema < 1:
        raise BadCheckpoint(f"{file.path} is not the document of a checkpoint")
    if not can_be_read(schema):
        advice = "update it" if schema > SCHEMA else "learn the tasks again, or go on with the growmix that wrote it"
        raise BadCheckpoint(
            f"{file.path} has schema {schema}, of growmix {shown(document.get('growmix'))}; "
            f"this is growmix {__version__}, which reads schema {SCHEMA}: {advice}"
        )
    if not sealed:
        raise BadCheckpoint(f"{file.path.with_name(SEAL)} is missing")
    return dict(document)


def _most_json(beside: int) -> int:
    return min(MOST_JSON + 4 * beside, MOST_JSON_OF_ALL)


def _check_written(folder: Path) -> None:
    """What could not be read back must not take the place of what can."""
    with _opened(folder):
        return


def _check_readable(path: Path, content: bytes, tensors: Mapping[str, Tensor]) -> None:
    """Refuse early, and in plain words, what could not be read back."""
    if len(content) > _most_json(sum(tensor.numel() * tensor.itemsize for tensor in tensors.values())):
        raise BadInput(f"path {str(path)!r}: a document of {len(content)} bytes is too large for a checkpoint")
    for name, tensor in tensors.items():
        if tensor.dtype not in DTYPES.values():
            raise BadInput(f"path {str(path)!r}: tensor {name!r} is of {tensor.dtype}, which no checkpoint holds")


def check_log(log: TrainingLog) -> None:
    """See that there can have been such a training.

    Raises
    ------
    ValueError
        There can't.
    """
    for name in ("epochs", "steps", "examples"):
        check_range(name, getattr(log, name), 1)
    check_range("seconds", log.seconds, 0.0, MOST_SECONDS)
