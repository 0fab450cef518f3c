"""Components that judge by several scores, in closed form: what tests of the scores' weights learn with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn

from growmix.components.abilities import Evidence
from growmix.components.component import Component, Trainer
from growmix.components.judging import ClassRule, judge
from growmix.components.kinds import ComponentKind
from growmix.data.domain import Domain
from growmix.data.task import TaskData
from growmix.errors import BadInput


@final
class Several(Component, Evidence):
    """Vectors of three numbers: scores by the first (``plain``), by the others (``telling``), and by none (``noise``).

    All tasks are alike in the first number, so that only ``telling`` knows the component. ``noise`` is a number between
    -100 and 100 that follows from the example and the component as a hash does. The classifier says nothing.
    """

    sources = ("plain", "telling", "noise")
    preset_rule: ClassRule = "score"

    mean: Tensor
    key: Tensor

    def __init__(
        self, domain: Domain, preset: tuple[float, ...], *, supervised: bool, generator: torch.Generator
    ) -> None:
        super().__init__(domain, supervised=supervised)
        self.preset = preset
        self.register_buffer("mean", torch.zeros(1, 3))
        self.register_buffer("key", 1e3 * torch.rand(3, generator=generator))
        self.weight = nn.Parameter(torch.zeros(1))

    def fit(self, data: TaskData, weight: Tensor, trainer: Trainer) -> None:
        positions = self.positions_of(data).clamp_min(0)
        for k in range(len(self.mean)):
            of_class = weight * (positions == k)
            self.mean[k] = (of_class[:, None] * data.x).sum(0) / of_class.sum()

    def score(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return judge(*self.evidence(x), torch.tensor(self.preset), self.preset_rule)

    def evidence(self, x: Tensor) -> tuple[Tensor, Tensor]:
        distance = -0.5 * (x[:, None] - self.mean).square()
        prior = self.class_log_prior() if self.classes else torch.zeros(1)
        noise = (100 * (x * self.key).sum(1).sin())[:, None].expand(len(x), len(self.mean))
        scores = torch.stack([distance[..., 0] + prior, distance[..., 1:].sum(2), noise], dim=2)
        k = len(self.classes)
        return scores, torch.full((len(x), k), 1.0 / max(1, k)).log()

    def draw(self, positions: Tensor, generator: torch.Generator) -> Tensor:
        return self.mean[positions.clamp_min(0)] + torch.randn(len(positions), 3, generator=generator)

    def add_classes(self, labels: Sequence[int], generator: torch.Generator) -> None:
        new = [label for label in labels if label not in self.classes]
        if new and not self.supervised:
            raise BadInput("labels given to an unsupervised component")
        known = self.mean[: len(self.classes)] if new else self.mean
        self.mean = torch.cat([known, torch.zeros(len(new), 3)])
        self.class_counts = torch.cat([self.class_counts, torch.zeros(len(new))])
        self.classes = (*self.classes, *new)


@final
@dataclass(frozen=True)
class SeveralKind(ComponentKind):
    """Makes such components, which come with a preset of their own."""

    preset: tuple[float, ...] = (1.0, 0.0, 1.0)
    name: str = "several"

    def make(self, domain: Domain, *, supervised: bool, target: Domain | None, generator: torch.Generator) -> Component:
        return Several(domain, self.preset, supervised=supervised, generator=generator)

    @property
    def without_memory(self) -> bool:
        return False

    @property
    def draws_globally(self) -> bool:
        return False


def task(number: int, n: int = 400, *, seed: int = 0, labels: bool = True) -> Any:
    """Return vectors of two classes that differ from those of other tasks in the second and third number alone."""
    rng = np.random.default_rng([seed, number])
    which = np.arange(n) % 2
    middle = np.array([[0.0, 8.0 * number, 0.0], [0.0, 8.0 * number, 5.0]])
    x = (middle[which] + rng.normal(size=(n, 3))).astype(np.float32)
    return (x, which + 2 * number) if labels else x
