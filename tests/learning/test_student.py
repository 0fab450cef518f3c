"""The student: taught by generated data alone, without a trace on its teacher."""

from __future__ import annotations

import copy
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from growmix import BadInput, GrowingMixture, NonFiniteLoss, Student
from growmix.learning.distilling import lessons_of, soft_labels
from growmix.settings import ComponentName
from growmix.training.callbacks import Callback, FitInfo

TINY: dict[str, Any] = {
    "hidden": 32,
    "latent": 3,
    "epochs": 40,
    "batch_size": 16,
    "learning_rate": 1e-2,
    "student_hidden": 24,
    "student_latent": 2,
    "student_examples": 200,
    "student_epochs": 6,
    "device": "cpu",
    "precision": "32-true",
}


def images(kind: int, n: int = 120, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    templates = np.random.default_rng(kind).random((2, 1, 8, 8)) > 0.5
    rng = np.random.default_rng([seed, kind])
    which = rng.permutation(np.arange(n) % 2)
    return (0.8 * templates[which] + 0.2 * rng.random((n, 1, 8, 8))).astype(np.float32), which + 2 * kind


_made: list[GrowingMixture] = []


@pytest.fixture
def teacher() -> GrowingMixture:
    if not _made:
        mixture = GrowingMixture("mlp", **TINY)
        for kind in (0, 1):
            assert mixture.learn(images(kind)).action == "grow"
        _made.append(mixture)
    return copy.deepcopy(_made[0])


def state(model: Any) -> str:
    digest = hashlib.sha256(model._sampling.numpy().tobytes())
    for component in model.components:
        digest.update(repr((component.classes, component.training)).encode())
        for name, t in (*component.named_parameters(), *component.named_buffers()):
            digest.update(f"{name} {t.requires_grad}".encode() + t.detach().numpy().tobytes())
        digest.update(component.density.mean.numpy().tobytes())
    return digest.hexdigest()


@pytest.mark.slow
def test_one_small_network_knows_all_that_its_teacher_knows(teacher: GrowingMixture) -> None:
    student = teacher.distill()
    assert student.classes_.tolist() == [0, 1, 2, 3]
    assert len(student.components) == 1
    for kind in (0, 1):
        x, y = images(kind, seed=5)
        assert (student.predict(x) == y).mean() >= 0.95
        drawn, labels = student.sample(40, label=2 * kind)
        assert (teacher.predict(drawn) == labels).mean() >= 0.9
    size = [sum(p.numel() for p in model.components[0].parameters()) for model in (student, teacher)]
    assert size[0] < size[1]


@pytest.mark.slow
def test_teaching_changes_neither_the_mixture_nor_what_it_learns_later(teacher: GrowingMixture) -> None:
    untouched, state_before, stream = copy.deepcopy(teacher), state(teacher), torch.get_rng_state()
    first = teacher.distill()
    assert state(teacher) == state_before
    assert torch.equal(stream, torch.get_rng_state())
    assert state(teacher.distill()) == state(first), "the same mixture has the same student"
    for mixture in (teacher, untouched):
        mixture.learn(images(2))
    assert state(teacher) == state(untouched)
    assert teacher.decisions == untouched.decisions


@pytest.mark.slow
def test_a_student_does_not_change_when_its_teacher_learns_on(teacher: GrowingMixture) -> None:
    student = teacher.distill()
    before = state(student)
    teacher.learn(images(0, seed=3))
    assert state(student) == before
    assert not any(p.requires_grad for p in student.component.parameters())
    assert not student.component.training


def softened(teacher: GrowingMixture, x: torch.Tensor, classes: tuple[int, ...]) -> torch.Tensor:
    return soft_labels(teacher._knowledge, x, classes, teacher.settings.student_temperature, 0)


@pytest.mark.slow
def test_the_lessons_are_as_many_of_every_class_with_the_labels_asked_for(teacher: GrowingMixture) -> None:
    lessons = lessons_of(teacher._knowledge, teacher.settings, torch.Generator().manual_seed(0))
    assert lessons.x.dtype == torch.uint8
    assert lessons.y is not None
    assert torch.bincount(lessons.y).tolist() == [200, 200, 200, 200]
    assert (teacher.predict(lessons.x) == lessons.y).float().mean() >= 0.95
    assert teacher.distill().examples == 800


def test_soft_labels_are_a_distribution_and_at_temperature_one_the_teachers_own(teacher: GrowingMixture) -> None:
    lessons = lessons_of(teacher._knowledge, teacher.settings, torch.Generator().manual_seed(0))
    entropies = []
    for temperature in (1.0, 2.0, 20.0):
        teacher.settings = teacher.settings.replace(student_temperature=temperature)
        soft = softened(teacher, lessons.x, (0, 1, 2, 3))
        assert soft.shape == (800, 4)
        assert bool((soft >= 0).all())
        torch.testing.assert_close(soft.sum(1), torch.ones(800), rtol=1e-5, atol=1e-5)
        entropies.append(float(-(soft * soft.clamp_min(1e-30).log()).sum(1).mean()))
        if temperature == 1.0:
            torch.testing.assert_close(soft, teacher.predict_proba(lessons.x), rtol=1e-4, atol=1e-6)
    assert entropies == sorted(entropies)
    assert entropies[0] < entropies[2]


def test_soft_labels_have_the_students_columns(teacher: GrowingMixture) -> None:
    lessons = lessons_of(teacher._knowledge, teacher.settings, torch.Generator().manual_seed(0))
    soft = softened(teacher, lessons.x, (0, 1, 2, 3))
    torch.testing.assert_close(softened(teacher, lessons.x, (3, 1, 0, 2)), soft[:, [3, 1, 0, 2]])


@pytest.mark.slow
def test_a_mixture_without_classes_has_a_student_without() -> None:
    mixture = GrowingMixture("mlp", **TINY)
    for kind in (0, 1):
        mixture.learn(images(kind)[0])
    student = mixture.distill()
    assert student.classes_.tolist() == []
    assert student.examples == 400
    assert not student.component.supervised
    noise = np.random.default_rng(0).random((50, 1, 8, 8))
    for kind in (0, 1):
        x, _ = images(kind, seed=5)
        assert np.abs(student.reconstruct(x) - x).mean() < 0.3
        assert student.score_samples(x).mean() > student.score_samples(noise).mean()


@pytest.mark.slow
def test_examples_without_a_label_count_for_no_class() -> None:
    mixture = GrowingMixture("mlp", **TINY)
    mixture.learn(images(0))
    x, y = images(1)
    assert mixture.learn((x, np.full_like(y, -1))).action == "grow"
    student = mixture.distill()
    assert student.classes_.tolist() == [0, 1]
    a, b = student.component.class_counts.tolist()
    assert a == b, "as many lessons of each class, and those without a label are of neither"


def test_a_student_of_convolutions_is_made_of_convolutions() -> None:
    settings = {name: value for name, value in TINY.items() if "hidden" not in name}
    mixture = GrowingMixture("conv", **{**settings, "epochs": 2, "width": 2, "student_epochs": 1})
    mixture.learn(images(0))
    student = mixture.distill()
    assert any(isinstance(layer, torch.nn.Conv2d) for layer in student.component.encoder)
    assert student.predict(images(0)[0]).shape == (120,)


@pytest.mark.slow
@pytest.mark.parametrize("component", ["denoiser", "vae+denoiser"])
def test_a_student_of_denoisers_is_small_and_convolutional_and_comes_back(
    component: ComponentName, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"denoiser_width": 12, "sampling_steps": 2, "epochs": 1, "gate": "always"}
    mixture = GrowingMixture(component=component, **settings, student_examples=20, student_epochs=1, device="cpu")
    for kind in (0, 1):
        mixture.learn(images(kind))
    student = mixture.distill()
    sizes = [sum(weight.numel() for weight in c.parameters()) for c in (*mixture.components, student.component)]
    assert sizes[-1] <= sum(sizes[:-1]) / 5
    assert any(isinstance(layer, torch.nn.Conv2d) for layer in student.component.encoder)
    student.save(tmp_path / "student")
    again, x = Student.load(tmp_path / "student"), images(0)[0]
    np.testing.assert_array_equal(again.predict_proba(x), student.predict_proba(x))


@pytest.mark.slow
def test_the_first_task_alone_can_be_distilled() -> None:
    mixture = GrowingMixture("mlp", **TINY)
    mixture.learn(images(0))
    x, y = images(0, seed=5)
    assert (mixture.distill().predict(x) == y).mean() >= 0.95


def test_callbacks_are_told_that_it_is_the_student(teacher: GrowingMixture) -> None:
    told: list[FitInfo] = []

    class Told(Callback):
        def on_fit_start(self, fit: FitInfo) -> None:
            told.append(fit)

    student = teacher.distill(callbacks=[Told()])
    assert told == [FitInfo("student", None, epochs=6, steps=6 * 50, examples=800)]
    assert student.training_log.examples == 6 * 800


def test_a_budget_of_the_mixture_is_not_the_students() -> None:
    mixture = GrowingMixture("mlp", **{**TINY, "epochs": 1, "patience": 1})
    mixture.learn(images(0))
    assert mixture.distill().training_log.epochs == 6


def test_failing_to_teach_leaves_the_teacher_as_it_was(teacher: GrowingMixture) -> None:
    class Stop(Callback):
        def on_epoch_end(self, progress: object) -> None:
            raise KeyboardInterrupt

    before, stream = state(teacher), torch.get_rng_state()
    with pytest.raises(KeyboardInterrupt):
        teacher.distill(callbacks=[Stop()])
    fine = teacher.settings
    teacher.settings = fine.replace(learning_rate=1e30)
    with pytest.raises(NonFiniteLoss):
        teacher.distill()
    teacher.settings = fine
    assert state(teacher) == before
    assert torch.equal(stream, torch.get_rng_state())


def test_a_student_has_nothing_to_route_between(teacher: GrowingMixture) -> None:
    student = teacher.distill()
    assert isinstance(student, Student)
    assert student.log_prior.tolist() == [0.0]
    with pytest.raises(BadInput, match="component"):
        student.predict(images(0)[0], component=1)
