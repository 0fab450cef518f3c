"""Student: one compact network that learns, from generated data, all that a mixture knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, final

import torch
from torch import Tensor

from growmix.checkpoints import persistence
from growmix.components.abilities import Pairs, SoftLabels
from growmix.components.component import Component
from growmix.components.construction import require_density, student_blueprint, student_kind
from growmix.components.density import no_labels
from growmix.data.labels import Names, check_names_of
from growmix.data.task import TaskData
from growmix.errors import BadInput, NotLearnt, shown
from growmix.learning.knowledge import Knowledge
from growmix.learning.learner import check_callbacks
from growmix.learning.model import Model
from growmix.learning.replay import generate, replay
from growmix.learning.routing import combine, log_responsibilities
from growmix.settings import Settings
from growmix.storage.random_state import set_state, state_from
from growmix.storage.typed import record_from
from growmix.system.ambient import torch_as_it_comes
from growmix.system.memory import require_room, require_training
from growmix.system.paths import check_path
from growmix.training.budget import Budget
from growmix.training.callbacks import Callback, TrainingLog
from growmix.training.fabric import place_of
from growmix.training.trainer import GradientTrainer

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # takes seconds to import, and only training needs it

FEWEST, MOST = 4_000, 6_000
"""Generated examples per class by default: below, the student sees too few; above, it costs time and gains little."""


@final
class Student(Model):
    """One component that answers for everything; made by :meth:`growmix.GrowingMixture.distill`.

    Parameters
    ----------
    component
        The network.
    settings
        Those of its teacher.
    log
        Of its training.
    names
        Names of the labels, if they are not numbers.

    Examples
    --------
    >>> student = learnt_example().distill()
    >>> student.predict(np.zeros((3, 1, 8, 8))).shape
    (3,)
    """

    def __init__(self, component: Component, settings: Settings, log: TrainingLog, names: Names = ()) -> None:
        if not isinstance(component, Component):
            raise BadInput(f"component is {shown(component)}; a student is made by distill() of a mixture")
        super().__init__(settings)
        self.component = component
        self.component.freeze()
        self.training_log = log
        self._state = Knowledge((component,), (max(1, log.examples // log.epochs),), names)

    def __repr__(self) -> str:
        return f"Student({student_blueprint(self.settings).name!r}, classes={len(self._labels)})"

    @property
    def _knowledge(self) -> Knowledge:
        return self._state

    def save(self, path: str | Path) -> None:
        """Write the student to a folder: safetensors and JSON, no pickle."""
        document = {
            "settings": self.settings.to_dict(),
            "log": asdict(self.training_log),
            "sampling": self._sampling.tolist(),
            "names": list(self._names),
        }
        persistence.save(check_path(path, "path"), "student", document, [self.component])

    @classmethod
    @torch_as_it_comes()
    def load(cls, path: str | Path, *, device: str | None = None) -> Student:
        """Read a student back, to where it was made or to another device."""
        path = check_path(path, "path")

        def network(saved: persistence.Checkpoint) -> Component:
            (state,) = saved.components
            if saved.tensors:
                raise ValueError(f"tensors {sorted(saved.tensors)} are not a student's")
            settings = Settings(**saved.document["settings"])
            outline, kind = state.outline, student_kind(settings)
            generator = torch.Generator()  # whatever is drawn from it is overwritten
            empty = kind.make(outline.domain, supervised=outline.supervised, target=outline.target, generator=generator)
            return state.fill(empty, foreign=not kind.without_memory)

        def look(outline: persistence.Checkpoint) -> None:
            with persistence.without_memory(path):
                network(outline)

        saved = persistence.load(path, "student", look)
        document = saved.document
        with persistence.understanding(path):
            settings = Settings(**document["settings"])
            log = record_from(document["log"], TrainingLog)
            persistence.check_log(log)
            component = network(saved)
            names = check_names_of(document.get("names", []), sorted(component.classes))
            set_state(torch.Generator(), sampling := state_from(document["sampling"]))
        component.to(place_of(settings if device is None else settings.replace(device=device)))
        student = cls(component, settings, log, names)
        student._sampling = sampling
        return student


@torch_as_it_comes()
def distill(teacher: Model, fabric: Fabric, seed: int, callbacks: Sequence[Callback] = ()) -> Student:
    """Train a student on samples of every component.

    Every past task reaches the student as generated images only. It maximises its own bound on them and, when there
    are classes, matches the teacher's soft labels: component posterior times class posterior.

    Parameters
    ----------
    teacher
        Has learnt something; it is not changed.
    fabric
        Where and how to train.
    seed
        Of everything random here.
    callbacks
        Told of the training as it goes.

    Raises
    ------
    NotLearnt
        The teacher knows nothing yet.
    BadInput
        Something is wrong with ``callbacks``, or there is too little memory.

    References
    ----------
    Ye and Bors 2025, Eq. 27.
    """
    check_callbacks(callbacks)
    settings = teacher.settings
    if not teacher.components:
        raise NotLearnt("nothing was learnt yet, so there is nothing to teach; call learn(data) first")
    _require_room(teacher, fabric.device)
    generator = torch.Generator().manual_seed(seed)
    lessons = _lessons(teacher, generator)
    student = _new_student(teacher, generator)
    student.count(lessons)
    student.to(fabric.device)
    budget = Budget.of(settings.replace(epochs=settings.student_epochs, patience=None), len(lessons))
    kind = student_kind(settings)
    trainer = GradientTrainer(
        budget, fabric, generator, component=None, callbacks=callbacks, draws_globally=kind.draws_globally
    )
    if isinstance(student, SoftLabels) and lessons.target is None:
        student.fit_soft(lessons, _soft_labels(teacher, lessons, student.classes), trainer)
    else:
        student.fit(lessons, torch.ones(len(lessons), dtype=torch.float32), trainer)
    return Student(student, settings, trainer.log, teacher._names)


def lessons_for(settings: Settings, learnt: int, classes: int, components: int) -> int:
    """How many generated examples a student learns from.

    Examples
    --------
    >>> lessons_for(Settings(), learnt=60_000, classes=10, components=5)
    60000
    """
    groups = max(classes, components)
    return groups * (settings.student_examples or min(max(learnt // groups, FEWEST), MOST))


def _lessons(teacher: Model, generator: torch.Generator) -> TaskData:
    """Generated images with the labels asked for: as many of every class of every component, pixels kept as bytes."""
    kinds = [(c, k) for c in teacher.components for k in range(max(1, len(c.classes)))]
    total = lessons_for(teacher.settings, teacher.examples, len(teacher._labels), len(teacher.components))
    each = max(1, total // len(kinds))
    first = teacher.components[0]
    values = first.domain.size + (first.target.size if isinstance(first, Pairs) else 0)
    # twice: part by part, and all as one
    require_room(2 * each * len(kinds) * values, f"{each * len(kinds)} generated images for the student")
    if isinstance(first, Pairs):
        return _concatenated([replay(c, each, generator).compact() for c in teacher.components])
    drawn = []
    for component, k in kinds:
        positions = torch.full((each,), k) if component.classes else no_labels(each)
        drawn.append(generate(component, positions, generator).compact())
    return _concatenated(drawn)


def _concatenated(parts: Sequence[TaskData]) -> TaskData:
    x = torch.cat([part.x for part in parts])
    labels = [part.y for part in parts if part.y is not None]
    targets = [part.target for part in parts if part.target is not None]
    y = torch.cat(labels) if labels else no_labels(len(x))
    return replace(parts[0], x=x, y=y, target=torch.cat(targets) if targets else None)


def _require_room(teacher: Model, device: torch.device) -> None:
    require_density(teacher.settings.replace(latent=teacher.settings.student_latent))
    with torch.device("meta"):
        student = _new_student(teacher, torch.Generator())
    require_training(student.parameters(), student.shape, device)


def _new_student(teacher: Model, generator: torch.Generator) -> Component:
    like, supervised = teacher.components[0], len(teacher._labels) > 0
    target = like.target if isinstance(like, Pairs) else None
    kind = student_kind(teacher.settings)
    student = kind.make(like.domain, supervised=supervised, target=target, generator=generator)
    student.add_classes(teacher._labels, generator)
    return student


def _soft_labels(teacher: Model, lessons: TaskData, classes: Sequence[int]) -> Tensor:
    """Teacher's class probabilities at the student temperature, shape ``(n, classes)``."""
    if not classes:
        return torch.zeros(len(lessons), 0)
    heat = teacher.settings.student_temperature
    scores = teacher.component_scores(lessons.x)
    weights = log_responsibilities(scores.elbo / heat, teacher.log_prior / heat)
    softened = [(log_proba / heat).log_softmax(1) for log_proba in scores.class_log_proba]
    return combine(weights, softened, [c.classes for c in teacher.components], classes)
