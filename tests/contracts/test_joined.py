"""Joined components keep the contract of every component, and answer as their parts do together."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from growmix import BadInput, GrowingMixture, NonFiniteLoss, Settings, streams
from growmix.checkpoints.snapshots import Snapshots
from growmix.checks import check_component
from growmix.components.abilities import Bounded, Cheap, CodeDensity, Codes, Described, Evidence, SampledElbo
from growmix.components.construction import make_blueprint, make_kind
from growmix.components.joined import Joined, JoinedAutoencoder, JoinedDenoiser
from growmix.components.joined_kind import JoinedKind, RecogniserPartKind
from growmix.components.judging import judge
from growmix.components.parts import GeneratorPart
from growmix.components.sharing import Foundation
from growmix.data.domain import Domain
from growmix.data.task import check_task
from growmix.evaluation import Evaluator
from growmix.learning.batching import FEW_ROWS
from growmix.learning.routing import Router
from growmix.report.reporter import Reporter
from growmix.settings import ComponentName
from growmix.training.callbacks import Callback, FitInfo, Progress, TrainingLog

JOINED = tuple(name for name in get_args(ComponentName) if "+" in name)
WITH_VAE = tuple(name for name in JOINED if "vae" in name)

TINY: dict[str, Any] = {
    "device": "cpu",
    "precision": "32-true",
    "batch_size": 16,
    "epochs": 2,
    "density_components": 1,
}
OF_PARTS: dict[str, dict[str, Any]] = {
    "vae": {"hidden": 8, "latent": 2},
    "denoiser": {"denoiser_width": 4, "noise_levels": 3, "sampling_steps": 3},
    "recogniser": {"recogniser_width": 6},
}


def settings_for(name: str, **changes: Any) -> dict[str, Any]:
    """Return settings of small networks for a kind, none without effect."""
    of_parts = {key: value for part in name.split("+") for key, value in OF_PARTS[part].items()}
    return {"component": name, **TINY, **of_parts, **changes}


def kind_of(name: str, **changes: Any) -> JoinedKind:
    settings = Settings(**settings_for(name, **changes))
    kind = make_kind(settings, make_blueprint(settings))
    assert isinstance(kind, JoinedKind)
    return kind


def component_of(name: str, seed: int = 0, *, supervised: bool = True) -> Joined[Any]:
    generator = torch.Generator().manual_seed(seed)
    component = kind_of(name).new(Domain((1, 8, 8)), supervised=supervised, generator=generator)
    assert isinstance(component, Joined)
    if supervised:
        component.add_classes([3, 1, 4], generator)
        component.class_counts += torch.tensor([5.0, 1.0, 2.0])
    component.freeze()
    return component


def images(n: int = 6, seed: int = 1) -> Tensor:
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def task(number: int, n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Return pictures of two classes: a bright square, which lies elsewhere in each class of each task."""
    rng, which = np.random.default_rng(number), np.arange(n) % 2
    x = rng.random((n, 1, 8, 8)).astype(np.float32) * 0.3
    for i, kind in enumerate(which + 2 * number):
        x[i, 0, 2 * (kind // 4) :, 2 * (kind % 4) : 2 * (kind % 4) + 2] += 0.6
    return x, which + 2 * number


# The contract ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", JOINED)
def test_every_joined_kind_keeps_the_contract_of_components(name: str) -> None:
    kind = kind_of(name, noise_levels=4, sampling_steps=8) if "denoiser" in name else kind_of(name)
    kept = check_component(kind, domains=[Domain((1, 8, 8)), Domain((6,), "real")], epochs=25)
    assert len(kept) == 12 * 2  # pictures alone, with labels and without
    assert "several scores become the one that counts (shape (1, 8, 8), with labels)" in kept


@pytest.mark.parametrize("name", JOINED)
def test_a_joined_component_has_the_abilities_of_its_main_part(name: str) -> None:
    component = component_of(name)
    assert isinstance(component, Evidence) and isinstance(component, Cheap)
    with_vae = name in WITH_VAE
    assert isinstance(component, JoinedAutoencoder if with_vae else JoinedDenoiser)
    assert isinstance(component, Described)
    for ability in (Codes, SampledElbo, CodeDensity):
        assert isinstance(component, ability) == with_vae
    assert isinstance(component, Bounded) != with_vae
    assert component.sources == tuple(
        source for part in name.split("+") for source in (("likelihood", "kl") if part == "vae" else (part,))
    )
    assert component.describe(images()).shape == (6, len(component.numbers))
    assert component.cheap(images()).shape == (6,)


PRESETS = {
    "vae+denoiser": ((1.0, 1.5, 0.7), "both"),
    "vae+recogniser": ((1.0, 1.0, 0.0), "classifier"),
    "denoiser+recogniser": ((1.0, 0.0), "both"),
    "vae+denoiser+recogniser": ((1.0, 1.5, 0.7, 0.0), "both"),
}


@pytest.mark.parametrize("name", JOINED)
def test_the_preset_is_that_of_the_parts_beside_each_other(name: str) -> None:
    component = component_of(name)
    assert (component.preset, component.preset_rule) == PRESETS[name]
    denoisers = [part.network for part in component.children() if isinstance(part, GeneratorPart)][1:]
    assert all(denoiser.options.exponent == 0.75 for denoiser in denoisers if hasattr(denoiser, "options"))


@pytest.mark.parametrize("name", JOINED)
def test_scores_are_those_of_the_parts_and_the_log_share_of_a_class_once(name: str) -> None:
    component, x = component_of(name), images()
    scores, class_log_proba = component.evidence(x)
    share = component.class_log_prior()
    assert scores.shape == (6, 3, len(component.sources))
    column = dict(zip(component.sources, scores.unbind(2), strict=True))
    if "vae" in name:
        vae = component.main.network
        vae.class_counts += component.class_counts
        log_likelihood, rate, logits = vae.terms(x)
        torch.testing.assert_close(column["likelihood"], log_likelihood[:, None] + share)
        torch.testing.assert_close(column["kl"], -rate[:, None].expand(-1, 3))
        bound = vae.score(x)[0] - share[logits.argmax(1)]
        torch.testing.assert_close(log_likelihood - rate, bound, rtol=1e-5, atol=1e-4)
    if "recogniser" in name:
        told, said = component.others["recogniser"].network.judge(x)  # type: ignore[union-attr, operator]
        assert torch.equal(column["recogniser"], told) and torch.equal(class_log_proba, said)
    if "denoiser" in name:
        part: Any = component.main if name.startswith("denoiser") else component.others["denoiser"]
        part.network.class_counts += component.class_counts  # as its training does
        own = part.network.evidence(x)[0][:, :, 0]
        torch.testing.assert_close(column["denoiser"], own if part is component.main else own - share)


@pytest.mark.parametrize("name", JOINED)
@pytest.mark.parametrize("n", [3, FEW_ROWS + 1])
def test_batched_evidence_equals_one_call_per_component(name: str, n: int) -> None:
    components = [component_of(name, seed) for seed in range(3)]
    found = Router(components).scores(images(n))
    for k, component in enumerate(components):
        scores, class_log_proba = component.evidence(images(n))
        torch.testing.assert_close(found.evidence[k].scores, scores, rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(found.evidence[k].class_log_proba, class_log_proba, rtol=1e-4, atol=1e-5)
        elbo, _ = judge(scores, class_log_proba, torch.tensor(component.preset), component.preset_rule)
        torch.testing.assert_close(found.elbo[:, k], elbo, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", WITH_VAE)
def test_codes_density_and_bound_are_the_autoencoders(name: str) -> None:
    component, x = component_of(name), images()
    assert isinstance(component, JoinedAutoencoder)
    vae = component.main.network
    assert torch.equal(component.code(x), vae.code(x)) and torch.equal(component.rate(x), vae.rate(x))
    assert torch.equal(component.reconstruct(x), vae.reconstruct(x))
    noise = torch.randn(4, component.latent, generator=torch.Generator().manual_seed(0))
    assert torch.equal(component(x, noise)[0], vae.score_draws(x, noise)[0])
    learner = copy.deepcopy(component)
    assert learner.density is None and learner.main.network is not vae
    data = check_task(task(0))
    marker: Any = object()
    learner.density = marker
    assert learner.main.network.density is marker and component.density is None
    assert len(data) == 60


def test_every_part_is_trained_once_in_order_by_its_own_recipe() -> None:
    class Trainings(Callback):
        def __init__(self) -> None:
            self.steps: list[int] = []

        def on_fit_end(self, log: TrainingLog) -> None:
            self.steps.append(log.steps)

    seen = Trainings()
    mixture = GrowingMixture(**settings_for("vae+denoiser+recogniser"))
    mixture.learn(task(0), callbacks=[seen])
    assert len(seen.steps) == 3 == len(mixture.kind.recipes)
    assert mixture.training_logs[0].steps == sum(seen.steps)


@pytest.mark.parametrize("name", JOINED)
def test_a_mixture_of_joined_components_learns_answers_and_is_kept(name: str, tmp_path: Path) -> None:
    mixture = GrowingMixture(gate="always", **settings_for(name))
    for number in (0, 1):
        mixture.learn(task(number))
    x = task(0)[0][:5]
    assert mixture.predict_proba(x).shape == (5, 4) and np.isfinite(mixture.score_samples(x)).all()
    assert mixture.sample(4)[0].shape == (4, 1, 8, 8)
    if name in WITH_VAE:
        assert mixture.reconstruct(x).shape == x.shape and mixture.encode(x).shape == (5, 2)
        assert mixture.interpolate(x[0], x[1], 3).shape == (3, 1, 8, 8)
    else:
        with pytest.raises(BadInput, match=r"^interpolate\(\) needs components with codes"):
            mixture.interpolate(x[0], x[1])
    mixture.save(tmp_path / "it")
    again = GrowingMixture.load(tmp_path / "it")
    assert again.history == mixture.history and again._memory.tally == mixture._memory.tally
    assert np.array_equal(again.predict_proba(x), mixture.predict_proba(x))
    assert np.array_equal(again.sample(3)[0], mixture.sample(3)[0])


@pytest.mark.slow
@pytest.mark.parametrize("sharing", ["adapter", "rank-one"])
def test_the_networks_of_all_generators_can_be_shared(sharing: str, tmp_path: Path) -> None:
    mixture = GrowingMixture(gate="always", sharing=sharing, **settings_for("vae+denoiser+recogniser"))
    for number in (0, 1):
        mixture.learn(task(number))
    (foundation,) = mixture.shared_modules
    assert isinstance(foundation, Foundation) and len(foundation.parts) > 3
    mixture.save(tmp_path / "it")
    again = GrowingMixture.load(tmp_path / "it")
    x = task(1)[0][:5]
    assert np.array_equal(again.predict_proba(x), mixture.predict_proba(x))


@pytest.mark.slow
def test_an_exception_in_the_training_of_any_part_changes_nothing() -> None:
    class Fails(Callback):
        def __init__(self, training: int) -> None:
            self.training, self.seen = training, 0

        def on_epoch_end(self, progress: Progress) -> None:
            self.seen += progress.epoch == 1
            if self.seen == self.training:
                raise NonFiniteLoss("on purpose")

    mixture = GrowingMixture(threshold=2.0, **settings_for("vae+denoiser+recogniser"))
    mixture.learn(task(0))
    before, x = mixture._state, task(0)[0][:5]
    answers = mixture.predict_proba(x)
    for training in (1, 2, 3):
        with pytest.raises(NonFiniteLoss, match="on purpose"):
            mixture.learn(task(1), callbacks=[Fails(training)])
        assert mixture._state is before and np.array_equal(mixture.predict_proba(x), answers)
    assert mixture.learn(task(1)).action == "reuse"


# What is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", JOINED)
def test_vectors_and_pairs_are_refused_with_what_takes_them(name: str) -> None:
    mixture = GrowingMixture(**settings_for(name))
    kind = name.replace("+", ".")
    with pytest.raises(BadInput, match=rf"^component '{kind}' learns pictures .* take component 'vae' with blueprint"):
        mixture.learn(np.random.default_rng(0).normal(size=(20, 5)))
    x = task(0)[0]
    with pytest.raises(BadInput, match=r"learns no pairs; take component 'vae'$"):
        mixture.learn((x, 1 - x.clip(0, 1)))


def test_a_component_needs_a_generator() -> None:
    kind = JoinedKind((RecogniserPartKind(6), RecogniserPartKind(6)))
    with pytest.raises(BadInput, match="has no part that generates first"):
        kind.new(Domain((1, 8, 8)), supervised=True, generator=torch.Generator())


def test_labels_given_to_components_without_are_refused_before_any_part_changes() -> None:
    component = component_of("vae+recogniser", supervised=False)
    before = {name: tensor.clone() for name, tensor in component.state_dict().items()}
    with pytest.raises(BadInput, match=r"^labels \[1\] given to an unsupervised component"):
        component.add_classes([1], torch.Generator())
    assert all(torch.equal(tensor, before[name]) for name, tensor in component.state_dict().items())


IDLE: Sequence[tuple[dict[str, Any], str]] = (
    ({"component": "denoiser+recogniser", "latent": 3}, "latent is 3, which has no effect"),
    ({"component": "vae+recogniser", "noise_levels": 3}, "noise_levels is 3, which has no effect"),
    ({"component": "vae+denoiser", "recogniser_width": 3}, "recogniser_width is 3, which has no effect"),
    ({"component": "vae+denoiser", "routing_draws": 3}, "routing_draws is 3, which has no effect"),
)


@pytest.mark.parametrize(("given", "said"), IDLE)
def test_settings_without_effect_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=f"^{said}"):
        GrowingMixture(**given)


def test_to_freeze_twice_is_as_once() -> None:
    component = component_of("vae+recogniser")
    trained = component.trained
    component.freeze()
    assert component.trained == trained and len(trained) > 4
    component.thaw()
    assert {name for name, weight in component.named_parameters() if weight.requires_grad} == set(trained)


@pytest.mark.slow
@pytest.mark.parametrize("training", [1, 2, 3])
def test_a_training_interrupted_in_any_part_goes_on_to_the_same_weights(training: int, tmp_path: Path) -> None:
    class Stop(Reporter):
        def __init__(self) -> None:
            self.begun = 0

        def on_fit_start(self, info: FitInfo) -> None:
            self.begun += 1

        def on_epoch_end(self, progress: Progress) -> None:
            if self.begun == training and progress.epoch == 2:
                raise KeyboardInterrupt

    settings = settings_for("vae+denoiser+recogniser", epochs=3)
    whole, mixture = GrowingMixture(**settings), GrowingMixture(**settings)
    whole.learn(task(0))
    with pytest.raises(KeyboardInterrupt):
        mixture.learn(task(0), callbacks=[Snapshots(tmp_path, steps=2), Stop()])
    assert mixture.decisions == ()
    mixture = GrowingMixture(**settings)
    mixture.learn(task(0), callbacks=[Snapshots(tmp_path, steps=2)])
    ours, theirs = mixture.components[0].state_dict(), whole.components[0].state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert mixture.training_logs[0].losses == whole.training_logs[0].losses


@pytest.mark.slow
def test_what_is_measured_of_a_cascade_is_what_is_answered_under_the_weights_chosen() -> None:
    parts = [(*task(number, 400), *task(number, 30)) for number in range(2)]
    stream = streams.from_arrays(parts)
    settings = settings_for("vae+recogniser", cascade=1, holdout=0.3)
    mixture, evaluator = GrowingMixture(gate="always", **settings), Evaluator(stream)
    for each in stream:
        mixture.learn(each.train)
        evaluator.after_task(mixture)
    assert sum(mixture._memory.tally.examples) == 240
    said = [float((mixture.predict(each.test.x) == each.test.y).float().mean()) for each in stream]
    measured = evaluator.scores().task_agnostic
    assert measured is not None and list(measured[-1]) == pytest.approx(said, abs=1e-7)
