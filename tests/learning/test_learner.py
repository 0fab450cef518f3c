"""What all methods share: a lesson counts as a whole or not at all."""

from __future__ import annotations

import pytest
import torch

from growmix import BadInput, Settings
from known_points import Filing, filed, task


def test_a_lesson_without_a_result_changes_nothing_and_says_what_is_missing() -> None:
    learner = filed(0)
    before = learner._state
    with pytest.raises(TypeError, match=r"did not set lesson\.learnt"), learner.lesson(task(1)):
        pass
    assert learner._state is before


def test_an_error_after_the_result_was_set_still_changes_nothing() -> None:
    learner = filed(0)
    before = learner._state
    with pytest.raises(KeyboardInterrupt), learner.lesson(task(1)) as lesson:
        lesson.learnt = learner.filed(lesson.task, 1, 1)
        raise KeyboardInterrupt
    assert learner._state is before
    assert learner.learn(task(1)).component == 1


def test_a_task_learnt_within_a_lesson_counts_and_the_lesson_does_not() -> None:
    learner = filed(0)
    with pytest.raises(BadInput, match="another task was learnt while data was"), learner.lesson(task(1)) as lesson:
        learner.learn(task(2))
        lesson.learnt = learner.filed(lesson.task, 1, 1)
    assert learner.classes_.tolist() == [0, 1, 4, 5] and len(learner.history) == 2


def test_every_task_has_random_numbers_of_its_own_whatever_failed_before() -> None:
    def seed_of(learner: Filing) -> int:
        with pytest.raises(TypeError), learner.lesson(task(5)) as lesson:
            pass
        return lesson.generator.initial_seed()

    seeds = [seed_of(learner) for learner in (filed(0), filed(0), filed(0, 1), Filing(Settings(seed=1)))]
    assert seeds[0] == seeds[1] and len(set(seeds)) == 3
    learner = filed(0)
    assert seed_of(learner) == seed_of(learner) == seeds[0]


def test_the_past_is_told_as_it_was() -> None:
    learner = filed(0, 1, 2)
    assert [learner.versions_at(t) for t in (1, 2, 3)] == [(1,), (1, 1), (1, 1, 1)]
    torch.testing.assert_close(learner.log_prior_at(2).exp(), torch.tensor([0.5, 0.5]))
    for tasks in (0, 4):
        with pytest.raises(BadInput, match=rf"^tasks is {tasks}; allowed are 1 to 3, the tasks learnt$"):
            learner.log_prior_at(tasks)
    assert repr(learner) == "Filing('mlp', tasks=3, components=3, classes=6)"


def test_examples_are_routed_one_by_one_or_as_one_group() -> None:
    learner, x = filed(0, 1), torch.cat([task(0, 4)[0], task(1, 6)[0]])
    assert learner.route(x).tolist() == [0] * 4 + [1] * 6
    assert learner.route(x, per="group") == 1
    with pytest.raises(BadInput, match=r"^per is 'task'; allowed are 'example' and 'group'$"):
        learner.route(x, per="task")
