"""How long and how to train: the settings of a mixture and a network's recipe turned into numbers for one training."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from growmix.components.recipe import DEFAULT_RECIPE, Recipe
from growmix.settings import ScheduleName, Settings

SMALL_TASK = 4_000
"""Number of examples below which batches of 32 are worth their overhead."""

LEFT_OPEN = ("epochs", "batch_size", "learning_rate", "weight_decay", "gradient_clip", "schedule")
"""Settings that a recipe chooses where a user does not."""


@dataclass(frozen=True)
class Budget:
    """How long and how to train, with every automatic choice made.

    Examples
    --------
    >>> budget = Budget.of(Settings(), examples=11_000)
    >>> budget.epochs, budget.batch_size, budget.steps, budget.learning_rate
    (40, 128, 3440, 0.002)
    >>> Budget.of(Settings(), examples=290).epochs
    150

    Attributes
    ----------
    steps
        Most gradient steps, which may end within an epoch; ``None``: as many as the epochs have.
    matrices_only
        Whether weights with fewer than two axes are left without decay.
    warm_up
        Share of the training in which the learning rate rises, of a schedule that has such a part.
    compiled
        Whether steps are compiled, which takes a minute at the first and saves time at each.
    open
        What a network's recipe may choose, because the settings do not say it.
    most_epochs
        Passes that the settings ask for, of which ``most_steps`` may leave fewer; ``None``: the recipe says.
    most_steps
        Largest number of gradient steps that the settings allow; ``None``: the epochs alone decide.
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
    beta2: float = 0.999
    matrices_only: bool = False
    warm_up: float = 0.1
    compiled: bool = False
    open: tuple[str, ...] = field(default=(), compare=False)
    most_epochs: int | None = field(default=None, compare=False)
    most_steps: int | None = field(default=None, compare=False)

    @classmethod
    def of(cls, settings: Settings, examples: int, recipe: Recipe = DEFAULT_RECIPE) -> Budget:
        """Return the budget that the settings, and a recipe where they say nothing, give a task of so many examples."""
        given = settings.to_dict()
        usual = asdict(recipe)
        chosen = {name: usual[name] if given[name] is None else given[name] for name in LEFT_OPEN}
        budget = cls(
            **chosen,
            patience=settings.patience,
            beta1=settings.adam_beta1,
            compiled=settings.compile,
            open=(*(name for name in LEFT_OPEN if given[name] is None), "steps"),
            most_epochs=settings.epochs,
            most_steps=settings.max_steps,
        )
        return budget.by(recipe, examples)

    def by(self, recipe: Recipe, examples: int) -> Budget:
        """Return the budget with all that is still open chosen by a network's recipe.

        Parameters
        ----------
        recipe
            What the network is trained by.
        examples
            How many examples are trained on.

        Examples
        --------
        >>> budget = Budget.of(Settings(epochs=3), examples=11_000).by(Recipe(batch_size=256), 11_000)
        >>> budget.epochs, budget.batch_size, budget.steps
        (3, 256, 129)
        """
        chosen: dict[str, Any] = {name: getattr(recipe, name) for name in LEFT_OPEN if name in self.open}
        if "batch_size" in chosen and examples < SMALL_TASK:
            chosen["batch_size"] = 32
        if "schedule" in chosen:  # a schedule that the user chose has the user's own decay
            chosen["beta1"] = recipe.beta1
        own = replace(self, **chosen, beta2=recipe.beta2, matrices_only=recipe.matrices_only, warm_up=recipe.warm_up)
        per_epoch = math.ceil(examples / own.batch_size)
        if "steps" not in self.open and self.steps is not None:
            return replace(own, epochs=math.ceil(self.steps / per_epoch))
        epochs = self.most_epochs or own.epochs
        if "epochs" in chosen:
            least, most = (math.ceil(bound / per_epoch) for bound in recipe.step_range)
            epochs = min(max(epochs, least), most)
        steps = min(epochs * per_epoch, self.most_steps or epochs * per_epoch)
        return replace(own, epochs=math.ceil(steps / per_epoch), steps=steps)

    def over(self, examples: int) -> Budget:
        """Return a budget of the same number of steps for another number of examples, which no recipe changes.

        Examples
        --------
        >>> budget = Budget.of(Settings(), examples=11_000).over(22_000)
        >>> budget.steps, budget.epochs
        (3440, 20)
        """
        if self.steps is None:
            return self
        fixed = tuple(name for name in self.open if name not in ("epochs", "steps"))
        return replace(self, epochs=math.ceil(self.steps / math.ceil(examples / self.batch_size)), open=fixed)
