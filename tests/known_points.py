"""Components and a learner whose every answer can be worked out by hand, in closed form and at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from growmix import Decision, Settings
from growmix.checkpoints.persistence import Checkpoint
from growmix.components.abilities import Codes
from growmix.components.component import Component, Trainer
from growmix.data.domain import Domain
from growmix.data.task import TaskData
from growmix.learning.learner import Learner
from growmix.learning.state import Learnt
from growmix.training.callbacks import Callback, TrainingLog

DOMAIN = Domain((2,), "real")
"""Examples are vectors: the first number says how near a component is, the second which class position it is."""

LOG = TrainingLog(0, 0, 0, 0.0, ())
"""The log of what is learnt in closed form."""


class Point(Component):
    """Scores an example by minus its squared distance to a place, and its classes by theirs to the second number."""

    def __init__(self, place: float, classes: Sequence[int] = (), *, supervised: bool = True) -> None:
        super().__init__(DOMAIN, supervised=supervised)
        self.place = nn.Parameter(torch.tensor(float(place)))
        self.add_classes(classes, torch.Generator())

    def fit(self, data: TaskData, weight: Tensor, trainer: Trainer) -> None:
        self.place.data = data.x[:, 0].mean()

    def score(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return -((x[:, 0] - self.place) ** 2), self._logits(x).log_softmax(1)

    def _logits(self, x: Tensor) -> Tensor:
        return -((x[:, 1:] - torch.arange(len(self.classes))) ** 2)

    def draw(self, positions: Tensor, generator: torch.Generator) -> Tensor:
        return torch.stack([self.place.expand(len(positions)), positions.float()], dim=1)

    def add_classes(self, labels: Sequence[int], generator: torch.Generator) -> None:
        new = [label for label in dict.fromkeys(labels) if label not in self.classes]
        self.classes = (*self.classes, *new)
        self.class_counts = torch.cat([self.class_counts, torch.zeros(len(new))])


class CodedPoint(Point, Codes):
    """A point whose code of an example is how far the example lies from it."""

    latent = 1

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x[:, :1] - self.place, self._logits(x)

    def rate(self, x: Tensor) -> Tensor:
        return torch.zeros(len(x))

    def decode(self, codes: Tensor, positions: Tensor) -> Tensor:
        return torch.cat([self.place + codes, positions[:, None].float()], dim=1)


def point(k: int) -> CodedPoint:
    """Return the component at 10k that learnt four examples of each of the labels 2k and 2k + 1."""
    component = CodedPoint(10 * k, (2 * k, 2 * k + 1))
    component.class_counts += 4.0
    component.freeze()
    return component


def task(k: int, n: int = 8) -> tuple[Tensor, Tensor]:
    """Return examples and labels such as :func:`point` learnt."""
    which = torch.arange(n) % 2
    return torch.stack([torch.full((n,), 10.0 * k), which.float()], dim=1), which + 2 * k


class Filing(Learner[int]):
    """Files every task as one more point; its memory counts the tasks."""

    method = "filing"

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(settings or Settings(device="cpu"), 0)

    def learn(self, data: Any, *, callbacks: Sequence[Callback] = ()) -> Decision:
        with self.lesson(data, callbacks) as lesson:
            lesson.learnt = self.filed(lesson.task, len(lesson.components), lesson.before.memory)
        return lesson.learnt.decision

    def filed(self, task: TaskData, k: int, memory: int) -> Learnt[int]:
        """Return what comes of a task, as one more point."""
        component = CodedPoint(float(task.x[:, 0].mean()), task.classes(), supervised=task.y is not None)
        component.count(task)
        return Learnt(Decision("grow", k, (0.0,) * k, 0.2), {k: component}, {k: len(task)}, memory + 1, LOG)

    def new_component(
        self, domain: Domain, *, supervised: bool, target: Domain | None, generator: torch.Generator
    ) -> Component:
        return CodedPoint(0.0, supervised=supervised)

    def pack(self, memory: int) -> tuple[dict[str, Any], dict[str, Tensor]]:
        return {"tasks": memory}, {}

    def unpack(self, saved: Checkpoint) -> int:
        return int(saved.document["memory"]["tasks"])


def filed(*kinds: int) -> Filing:
    """Return a learner that has learnt these tasks, by default 0 and 1."""
    learner = Filing()
    for k in kinds or (0, 1):
        learner.learn(task(k))
    return learner
