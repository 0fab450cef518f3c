"""What every component must do, whatever it is made of."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor

from growmix.checks.promises import keep, refuses, require
from growmix.components.abilities import Additive, Bounded, Codes, Evidence, SampledElbo, WithoutDensity
from growmix.components.component import Component
from growmix.components.judging import judge
from growmix.components.kinds import ComponentKind
from growmix.data.domain import Domain
from growmix.data.task import TaskData
from growmix.errors import BadInput
from growmix.learning.plugins import check_plugin
from growmix.settings import Settings
from growmix.system.global_random import global_generator
from growmix.training.budget import Budget
from growmix.training.fabric import make_fabric
from growmix.training.trainer import GradientTrainer

_EXAMPLES = 120
_CLASSES = (7, 2)
"""Labels in the order in which they are met; they say nothing of positions."""

DOMAINS = (Domain((6,), "real"), Domain((1, 8, 8), "unit"))
"""Vectors of any numbers, and small pictures: what components are tried on unless others are asked for."""


@dataclass(frozen=True)
class Subject:
    """A component to be tried, with data of two classes that it was trained on if it was."""

    kind: ComponentKind
    domain: Domain
    supervised: bool
    component: Component
    data: TaskData

    @property
    def x(self) -> Tensor:
        """A few of the examples."""
        return self.data.x[:12]


def check_component(
    kind: ComponentKind, *, domains: Iterable[Domain] = DOMAINS, epochs: int = 30, learning_rate: float = 5e-3
) -> list[str]:
    """Check that the components of a kind keep their contract, and return what was checked.

    Parameters
    ----------
    kind
        What makes the components, as it is handed to ``GrowingMixture(component=...)``.
    domains
        Shape and support of the examples to try. A kind may refuse some with ``BadInput``, but not all.
    epochs, learning_rate
        How long and how fast components are trained that learn by gradient steps.

    Raises
    ------
    AssertionError
        A promise is broken; the message says which.
    """
    check_plugin(kind, "component", ComponentKind)
    kept: list[str] = []
    refused = []
    for domain in domains:
        for supervised in (True, False):
            whole = _statistics(domain)
            try:
                fresh = _subject(kind, whole, supervised)
            except BadInput as error:
                refused.append(str(error))
                continue
            tried = keep(_OF_A_NEW_ONE, lambda fresh=fresh: deepcopy(fresh))  # type: ignore[misc]
            trained = _trained(kind, whole, supervised, epochs, learning_rate)
            tried += keep(_OF_A_TRAINED_ONE, lambda trained=trained: deepcopy(trained))  # type: ignore[misc]
            kept += [f"{name} ({_told(domain, supervised)})" for name in tried]
    require(kept != [], f"the kind {kind.name!r} refuses all domains: {'; '.join(dict.fromkeys(refused))}")
    return kept


# Promises of a new component ------------------------------------------------------------------------------------


def a_new_component_says_what_it_is(subject: Subject) -> None:
    """Domain, classes and counts are those of a component that has learnt nothing."""
    component = subject.component
    require(isinstance(component, Component), f"make() must return a Component; it returned {type(component).__name__}")
    require(component.domain == subject.domain, f"domain must be the one given; it is {component.domain}")
    require(component.supervised == subject.supervised, f"supervised must be as given; it is {component.supervised}")
    require(component.classes == (), f"a new component knows no classes; it says {component.classes}")
    counts = float(component.class_counts.sum() + component.unlabelled_count)
    require(counts == 0.0, f"a new component has learnt no examples; it says {counts}")
    kinds = {t.dtype for t in component.state_dict().values() if t.is_floating_point()}
    if isinstance(component, Additive):
        kinds -= {torch.float64}  # sums of millions of examples need it
    require(kinds <= {torch.float32}, f"weights and buffers must have single precision; they have {kinds}")
    hash(component.batch_key())


def one_generator_makes_one_component(subject: Subject) -> None:
    """First weights are drawn from the generator given, so that a seed gives one result."""
    one, other = (_subject(subject.kind, subject.domain, subject.supervised).component for _ in range(2))
    require(_same(one, other), "two components made with generators of one seed must have the same state")


def new_classes_leave_what_is_known_bit_for_bit(subject: Subject) -> None:
    """Classes are added behind those that are known; known labels among them change nothing."""
    component, generator = subject.component, torch.Generator().manual_seed(1)
    if not subject.supervised:
        refuses(lambda: component.add_classes([1], generator), "add_classes() of a component without labels")
        return
    component.add_classes(_CLASSES, generator)
    component.class_counts += 1.0
    old = {name: t.clone() for name, t in component.state_dict().items()}
    component.add_classes([9, *_CLASSES], generator)
    require(component.classes == (*_CLASSES, 9), f"classes must be {(*_CLASSES, 9)}; they are {component.classes}")
    require(component.class_counts.tolist() == [1.0, 1.0, 0.0], "a class that is added has learnt no examples")
    for name, t in component.state_dict().items():
        known = t[: len(old[name])] if t.ndim else t
        require(name in old and torch.equal(known, old[name]), f"add_classes() changed what is known in {name!r}")


# Promises of a trained one --------------------------------------------------------------------------------------


@torch.no_grad()
def scores_are_finite_and_of_their_examples_alone(subject: Subject) -> None:
    """An example's score does not depend on what is scored beside it."""
    component, x = subject.component, subject.x
    elbo, log_proba = component.score(x)
    n, k = len(x), len(component.classes)
    shapes = (tuple(elbo.shape), tuple(log_proba.shape))
    require(shapes == ((n,), (n, k)), f"score() of {n} examples must have shapes {((n,), (n, k))}; it has {shapes}")
    require(bool(torch.isfinite(elbo).all()), "the scores of examples that were learnt must be finite")
    if k:
        sums = log_proba.exp().sum(1)
        ones = torch.allclose(sums, torch.ones(n), atol=1e-4)
        require(ones, f"class probabilities must sum to 1; they sum to {sums.tolist()}")
    require(torch.equal(component.score(x)[0], elbo), "the same examples must have the same scores")
    alone = torch.cat([component.score(x[i : i + 1])[0] for i in range(n)])
    near = torch.allclose(alone, elbo, rtol=1e-4, atol=1e-2)
    require(near, "the score of an example must not depend on what is scored beside it")


@torch.no_grad()
def what_was_learnt_scores_higher_than_noise(subject: Subject) -> None:
    """Scores are nats of a density, or a bound of it: high where the data lie."""
    elbo, _ = subject.component.score(subject.data.x)
    noise, _ = subject.component.score(_noise(subject.domain))
    learnt, foreign = float(elbo.mean()), float(noise.mean())
    require(learnt > foreign, f"examples that were learnt must score above noise; they score {learnt} and {foreign}")


@torch.no_grad()
def classes_that_differ_are_told_apart(subject: Subject) -> None:
    """A supervised component tells two classes apart that lie far from each other."""
    if not subject.supervised:
        return
    _, log_proba = subject.component.score(subject.data.x)
    right = log_proba.argmax(1) == subject.component.positions_of(subject.data)
    share = float(right.float().mean())
    require(share > 0.9, f"two classes that lie far apart must be told apart; {share:.0%} of the examples were")


@torch.no_grad()
def draws_are_examples_and_come_from_the_generator_given(subject: Subject) -> None:
    """Generated examples lie in the domain, and a class asked for looks like the class."""
    component, domain = subject.component, subject.domain
    if isinstance(component, WithoutDensity):
        one = torch.zeros(1, dtype=torch.int64)
        refuses(lambda: component.draw(one, torch.Generator()), "draw() without a density")
        return
    positions = torch.tensor([0, 1, -1] * 20 if subject.supervised else [-1] * 60)
    one, other = (component.draw(positions, torch.Generator().manual_seed(3)).cpu() for _ in range(2))
    require(one.shape == (60, *domain.shape), f"60 draws must have shape {(60, *domain.shape)}; it is {one.shape}")
    inside = one.dtype == torch.float32 and bool(torch.isfinite(one).all()) and torch.equal(domain.project(one), one)
    require(inside, "draws must be float32, finite and in the domain")
    require(torch.equal(one, other), "draws with generators of one seed must be equal")
    if subject.supervised:
        of_class = [subject.data.x[subject.component.positions_of(subject.data) == k].mean(0) for k in (0, 1)]
        for k in (0, 1):
            drawn = one[positions == k].mean(0)
            own, foreign = ((drawn - mean).norm() for mean in (of_class[k], of_class[1 - k]))
            require(bool(own < foreign), f"draws of class position {k} look like those of the other class")


@torch.no_grad()
def asking_changes_nothing(subject: Subject) -> None:
    """Answers leave weights and buffers as they were."""
    component = subject.component
    before = {name: t.clone() for name, t in component.state_dict().items()}
    component.score(subject.x)
    if not isinstance(component, WithoutDensity):
        component.draw(torch.full((5,), -1), torch.Generator().manual_seed(0))
    same = all(torch.equal(before[name], t) for name, t in component.state_dict().items())
    require(same, "score() or draw() changed weights or buffers")


def a_copy_learns_on_and_leaves_the_original_alone(subject: Subject) -> None:
    """A mixture updates a copy of a component, on new examples and on what the old one replays."""
    component, learner = subject.component, deepcopy(subject.component)
    before = deepcopy(component)
    require(_same(component, learner), "a deep copy must have the same state")
    learner.thaw()
    half = subject.data[: _EXAMPLES // 2]
    learner.count(half)
    _fit(learner, half, _trainer(5, 5e-3, len(half), subject.kind))
    learner.freeze()
    require(_same(component, before), "fit() of a copy changed the original")
    finite = bool(torch.isfinite(learner.score(subject.x)[0]).all())
    require(finite, "a copy that learnt on must score examples")


@torch.no_grad()
def the_state_makes_another_component_the_same(subject: Subject) -> None:
    """Weights and buffers hold all that was learnt: a checkpoint keeps nothing else."""
    component = subject.component
    other = subject.kind.new(subject.domain, supervised=subject.supervised, generator=torch.Generator().manual_seed(9))
    other.add_classes(component.classes, torch.Generator().manual_seed(9))
    file = io.BytesIO()
    torch.save(component.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    other.freeze()
    for one, another in zip(component.score(subject.x), other.score(subject.x), strict=True):
        require(torch.equal(one, another), "a component filled with the state of another must answer as it does")


@torch.no_grad()
def abilities_keep_their_shapes(subject: Subject) -> None:
    """Codes, rates and draws of the code have the shapes that the abilities promise."""
    component, x = subject.component, subject.x
    n, k = len(x), len(component.classes)
    if isinstance(component, Codes):
        codes, logits = component.encode(x)
        shapes = (tuple(codes.shape), tuple(logits.shape))
        needed = ((n, component.latent), (n, k))
        require(shapes == needed, f"encode() must have shapes {needed}; it has {shapes}")
        require(component.reconstruct(x).shape == x.shape, "reconstruct() must have the shape of the examples")
        rate = component.rate(x)
        require(rate.shape == (n,) and bool((rate >= 0).all()), "rate() must be nats of 0 or more for each example")
    if isinstance(component, Bounded):
        bound = component.bound(x)
        require(bound.shape == (n,) and bool(torch.isfinite(bound).all()), "bound() must be finite for each example")
    if isinstance(component, SampledElbo) and isinstance(component, Codes) and not isinstance(component, Evidence):
        at_mean, _ = component.score_draws(x, torch.zeros(1, component.latent, dtype=torch.float32))
        same = torch.allclose(at_mean, component.score(x)[0], rtol=1e-5, atol=1e-3)
        require(same, "score_draws() with one row of zeros must be score()")


@torch.no_grad()
def several_scores_become_the_one_that_counts(subject: Subject) -> None:
    """A component that judges by several scores says which, and weighs them by its preset where it judges alone."""
    component, x = subject.component, subject.x
    if not isinstance(component, Evidence):
        return
    k, sources = len(component.classes), len(component.sources)
    require(len(set(component.sources)) == sources > 0, f"sources must have names of their own; {component.sources}")
    weights = torch.tensor(component.preset, dtype=torch.float32)
    enough = len(weights) == sources and bool((weights >= 0).all()) and float(weights[0]) > 0
    require(enough, f"preset must be a weight of 0 or more for each source, the first above 0; it is {weights}")
    scores, class_log_proba = component.evidence(x)
    shapes, needed = (tuple(scores.shape), tuple(class_log_proba.shape)), ((len(x), max(1, k), sources), (len(x), k))
    require(shapes == needed, f"evidence() must have shapes {needed}; it has {shapes}")
    require(bool(torch.isfinite(scores).all()), "all scores of examples that were learnt must be finite")
    expected = judge(scores, class_log_proba, weights, component.preset_rule)
    for one, wanted in zip(component.score(x), expected, strict=True):
        near = torch.allclose(one, wanted, rtol=1e-5, atol=1e-4)
        require(near, "score() must be what judge() makes of evidence(), preset and preset_rule")


_OF_A_NEW_ONE: tuple[Callable[[Subject], None], ...] = (
    a_new_component_says_what_it_is,
    one_generator_makes_one_component,
    new_classes_leave_what_is_known_bit_for_bit,
)

_OF_A_TRAINED_ONE: tuple[Callable[[Subject], None], ...] = (
    scores_are_finite_and_of_their_examples_alone,
    what_was_learnt_scores_higher_than_noise,
    classes_that_differ_are_told_apart,
    draws_are_examples_and_come_from_the_generator_given,
    asking_changes_nothing,
    a_copy_learns_on_and_leaves_the_original_alone,
    the_state_makes_another_component_the_same,
    abilities_keep_their_shapes,
    several_scores_become_the_one_that_counts,
)


# Material -------------------------------------------------------------------------------------------------------


def _told(domain: Domain, supervised: bool) -> str:
    return f"shape {domain.shape}, {'with' if supervised else 'without'} labels"


def _statistics(domain: Domain) -> Domain:
    return domain.with_statistics(_examples(domain, supervised=False).x)


def _examples(domain: Domain, *, supervised: bool) -> TaskData:
    """Return examples of two classes that lie far apart."""
    generator = torch.Generator().manual_seed(0)
    middle, spread = (0.5, 0.2) if domain.support == "unit" else (5.0, 10.0)
    templates = middle + spread * (2.0 * torch.rand(2, *domain.shape, generator=generator).round() - 1.0)
    which = torch.arange(_EXAMPLES) % 2
    x = templates[which] + 0.3 * spread * torch.randn(_EXAMPLES, *domain.shape, generator=generator)
    labels = torch.tensor(_CLASSES)[which]
    return TaskData(domain.project(x), labels if supervised else None, support=domain.support)


def _noise(domain: Domain) -> Tensor:
    """Return examples unlike those of any class."""
    noise = torch.rand(_EXAMPLES, *domain.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float32)
    return noise if domain.support == "unit" else 200.0 * noise - 100.0


def _subject(kind: ComponentKind, domain: Domain, supervised: bool) -> Subject:
    generator = torch.Generator().manual_seed(0)
    component = kind.new(domain, supervised=supervised, generator=generator)
    return Subject(kind, domain, supervised, component, _examples(domain, supervised=supervised))


def _trained(kind: ComponentKind, domain: Domain, supervised: bool, epochs: int, learning_rate: float) -> Subject:
    subject = _subject(kind, domain, supervised)
    component, data = subject.component, subject.data
    if supervised:
        component.add_classes(_CLASSES, torch.Generator().manual_seed(1))
    component.count(data)
    _fit(component, data, _trainer(epochs, learning_rate, len(data), kind))
    component.freeze()
    return subject


def _trainer(epochs: int, learning_rate: float, examples: int, kind: ComponentKind) -> GradientTrainer:
    settings = Settings(epochs=epochs, batch_size=16, learning_rate=learning_rate, device="cpu", precision="32-true")
    budget, generator = Budget.of(settings, examples), torch.Generator().manual_seed(2)
    return GradientTrainer(budget, make_fabric(settings), generator, component=0, draws_globally=kind.draws_globally)


def _fit(component: Component, data: TaskData, trainer: GradientTrainer) -> None:
    """Train a component as a mixture does, which lends it torch's global generator where its kind needs that."""
    with global_generator(trainer.generator, needed=trainer.draws_globally):
        component.fit(data, torch.ones(len(data), dtype=torch.float32), trainer)


def _same(one: Component, other: Component) -> bool:
    state, wanted = one.state_dict(), other.state_dict()
    return state.keys() == wanted.keys() and all(torch.equal(state[name], wanted[name]) for name in wanted)
