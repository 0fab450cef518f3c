"""Deep generative replay: an autoencoder that knows no labels, and a solver that labels what it generates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from growmix.baselines.rehearsal import Rehearsal, generated_size
from growmix.components.abilities import CodeDensity, Codes, SampledElbo, most_likely
from growmix.components.component import Component, Trainer
from growmix.components.construction import vae_kind
from growmix.components.density import no_labels
from growmix.components.kinds import ComponentKind
from growmix.components.nets import Blueprint, initialised, make_network, with_rows
from growmix.components.objectives import TaskObjective
from growmix.components.pieces import ROWS, in_pieces
from growmix.components.recipe import Recipe
from growmix.components.vae import VAE, density_of_codes
from growmix.data.domain import Domain
from growmix.data.task import TaskData
from growmix.errors import BadInput
from growmix.learning.replay import generate, like, to_labels
from growmix.settings import Settings

CANDIDATES = 32
"""Examples drawn from the prior for one of a class; with ten classes, 3 % of such draws have none of the class."""


@final
class SolvedVAE(Component, Codes, SampledElbo, CodeDensity):
    """An unsupervised variational autoencoder and, apart from it, a classifier.

    They share no weight and no gradient, and are trained in the same steps.

    Parameters
    ----------
    autoencoder
        Generates examples, and knows no classes.
    solver
        Encoder of the classifier, of the same blueprint as the autoencoder's.
    features
        Number of features that the solver gives.

    References
    ----------
    Shin, Lee, Kim, Kim 2017, Continual learning with deep generative replay.
    """

    def __init__(self, autoencoder: VAE, solver: nn.Module, features: int) -> None:
        super().__init__(autoencoder.domain, supervised=True)
        self.latent = autoencoder.latent
        self.autoencoder = autoencoder
        self.solver = solver
        self.solver_weight = nn.Parameter(torch.empty(0, features, dtype=torch.float32))
        self.solver_bias = nn.Parameter(torch.empty(0, dtype=torch.float32))

    def fit(self, data: TaskData, weight: Tensor, trainer: Trainer) -> None:
        """Train autoencoder and solver together, then fit the density of the codes."""
        positions = self.positions_of(data)
        unlabelled, options = bool((positions < 0).any()), self.autoencoder.options
        objective = TaskObjective(self, options.classification_weight, unlabelled=unlabelled)
        trainer.minimise(objective, [data.x, positions], noise=self.latent, recipe=self.autoencoder.recipe)
        self.density = density_of_codes(self, self.code, data, weight, options, trainer.generator)

    def logits(self, x: Tensor) -> Tensor:
        """Return what the solver says of examples, shape ``(batch, classes)``."""
        features: Tensor = self.solver(x)
        if not self.classes:
            return features.new_zeros(len(x), 0, dtype=torch.float32)
        return F.linear(features, self.solver_weight, self.solver_bias).float()

    def elbo(self, x: Tensor, positions: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return the autoencoder's ELBO, whatever the class, and the solver's logits."""
        return self.autoencoder.elbo(x, torch.full_like(positions, -1), noise)[0], self.logits(x)

    def marginal_elbo(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return the autoencoder's ELBO and the solver's logits; there is no class to sum out."""
        return self.autoencoder.marginal_elbo(x, noise)[0], self.logits(x)

    def score(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the autoencoder's score and the solver's class log-probabilities."""
        return self.autoencoder.score(x)[0], self.logits(x).log_softmax(1)

    def score_draws(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return the autoencoder's score by draws, and the solver's class log-probabilities."""
        return self.autoencoder.score_draws(x, noise)[0], self.logits(x).log_softmax(1)

    def importance_weighted_elbo(self, x: Tensor, noise: Tensor) -> Tensor:
        """Return the autoencoder's importance-weighted bound."""
        return self.autoencoder.importance_weighted_elbo(x, noise)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the autoencoder's posterior means and the solver's logits."""
        return self.autoencoder.encode(x)[0], self.logits(x)

    def rate(self, x: Tensor) -> Tensor:
        """Return the nats that the autoencoder's code costs."""
        return self.autoencoder.rate(x)

    def decode(self, codes: Tensor, positions: Tensor) -> Tensor:
        """Return the autoencoder's examples; the class changes nothing."""
        return self.autoencoder.decode(codes, torch.full_like(positions, -1))

    def add_classes(self, labels: Sequence[int], generator: torch.Generator) -> None:
        """Add a row to the solver's last layer for each new label."""
        new = self.new_labels(labels)
        if not new:
            return
        rows = initialised(lambda: nn.Linear(self.solver_weight.shape[1], len(new)), generator)
        weight, bias = rows.get_parameter("weight"), rows.get_parameter("bias")
        self.solver_weight, self.solver_bias = with_rows(self.solver_weight, weight), with_rows(self.solver_bias, bias)
        self.take_in(new)

    def draw(self, positions: Tensor, generator: torch.Generator) -> Tensor:
        """Generate examples; of a class asked for, the first of 32 that the solver puts there, else its likeliest.

        The density needs no choice: it is fitted per class.
        """
        if self.density is not None:
            chunks = self.draw_codes(positions, self.latent, generator).split(ROWS)
            drawn = [self.decode(codes.to(self.device), no_labels(len(codes)).to(self.device)) for codes in chunks]
            return self.domain.project(torch.cat(drawn))
        images = self.autoencoder.draw(no_labels(len(positions)), generator)
        for row in (positions >= 0).nonzero()[:, 0].tolist():
            images[row] = self._of_class(int(positions[row]), generator)
        return images

    def _of_class(self, position: int, generator: torch.Generator) -> Tensor:
        drawn = self.autoencoder.draw(no_labels(CANDIDATES), generator)
        logits = self.logits(drawn)
        found = (logits.argmax(1) == position).nonzero()[:, 0]
        return drawn[found[0] if len(found) else logits.log_softmax(1)[:, position].argmax()]


@final
class SolvedKind(ComponentKind):
    """Makes autoencoders with a solver beside them.

    Parameters
    ----------
    settings
        Settings of the method.
    blueprint
        Makes the networks of both.
    """

    name = "solved-vae"

    def __init__(self, settings: Settings, blueprint: Blueprint) -> None:
        self._blueprint = blueprint
        self._autoencoders = vae_kind(settings, blueprint)

    def make(self, domain: Domain, *, supervised: bool, target: Domain | None, generator: torch.Generator) -> Component:
        """Make an autoencoder and a solver.

        Raises
        ------
        BadInput
            There are no labels to learn from.
        """
        if not supervised:
            raise BadInput("data has no labels; the method 'dgr' needs them (-1 for those that are not known)")
        autoencoder = self._autoencoders.autoencoder(domain, supervised=False, generator=generator)
        solver = make_network(self._blueprint, lambda: self._blueprint.encoder(domain.shape), generator)
        return SolvedVAE(autoencoder, solver, autoencoder.features)

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """What autoencoder and solver are trained by, in the same steps."""
        return self._autoencoders.recipes

    @property
    def without_memory(self) -> bool:
        """Whether the blueprint's networks are plain layers."""
        return self._autoencoders.without_memory

    @property
    def draws_globally(self) -> bool:
        """Whether the blueprint's networks are a user's own, which may have dropout or the like."""
        return self._autoencoders.draws_globally


@final
class SolverLabelled(Rehearsal):
    """Rehearse examples from the prior of the autoencoder as it was, labelled by the solver as it was."""

    def recall(self, task: TaskData, teacher: Component, learnt: int, generator: torch.Generator) -> TaskData:
        """Generate as many examples as were learnt, so that all tasks weigh alike; at most five for each real one."""
        drawn = generate(teacher, no_labels(generated_size(len(task), learnt)), generator).x
        return TaskData(like(drawn, task.x), solver_labels(teacher, drawn))

    def after(self, task: TaskData, generator: torch.Generator) -> SolverLabelled:
        """Return itself, since the networks are the memory."""
        return self

    def pack(self) -> dict[str, Tensor]:
        """Return no tensor: a checkpoint needs none."""
        return {}

    def unpack(self, tensors: Mapping[str, Tensor], component: Component | None) -> SolverLabelled:
        """Return itself, since nothing is kept."""
        return self


@torch.no_grad()
def solver_labels(teacher: Component, x: Tensor) -> Tensor:
    """Return the label that a network gives each example, -1 where the network knows no classes."""
    chosen = in_pieces(teacher, lambda piece: most_likely(teacher(piece)[1]), x)
    return to_labels(chosen, teacher.classes)
