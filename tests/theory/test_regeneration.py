"""What a component generates is told apart by task: by labels, or by what it is likest to."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from followed import followed, make_stream
from growmix.components.construction import make_kind
from growmix.components.nets import MLP
from growmix.components.vae import VAE
from growmix.data.domain import Domain
from growmix.data.task import TaskData
from growmix.settings import Settings
from growmix.theory.regeneration import next_generation


def component_of(counts: dict[int, float]) -> VAE:
    """A component that has learnt so many examples of each class."""
    generator = torch.Generator().manual_seed(0)
    component = make_kind(Settings(latent=2), MLP(8)).make(
        Domain((1, 4, 4)), supervised=True, target=None, generator=generator
    )
    component.add_classes(list(counts), generator)
    component.class_counts = torch.tensor(list(counts.values()))
    component.freeze()
    assert isinstance(component, VAE)
    return component


def task(*labels: int) -> TaskData:
    return TaskData(torch.rand(len(labels), 1, 4, 4), torch.tensor(labels))


def test_labels_tell_tasks_apart_in_the_proportions_that_were_learnt() -> None:
    component = component_of({5: 300.0, 7: 100.0, 2: 1.0})
    trained = {0: task(5, 7, 5), 3: task(2, 2)}
    drawn = next_generation(component, trained, 400, torch.Generator().manual_seed(0))
    assert list(drawn) == [0, 3]
    first, second = (drawn[i].y for i in (0, 3))
    assert first is not None and second is not None
    assert set(first.tolist()) == {5, 7} and set(second.tolist()) == {2}
    assert len(first) == len(second) == 400
    assert abs(int((first == 5).sum()) - 300) < 45  # five standard deviations


def test_one_task_alone_has_all_that_is_drawn_as_bytes_and_the_same_by_the_same_numbers() -> None:
    component = component_of({5: 3.0, 7: 1.0})
    once, again = (
        next_generation(component, {4: task(5, 7)}, 30, torch.Generator().manual_seed(1))[4] for _ in range(2)
    )
    assert len(once) == 30 and once.x.dtype == torch.uint8
    assert torch.equal(once.x, again.x)


@pytest.mark.slow
def test_generated_images_are_told_apart_by_task_where_labels_can_not() -> None:
    stream = make_stream(labelled=False)
    mixture, _ = followed(replace(stream, tasks=stream.tasks[:2]), threshold=2.0, epochs=400)
    trained = {i: stream[i].train for i in (0, 1)}
    drawn = next_generation(mixture.components[0], trained, 50, torch.Generator().manual_seed(0))
    means = [float(drawn[i].images().mean()) for i in (0, 1)]
    assert means[0] == pytest.approx(float(stream[0].train.images().mean()), abs=0.1)
    assert means[1] == pytest.approx(float(stream[1].train.images().mean()), abs=0.1)
    assert min(len(part) for part in drawn.values()) >= 25  # both were learnt as often
