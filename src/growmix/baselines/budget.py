"""Give every method the same budget: as many steps of as many examples as a new component of the mixture takes."""

from __future__ import annotations

from growmix.components.recipe import DEFAULT_RECIPE, Recipe
from growmix.data.task import TaskData
from growmix.errors import BadInput
from growmix.learning.holdout import held_out_size
from growmix.settings import Settings
from growmix.training.budget import Budget


def equal_budget(settings: Settings, examples: int, recipe: Recipe = DEFAULT_RECIPE) -> Budget:
    """Return the budget of a new component of the mixture on a task of so many examples.

    The mixture holds a part of the task out; a method that does not still takes no step more for it.

    Parameters
    ----------
    settings
        Settings of the method.
    examples
        How many examples the task has.
    recipe
        What the component's network is trained by where the settings leave it open.

    Examples
    --------
    >>> equal_budget(Settings(epochs=2, batch_size=10), examples=200).steps
    30
    """
    return Budget.of(settings, examples - held_out_size(examples, settings.holdout), recipe)


def check_settings(method: str, settings: Settings) -> None:
    """Refuse what would make the budgets unequal, or what would have no effect.

    Raises
    ------
    BadInput
        The settings ask for an early end, which needs held-out data that this method does not have, or for components
        that share something.
    """
    if settings.sharing != "none":
        raise BadInput(f"sharing is {settings.sharing!r}; allowed for the method {method!r} is none: nothing is shared")
    if settings.patience is not None:
        raise BadInput(
            f"patience is {settings.patience}; allowed for the method {method!r} is nothing: it holds no data out"
        )


def check_images_alone(method: str, task: TaskData) -> None:
    """Refuse a task of pairs.

    Raises
    ------
    BadInput
        The task has targets beside its examples.
    """
    if task.target is not None:
        raise BadInput(f"data has pairs of images, which the method {method!r} can't learn; 'mixture' can")
