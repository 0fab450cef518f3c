"""What a component is handed when it learns: a generator, and someone who minimises its objective by gradient steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, final

import torch
from torch import Tensor, nn

from growmix.components.recipe import DEFAULT_RECIPE, Recipe
from growmix.training.budget import Budget
from growmix.training.callbacks import Callback, Follower, TrainingLog, summed
from growmix.training.loop import fit

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@final
@dataclass
class GradientTrainer:
    """Trains one component, or the student, by the one optimisation loop.

    Attributes
    ----------
    budget
        How long and how to train.
    fabric
        Device, precision and strategy.
    generator
        Generator on the CPU for all that is drawn while the component learns.
    component
        Index of the component; ``None`` for the student.
    callbacks
        Receive reports of the training as it goes.
    held_out
        Returns the ELBO of held-out data, in nats; called when the budget has patience.
    wrap
        Puts something around the component's objective, such as a penalty.
    follower
        Looks on after every step.
    draws_globally
        Whether the component's networks may draw from torch's global generator.
    log
        What the training did; of a component that takes no gradient step, zero steps.
    """

    budget: Budget
    fabric: Fabric
    generator: torch.Generator
    component: int | None
    callbacks: Sequence[Callback] = ()
    held_out: Callable[[], float] | None = None
    wrap: Callable[[nn.Module], nn.Module] | None = None
    follower: Follower | None = None
    draws_globally: bool = False
    log: TrainingLog = field(default=TrainingLog(epochs=0, steps=0, examples=0, seconds=0.0, losses=()), init=False)

    @property
    def patient(self) -> bool:
        """Whether a training ends when what is held out of it gets no better."""
        return self.budget.patience is not None

    def minimise(
        self,
        objective: nn.Module,
        data: Sequence[Tensor],
        *,
        noise: int,
        recipe: Recipe = DEFAULT_RECIPE,
        held_out: Callable[[], float] | None = None,
    ) -> None:
        """Minimise an objective over data in memory, see :func:`growmix.training.loop.fit`; logs add up."""
        log = fit(
            objective if self.wrap is None else self.wrap(objective),
            data,
            noise,
            self.budget.by(recipe, len(data[0])),
            self.fabric,
            self.generator,
            component=self.component,
            callbacks=self.callbacks,
            held_out=held_out or self.held_out,
            follower=self.follower,
            draws_globally=self.draws_globally,
        )
        self.log = log if self.log.steps == 0 else summed([self.log, log])
