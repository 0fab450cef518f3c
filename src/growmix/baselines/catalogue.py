"""All methods by name: what each is, whom it is from, which parameters it has, and how it is made.

Nothing here imports torch before a method is made, so that help and checks of a configuration come at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from growmix.errors import BadInput, shown
from growmix.settings import (
    MOST_UNITS,
    NOT_NEGATIVE,
    Declaration,
    OneOf,
    Settings,
    Whole,
    declarations,
    parameter,
    refuse_unknown,
    used_with,
)

if TYPE_CHECKING:
    from growmix.components.nets import Blueprint
    from growmix.learning.learner import Learner

Labels: TypeAlias = Literal["optional", "some", "all"]

BASELINES = "Baselines"
"""The title under which help and documentation show the parameters of baselines."""

LIMIX_TEMPERATURE = 1.0
"""Novelty in nats is a logarithm of likelihoods, so one nat is what makes the gate's weights a posterior."""

NO_GATE = ("novelty", "threshold", "novelty_examples", "gate", "alpha", "temperature", "adapter_rank")
"""Settings that only a method with a gate uses."""

NO_STUDENT = (
    "student_blueprint", "student_hidden", "student_width", "student_latent", "student_examples", "student_epochs",
    "student_shift", "student_classification_weight", "student_temperature",
)  # fmt: skip
"""Settings that only a method which teaches a student uses."""

NO_AUTOENCODER = (
    "component", "blueprint", "hidden", "depth", "width", "latent", "likelihood", "variance", "classification_weight",
    "sampling", "density_components", "routing_draws", "replay_ratio",
)  # fmt: skip
"""Settings that only components which are autoencoders, and generate, use."""

NO_LIST = ("shortlist", "cascade")
"""Settings that only a method which may have many components uses."""

ONE_NETWORK = (*NO_GATE, *NO_STUDENT, *NO_LIST, "replay_ratio")
"""Settings that a single network doesn't use."""


@dataclass(frozen=True)
class Method:
    """A method that learns one task after another.

    Attributes
    ----------
    name
        The name on the command line.
    title
        The name in tables.
    citation
        Authors, year and title of the publication.
    description
        What the method does here, in a sentence or two.
    make
        A function that makes a new learner from settings, and from the method's parameters by keyword.
    labels
        Whether the method learns without labels too (optional), needs some, or needs one for every example (all).
    generative
        Whether components have a density and generate examples; otherwise likelihood and samples are not measured.
    is_mixture
        Whether the learner is a :class:`growmix.GrowingMixture`: such learn pairs too, and can teach a student.
    fixed
        Settings that make the method what it is; other values for them are refused.
    usual
        Settings that have another default here.
    unused
        Names of the settings that have no effect here.
    parameters
        Parameters of this method alone.
    """

    name: str
    title: str
    citation: str
    description: str
    make: Callable[..., Learner[Any]]
    labels: Labels = "optional"
    generative: bool = True
    is_mixture: bool = False
    fixed: Mapping[str, Any] = field(default_factory=dict)
    usual: Mapping[str, Any] = field(default_factory=dict)
    unused: tuple[str, ...] = ()
    parameters: tuple[Declaration, ...] = ()

    def settings(self, given: Settings) -> Settings:
        """Return the settings that the method works with.

        Raises
        ------
        BadInput
            A setting that makes the method what it is has another value.
        """
        for reason in self._unfit(given.to_dict()).values():
            raise BadInput(reason)
        default = Settings()
        usual = {name: value for name, value in self.usual.items() if getattr(given, name) == getattr(default, name)}
        changes: Any = {**usual, **self.fixed}
        return given.replace(**changes)

    def values(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return a value for each of the method's parameters: that which is given, or the default.

        Raises
        ------
        BadInput
            A name is no parameter of the method, or a value is not allowed.
        """
        refuse_unknown(given, [each.name for each in self.parameters], f"parameter of the method {self.name!r}")
        return {each.name: each.check(given.get(each.name, each.default)) for each in self.parameters}

    def idle(self, values: Mapping[str, Any]) -> dict[str, str]:
        """Return the settings that were changed but have no effect with this method, each with the reason in a line.

        Parameters
        ----------
        values
            Values of settings by name; those that are missing have their defaults.
        """
        usual = Settings().to_dict()
        reasons = self._unfit(values)
        for name in self.unused:
            if values.get(name, usual[name]) != usual[name]:
                given = f"{name} is {shown(values[name])}, which has no effect with method {self.name!r}"
                reasons[name] = f"{given}; it has one with method {' or '.join(_using(name))}"
        return reasons

    def _unfit(self, values: Mapping[str, Any]) -> dict[str, str]:
        usual = Settings().to_dict()
        return {
            name: f"{name} is {shown(values[name])}, but the method {self.name!r} is what it is by {name} "
            f"{shown(value)}; leave {name} out"
            for name, value in self.fixed.items()
            if values.get(name, value) not in (value, usual[name])
        }


def _using(name: str) -> list[str]:
    """Return the names of the methods with which a setting can have an effect."""
    uses = declarations(Settings)[name].uses

    def has_effect(method: Method) -> bool:
        if name in method.unused or name in method.fixed:
            return False
        return all(use.key not in method.fixed or use.holds(method.fixed[use.key]) for use in uses)

    return [method.name for method in METHODS.values() if has_effect(method)]


def find(name: Any) -> Method:
    """Return a method by its name.

    Raises
    ------
    BadInput
        There is no such method.

    Examples
    --------
    >>> find("fine-tunning")
    Traceback (most recent call last):
    growmix.errors.BadInput: method is 'fine-tunning'; allowed is one of mixture, ...; did you mean fine-tuning?
    """
    rule = OneOf(tuple(METHODS))
    if not rule.accepts(name):
        raise BadInput(f"method is {shown(name)}; allowed is {rule.words}{rule.hint(name)}")
    return METHODS[name]


def _mixture(settings: Settings) -> Learner[Any]:
    from growmix.learning.mixture import GrowingMixture

    return GrowingMixture(None, settings)


def _generative_classifier(settings: Settings) -> Learner[Any]:
    from growmix.baselines.one_per_class import OnePerClass

    return OnePerClass("generative-classifier", settings)


def _prediction_error(settings: Settings, **sizes: int) -> Learner[Any]:
    from growmix.baselines.one_per_class import OnePerClass
    from growmix.baselines.prediction_error import PredictionErrorKind

    def kind(settings: Settings, blueprint: Blueprint) -> PredictionErrorKind:
        return PredictionErrorKind(settings.seed, **sizes)

    return OnePerClass("pec", settings, replays=False, kind=kind, parameters=sizes)


def _fine_tuning(settings: Settings) -> Learner[Any]:
    from growmix.baselines.one_network import OneNetwork

    return OneNetwork("fine-tuning", settings)


def _joint(settings: Settings) -> Learner[Any]:
    from growmix.baselines.one_network import OneNetwork
    from growmix.baselines.rehearsal import Everything

    return OneNetwork("joint", settings, rehearsal=Everything())


def _lifelong_generative_modelling(settings: Settings) -> Learner[Any]:
    from growmix.baselines.consistency import Consistency
    from growmix.baselines.one_network import OneNetwork
    from growmix.baselines.rehearsal import Generated

    return OneNetwork("lgm", settings, rehearsal=Generated(), penalty=Consistency())


def _deep_generative_replay(settings: Settings) -> Learner[Any]:
    from growmix.baselines.generative_replay import SolvedKind, SolverLabelled
    from growmix.baselines.one_network import OneNetwork

    return OneNetwork("dgr", settings, rehearsal=SolverLabelled(), kind=SolvedKind)


def _experience_replay(settings: Settings, *, buffer_size: int) -> Learner[Any]:
    from growmix.baselines.one_network import OneNetwork
    from growmix.baselines.rehearsal import Buffer

    return OneNetwork("er", settings, rehearsal=Buffer(buffer_size), parameters={"buffer_size": buffer_size})


def _elastic_weights(settings: Settings, *, ewc_strength: float) -> Learner[Any]:
    from growmix.baselines.elastic_weights import ElasticWeights
    from growmix.baselines.one_network import OneNetwork

    return OneNetwork("ewc", settings, penalty=ElasticWeights(ewc_strength), parameters={"ewc_strength": ewc_strength})


def _synaptic_intelligence(settings: Settings, *, si_strength: float) -> Learner[Any]:
    from growmix.baselines.one_network import OneNetwork
    from growmix.baselines.synaptic_intelligence import SynapticIntelligence

    if settings.precision == "16-mixed":
        raise BadInput("precision is '16-mixed'; the method 'si' needs finite gradients at every step: use 32-true")
    return OneNetwork(
        "si", settings, penalty=SynapticIntelligence(si_strength), parameters={"si_strength": si_strength}
    )


_ALL = (
    Method(
        "mixture",
        "Growing mixture",
        "Ye, Bors 2025, Training a dynamic growing mixture model for lifelong learning",
        "Components are added for what is new and updated, with replay, for what is known.",
        _mixture,
        is_mixture=True,
    ),
    Method(
        "fine-tuning",
        "Fine-tuning",
        "none: the lower limit",
        "One network trained on task after task, on nothing but the task.",
        _fine_tuning,
        unused=ONE_NETWORK,
    ),
    Method(
        "joint",
        "Joint training",
        "none: the upper limit",
        "One network that keeps all real data, trained on all of it at every task, in the steps of one task.",
        _joint,
        unused=ONE_NETWORK,
    ),
    Method(
        "vae-per-task",
        "One VAE per task",
        "Ye, Bors 2025, Training a dynamic growing mixture model for lifelong learning (its limit of no reuse)",
        "A whole component for every task.",
        _mixture,
        is_mixture=True,
        fixed={"gate": "always", "sharing": "none"},
    ),
    Method(
        "generative-classifier",
        "Generative classifier",
        "van de Ven, Li, Tolias 2021, Class-incremental learning with generative classifiers",
        "One VAE per class and Bayes' rule; the steps of a task are shared out among its classes.",
        _generative_classifier,
        labels="all",
        unused=(*NO_GATE, *NO_STUDENT, *NO_LIST),
    ),
    Method(
        "pec",
        "Prediction errors",
        "Zajac, Tuytelaars, van de Ven 2024, Prediction error-based classification for class-incremental learning",
        "One small network per class learns to predict a frozen random network on its class; the smallest error "
        "answers. It has no density and generates nothing.",
        _prediction_error,
        labels="all",
        generative=False,
        unused=(*NO_GATE, *NO_STUDENT, *NO_LIST, *NO_AUTOENCODER),
        parameters=(
            parameter(
                "pec_hidden",
                10,
                Whole(1, MOST_UNITS),
                BASELINES,
                "Hidden units of each class's network in pec.",
                used_with("method", "pec"),
            ),
            parameter(
                "pec_teacher_hidden",
                5_000,
                Whole(1, MOST_UNITS),
                BASELINES,
                "Hidden units of the frozen random network that the networks of pec predict.",
                used_with("method", "pec"),
            ),
            parameter(
                "pec_outputs",
                99,
                Whole(1, MOST_UNITS),
                BASELINES,
                "Numbers that the frozen random network of pec gives for each example.",
                used_with("method", "pec"),
            ),
        ),
    ),
    Method(
        "lgm",
        "Lifelong generative modeling",
        "Ramapuram, Gregorova, Kalousis 2020, Lifelong generative modeling",
        "A student VAE learns real data and its teacher's samples from the prior; on the samples its code must stay "
        "the teacher's. The code is continuous only.",
        _lifelong_generative_modelling,
        fixed={"sampling": "prior"},  # as in its paper
        unused=ONE_NETWORK,
    ),
    Method(
        "dgr",
        "Deep generative replay",
        "Shin, Lee, Kim, Kim 2017, Continual learning with deep generative replay",
        "A VAE that knows no labels and a classifier apart from it; replay is drawn from the last VAE's prior and "
        "labelled by the last classifier.",
        _deep_generative_replay,
        labels="some",
        fixed={"sampling": "prior"},  # as in its paper
        unused=ONE_NETWORK,
    ),
    Method(
        "batch-ensemble",
        "BatchEnsemble",
        "Wen, Tran, Ba 2020, BatchEnsemble: an alternative approach to efficient ensemble and lifelong learning",
        "A component for every task; all share the first task's weights, and each has two vectors a layer of its own.",
        _mixture,
        is_mixture=True,
        fixed={"gate": "always", "sharing": "rank-one"},
    ),
    Method(
        "limix",
        "LIMix",
        "Ye, Bors 2021, Lifelong infinite mixture model based on knowledge-driven Dirichlet process",
        "A growing mixture with a Dirichlet gate on the paper's measure, in nats. Its exact equation is not public: "
        "the gate is growmix's own form.",
        _mixture,
        is_mixture=True,
        fixed={"gate": "dirichlet", "novelty": "paper"},
        usual={"temperature": LIMIX_TEMPERATURE},
    ),
    Method(
        "er",
        "Experience replay",
        "Chaudhry et al. 2019, On tiny episodic memories in continual learning",
        "One network; about half of every batch are real examples from a small buffer, balanced over the classes.",
        _experience_replay,
        unused=ONE_NETWORK,
        parameters=(
            parameter(
                "buffer_size",
                500,
                Whole(1),
                BASELINES,
                "Real examples that experience replay keeps.",
                used_with("method", "er"),
            ),
        ),
    ),
    Method(
        "ewc",
        "Elastic weight consolidation",
        "Kirkpatrick et al. 2017, Overcoming catastrophic forgetting in neural networks",
        "One network; weights are held where each past task left them, by how much its loss depends on them.",
        _elastic_weights,
        unused=ONE_NETWORK,
        parameters=(
            parameter(
                "ewc_strength",
                10.0,
                NOT_NEGATIVE,
                BASELINES,
                "Weight of the penalty of ewc.",
                used_with("method", "ewc"),
            ),
        ),
    ),
    Method(
        "si",
        "Synaptic intelligence",
        "Zenke, Poole, Ganguli 2017, Continual learning through synaptic intelligence",
        "One network; weights are held where the last task left them, by how much they took past losses down. "
        "Gradients are not clipped.",
        _synaptic_intelligence,
        fixed={"gradient_clip": 0.0},  # the path integral is of the gradient itself, not of a shortened one
        unused=ONE_NETWORK,
        parameters=(
            parameter(
                "si_strength", 10.0, NOT_NEGATIVE, BASELINES, "Weight of the penalty of si.", used_with("method", "si")
            ),
        ),
    ),
)

METHODS: Mapping[str, Method] = MappingProxyType({method.name: method for method in _ALL})
"""Every method by its name, the mixture itself first."""

MIXTURES = tuple(method.name for method in _ALL if method.is_mixture)
"""Names of the methods that are a growing mixture with other settings."""
