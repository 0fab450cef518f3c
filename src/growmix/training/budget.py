"""How long and how to train: the settings of a mixture turned into numbers for one training."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from growmix.settings import ScheduleName, Settings

DEFAULT_EPOCHS = 40
STEP_RANGE = (1_500, 6_000)
"""Fewest and most steps of the default budget: small tasks need more passes, large ones fewer."""

SMALL_TASK = 4_000
"""Number of examples below which batches of 32 are worth their overhead."""


@dataclass(frozen=True)
class Budget:
    """How long and how to train, with every automatic choice made.

    Examples
    --------
    >>> Budget.of(Settings(), examples=11_000)
    Budget(epochs=40, batch_size=128, learning_rate=0.002, weight_decay=0.01, gradient_clip=1000.0, patience=None, \
steps=3440, schedule='one-cycle', beta1=0.9)
    >>> Budget.of(Settings(), examples=290).epochs
    150

    Attributes
    ----------
    steps
        Most gradient steps, which may end within an epoch; ``None``: as many as the epochs have.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    gradient_clip: float
    patience: int | None = None
    steps: int | None = None
    schedule: ScheduleName = "one-cycle"
    beta1: float = 0.9

    @classmethod
    def of(cls, settings: Settings, examples: int) -> Budget:
        """Return the budget that the settings give a task of so many examples."""
        batch_size = settings.batch_size or (128 if examples >= SMALL_TASK else 32)
        per_epoch = math.ceil(examples / batch_size)
        least, most = (math.ceil(bound / per_epoch) for bound in STEP_RANGE)
        epochs = settings.epochs or min(max(DEFAULT_EPOCHS, least), most)
        steps = min(epochs * per_epoch, settings.max_steps or epochs * per_epoch)
        return cls(
            epochs=math.ceil(steps / per_epoch),
            batch_size=batch_size,
            steps=steps,
            learning_rate=settings.learning_rate,
            schedule=settings.schedule,
            beta1=settings.adam_beta1,
            weight_decay=settings.weight_decay,
            gradient_clip=settings.gradient_clip,
            patience=settings.patience,
        )

    def over(self, examples: int) -> Budget:
        """Return a budget of the same number of steps for another number of examples.

        Examples
        --------
        >>> budget = Budget.of(Settings(), examples=11_000).over(22_000)
        >>> budget.steps, budget.epochs
        (3440, 20)
        """
        if self.steps is None:
            return self
        return replace(self, epochs=math.ceil(self.steps / math.ceil(examples / self.batch_size)))
