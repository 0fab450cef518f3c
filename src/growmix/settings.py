"""The parameters of a mixture: one flat record, checked when it is made."""

from __future__ import annotations

import difflib
import re
import sys
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args

import numpy as np

from growmix.errors import BadInput, shown

BlueprintName = Literal["mlp", "conv"]
GateName = Literal["threshold", "dirichlet", "always"]
LikelihoodName = Literal["bernoulli", "gaussian", "gaussian-learnt", "gaussian-pixel"]
NoveltyName = Literal["ks", "smd", "paper", "stored"]
PrecisionName = Literal["auto", "32-true", "bf16-mixed", "16-mixed"]
SamplingName = Literal["ex-post", "prior"]
ScheduleName = Literal["one-cycle", "constant"]
SharingName = Literal["none", "trunk", "adapter", "rank-one"]

DEVICES = ("auto", "cpu", "cuda", "gpu", "mps")
"""Of a name that is none of these, Lightning Fabric would list its own, each time in another order."""

MOST_UNITS = 65_536
"""Of anything that is a size of a network: beyond it a slip of the finger is likelier than a wish."""

MOST_LAYERS = 1_000
MOST_DRAWS = 10_000
MOST_REPLAY = 1_000_000
MOST_DEVICES = 1_024

UNLABELLED = -1
"""The label of an example whose class is not known."""

MIN_EXAMPLES = 4
"""The fewest examples that can be learnt: three to train on, one to hold out."""

COUNTABLE = 2**63 - 1
"""Of anything at all: no tensor counts further."""

_IMPORT_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


def is_whole(value: object, least: int, most: int = COUNTABLE) -> bool:
    """Whether that is a whole number, Python's or numpy's but no truth value, from ``least`` to ``most``."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and least <= int(value) <= most


def require_whole(value: Any, name: str, least: int, most: int = COUNTABLE) -> int:
    """A whole number as Python's.

    Raises
    ------
    BadInput
        It is none, or not from ``least`` to ``most``.

    Examples
    --------
    >>> require_whole(2.0, "n", 1, 5)
    Traceback (most recent call last):
    growmix.errors.BadInput: n is 2.0; allowed is a whole number from 1 to 5
    """
    if not is_whole(value, least, most):
        within = f"of {least} or more, below 2**63" if most == COUNTABLE else f"from {least} to {most:,}"
        raise BadInput(f"{name} is {shown(value)}; allowed is a whole number {within}")
    return int(value)


def is_import_path(name: object) -> bool:
    """Whether that is ``module:name`` in form; whether it is there is not looked at.

    Examples
    --------
    >>> is_import_path("my_nets.images:blueprint"), is_import_path("mlp")
    (True, False)
    """
    return isinstance(name, str) and _IMPORT_PATH.fullmatch(name) is not None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every parameter of a mixture and its student, with the defaults that the README's figures are made with.

    Attributes
    ----------
    blueprint
        Networks of a component: ``mlp``, ``conv``, or your own by their import path, ``my_nets:blueprint`` (see
        :func:`growmix.components.importing.allow_import`).
    hidden
        Units of a fully connected layer; by default the blueprint's own (mlp: 800, or 400 for images of at most
        256 pixels; conv: 256).
    depth
        Hidden layers of an mlp on each side.
    width
        Channels of the first convolution.
    latent
        Length of the latent code.
    likelihood
        ``bernoulli``, ``gaussian`` (fixed variance), ``gaussian-learnt`` (one variance), ``gaussian-pixel`` (one per
        pixel).
    variance
        Variance of a Gaussian, or where a learnt one starts. The paper's is 0.5.
    supervised
        Whether components classify; by default as the first task has labels or not.
    classification_weight
        Weight of the classification loss against the bound (nats).
    novelty
        ``ks`` (Kolmogorov-Smirnov), ``smd`` (standardised mean difference), ``paper`` (Eq. 17), ``stored`` (DEGM).
    threshold
        Novelty from which on a component is added; by default the measure's own (0.2 for ks). For few examples what
        chance explains is taken instead where that is larger, and the decision says so.
    novelty_examples
        Examples of a new task that its novelty is measured on.
    holdout
        Share of a task that is held out of training to calibrate novelty; at least 50 examples (or a quarter of the
        task), at most 1,000.
    gate
        ``threshold``, ``dirichlet``, or ``always``: a component for every task.
    alpha
        Concentration of the Dirichlet gate, in examples.
    temperature
        Temperature of the Dirichlet gate, in the unit of the measure.
    sharing
        What components share: ``none``; ``trunk``, the first half of each network, trained with the first task and then
        frozen (the paper's); ``adapter``, everything, with a low-rank update of every layer for each component;
        ``rank-one``, the same with two vectors a layer (BatchEnsemble).
    adapter_rank
        Rank of these updates, three times as much in a fully connected layer that writes pixels; by default the
        largest that costs at most 5 % of a whole component.
    replay_ratio
        Replayed examples for each new one when a component is reused; at least 2,000 in all, or as many as it learnt.
    sampling
        Where replayed codes come from: ``ex-post`` density or the ``prior``.
    density_components
        Gaussians of the ex-post density per class, at most.
    routing_draws
        Draws of the code per example when components are compared; 0 scores at the posterior mean, which chooses
        better and costs one decoding.
    epochs
        Passes over a task; by default 40, within 1,500 to 6,000 steps.
    max_steps
        Gradient steps per training at most; by default the epochs alone decide.
    batch_size
        Examples per step; by default 128, or 32 for tasks below 4,000 examples.
    learning_rate
        Of AdamW: the peak of the one-cycle schedule, or the constant.
    schedule
        ``one-cycle`` or ``constant``.
    adam_beta1
        Decay of AdamW's mean of gradients; with the one-cycle schedule momentum cycles and this is not used.
    weight_decay
        Of AdamW.
    gradient_clip
        Largest norm of a gradient; 0 leaves gradients alone.
    patience
        Stop a task after this many epochs without a better held-out bound; by default never.
    student_hidden
        Units of a fully connected layer of the student.
    student_latent
        Length of the student's latent code.
    student_examples
        Generated examples per class (or per component without labels) that the student learns from; by default as
        many as were learnt of each, within 4,000 to 6,000.
    student_epochs
        Passes over them.
    student_classification_weight
        Weight of the student's cross-entropy to the teacher's soft labels against its bound (nats).
    student_temperature
        Temperature of the teacher's soft labels.
    buffer_size
        Real examples that the baseline ``er`` keeps.
    ewc_strength
        Weight of the penalty of the baseline ``ewc``.
    si_strength
        Weight of the penalty of the baseline ``si``.
    device
        ``auto``, ``cpu``, ``cuda`` (or ``gpu``), ``mps``.
    devices
        Number of devices, each with a process of its own.
    strategy
        Lightning Fabric's, such as ``ddp``; none that starts its processes from a function, such as ``ddp_spawn``.
    precision
        ``auto`` (bf16-mixed where the processor has it, else 32-true), ``32-true``, ``bf16-mixed``, ``16-mixed``;
        scores are always computed in single precision.
    seed
        Of everything random.

    Examples
    --------
    >>> Settings(epochs=0)
    Traceback (most recent call last):
    growmix.errors.BadInput: epochs is 0; allowed is a whole number of 1 or more, below 2**63
    """

    blueprint: str = "mlp"
    hidden: int | None = None
    depth: int = 2
    width: int = 32
    latent: int = 24
    likelihood: LikelihoodName = "bernoulli"
    variance: float = 0.5
    supervised: bool | None = None
    classification_weight: float = 1.0
    novelty: NoveltyName = "ks"
    threshold: float | None = None
    novelty_examples: int = 1_000
    holdout: float = 0.1
    gate: GateName = "threshold"
    alpha: float = 1.0
    temperature: float = 0.01
    sharing: SharingName = "none"
    adapter_rank: int | None = None
    replay_ratio: float = 1.0
    sampling: SamplingName = "ex-post"
    density_components: int = 20
    routing_draws: int = 0
    epochs: int | None = None
    max_steps: int | None = None
    batch_size: int | None = None
    learning_rate: float = 2e-3
    schedule: ScheduleName = "one-cycle"
    adam_beta1: float = 0.9
    weight_decay: float = 0.01
    gradient_clip: float = 1_000.0
    patience: int | None = None
    student_hidden: int = 400
    student_latent: int = 24
    student_examples: int | None = None
    student_epochs: int = 15
    student_classification_weight: float = 30.0
    student_temperature: float = 2.0
    buffer_size: int = 500
    ewc_strength: float = 10.0
    si_strength: float = 10.0
    device: str = "auto"
    devices: int = 1
    strategy: str = "auto"
    precision: PrecisionName = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, np.generic):  # a number of numpy's is one, but neither JSON nor YAML takes it
                object.__setattr__(self, name, value.item())
        choices: dict[str, Any] = {"likelihood": LikelihoodName, "novelty": NoveltyName}
        choices |= {"gate": GateName, "sampling": SamplingName, "precision": PrecisionName}
        choices |= {"schedule": ScheduleName, "sharing": SharingName}
        for name, kind in choices.items():
            value = getattr(self, name)
            known = isinstance(value, str) and value in get_args(kind)
            self._require(name, known, f"one of {', '.join(get_args(kind))}")
        for name in ("device", "strategy"):
            self._require(name, isinstance(getattr(self, name), str), "a name, such as auto")
        known = isinstance(self.blueprint, str) and self.blueprint in get_args(BlueprintName)
        known = known or is_import_path(self.blueprint)
        names = ", ".join(get_args(BlueprintName))
        self._require("blueprint", known, f"one of {names}, or an import path such as my_nets:blueprint")
        self._require_whole("devices", 1, MOST_DEVICES)
        for name in ("novelty_examples", "density_components", "student_epochs", "buffer_size"):
            self._require_whole(name, 1)
        self._require_whole("depth", 1, MOST_LAYERS)
        for name in ("width", "latent", "student_hidden", "student_latent"):
            self._require_whole(name, 1, MOST_UNITS)
        if self.hidden is not None:
            self._require_whole("hidden", 1, MOST_UNITS)
        for name in ("epochs", "max_steps", "batch_size", "patience", "student_examples", "adapter_rank"):
            if getattr(self, name) is not None:
                self._require_whole(name, 1)
        self._require_whole("routing_draws", 0, MOST_DRAWS)
        self._require_whole("seed", 0, 2**32 - 1)
        for name in ("variance", "alpha", "temperature", "learning_rate", "student_temperature"):
            self._require(name, self._number(name) > 0, "a number above 0")
        for name in (
            "classification_weight",
            "student_classification_weight",
            "weight_decay",
            "gradient_clip",
            "ewc_strength",
            "si_strength",
        ):
            self._require(name, self._number(name) >= 0, "a number of 0 or more")
        within = f"a number from 0 to {MOST_REPLAY:,}"
        self._require("replay_ratio", 0 <= self._number("replay_ratio") <= MOST_REPLAY, within)
        if self.threshold is not None:
            self._require("threshold", self._number("threshold") >= 0, "a number of 0 or more")
        self._require("adam_beta1", 0 <= self._number("adam_beta1") < 1, "a number from 0 to below 1")
        self._require("holdout", 0 < self._number("holdout") <= 0.5, "a share above 0 and at most 0.5")
        self._require("supervised", self.supervised is None or type(self.supervised) is bool, "true, false, or nothing")
        for field in fields(self):  # torch takes no whole number beyond 64 bits where a fraction may be
            if str(field.type).startswith("float") and getattr(self, field.name) is not None:
                object.__setattr__(self, field.name, float(getattr(self, field.name)))

    @property
    def from_prior(self) -> bool:
        """Whether replayed codes come from the prior."""
        return self.sampling == "prior"

    def replace(self, **changes: Any) -> Settings:
        """The same settings with some changed.

        Raises
        ------
        BadInput
            A name that is no setting, or a value that is not allowed.

        Examples
        --------
        >>> Settings().replace(epoch=3)
        Traceback (most recent call last):
        growmix.errors.BadInput: epoch is no setting; did you mean epochs?
        """
        known = [field.name for field in fields(self)]
        for name in changes:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean {near[0]}?" if near else f"allowed are {', '.join(known)}"
                raise BadInput(f"{name} is no setting; {hint}")
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Names and values, ready for JSON or YAML."""
        return asdict(self)

    def _number(self, name: str) -> float:
        value = getattr(self, name)
        # compared, not asked: a whole number may be larger than any float
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
        self._require(name, is_number, "a finite number")
        return float(value)

    def _require_whole(self, name: str, least: int, most: int = COUNTABLE) -> None:
        require_whole(getattr(self, name), name, least, most)

    def _require(self, name: str, holds: bool, allowed: str) -> None:
        if not holds:
            raise BadInput(f"{name} is {shown(getattr(self, name))}; allowed is {allowed}")
