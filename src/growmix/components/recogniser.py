"""A recogniser: a component's own network that learns what is not its own, from nothing but its own images.

Every image is seen turned, and the network says of which class it is and how it was turned. A turned image is none of
the class that stands upright: so there are outsiders to learn from, without any other task's data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from growmix.components.abilities import Limited
from growmix.components.augmentation import Augmentation, dealt, turned, turns_of
from growmix.components.component import Trainer
from growmix.components.judge import Judge
from growmix.components.pieces import ROWS
from growmix.components.recipe import Recipe
from growmix.components.recogniser_net import ResidualNet
from growmix.components.scaling import Scaling
from growmix.data.domain import Domain
from growmix.data.task import UNLABELLED, as_float

RECIPE = Recipe(
    epochs=40,
    step_range=(1_500, 12_000),
    batch_size=256,
    learning_rate=3e-3,
    weight_decay=0.05,
    matrices_only=True,
    gradient_clip=5.0,
    schedule="cosine",
    beta2=0.99,
    warm_up=0.15,
)
"""What a recogniser is trained by; on photos it gains from many more passes, see docs/components.md."""

HELD_OUT = 0.05
"""Share of the images that a patient training keeps out of itself."""

MOST_HELD_OUT = 500
"""Most images that it keeps out: their accuracy is known to 2 points or better, and asked after every epoch."""


@dataclass(frozen=True)
class RecogniserOptions:
    """Numbers that say how a recogniser is built.

    Attributes
    ----------
    width
        Number of channels of the first stage; ``None``: 48 for colour images, 24 for gray ones.
    flips
        Whether an image and its mirror image are of the same class, right for photos and wrong for letters; ``None``:
        of colour images they are, of gray ones not.
    """

    width: int | None = None
    flips: bool | None = None

    def width_for(self, domain: Domain) -> int:
        """Return the number of channels of the first stage for images of a domain."""
        if self.width is not None:
            return self.width
        return 24 if domain.shape[0] == 1 else 48

    def flips_for(self, domain: Domain) -> bool:
        """Say whether images of a domain are learnt in a mirror too."""
        return domain.shape[0] > 1 if self.flips is None else self.flips


@final
class Recogniser(Judge, Limited):
    """Classifier of a component's classes times the ways in which an image can be turned.

    Square images are turned by quarters, others upside down. Its score of a class is the mean over the turns of the
    image of the output for that class and that turn, as it is: what is not the component's own has small outputs
    everywhere, which log-probabilities would hide.

    Parameters
    ----------
    domain
        Shape and support of the images, with the statistics of the first task.
    options
        Width of the network, and whether images may be flipped.
    generator
        Generator on the CPU that the first weights are drawn from.

    Raises
    ------
    BadInput
        The examples are no images, or smaller than 4x4.

    References
    ----------
    Tack et al. 2020 (CSI), who tell outsiders by turns; Kim et al. 2022, who learn classes in increments with it.

    Examples
    --------
    >>> generator = torch.Generator().manual_seed(0)
    >>> recogniser = Recogniser(Domain((3, 8, 8)), RecogniserOptions(width=6), generator)
    >>> recogniser.add_classes([3, 7], generator)
    >>> scores, log_proba = recogniser.eval().judge(torch.rand(5, 3, 8, 8))
    >>> scores.shape, log_proba.shape
    (torch.Size([5, 2]), torch.Size([5, 2]))
    """

    name = "recogniser"

    def __init__(self, domain: Domain, options: RecogniserOptions, generator: torch.Generator) -> None:
        super().__init__()
        self.domain = domain
        self.options = options
        self.scaling = Scaling(domain)
        self.network = ResidualNet(domain.shape, options.width_for(domain), generator)
        self.turns = turns_of(domain.shape)
        self.flips = options.flips_for(domain)
        # until there is a class, one that all images are of
        weight, bias = self._rows(1, generator)
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def limits(self) -> Mapping[str, tuple[Tensor, float]]:
        """Return means and variances of its normalisations."""
        least = {"running_mean": -math.inf, "running_var": 0.0}
        buffers = [(name, name.rpartition(".")[2], values) for name, values in self.named_buffers()]
        return {name: (values, least[kind]) for name, kind, values in buffers if kind in least}

    def add_classes(self, labels: Sequence[int], generator: torch.Generator) -> None:
        """Add an output for every turn of each new class."""
        new = [label for label in labels if label not in self.classes]
        if not new:
            return
        weight, bias = (rows.to(self.bias.device) for rows in self._rows(len(new), generator))
        if self.classes:
            weight, bias = torch.cat([self.weight.detach(), weight]), torch.cat([self.bias.detach(), bias])
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)
        self.classes = (*self.classes, *new)

    def fit(self, x: Tensor, positions: Tensor, trainer: Trainer) -> None:
        """Learn to tell classes and turns; an image without a label teaches that it is of one of the classes.

        A patient trainer goes on until the recogniser gets no better at images that it keeps out of its training.
        """
        objective = RecognitionObjective(self, Augmentation(flips=self.flips))
        kept = min(round(HELD_OUT * len(x)), MOST_HELD_OUT) if trainer.patient else 0
        if not kept:
            trainer.minimise(objective, [x, positions], noise=objective.numbers, recipe=RECIPE)
            return
        order = torch.randperm(len(x), generator=trainer.generator)
        held, rest = order[:kept], order[kept:]
        trainer.minimise(
            objective,
            [x[rest], positions[rest]],
            noise=objective.numbers,
            recipe=RECIPE,
            held_out=lambda: self.recognised(x[held], positions[held]),
        )

    def judge(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean output of every class over the turns of each image, and log-probabilities that follow."""
        own = self.outputs_by_turn(x).diagonal(dim1=1, dim2=3)
        scores = own.mean(2)
        return scores, scores.log_softmax(1)[:, : len(self.classes)]

    def outputs(self, centred: Tensor) -> Tensor:
        """Return outputs ``(batch, classes, turns)`` for images that are centred about 0, as they stand."""
        rows: Tensor = F.linear(self.network(centred), self.weight, self.bias)
        return rows.float().view(len(centred), -1, self.turns)

    def outputs_by_turn(self, x: Tensor) -> Tensor:
        """Return outputs ``(batch, turns, classes, turns)`` for images turned in each way, the first as they stand."""
        centred = self.centred(x)
        quarters = 4 // self.turns
        views = torch.stack([centred.rot90(turn * quarters, (2, 3)) for turn in range(self.turns)], dim=1)
        rows = torch.cat([self.outputs(piece) for piece in views.flatten(0, 1).split(ROWS)])  # bounds the memory
        return rows.view(len(x), self.turns, *rows.shape[1:])

    def centred(self, x: Tensor) -> Tensor:
        """Bring pixels of unit support to [-1, 1], others to the first task's mean and deviation."""
        return 2.0 * x - 1.0 if self.domain.support == "unit" else self.scaling(x)

    @torch.no_grad()
    def recognised(self, x: Tensor, positions: Tensor) -> float:
        """Return the share of turned images whose class and turn are recognised, in [0, 1].

        Parameters
        ----------
        x
            Images, bytes or ``float32``, shape ``(n, *shape)``.
        positions
            Class positions, -1 where only the turn can be right, shape ``(n,)``.
        """
        right = 0
        for images, wanted in zip(x.split(ROWS), positions.split(ROWS), strict=True):
            outputs = self.outputs_by_turn(as_float(images.to(self.weight.device)))
            best = outputs.flatten(2).argmax(2)
            turn = best % self.turns == torch.arange(self.turns, device=best.device)
            known = wanted.to(best.device)[:, None]
            right += int((turn & ((known == UNLABELLED) | (best // self.turns == known))).sum())
        return right / (len(x) * self.turns)

    def _rows(self, classes: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Make outputs for new classes: weights uniform within 1 / sqrt(features), no bias."""
        rows, features = classes * self.turns, self.network.features
        weight = torch.empty(rows, features, dtype=torch.float32)
        bias = torch.zeros(rows, dtype=torch.float32)
        if not weight.is_meta:
            reach = 1.0 / math.sqrt(features)
            weight.uniform_(-reach, reach, generator=generator)
        return weight, bias


@final
class RecognitionObjective(nn.Module):
    """Cross-entropy of class and turn, every image changed and turned at random, each turn equally often in a batch.

    Parameters
    ----------
    recogniser
        The network that is trained.
    augmentation
        How images are changed before they are turned.

    Attributes
    ----------
    numbers : int
        How many standard normal numbers an image needs.
    """

    def __init__(self, recogniser: Recogniser, augmentation: Augmentation) -> None:
        super().__init__()
        self.recogniser = recogniser
        self._augmentation = augmentation
        self._changes = augmentation.numbers(recogniser.domain.shape[0])
        self.numbers = self._changes + 1

    def forward(self, x: Tensor, positions: Tensor, noise: Tensor) -> Tensor:
        """Mean loss of a batch: images ``(batch, *shape)``, class positions ``(batch,)``, ``(batch, numbers)``."""
        turns = self.recogniser.turns
        turn = dealt(noise[:, -1], turns)
        changed = self._augmentation(self.recogniser.centred(x), noise[:, :-1])
        outputs = self.recogniser.outputs(turned(changed, turn * (4 // turns)))
        log_proba = outputs.flatten(1).log_softmax(1).view_as(outputs)
        of_turn = log_proba.gather(2, turn.view(-1, 1, 1).expand(-1, log_proba.shape[1], 1)).squeeze(2)
        classes = torch.arange(of_turn.shape[1], device=positions.device)
        possible = (positions[:, None] == UNLABELLED) | (positions[:, None] == classes)
        return -of_turn.masked_fill(~possible, -math.inf).logsumexp(1).mean()
