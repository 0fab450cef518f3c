"""A budget keeps its steps in their range, and every choice that the settings leave open is made."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from growmix.components.recipe import DEFAULT_RECIPE, Recipe
from growmix.settings import Settings
from growmix.training.budget import Budget


@given(st.integers(4, 200_000))
def test_the_default_budget_keeps_the_steps_in_their_range(examples: int) -> None:
    budget = Budget.of(Settings(), examples)
    per_epoch = math.ceil(examples / budget.batch_size)
    assert budget.epochs >= 1
    assert budget.epochs * per_epoch >= DEFAULT_RECIPE.step_range[0]
    assert budget.epochs * per_epoch < DEFAULT_RECIPE.step_range[1] + per_epoch


def test_a_budget_that_is_given_is_taken() -> None:
    settings = Settings(epochs=7, batch_size=5, learning_rate=0.3, weight_decay=0.2, gradient_clip=0.1, patience=2)
    assert Budget.of(settings, 100_000) == Budget(7, 5, 0.3, 0.2, 0.1, 2, steps=140_000)


def test_a_budget_over_other_data_keeps_its_steps() -> None:
    budget = Budget.of(Settings(epochs=7, batch_size=10), 95)
    assert (budget.steps, budget.epochs) == (70, 7)
    wider = budget.over(1_000)
    assert (wider.steps, wider.epochs) == (70, 1)
    assert Budget.of(Settings(max_steps=12, batch_size=10), 95).epochs == 2


def test_a_recipe_chooses_what_the_settings_leave_open_and_nothing_else() -> None:
    recipe = Recipe(epochs=80, step_range=(1, 10**9), batch_size=256, learning_rate=1e-3, gradient_clip=1.0, beta2=0.99)
    open_budget = Budget.of(Settings(), 25_600).by(recipe, 25_600)
    assert (open_budget.epochs, open_budget.batch_size, open_budget.steps) == (80, 256, 8_000)
    assert (open_budget.learning_rate, open_budget.gradient_clip, open_budget.beta2) == (1e-3, 1.0, 0.99)
    given = Settings(epochs=2, batch_size=64, learning_rate=0.5, gradient_clip=3.0, max_steps=7)
    budget = Budget.of(given, 25_600).by(recipe, 25_600)
    assert (budget.epochs, budget.batch_size, budget.steps) == (1, 64, 7)
    assert (budget.learning_rate, budget.gradient_clip) == (0.5, 3.0)


def test_the_most_steps_end_the_epochs_of_each_recipe_and_not_those_of_another() -> None:
    budget = Budget.of(Settings(epochs=10, max_steps=50), 10_000)
    assert (budget.steps, budget.epochs) == (50, 1)  # 79 batches of 128 in an epoch
    assert budget.by(Recipe(batch_size=256), 10_000).steps == 50
    assert budget.by(Recipe(batch_size=1_000), 10_000).epochs == 5


def test_steps_that_were_fixed_are_kept_by_every_recipe() -> None:
    fixed = Budget.of(Settings(max_steps=100), 25_600).over(51_200)
    budget = fixed.by(Recipe(epochs=500, batch_size=512), 51_200)
    assert (budget.steps, budget.batch_size, budget.epochs) == (100, 512, 1)


def test_small_tasks_have_small_batches_whatever_the_recipe() -> None:
    assert Budget.of(Settings(), 100).by(Recipe(batch_size=256), 100).batch_size == 32
