"""Settings: every parameter of a mixture and its student, in one flat record that is checked when it is made."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from growmix.settings.declaration import (
    Use,
    check_all,
    declarations,
    refuse_unknown,
    setting,
    used_with,
    with_declarations,
)
from growmix.settings.limits import MOST_DEVICES, MOST_DRAWS, MOST_LAYERS, MOST_MODES, MOST_REPLAY, MOST_UNITS
from growmix.settings.rules import NOT_NEGATIVE, POSITIVE, Number, OneOf, Whole, is_import_path

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from growmix.settings.changes import AllChanges

BlueprintName: TypeAlias = Literal["mlp", "conv"]
ComponentName: TypeAlias = Literal[
    "vae", "denoiser", "gaussian", "vae+denoiser", "vae+recogniser", "denoiser+recogniser", "vae+denoiser+recogniser"
]
CovarianceType: TypeAlias = Literal["auto", "tied", "full", "low-rank", "diag"]
GateName: TypeAlias = Literal["threshold", "dirichlet", "always"]
LikelihoodName: TypeAlias = Literal["bernoulli", "gaussian", "gaussian-learnt", "gaussian-pixel"]
NoveltyName: TypeAlias = Literal["rank", "ks", "smd", "paper", "stored"]
PrecisionName: TypeAlias = Literal["auto", "32-true", "bf16-mixed", "16-mixed"]
SamplingName: TypeAlias = Literal["ex-post", "prior"]
ScheduleName: TypeAlias = Literal["one-cycle", "cosine", "constant"]
ScoreWeightsName: TypeAlias = Literal["auto", "preset"]
SharingName: TypeAlias = Literal["none", "trunk", "adapter", "rank-one"]
Support: TypeAlias = Literal["unit", "real"]
"""Which numbers an example holds: ``unit`` in [0, 1] (pixels, bytes), ``real`` any finite ones."""

RUN = "Run"
COMPONENT = "Component"
DENOISER = "Denoiser and recogniser"
GAUSSIAN_PART = "Gaussian component"
NOVELTY = "Novelty and gate"
REPLAY = "Replay and routing"
TRAINING = "Training"
STUDENT = "Student"
DEVICE = "Device"

BLUEPRINTS = OneOf(("mlp", "conv"), "an import path such as my_nets:blueprint", is_import_path)
FEWEST = Whole(1)
UNITS = Whole(1, MOST_UNITS)
SHARE = Number("above 0 and at most 0.5", lambda share: 0 < share <= 0.5)
PART = Number("from 0 to 0.5", lambda share: 0 <= share <= 0.5)
RATIO = Number(f"from 0 to {MOST_REPLAY:,}", lambda ratio: 0 <= ratio <= MOST_REPLAY)
FRACTION = Number("from 0 to 1", lambda share: 0 <= share <= 1)
DECAY = Number("from 0 to below 1", lambda decay: 0 <= decay < 1)

OUR_MLP = used_with("blueprint", "mlp")
FULLY_CONNECTED = Use("blueprint", lambda name: name != "conv", "blueprint mlp")  # a student of own networks is one
GAUSSIANS = ("gaussian", "gaussian-learnt", "gaussian-pixel")
GAUSSIAN = Use(
    "likelihood", lambda name: name in (None, *GAUSSIANS), "likelihood gaussian, gaussian-learnt or gaussian-pixel"
)
LABELS = Use("supervised", lambda value: value is not False, "supervised true")
ONE_SCORE = Use("component", lambda component: component == "vae" or not isinstance(component, str), "component vae")
SEVERAL_SCORES = Use(
    "component",
    lambda component: component not in ("vae", "gaussian"),
    "component vae+denoiser or another of several scores",
)
WITH_VAE = Use("component", lambda kind: not isinstance(kind, str) or "vae" in kind.split("+"), "component vae")
AUTOENCODERS = "autoencoders"
"""Key under which it stands beside the values of settings whether a run has any autoencoder, the student among them."""
ANY_VAE = Use(AUTOENCODERS, lambda has_any: has_any is True, "component vae, or student true")
WITH_DENOISER = Use("component", lambda kind: isinstance(kind, str) and "denoiser" in kind, "component denoiser")
WITH_RECOGNISER = Use(
    "component", lambda kind: isinstance(kind, str) and "recogniser" in kind, "component vae+recogniser or the like"
)
FLIPPING = Use(
    "component",
    lambda kind: isinstance(kind, str) and ("denoiser" in kind or "recogniser" in kind),
    "component denoiser, or one with a recogniser",
)
TEACHING = used_with("student", True)
NETWORKS = Use("component", lambda name: name != "gaussian", "a component that has networks")
SUMS = used_with("component", "gaussian")
LOW_RANK = used_with("covariance_type", "low-rank")
CODED = Use("component", lambda kind: WITH_VAE.holds(kind) or kind == "gaussian", "component vae or gaussian")
STUDENT_EPOCHS: dict[BlueprintName, int] = {"mlp": 15, "conv": 8}
STUDENT_NETWORKS = "student_networks"
"""Key under which the networks of the student, with the default resolved, stand beside the values of settings."""
MLP_STUDENT = Use(STUDENT_NETWORKS, lambda name: name == "mlp", "student_blueprint mlp")
CONV_STUDENT = Use(STUDENT_NETWORKS, lambda name: name == "conv", "student_blueprint conv")
DIRICHLET = used_with("gate", "dirichlet")
JUDGING = Use("gate", lambda gate: gate != "always", "gate threshold or dirichlet")  # and one of the user's own


@with_declarations
@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every parameter of a mixture and its student, with the defaults that the README's figures are made with.

    Each is declared in one place, here: its type, its default, the group and the sentence of its help, the values that
    are allowed, and what it takes for it to have an effect.

    Raises
    ------
    BadInput
        A value is not allowed.

    Examples
    --------
    >>> Settings(epochs=0)
    Traceback (most recent call last):
    growmix.errors.BadInput: epochs is 0; allowed is a whole number of 1 or more, below 2**63, or none
    """

    # fmt: off
    component: ComponentName = setting("vae", COMPONENT, door=True, help=(
        "Kind of component: vae (a variational autoencoder), denoiser (for pictures: a network that tells images from "
        "noise), or gaussian (Gaussians in closed form, for vectors); vae and denoiser joined by + judge together, "
        "also with a recogniser (which learns what is not its own by turned pictures)."
    ))
    blueprint: str = setting("mlp", COMPONENT, BLUEPRINTS, uses=(CODED,), door=True, common=True, help=(
        "Networks of a component: mlp, conv, or your own by their import path, such as my_nets:blueprint, which "
        "--allow-import or growmix.components.importing.allow_import must allow."
    ))
    hidden: int | None = setting(None, COMPONENT, UNITS, uses=(OUR_MLP, WITH_VAE), help=(
        "Units of a hidden layer; by default 800, or 400 for examples of at most 256 numbers."
    ))
    depth: int = setting(2, COMPONENT, Whole(1, MOST_LAYERS), uses=(FULLY_CONNECTED,), help=(
        "Hidden layers of an mlp on each side."
    ))
    width: int = setting(32, COMPONENT, UNITS, uses=(used_with("blueprint", "conv"), WITH_VAE), help=(
        "Channels at half the size of an image; at smaller sizes up to twice as many."
    ))
    latent: int = setting(24, COMPONENT, UNITS, uses=(CODED,), common=True, help="Length of the latent code.")
    support: Support | None = setting(None, COMPONENT, help=(
        "What numbers examples are made of: unit, from 0 to 1 as pixels are, or real, any finite numbers, which are "
        "centred and scaled by the first task; by default images are unit and vectors are real."
    ))
    likelihood: LikelihoodName | None = setting(None, COMPONENT, uses=(ANY_VAE,), door=True, help=(
        "Distribution of an example given its code: bernoulli, gaussian (fixed variance), gaussian-learnt (one "
        "variance), gaussian-pixel (one variance for each number); by default bernoulli for unit support and "
        "gaussian-pixel for real support."
    ))
    variance: float = setting(0.5, COMPONENT, POSITIVE, uses=(GAUSSIAN, ANY_VAE), help=(
        "Variance of a Gaussian likelihood, or where a learnt one starts; the paper's is 0.5."
    ))
    supervised: bool | None = setting(None, COMPONENT, help=(
        "Whether components classify; by default they do if the first task has labels."
    ))
    classification_weight: float | None = setting(None, COMPONENT, NOT_NEGATIVE, uses=(LABELS, WITH_VAE), help=(
        "Weight of the classification loss against the ELBO, in nats; by default that of the network's recipe (mlp: 1, "
        "conv: 15)."
    ))
    sharing: SharingName = setting("none", COMPONENT, uses=(NETWORKS,), help=(
        "What components share: none; trunk, the first half of each network, trained with the first task and then "
        "frozen (the paper's); adapter, everything, with a low-rank update of every layer for each component; "
        "rank-one, the same with two vectors a layer (BatchEnsemble)."
    ))
    adapter_rank: int | None = setting(None, COMPONENT, FEWEST, uses=(used_with("sharing", "adapter"),), help=(
        "Rank of the updates of an adapter, three times as much in a fully connected layer that writes the example; "
        "by default the largest that costs at most 5 % of a whole component."
    ))
    denoiser_width: int | None = setting(None, DENOISER, UNITS, uses=(WITH_DENOISER,), help=(
        "Channels of the finest level of the denoiser's network; by default 48 for gray images, 64 for colour."
    ))
    noise_levels: int = setting(8, DENOISER, Whole(1, MOST_DRAWS), uses=(WITH_DENOISER,), help=(
        "Levels of noise that an image is scored at."
    ))
    noise_draws: int | None = setting(None, DENOISER, Whole(1, MOST_DRAWS), uses=(WITH_DENOISER,), help=(
        "Draws of noise at each level when an image is scored; by default 1 for gray images, 2 for colour."
    ))
    lowest_noise: float | None = setting(None, DENOISER, POSITIVE, uses=(WITH_DENOISER,), help=(
        "Smallest standard deviation of the noise, for pixels from -1 to 1; by default 0.15 for gray images, 0.1 for "
        "colour."
    ))
    highest_noise: float = setting(3.0, DENOISER, POSITIVE, uses=(WITH_DENOISER,), help=(
        "Largest standard deviation of the noise, for pixels from -1 to 1."
    ))
    flips: bool | None = setting(None, DENOISER, uses=(FLIPPING,), help=(
        "Whether mirrored images are learnt too, and every second draw of a score judges the mirrored image; by "
        "default colour images are, gray ones are not."
    ))
    sampling_steps: int = setting(12, DENOISER, Whole(2, MOST_DRAWS), uses=(WITH_DENOISER,), help=(
        "Steps from noise to a generated image; each asks the network twice."
    ))
    recogniser_width: int | None = setting(None, DENOISER, UNITS, uses=(WITH_RECOGNISER,), help=(
        "Channels of the first stage of the recogniser; by default 24 for gray images, 48 for colour."
    ))
    covariance_type: CovarianceType = setting("tied", GAUSSIAN_PART, uses=(SUMS,), help=(
        "Covariances of a gaussian component: tied (one of all its classes), full (one of each), low-rank (a few "
        "factors of each), diag (variances of each), or auto, which takes what makes held-out examples the most likely."
    ))
    shrinkage: float | None = setting(None, GAUSSIAN_PART, FRACTION, uses=(SUMS,), help=(
        "Share of the mean variance in the covariances of a gaussian component; by default the one that makes held-out "
        "examples the most likely."
    ))
    reg_covar: float = setting(1e-6, GAUSSIAN_PART, NOT_NEGATIVE, uses=(SUMS,), help=(
        "Number added to every variance of a gaussian component, in units of the first task's."
    ))
    covariance_rank: int = setting(10, GAUSSIAN_PART, FEWEST, uses=(LOW_RANK, SUMS), help=(
        "Number of factors of a low-rank covariance."
    ))
    modes: int | None = setting(None, GAUSSIAN_PART, Whole(1, MOST_MODES), uses=(SUMS,), help=(
        "Most Gaussians of one class, of which BIC takes as many as are needed; by default 1 of a class, and 5 where "
        "there are no labels."
    ))
    novelty: NoveltyName = setting("rank", NOVELTY, door=True, common=True, help=(
        "Novelty measure: rank (within what answers), ks (Kolmogorov-Smirnov), smd (standardised mean difference), "
        "paper (Eq. 17), stored (DEGM)."
    ))
    threshold: float | None = setting(None, NOVELTY, NOT_NEGATIVE, uses=(JUDGING,), common=True, help=(
        "Novelty from which on a component is added; by default the measure's own (0.2 for rank). For few examples the "
        "novelty that chance alone explains is taken instead where it is larger, and the decision says so."
    ))
    novelty_examples: int = setting(1_000, NOVELTY, FEWEST, help=(
        "Examples of a new task that its novelty is measured on."
    ))
    holdout: float = setting(0.1, NOVELTY, SHARE, help=(
        "Share of a task that is held out of training to calibrate novelty; at least 50 examples (or a quarter of the "
        "task), at most 1,000."
    ))
    gate: GateName = setting("threshold", NOVELTY, door=True, help=(
        "What decides between a new component and an old one: threshold, dirichlet, or always, which adds a component "
        "for every task."
    ))
    alpha: float = setting(1.0, NOVELTY, POSITIVE, uses=(DIRICHLET,), help=(
        "Concentration of the Dirichlet gate, in examples."
    ))
    temperature: float = setting(0.01, NOVELTY, POSITIVE, uses=(DIRICHLET,), help=(
        "Temperature of the Dirichlet gate, in the unit of the measure."
    ))
    replay_ratio: float = setting(1.0, REPLAY, RATIO, uses=(JUDGING, NETWORKS), help=(
        "Replayed examples for each new one when a component is reused; at least 2,000 in all, or as many as it "
        "learnt."
    ))
    sampling: SamplingName = setting("ex-post", REPLAY, uses=(ANY_VAE,), help=(
        "Where an autoencoder draws codes from, for replay too: the ex-post density or the prior."
    ))
    density_components: int = setting(20, REPLAY, FEWEST, uses=(used_with("sampling", "ex-post"), ANY_VAE), help=(
        "Largest number of Gaussians in the ex-post density of a class."
    ))
    routing_draws: int = setting(0, REPLAY, Whole(0, MOST_DRAWS), uses=(ONE_SCORE,), help=(
        "Draws of the code for each example when components are compared; 0 scores at the posterior mean, which "
        "chooses better and costs one decoding."
    ))
    shortlist: int | None = setting(None, REPLAY, Whole(0), help=(
        "Components that are scored for an example at most, those that Gaussians of 64 numbers find the likeliest; 0 "
        "scores all. By default all of up to 30 are scored, and 5 of more."
    ))
    cascade: int | None = setting(None, REPLAY, FEWEST, uses=(SEVERAL_SCORES,), help=(
        "Components that are scored in full for an example, those that lead by a cheap score (the autoencoder's, the "
        "recogniser's, or that of few levels of noise); by default all, and two where a student is taught."
    ))
    score_weights: ScoreWeightsName = setting("auto", REPLAY, uses=(SEVERAL_SCORES,), help=(
        "What the several scores of a component are weighed by, and what decides on the class: auto (what answers "
        "most held-out examples rightly, chosen again after each task), or preset."
    ))
    epochs: int | None = setting(None, TRAINING, FEWEST, uses=(NETWORKS,), common=True, help=(
        "Passes over a task; by default as many as the network's recipe says (mlp: 40, conv: 30, denoiser: 60, within "
        "1,500 to 6,000 steps; recogniser: 40, within 1,500 to 12,000)."
    ))
    max_steps: int | None = setting(None, TRAINING, FEWEST, common=True, help=(
        "Largest number of gradient steps of one training (of each network of a component that has several); by "
        "default the epochs alone decide."
    ))
    batch_size: int | None = setting(None, TRAINING, FEWEST, help=(
        "Examples of one step; by default that of the network's recipe (mlp: 128), or 32 for tasks below 4,000 "
        "examples."
    ))
    learning_rate: float | None = setting(None, TRAINING, POSITIVE, help=(
        "Learning rate of AdamW: the peak of the schedule, or the constant; by default that of the network's recipe "
        "(0.002)."
    ))
    schedule: ScheduleName | None = setting(None, TRAINING, help=(
        "How the learning rate goes over a training: one-cycle, cosine (after a warm-up) or constant; by default as "
        "the network's recipe says (mlp: one-cycle, others: cosine)."
    ))
    adam_beta1: float = setting(0.9, TRAINING, DECAY, uses=(used_with("schedule", "cosine", "constant"),), help=(
        "Decay of AdamW's mean of gradients, of a schedule that was asked for; the one-cycle schedule cycles momentum "
        "and does not use it."
    ))
    weight_decay: float | None = setting(None, TRAINING, NOT_NEGATIVE, help=(
        "Weight decay of AdamW; by default that of the network's recipe (mlp: 0.01)."
    ))
    gradient_clip: float | None = setting(None, TRAINING, NOT_NEGATIVE, help=(
        "Largest norm of a gradient, 0 leaves gradients alone; by default that of the network's recipe (mlp: 1,000)."
    ))
    patience: int | None = setting(None, TRAINING, FEWEST, uses=(NETWORKS,), help=(
        "Epochs without a better held-out ELBO after which a training ends; by default it never ends early."
    ))
    student_blueprint: BlueprintName | None = setting(None, STUDENT, uses=(TEACHING,), help=(
        "Networks of the student: mlp or conv; by default conv where those of a component are convolutional, else mlp."
    ))
    student_hidden: int = setting(400, STUDENT, UNITS, uses=(TEACHING, MLP_STUDENT), help=(
        "Units of a hidden layer of the student."
    ))
    student_width: int | None = setting(None, STUDENT, UNITS, uses=(TEACHING, CONV_STUDENT), help=(
        "Channels of the student at half the size of an image; by default the most, from 8 to 32, with which it has at "
        "most a fifth of the mixture's parameters."
    ))
    student_latent: int = setting(24, STUDENT, UNITS, uses=(TEACHING,), help="Length of the student's latent code.")
    student_examples: int | None = setting(None, STUDENT, FEWEST, uses=(TEACHING,), help=(
        "Generated examples for each class (or each component, without labels) that the student learns from; by "
        "default as many as were learnt of each, within 4,000 to 6,000 (3,000 of a denoiser)."
    ))
    student_epochs: int | None = setting(None, STUDENT, FEWEST, uses=(TEACHING,), help=(
        "Passes of the student over its generated examples; by default 15, or 8 of a convolutional one."
    ))
    student_shift: float = setting(0.08, STUDENT, PART, uses=(TEACHING, LABELS, CONV_STUDENT), help=(
        "Share of its sides that a generated image is moved by at most, at random, each time that the student "
        "classifies it; 0.08 are two pixels of 28, and none of 8."
    ))
    student_classification_weight: float = setting(30.0, STUDENT, NOT_NEGATIVE, uses=(TEACHING, LABELS), help=(
        "Weight of the student's cross-entropy to the teacher's soft labels against its ELBO, in nats."
    ))
    student_temperature: float = setting(2.0, STUDENT, POSITIVE, uses=(TEACHING, LABELS), help=(
        "Temperature of the teacher's soft labels."
    ))
    device: str = setting("auto", DEVICE, common=True, help="Where to compute: auto, cpu, cuda (or gpu), mps.")
    devices: int = setting(1, DEVICE, Whole(1, MOST_DEVICES), help="Number of devices, each with a process of its own.")
    strategy: str = setting("auto", DEVICE, help=(
        "Strategy of Lightning Fabric, such as ddp; none that starts its processes from a function, such as ddp_spawn."
    ))
    precision: PrecisionName = setting("auto", DEVICE, help=(
        "Precision of training: auto (bf16-mixed where the processor has it, else 32-true), 32-true, bf16-mixed, "
        "16-mixed; scores are always computed in single precision."
    ))
    compile: bool = setting(False, DEVICE, uses=(NETWORKS,), help=(
        "Whether steps of training are compiled by torch.compile, which takes up to a minute at the first one and "
        "needs a C++ compiler; on a GPU they are captured in a CUDA graph as well (not tried: no GPU was at hand)."
    ))
    seed: int = setting(0, RUN, Whole(0, 2**32 - 1), common=True, help="Seed of everything random.")
    # fmt: on

    def __post_init__(self) -> None:
        check_all(self)

    @property
    def from_prior(self) -> bool:
        """Whether replayed codes come from the prior."""
        return self.sampling == "prior"

    @property
    def student_networks(self) -> BlueprintName:
        """Name of the student's networks, with the default resolved."""
        return student_networks(self.student_blueprint, self.blueprint, self.component)

    @property
    def student_passes(self) -> int:
        """Passes of the student over its generated examples, with the default resolved."""
        return self.student_epochs or STUDENT_EPOCHS[self.student_networks]

    def replace(self, **changes: Unpack[AllChanges]) -> Settings:
        """Return the same settings with some changed.

        Raises
        ------
        BadInput
            A name is no setting, or a value is not allowed.

        Examples
        --------
        >>> Settings().replace(epoch=3)
        Traceback (most recent call last):
        growmix.errors.BadInput: epoch is no setting; did you mean epochs?
        """
        refuse_unknown(changes, declarations(Settings), "setting")
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Return names and values, ready for JSON or YAML."""
        return dataclasses.asdict(self)


def student_networks(asked: BlueprintName | None, blueprint: Any, component: Any) -> BlueprintName:
    """Return the name of the student's networks: what was asked for, else like those of a component.

    Parameters
    ----------
    asked
        What ``student_blueprint`` says; ``None`` leaves it open.
    blueprint, component
        Settings or objects of these names; the student of objects of a user's own is fully connected.

    Examples
    --------
    >>> student_networks(None, "conv", "vae"), student_networks(None, "mlp", "vae+denoiser")
    ('conv', 'conv')
    """
    if asked is not None:
        return asked
    kinds = component.split("+") if isinstance(component, str) else []
    if not kinds or not isinstance(blueprint, str):
        return "mlp"
    return "conv" if blueprint == "conv" or set(kinds) & {"denoiser", "recogniser"} else "mlp"
