"""Student: one compact network that answers for all that a mixture knows."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import final

import torch

from growmix.checkpoints import persistence
from growmix.components.component import Component
from growmix.components.construction import student_blueprint, student_kind
from growmix.components.likelihoods import Likelihood
from growmix.data.labels import Names, check_names_of
from growmix.errors import BadInput, shown
from growmix.learning.knowledge import Knowledge
from growmix.learning.model import Model
from growmix.learning.plugins import Plugins, names_of_plugins
from growmix.settings import Settings
from growmix.storage.random_state import set_state, state_from
from growmix.storage.typed import record_from
from growmix.system.ambient import SinglePrecision, torch_as_it_comes
from growmix.system.paths import check_path
from growmix.training.callbacks import TrainingLog
from growmix.training.fabric import place_of


@final
class Student(Model):
    """One component that answers for everything; made by :meth:`growmix.GrowingMixture.distill`.

    Parameters
    ----------
    component
        The component, which has learnt all that it is to know.
    settings
        The settings of its teacher.
    log
        Steps, losses and seconds of its training.
    names
        Names of the labels, if they are not numbers.
    plugins
        Objects of a user's own that its component was made with: a likelihood alone can be among them.

    Examples
    --------
    >>> student = learnt_example().distill()
    >>> student.predict(np.zeros((3, 1, 8, 8))).shape
    (3,)
    """

    def __init__(
        self,
        component: Component,
        settings: Settings,
        log: TrainingLog,
        names: Names = (),
        plugins: Plugins | None = None,
    ) -> None:
        if not isinstance(component, Component):
            raise BadInput(f"component is {shown(component)}; a student is made by distill() of a mixture")
        super().__init__(settings)
        self.component = component
        self.component.freeze()
        self.training_log = log
        self.plugins = plugins or Plugins()
        self._known = Knowledge((component,), (max(1, log.examples // max(1, log.epochs)),), names)

    def __repr__(self) -> str:
        return f"Student({student_blueprint(self.settings).name!r}, classes={len(self._labels)})"

    @property
    def _knowledge(self) -> Knowledge:
        return self._known

    def save(self, path: str | Path) -> None:
        """Write the student to a folder: safetensors and JSON, no pickle.

        Raises
        ------
        BadInput
            ``path`` is no path, or can't be written.
        """
        document = {
            "settings": self.settings.to_dict(),
            "plugins": self.plugins.names(),
            "log": asdict(self.training_log),
            "sampling": self._sampling.tolist(),
            "names": list(self._names),
        }
        persistence.save(check_path(path, "path"), "student", document, [self.component])

    @classmethod
    @torch_as_it_comes()
    def load(cls, path: str | Path, *, likelihood: Likelihood | None = None, device: str | None = None) -> Student:
        """Read a student back, to where it was made or to another device.

        Parameters
        ----------
        path
            The folder that it was saved to.
        likelihood
            The likelihood of your own that its teacher was made with, if there was one.
        device
            Name of the device to put the student on, if not the one that it was made on.

        Raises
        ------
        BadCheckpoint
            A file is missing, broken or of another kind.
        BadInput
            ``path`` is no path, the likelihood is missing or another one, or the device is not there.
        """
        path = check_path(path, "path")
        plugins = Plugins(likelihood=likelihood)

        def look(outline: persistence.Checkpoint) -> None:
            with persistence.understanding(path):
                names = names_of_plugins(outline.document.get("plugins", {}))
            plugins.check_names(names, "student")
            with persistence.without_memory(path):
                _component(outline, likelihood)

        saved = persistence.load(path, "student", look)
        document = saved.document
        with persistence.understanding(path):
            settings = Settings(**document["settings"])
            log = record_from(document["log"], TrainingLog)
            persistence.check_log(log)
            component = _component(saved, likelihood)
            names = check_names_of(document.get("names", []), sorted(component.classes))
            set_state(torch.Generator(), sampling := state_from(document["sampling"]))
        component.to(place_of(settings if device is None else settings.replace(device=device)))
        student = cls(component, settings, log, names, plugins)
        student._sampling = sampling
        return student


def _component(saved: persistence.Checkpoint, likelihood: Likelihood | None) -> Component:
    """Return the component of a student as it was saved.

    Raises
    ------
    ValueError
        The checkpoint holds something else.
    """
    (state,) = saved.components
    if saved.tensors:
        raise ValueError(f"tensors {sorted(saved.tensors)} are not a student's")
    outline, kind = state.outline, student_kind(Settings(**saved.document["settings"]), likelihood)
    generator = torch.Generator()  # whatever is drawn from it is overwritten
    with SinglePrecision():
        empty = kind.new(outline.domain, supervised=outline.supervised, target=outline.target, generator=generator)
        return state.fill(empty, foreign=not kind.without_memory)
