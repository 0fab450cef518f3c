"""Prediction errors: small networks that imitate a frozen random one, each on the examples of one class alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from growmix.components.abilities import WithoutDensity
from growmix.components.component import Component, Trainer
from growmix.components.kinds import PlainKind
from growmix.components.nets import initialised, with_rows
from growmix.components.pieces import in_pieces
from growmix.components.recipe import Recipe
from growmix.components.scaling import Scaling
from growmix.components.sharing import Frozen
from growmix.data.domain import Domain
from growmix.data.task import TaskData
from growmix.errors import BadInput

RECIPE = Recipe(learning_rate=0.01)
"""The paper's learning rate. With 0.002, ten passes over MNIST in batches of 128 come to 84.5 % instead of 90.8."""

SHARPNESS = 300.0
"""What a mean squared error is multiplied by to make a score, so that the softmax of scores gives fair probabilities.

The cross-entropy on MNIST, one pass: 0.27 nats with 300, more with 100 and 1,000. The order of classes is the same
with any number, but for the share of each class among the examples, which is worth at most 0.2 nats there.
"""

TEACHER = 20_241
"""Sets the random numbers of the frozen network apart from all others of the same seed."""


@final
class PredictionError(Component, WithoutDensity):
    """One small network for each class, which predicts what a frozen random network makes of examples of the class.

    The score of a class is minus its network's mean squared error times :data:`SHARPNESS`, plus the log share of the
    class; that of the component sums the classes up. A score is no logarithm of a density: it tells classes and
    components from each other, and is in no unit.

    Parameters
    ----------
    domain
        Shape and support of the examples, with the statistics of the first task.
    teacher
        The frozen random network, which all components refer to and none of them holds.
    hidden
        Hidden units of each class's network.
    outputs
        How many numbers the teacher gives for an example.

    References
    ----------
    Zajac, Tuytelaars, van de Ven 2024, Prediction error-based classification for class-incremental learning.
    """

    is_density = False
    instead = "the methods 'mixture' and 'generative-classifier' have components with a density, which generate"

    def __init__(self, domain: Domain, teacher: nn.Module, hidden: int, outputs: int) -> None:
        super().__init__(domain, supervised=True)
        self.scaling = Scaling(domain)
        self._teacher = Frozen(teacher)
        self._sizes = (domain.size, hidden, outputs)
        self.weight_in = _rows(hidden, domain.size)
        self.bias_in = _rows(hidden)
        self.norm_scale = _rows(hidden)
        self.norm_shift = _rows(hidden)
        self.weight_out = _rows(outputs, hidden)
        self.bias_out = _rows(outputs)

    def fit(self, data: TaskData, weight: Tensor, trainer: Trainer) -> None:
        """Minimise the squared error of each class's network on the examples of its class."""
        positions = self.positions_of(data)
        if bool((positions < 0).any()):
            raise BadInput("data has examples without a label; a network that predicts errors learns one class alone")
        self._teacher.module.to(self.device)
        wanted = in_pieces(self, self.targets, data.x)
        trainer.minimise(_Imitation(self), [data.x, wanted, positions], noise=0, recipe=RECIPE)

    @torch.no_grad()
    def targets(self, x: Tensor) -> Tensor:
        """Return what the frozen network makes of examples, shape ``(batch, outputs)``."""
        made: Tensor = self._teacher.module(self.scaling(x))
        return made

    def predictions(self, x: Tensor) -> Tensor:
        """Return what the network of every class predicts, shape ``(batch, classes, outputs)``."""
        inputs = self.scaling(x).flatten(1)
        hidden = torch.einsum("bi,khi->bkh", inputs, self.weight_in) + self.bias_in
        normed = F.layer_norm(hidden, hidden.shape[-1:]) * self.norm_scale + self.norm_shift
        return torch.einsum("bkh,koh->bko", F.gelu(normed), self.weight_out) + self.bias_out

    def score(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Score examples by how small the prediction errors are; see the class for what a score is."""
        errors = (self.predictions(x) - self.targets(x)[:, None]).square().mean(2)
        of_classes = self.class_log_prior() - SHARPNESS * errors
        if not self.classes:
            return errors.new_zeros(len(x)), of_classes
        return of_classes.logsumexp(1), of_classes.log_softmax(1)

    def draw(self, positions: Tensor, generator: torch.Generator) -> Tensor:
        """Refuse, since it generates nothing.

        Raises
        ------
        BadInput
            Always: errors tell examples apart, and make none.
        """
        raise BadInput(self.refusal("generates nothing"))

    def add_classes(self, labels: Sequence[int], generator: torch.Generator) -> None:
        """Add a network of first weights for each new label."""
        new = self.new_labels(labels)
        if not new:
            return
        for row in (self._first_weights(generator) for _ in new):
            for name, values in row.items():
                setattr(self, name, with_rows(self.get_parameter(name), values[None]))
        self.take_in(new)

    def _first_weights(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Return first weights of one class's network, by name."""
        inputs, hidden, outputs = self._sizes
        into = initialised(lambda: nn.Linear(inputs, hidden), generator)
        out = initialised(lambda: nn.Linear(hidden, outputs), generator)
        return {
            "weight_in": into.get_parameter("weight"),
            "bias_in": into.get_parameter("bias"),
            "norm_scale": torch.ones(hidden, dtype=torch.float32),
            "norm_shift": torch.zeros(hidden, dtype=torch.float32),
            "weight_out": out.get_parameter("weight"),
            "bias_out": out.get_parameter("bias"),
        }

    def _structure(self) -> str:
        return f"prediction errors {self._sizes}"


@final
class _Imitation(nn.Module):
    """The mean squared error of each example's own class's network."""

    def __init__(self, component: PredictionError) -> None:
        super().__init__()
        self.component = component

    def forward(self, x: Tensor, targets: Tensor, positions: Tensor, noise: Tensor) -> Tensor:
        """Mean error of a batch: examples ``(batch, *shape)``, targets ``(batch, outputs)``, class positions."""
        predicted = self.component.predictions(x)
        own = predicted[torch.arange(len(x), device=x.device), positions]
        return (own.float() - targets).square().mean()


@final
class PredictionErrorKind(PlainKind):
    """Makes components that imitate one frozen random network, which follows from a seed alone.

    Parameters
    ----------
    seed
        Seed of the frozen network.
    pec_hidden
        Hidden units of each class's network.
    pec_teacher_hidden
        Hidden units of the frozen network; many more than the others have, or these would imitate it everywhere.
    pec_outputs
        How many numbers the frozen network gives for an example.
    """

    name = "prediction-error"

    def __init__(
        self, seed: int, *, pec_hidden: int = 10, pec_teacher_hidden: int = 5_000, pec_outputs: int = 99
    ) -> None:
        self._seed = seed
        self._hidden, self._teacher_hidden, self._outputs = pec_hidden, pec_teacher_hidden, pec_outputs
        self._teachers: dict[int, Frozen] = {}  # by the size of an example

    def make(self, domain: Domain, *, supervised: bool, target: Domain | None, generator: torch.Generator) -> Component:
        """Make a component without classes.

        Raises
        ------
        BadInput
            There are no labels to learn from, or examples come in pairs.
        """
        if target is not None:
            raise BadInput("data has pairs of images, which the method 'pec' can't learn; 'mixture' can")
        if not supervised:
            raise BadInput("data has no labels; the method 'pec' needs one for each example")
        return PredictionError(domain, self._teacher_of(domain.size), self._hidden, self._outputs)

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """What the networks are trained by."""
        return (RECIPE,)

    @property
    def shared_modules(self) -> tuple[nn.Module, ...]:
        """The frozen network, once a component was made."""
        return tuple(frozen.module for frozen in self._teachers.values())

    def _teacher_of(self, size: int) -> nn.Module:
        """Return the frozen network for examples of a size: the same object for all components."""
        if torch.get_default_device().type == "meta":
            return self._new_teacher(size)
        if size not in self._teachers:
            self._teachers[size] = Frozen(self._new_teacher(size))
        teacher: nn.Module = self._teachers[size].module
        return teacher

    def _new_teacher(self, size: int) -> nn.Module:
        entropy = np.random.SeedSequence([self._seed, TEACHER])
        generator = torch.Generator().manual_seed(int(entropy.generate_state(1)[0]))

        def layers() -> nn.Module:
            return nn.Sequential(
                nn.Flatten(),
                nn.Linear(size, self._teacher_hidden),
                nn.LayerNorm(self._teacher_hidden, elementwise_affine=False),
                nn.GELU(),
                nn.Linear(self._teacher_hidden, self._outputs),
            )

        return initialised(layers, generator).requires_grad_(False).eval()


def _rows(*size: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(0, *size, dtype=torch.float32))
