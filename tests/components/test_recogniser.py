"""A recogniser tells its classes and turns; its scores, growing classes, and a training that can be interrupted."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from growmix.components.augmentation import Augmentation
from growmix.components.pieces import ROWS
from growmix.components.recogniser import Recogniser, RecogniserOptions, RecognitionObjective
from growmix.data.domain import Domain
from growmix.errors import BadInput
from growmix.settings import Settings
from growmix.training.budget import Budget
from growmix.training.callbacks import Callback, Keeper, Progress
from growmix.training.fabric import make_fabric
from growmix.training.state import TrainingState
from growmix.training.trainer import GradientTrainer

SHAPE = (1, 8, 8)


def recogniser(classes: int = 2, shape: tuple[int, ...] = SHAPE, *, flips: bool = False) -> Recogniser:
    generator = torch.Generator().manual_seed(0)
    own = Recogniser(Domain(shape), RecogniserOptions(width=6, flips=flips), generator)
    own.add_classes(range(classes), generator)
    return own


def disturbed(own: Recogniser) -> Recogniser:
    """Give a recogniser statistics as training would leave them, ready for use."""
    own.train().outputs(images(32, *own.domain.shape, seed=1))
    return own.eval()


def trainer(**keywords: Any) -> GradientTrainer:
    budget = Budget(4, 16, learning_rate=3e-3, weight_decay=0.05, gradient_clip=5.0)
    fabric = make_fabric(Settings(device="cpu", precision=keywords.pop("precision", "32-true")))
    return GradientTrainer(budget, fabric, torch.Generator().manual_seed(0), component=0, **keywords)


def images(n: int, *shape: int, seed: int = 0) -> Tensor:
    return torch.rand(n, *(shape or SHAPE), generator=torch.Generator().manual_seed(seed))


def stripes(n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Images of two classes, dark above or dark on a corner, with noise."""
    generator = torch.Generator().manual_seed(seed)
    positions = torch.randint(0, 2, (n,), generator=generator)
    down, right = torch.linspace(0, 1, 8)[:, None].expand(8, 8), torch.linspace(0, 1, 8)[None].expand(8, 8)
    patterns = torch.stack([down, down * right])
    noise = 0.1 * torch.rand(n, 8, 8, generator=generator)
    return (0.9 * patterns[positions] + noise)[:, None], positions


# Scores --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shape", "turns"), [((1, 8, 8), 4), ((3, 6, 10), 2)])
def test_a_score_is_the_mean_output_for_its_class_and_the_turn_that_was_made(
    shape: tuple[int, ...], turns: int
) -> None:
    own, x = disturbed(recogniser(3, shape)), images(5, *shape)
    expected = torch.zeros(5, 3)
    for turn in range(turns):
        views = (2.0 * x - 1.0).rot90(turn * 4 // turns, (2, 3))
        expected += own.outputs(views)[:, :, turn] / turns
    scores, log_proba = own.judge(x)
    torch.testing.assert_close(scores, expected)
    torch.testing.assert_close(log_proba, expected.log_softmax(1))


def test_more_of_everything_in_one_class_and_turn_raises_the_score_of_that_class_alone() -> None:
    own, x = disturbed(recogniser(3)), images(4)
    before, _ = own.judge(x)
    with torch.no_grad():
        own.bias[4 + 2] += 8.0  # the second class, turned twice
    after, _ = own.judge(x)
    torch.testing.assert_close(after - before, torch.tensor([0.0, 2.0, 0.0]).expand(4, 3))


def test_an_image_is_judged_as_it_is_alone() -> None:
    own, x = disturbed(recogniser()), images(6)
    torch.testing.assert_close(own.judge(x)[0][3:4], own.judge(x[3:4])[0])


def test_more_turned_images_than_are_judged_at_a_time_are_judged_as_in_parts() -> None:
    own, x = disturbed(recogniser()), images(ROWS // 4 + 3)
    torch.testing.assert_close(own.judge(x)[0], torch.cat([own.judge(part)[0] for part in x.split(100)]))


def test_without_classes_there_is_one_score_and_no_class() -> None:
    scores, log_proba = disturbed(recogniser(0)).judge(images(3))
    assert scores.shape == (3, 1)
    assert log_proba.shape == (3, 0)


def test_many_recognisers_are_asked_in_one_call() -> None:
    own = [disturbed(recogniser()), disturbed(recogniser())]
    with torch.no_grad():
        own[1].bias.add_(torch.arange(8.0))
    parameters, buffers = torch.func.stack_module_state(own)
    x = images(5)

    def asked(weights: dict[str, Tensor], statistics: dict[str, Tensor]) -> Tensor:
        return torch.func.functional_call(_Asked(own[0]), ({**_inside(weights), **_inside(statistics)},), (x,))

    together = torch.func.vmap(asked)(parameters, buffers)
    torch.testing.assert_close(together, torch.stack([each.judge(x)[0] for each in own]))


class _Asked(torch.nn.Module):
    """Answers by the scores when it is called, as torch's functional calls need."""

    def __init__(self, own: Recogniser) -> None:
        super().__init__()
        self.own = own

    def forward(self, x: Tensor) -> Tensor:
        return self.own.judge(x)[0]


def _inside(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"own.{name}": tensor for name, tensor in tensors.items()}


# Classes -------------------------------------------------------------------------------------------------------


def test_new_classes_leave_the_scores_of_the_old_ones_bit_for_bit() -> None:
    own, x = disturbed(recogniser(2)), images(5)
    before, weights = own.judge(x)[0], copy.deepcopy(own.state_dict())
    own.add_classes([1, 9], torch.Generator().manual_seed(5))
    assert own.classes == (0, 1, 9)
    after = own.judge(x)[0]
    assert after.shape == (5, 3)
    for name, value in own.state_dict().items():
        old = weights[name]
        assert torch.equal(value[: len(old)] if name in ("weight", "bias") else value, old)
    torch.testing.assert_close(after[:, :2], before)


def test_first_outputs_of_new_classes_follow_from_the_generator() -> None:
    one, two, other = recogniser(), recogniser(), recogniser()
    for own, seed in ((one, 3), (two, 3), (other, 4)):
        own.add_classes([7], torch.Generator().manual_seed(seed))
    assert torch.equal(one.weight, two.weight)
    assert not torch.equal(one.weight, other.weight)


# Learning ------------------------------------------------------------------------------------------------------


def test_the_loss_is_the_cross_entropy_of_class_and_turn() -> None:
    own = disturbed(recogniser(3))
    objective = RecognitionObjective(own, Augmentation(crop=0.0, jitter=0.0))
    x, positions = images(4), torch.tensor([2, 0, 1, 1])
    noise = torch.zeros(4, objective.numbers)
    noise[:, -1] = torch.tensor([0.5, -1.0, 2.0, 0.1])  # dealt: turns 2, 0, 3, 1
    turns = torch.tensor([2, 0, 3, 1])
    views = torch.stack([image.rot90(int(turn), (1, 2)) for image, turn in zip(2.0 * x - 1.0, turns, strict=True)])
    expected = F.cross_entropy(own.outputs(views).flatten(1), 4 * positions + turns)
    torch.testing.assert_close(objective(x, positions, noise), expected)


def test_an_image_without_a_label_counts_as_one_of_the_classes() -> None:
    own = disturbed(recogniser(3))
    with torch.no_grad():
        own.weight.zero_()
    objective = RecognitionObjective(own, Augmentation())
    noise = torch.randn(8, objective.numbers, generator=torch.Generator().manual_seed(0))
    labelled = objective(images(8), torch.arange(8) % 3, noise)
    without = objective(images(8), torch.full((8,), -1), noise)
    assert labelled.item() == pytest.approx(math.log(12), abs=1e-5)
    assert without.item() == pytest.approx(math.log(4), abs=1e-5)


def test_the_same_noise_gives_the_same_loss_and_torch_draws_nothing() -> None:
    objective = RecognitionObjective(disturbed(recogniser()), Augmentation(flips=True))
    x, positions = images(8), torch.arange(8) % 2
    noise = torch.randn(8, objective.numbers, generator=torch.Generator().manual_seed(0))
    before = torch.get_rng_state()
    assert torch.equal(objective(x, positions, noise), objective(x, positions, noise))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(("channels", "width", "flips"), [(1, 24, False), (3, 48, True)])
def test_size_and_flips_follow_from_the_colours_unless_they_are_given(channels: int, width: int, flips: bool) -> None:
    domain, open_options = Domain((channels, 8, 8)), RecogniserOptions()
    assert (open_options.width_for(domain), open_options.flips_for(domain)) == (width, flips)
    given = RecogniserOptions(width=7, flips=not flips)
    assert (given.width_for(domain), given.flips_for(domain)) == (7, not flips)


def test_real_numbers_are_centred_by_the_first_task() -> None:
    domain = Domain(SHAPE, "real", centre=(3.0,), scale=(2.0,))
    own = Recogniser(domain, RecogniserOptions(width=6), torch.Generator().manual_seed(0))
    assert torch.equal(own.centred(torch.full((1, *SHAPE), 7.0)), torch.full((1, *SHAPE), 2.0))


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_classes_and_turns_are_learnt_and_outsiders_score_lower(precision: str) -> None:
    own = recogniser()
    x, positions = stripes(600)
    its = trainer(precision=precision)
    its.budget = Budget(8, 32, learning_rate=3e-3, weight_decay=0.05, gradient_clip=5.0)
    own.fit((255 * x).to(torch.uint8), positions, its)
    assert not own.training
    held, true = stripes(200, seed=1)
    scores, log_proba = own.judge(held)
    assert float((log_proba.argmax(1) == true).float().mean()) > 0.95
    assert own.recognised(held, true) > 0.95
    assert own.recognised(held, 1 - true) < 0.05
    outsiders, _ = own.judge(held.rot90(1, (2, 3)))
    assert float((scores.amax(1) > outsiders.amax(1)).float().mean()) > 0.95


def test_a_training_without_labels_learns_the_turns() -> None:
    own, (x, _) = recogniser(0), stripes(64)
    none, its = torch.full((64,), -1), trainer()
    own.fit(x, none, its)
    assert its.log.losses[-1] < its.log.losses[0]
    assert own.weight.shape[0] == 4


def test_a_patient_training_ends_when_kept_out_images_are_recognised_no_better() -> None:
    class Diary(Callback):
        scores: tuple[float | None, ...] = ()

        def on_epoch_end(self, progress: Progress) -> None:
            self.scores += (progress.held_out,)

    diary, (x, positions) = Diary(), stripes(80)
    its = trainer(callbacks=[diary], held_out=lambda: math.nan)
    its.budget = Budget(60, 16, learning_rate=0.0, weight_decay=0.0, gradient_clip=5.0, patience=3)
    recogniser().fit(x, positions, its)
    assert all(score is not None and 4 * 4 * score == round(4 * 4 * score) for score in diary.scores), "of four images"
    assert its.log.epochs < 60
    assert its.log.examples == 76 * its.log.epochs


class Stopper(Keeper):
    """Keeps the state after a step and stops there; later hands it over."""

    class Stopped(Exception):
        """The training was stopped."""

    def __init__(self, step: int) -> None:
        self._step = step
        self._kept: TrainingState | None = None

    def recall(self, training: Mapping[str, Any], check: Callable[[TrainingState], None]) -> TrainingState | None:
        return self._kept

    def after_step(self, steps: int, state: Callable[[], TrainingState]) -> None:
        if self._kept is None and steps == self._step:
            self._kept = copy.deepcopy(state())
            raise Stopper.Stopped

    def at_end(self, state: TrainingState) -> None:
        pass


def test_an_interrupted_training_goes_on_to_the_same_numbers() -> None:
    x, positions = images(40), torch.arange(40) % 2
    whole = recogniser(flips=True)
    whole.fit(x, positions, trainer())
    stopper = Stopper(5)
    with pytest.raises(Stopper.Stopped):
        recogniser(flips=True).fit(x, positions, trainer(callbacks=[stopper]))
    resumed = recogniser(flips=True)
    resumed.fit(x, positions, trainer(callbacks=[stopper]))
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_vectors_are_refused_before_anything_is_made() -> None:
    with pytest.raises(BadInput, match="without 'recogniser'"):
        Recogniser(Domain((7,), "real"), RecogniserOptions(), torch.Generator())
