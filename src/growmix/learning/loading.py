"""Learners read back from checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from growmix.checkpoints import persistence
from growmix.components.component import Component
from growmix.data.labels import check_names_of
from growmix.errors import BadInput, shown
from growmix.learning.history import check_history, entry_from, examples_after
from growmix.learning.judging import PRESET
from growmix.learning.knowledge import Knowledge
from growmix.learning.learner import Learner
from growmix.learning.plugins import names_of_plugins
from growmix.learning.state import LearnerState
from growmix.settings import Settings
from growmix.storage.random_state import set_state, state_from
from growmix.system.ambient import SinglePrecision, torch_as_it_comes
from growmix.system.paths import check_path
from growmix.training.fabric import place_of

L = TypeVar("L", bound=Learner[Any])


@torch_as_it_comes()
def load_learner(path: str | Path, kind: str, make: Callable[[Settings], L], device: str | None = None) -> L:
    """Read back what :meth:`Learner.save` wrote.

    Parameters
    ----------
    path
        The folder that it was saved to.
    kind
        Name of the method that must have made the checkpoint.
    make
        Makes the learner, which has learnt nothing yet, from its settings.
    device
        Name of the device to put the learner on, if not the one that it was made on.

    Raises
    ------
    BadCheckpoint
        A file is missing, broken or of another method.
    BadInput
        ``path`` is no path, an object of the user's own is missing or is not the one that the learner was made with,
        or the device is not there.
    """
    path = check_path(path, "path")

    def empty(document: dict[str, Any]) -> L:
        with persistence.understanding(path):
            settings, name = Settings(**document["settings"]), document["blueprint"]
            plugins = names_of_plugins(document.get("plugins", {}))
        settings = settings if device is None else settings.replace(device=device)
        learner = make(settings)
        _refuse_other_settings(learner.settings, settings, kind)
        if learner.blueprint.name != name:
            raise BadInput(f"blueprint is {learner.blueprint.name!r}, but this {kind} was made with {shown(name)}")
        learner.plugins.check_names(plugins, kind)
        return learner

    def look(outline: persistence.Checkpoint) -> None:
        learner = empty(outline.document)
        if learner.kind.without_memory:
            with persistence.without_memory(path):
                _rebuild(learner, outline)

    saved = persistence.load(path, kind, look)
    learner = empty(saved.document)
    place = place_of(learner.settings)  # out here: a device that is not there is no fault of the checkpoint
    with persistence.understanding(path):
        _restore(learner, saved, place)
    return learner


def _refuse_other_settings(given: Settings, saved: Settings, kind: str) -> None:
    """Refuse an object that settings can name, such as a gate, where the checkpoint's settings name another."""
    asked = given.to_dict()
    for name, value in saved.to_dict().items():
        if asked[name] != value:
            raise BadInput(f"{name} is {shown(asked[name])}, but this {kind} was made with {shown(value)}")


def _restore(learner: Learner[Any], saved: persistence.Checkpoint, device: torch.device) -> None:
    """Make a learner that has learnt nothing into what was saved, on a device."""
    _rebuild(learner, saved)
    learner._place(device)
    learner._sampling = state_from(saved.document["sampling"])
    set_state(torch.Generator(), learner._sampling)  # a state that can't be drawn from is refused here
    known = learner._state.knowledge
    names = check_names_of(saved.document.get("names", []), list(known.labels))
    learner._state = replace(learner._state, knowledge=replace(known, names=names))


def _rebuild(learner: Learner[Any], saved: persistence.Checkpoint) -> None:
    """Take over the tensors of what was saved, which must fit.

    Raises
    ------
    ValueError
        The parts of the checkpoint contradict each other.
    """
    learner._state = LearnerState(learner.memory_to_build_on(saved))
    components: list[Component] = []
    generator = torch.Generator()  # whatever is drawn from it is overwritten
    with SinglePrecision():
        for state in saved.components:
            outline = state.outline
            empty = learner.new_component(
                outline.domain, supervised=outline.supervised, target=outline.target, generator=generator
            )
            components.append(state.fill(empty, foreign=not learner.kind.without_memory))
    history = tuple(entry_from(entry) for entry in saved.document["history"])
    check_history(history, components)
    weights = history[-1].weights if history else PRESET
    known = Knowledge(tuple(components), examples_after(history), weights=weights)
    learner._state = LearnerState(learner._state.memory, known, history)
    learner._state = learner.with_lists(replace(learner._state, memory=learner.unpack(saved)))
    if learner.pack(learner._state.memory)[1].keys() != saved.tensors.keys():
        raise ValueError(f"tensors {sorted(saved.tensors)} are not those that {learner.method!r} keeps")
