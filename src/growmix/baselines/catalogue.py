"""All methods by name: what each is, whom it is from, and how it is made."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from growmix.baselines.generative_classifier import GenerativeClassifier
from growmix.baselines.generative_replay import SolvedKind, SolverLabelled
from growmix.baselines.one_network import OneNetwork
from growmix.baselines.penalties import Consistency, ElasticWeights, SynapticIntelligence
from growmix.baselines.rehearsal import Buffer, Everything, Generated
from growmix.components.construction import make_blueprint
from growmix.errors import BadCheckpoint, BadInput, shown
from growmix.learning.learner import Learner, load_learner
from growmix.learning.mixture import GrowingMixture
from growmix.settings import Settings
from growmix.system.ambient import torch_as_it_comes

Labels: TypeAlias = Literal["optional", "some", "all"]

LIMIX_TEMPERATURE = 1.0
"""Novelty in nats is a logarithm of likelihoods, so one nat is what makes the gate's weights a posterior."""


@dataclass(frozen=True)
class Method:
    """A method that learns one task after another.

    Attributes
    ----------
    name
        For the command line.
    title
        For tables.
    citation
        Authors, year, title.
    description
        What it does here, in a sentence or two.
    make
        A new learner from settings. Settings that make the method what it is are set, whatever they were.
    labels
        Whether it can learn without any, or needs some, or one for every example.
    is_mixture
        Whether it is a :class:`growmix.GrowingMixture`: such learn pairs of images too, and can teach a student.
    """

    name: str
    title: str
    citation: str
    description: str
    make: Callable[[Settings], Learner[Any]]
    labels: Labels = "optional"
    is_mixture: bool = False


@torch_as_it_comes()
def make_learner(name: str, settings: Settings) -> Learner[Any]:
    """A new learner of a method.

    Raises
    ------
    BadInput
        There is no such method, or the settings do not fit it.

    Examples
    --------
    >>> make_learner("fine-tunning", Settings())
    Traceback (most recent call last):
    growmix.errors.BadInput: method is 'fine-tunning'; did you mean 'fine-tuning'? Allowed are mixture, ...
    """
    method = _method(name)
    if not isinstance(settings, Settings):
        raise BadInput(f"settings is a {type(settings).__name__}; give a Settings")
    if method.labels != "optional" and settings.supervised is False:
        raise BadInput(f"supervised is False; the method {name!r} needs labels")
    return method.make(settings)


def load(path: str | Path, name: str, device: str | None = None) -> Learner[Any]:
    """Read a learner back from what it was saved to.

    Parameters
    ----------
    path
        The folder.
    name
        Of the method.
    device
        Where to put it, if not where it was made.

    Raises
    ------
    BadCheckpoint
        A file is missing, broken, or of another method.
    BadInput
        There is no such method.
    """
    method = _method(name)

    def make(settings: Settings) -> Learner[Any]:
        make_blueprint(settings)  # one that was not allowed is no fault of the checkpoint
        other = f"{path} was made with other settings than those of the method {name!r}"
        try:
            learner = method.make(settings)
        except BadInput as error:
            raise BadCheckpoint(f"{other}: {error}") from error
        if learner.settings != settings:  # the mixtures differ in nothing else
            raise BadCheckpoint(other)
        return learner

    return load_learner(path, GrowingMixture.method if method.is_mixture else name, make, device)


def _method(name: str) -> Method:
    if not isinstance(name, str) or name not in METHODS:
        near = difflib.get_close_matches(name, METHODS, n=1) if isinstance(name, str) else []
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise BadInput(
            f"method is {shown(name)}; {hint}Allowed are {', '.join(METHODS)}".replace("; Allowed", "; allowed")
        )
    return METHODS[name]


def _mixture(**changes: Any) -> Callable[[Settings], Learner[Any]]:
    """Makes a mixture with these settings changed; other values for them than the default's are refused."""

    def make(settings: Settings) -> Learner[Any]:
        usual = Settings()
        for name, value in changes.items():
            given = getattr(settings, name)
            if given not in (value, getattr(usual, name)):
                raise BadInput(
                    f"{name} is {given!r}; the method asked for is what it is by {name} {value!r}: leave it out"
                )
        return GrowingMixture(None, settings.replace(**changes))

    return make


def _limix(settings: Settings) -> Learner[Any]:
    usual = Settings().temperature
    temperature = LIMIX_TEMPERATURE if settings.temperature == usual else settings.temperature
    return _mixture(gate="dirichlet", novelty="paper")(settings.replace(temperature=temperature))


def _synaptic_intelligence(settings: Settings) -> Learner[Any]:
    if settings.precision == "16-mixed":
        raise BadInput("precision is '16-mixed'; the method 'si' needs finite gradients at every step: use 32-true")
    # the path integral is of the gradient itself, not of a shortened one
    own = settings.replace(gradient_clip=0.0)
    return OneNetwork("si", own, penalty=SynapticIntelligence(own.si_strength))


def _from_prior(settings: Settings) -> Settings:
    """Return settings of a method whose replay is drawn from the prior, as in its paper."""
    return settings.replace(sampling="prior")


_ALL = (
    Method(
        "mixture",
        "Growing mixture",
        "Ye, Bors 2025, Training a dynamic growing mixture model for lifelong learning",
        "Components are added for what is new and updated, with replay, for what is known.",
        _mixture(),
        is_mixture=True,
    ),
    Method(
        "fine-tuning",
        "Fine-tuning",
        "none: the lower limit",
        "One network trained on task after task, on nothing but the task.",
        lambda settings: OneNetwork("fine-tuning", settings),
    ),
    Method(
        "joint",
        "Joint training",
        "none: the upper limit",
        "One network that keeps all real data, trained on all of it at every task, in the steps of one task.",
        lambda settings: OneNetwork("joint", settings, rehearsal=Everything()),
    ),
    Method(
        "vae-per-task",
        "One VAE per task",
        "Ye, Bors 2025, Training a dynamic growing mixture model for lifelong learning (its limit of no reuse)",
        "A whole component for every task.",
        _mixture(gate="always", sharing="none"),
        is_mixture=True,
    ),
    Method(
        "generative-classifier",
        "Generative classifier",
        "van de Ven, Li, Tolias 2021, Class-incremental learning with generative classifiers",
        "One VAE per class and Bayes' rule; the steps of a task are shared out among its classes.",
        GenerativeClassifier,
        labels="all",
    ),
    Method(
        "lgm",
        "Lifelong generative modeling",
        "Ramapuram, Gregorova, Kalousis 2020, Lifelong generative modeling",
        "A student VAE learns real data and its teacher's samples from the prior; on the samples its code must stay "
        "the teacher's. The code is continuous only.",
        lambda settings: OneNetwork("lgm", _from_prior(settings), rehearsal=Generated(), penalty=Consistency()),
    ),
    Method(
        "dgr",
        "Deep generative replay",
        "Shin, Lee, Kim, Kim 2017, Continual learning with deep generative replay",
        "A VAE that knows no labels and a classifier apart from it; replay is drawn from the last VAE's prior and "
        "labelled by the last classifier.",
        lambda settings: OneNetwork("dgr", _from_prior(settings), rehearsal=SolverLabelled(), kind=SolvedKind),
        labels="some",
    ),
    Method(
        "batch-ensemble",
        "BatchEnsemble",
        "Wen, Tran, Ba 2020, BatchEnsemble: an alternative approach to efficient ensemble and lifelong learning",
        "A component for every task; all share the first task's weights, and each has two vectors a layer of its own.",
        _mixture(gate="always", sharing="rank-one"),
        is_mixture=True,
    ),
    Method(
        "limix",
        "LIMix",
        "Ye, Bors 2021, Lifelong infinite mixture model based on knowledge-driven Dirichlet process",
        "A growing mixture with a Dirichlet gate on the paper's measure, in nats. Its exact equation is not public: "
        "the gate is growmix's own form.",
        _limix,
        is_mixture=True,
    ),
    Method(
        "er",
        "Experience replay",
        "Chaudhry et al. 2019, On tiny episodic memories in continual learning",
        "One network; about half of every batch are real examples from a small buffer, balanced over the classes.",
        lambda settings: OneNetwork("er", settings, rehearsal=Buffer(settings.buffer_size)),
    ),
    Method(
        "ewc",
        "Elastic weight consolidation",
        "Kirkpatrick et al. 2017, Overcoming catastrophic forgetting in neural networks",
        "One network; weights are held where each past task left them, by how much its loss depends on them.",
        lambda settings: OneNetwork("ewc", settings, penalty=ElasticWeights(settings.ewc_strength)),
    ),
    Method(
        "si",
        "Synaptic intelligence",
        "Zenke, Poole, Ganguli 2017, Continual learning through synaptic intelligence",
        "One network; weights are held where the last task left them, by how much they took past losses down. "
        "Gradients are not clipped.",
        _synaptic_intelligence,
    ),
)

METHODS: Mapping[str, Method] = MappingProxyType({method.name: method for method in _ALL})
"""By name: the mixture itself first."""

MIXTURES = tuple(method.name for method in _ALL if method.is_mixture)
"""Methods that are a growing mixture with other settings."""
