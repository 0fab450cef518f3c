"""Deep generative replay: a generator that knows no labels, and a solver that labels what it generates."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from growmix.baselines.rehearsal import Rehearsal, generated_size, like
from growmix.components.component import Component, most_likely
from growmix.components.construction import whole_component
from growmix.components.density import no_labels
from growmix.components.nets import Blueprint
from growmix.components.vae import VAE
from growmix.data.task import Shape, TaskData, as_float
from growmix.errors import BadInput
from growmix.learning.replay import generate, to_labels
from growmix.settings import Settings

CANDIDATES = 32
"""Images drawn from the prior for one of a class: with ten classes 3 % have none that the solver puts there."""

_ROWS = 1_024


@final
class SolvedVAE(Component):
    """An unsupervised variational autoencoder and, apart from it, a classifier.

    They share no weight and no gradient, and are trained in the same steps.

    Parameters
    ----------
    generator
        Knows no classes.
    solver
        Encoder of the classifier, the generator's in kind and size.
    features
        What it gives.

    References
    ----------
    Shin, Lee, Kim, Kim 2017, Continual learning with deep generative replay.
    """

    def __init__(self, generator: VAE, solver: nn.Module, features: int) -> None:
        super().__init__()
        self.shape, self.latent, self.classes = generator.shape, generator.latent, ()
        self.structure = None
        self.generator = generator
        self.solver = solver
        self.solver_weight = nn.Parameter(torch.empty(0, features))
        self.solver_bias = nn.Parameter(torch.empty(0))
        self.register_buffer("class_counts", torch.zeros(0))
        self.register_buffer("unlabelled_count", torch.zeros(()))

    @property
    def supervised(self) -> bool:
        """It always has a classifier."""
        return True

    def logits(self, x: Tensor) -> Tensor:
        """What the solver says of images, shape ``(batch, classes)``."""
        features: Tensor = self.solver(x)
        if not self.classes:
            return features.new_zeros(len(x), 0, dtype=torch.float32)
        return F.linear(features, self.solver_weight, self.solver_bias).float()

    def elbo(self, x: Tensor, positions: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """The generator's bound, whatever the class, and the solver's logits."""
        return self.generator.elbo(x, torch.full_like(positions, -1), noise)[0], self.logits(x)

    def marginal_elbo(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """The same: the generator knows no class to sum out."""
        return self.generator.marginal_elbo(x, noise)[0], self.logits(x)

    def score(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """The generator's score and the solver's class log-probabilities."""
        return self.generator.score(x, noise)[0], self.logits(x).log_softmax(1)

    def importance_weighted_bound(self, x: Tensor, noise: Tensor) -> Tensor:
        """The generator's."""
        return self.generator.importance_weighted_bound(x, noise)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The generator's posterior means and the solver's logits."""
        return self.generator.encode(x)[0], self.logits(x)

    def rate(self, x: Tensor) -> Tensor:
        """The generator's."""
        return self.generator.rate(x)

    def decode(self, codes: Tensor, positions: Tensor) -> Tensor:
        """The generator's images; the class changes nothing."""
        return self.generator.decode(codes, torch.full_like(positions, -1))

    def add_classes(self, labels: Sequence[int]) -> None:
        """Add rows to the solver's last layer."""
        new = [label for label in labels if label not in self.classes]
        if not new:
            return
        rows = nn.Linear(self.solver_weight.shape[1], len(new)).to(self.solver_weight.device)
        self.solver_weight = nn.Parameter(torch.cat([self.solver_weight.detach(), rows.weight.detach()]))
        self.solver_bias = nn.Parameter(torch.cat([self.solver_bias.detach(), rows.bias.detach()]))
        self.class_counts = torch.cat([self.class_counts, self.class_counts.new_zeros(len(new))])
        self.classes = (*self.classes, *new)

    def draw(self, positions: Tensor, generator: torch.Generator, *, from_prior: bool = False) -> Tensor:
        """Generated images; of a class asked for, the first of 32 that the solver puts there, else its likeliest.

        The ex-post density needs no choice: it is fitted per class.
        """
        if self.density is not None and not from_prior:
            return super().draw(positions, generator)
        images = self.generator.draw(no_labels(len(positions)), generator, from_prior=True)
        for row in (positions >= 0).nonzero()[:, 0].tolist():
            images[row] = self._of_class(int(positions[row]), generator)
        return images

    def _of_class(self, position: int, generator: torch.Generator) -> Tensor:
        drawn = self.generator.draw(no_labels(CANDIDATES), generator, from_prior=True)
        logits = self.logits(drawn)
        found = (logits.argmax(1) == position).nonzero()[:, 0]
        return drawn[found[0] if len(found) else logits.log_softmax(1)[:, position].argmax()]


def solved_vae(
    blueprint: Blueprint, settings: Settings, shape: Shape, *, supervised: bool, target_shape: Shape | None = None
) -> Component:
    """A new generator with a solver.

    Raises
    ------
    BadInput
        There are no labels to learn from.
    """
    if not supervised:
        raise BadInput("data has no labels; the method 'dgr' needs them (-1 for those that are not known)")
    generator = whole_component(blueprint, settings, shape, supervised=False, target_shape=target_shape)
    assert isinstance(generator, VAE)  # pairs are refused before
    return SolvedVAE(generator, copy.deepcopy(blueprint.encoder(shape)), generator.posterior.in_features)


@final
class SolverLabelled(Rehearsal):
    """Images from the prior of the generator as it was, with the labels that the solver as it was gives them."""

    def recall(self, task: TaskData, teacher: Component, learnt: int, generator: torch.Generator) -> TaskData:
        """As many as were learnt, so that all tasks weigh alike; at most five for each real one."""
        drawn = generate(teacher, no_labels(generated_size(len(task), learnt)), generator, from_prior=True).x
        return TaskData(like(drawn, task.x), solver_labels(teacher, drawn))

    def after(self, task: TaskData, generator: torch.Generator) -> SolverLabelled:
        """Itself: the networks are the memory."""
        return self

    def pack(self) -> dict[str, Tensor]:
        """Nothing."""
        return {}

    def unpack(self, tensors: Mapping[str, Tensor], component: Component | None) -> SolverLabelled:
        """Itself."""
        return self


@torch.no_grad()
def solver_labels(teacher: Component, x: Tensor) -> Tensor:
    """The label that a network gives each image, -1 from one without classes."""
    device = next(teacher.parameters()).device
    pieces = [most_likely(teacher.encode(as_float(piece.to(device)))[1]).cpu() for piece in x.split(_ROWS)]
    return to_labels(torch.cat(pieces), teacher.classes)
