"""A component of Gaussians in closed form: it learns by adding to sums, takes no gradient step, and forgets nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from growmix.components.abilities import Additive, Codes, Together
from growmix.components.component import Component, Trainer
from growmix.components.gaussian.choosing import SHRINKAGES, Choice
from growmix.components.gaussian.covariance import OneType, Shape, covariances, leading_directions
from growmix.components.gaussian.derived import Derived
from growmix.components.gaussian.family import Family
from growmix.components.gaussian.memory import KeptSums
from growmix.components.gaussian.modes import split
from growmix.components.gaussian.sums import Form
from growmix.components.pieces import ROWS
from growmix.components.scaling import Scaling
from growmix.data.domain import Domain
from growmix.data.task import TaskData, as_float

CHOOSES_TYPES_UP_TO = 256
"""Numbers of an example up to which ``auto`` compares types: beyond, a matrix for each class is too much to keep."""

DOUBLE_UP_TO = 512
"""Numbers of an example up to which scores are computed in double precision, where the device is a CPU."""

MODES_WITHOUT_LABELS = 5
"""Most Gaussians of examples without labels, unless the options say otherwise."""

ENOUGH_FOR_OWN = 2
"""Examples for each number of an example from which on a component has covariances of its own that are worth a draw."""

CODE_SHRINKAGE = 0.01
"""Share of the mean variance in the directions of codes, where the options leave it open."""

ONE_FOLD: tuple[float, ...] = (1.0,)
FIVE_FOLDS: tuple[float, ...] = (0.2,) * 5
TENTH: tuple[float, ...] = (0.9, 0.1)
"""Shares of the folds: nothing to choose; each fifth is held out in turn; a tenth is, where sums are large."""

_FORMS: dict[OneType, Form] = {"tied": "pooled", "full": "each", "low-rank": "each", "diag": "diagonal"}


@dataclass(frozen=True)
class GaussianOptions:
    """Numbers that say which Gaussians a component is made of; names are those of scikit-learn where it has them.

    Attributes
    ----------
    covariance_type
        ``tied`` (one covariance of all classes of all components), ``full``, ``low-rank``, ``diag``; ``None`` chooses
        by the likelihood of held-out examples: among all but ``low-rank``, and ``full`` ones that are drawn to the
        tied one.
    shrinkage
        Share of the mean variance that covariances are mixed with; ``None`` chooses it likewise.
    reg_covar
        Number added to every variance, in units of the first task's variance.
    rank
        Number of factors of ``low-rank``.
    latent
        Length of a code; examples with fewer numbers have shorter ones.
    modes
        Most Gaussians of one class, or of examples without labels; ``None``: 1 of a class, 5 without labels.
    """

    covariance_type: OneType | None = "tied"
    shrinkage: float | None = None
    reg_covar: float = 1e-6
    rank: int = 10
    latent: int = 24
    modes: int | None = None


@final
class Gaussian(Component, Codes, Additive, Together):
    """Gaussians of vectors, one or a few for each class, with exact densities, draws and class probabilities.

    Everything is learnt from sums (count, mean, scatter), so that neither the order of the examples matters nor the
    batches that they come in, unless a class may have several Gaussians: which of them an example belongs to is decided
    when it arrives. What the covariances are, follows from the sums when it is asked for.

    A code says where an example lies about the mean of its Gaussian, in standard deviations along the directions of the
    largest variance of the component's own examples; its rate is half the squared distance in these units.

    Parameters
    ----------
    domain
        Shape and support of the examples, with the statistics of the first task.
    options
        Numbers that say which Gaussians it is made of.
    supervised
        Whether the component classifies; examples without a label have a Gaussian of their own then.

    References
    ----------
    Hayes and Kanan 2020, Lifelong machine learning with deep streaming linear discriminant analysis (``tied``).

    Examples
    --------
    >>> domain = Domain((2,), "real")
    >>> gaussian = Gaussian(domain, GaussianOptions(shrinkage=0.0), supervised=False)
    >>> x = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
    >>> data = TaskData(x, support="real")
    >>> gaussian.count(data)
    >>> gaussian.absorb(data, torch.Generator())
    >>> gaussian.score(x)[0].shape
    torch.Size([100])
    """

    def __init__(self, domain: Domain, options: GaussianOptions, *, supervised: bool) -> None:
        super().__init__(domain, supervised=supervised)
        self.options = options
        self.latent = min(options.latent, domain.size)
        self.modes = options.modes or (1 if supervised else MODES_WITHOUT_LABELS)
        self.scaling = Scaling(domain)
        self.sums = KeptSums(self.modes, domain.size, _form(options, domain.size), _shares(options, domain.size))
        self._derived: Derived | None = None
        self._family: Family | None = None
        self._met: Family | None = None  # the family that it was last asked to join, found again by the same members
        self._place = 0

    # Learning --------------------------------------------------------------------------------------------------

    def fit(self, data: TaskData, weight: Tensor, trainer: Trainer) -> None:
        """Add examples to the sums; see :class:`growmix.components.abilities.Additive` for why none are replayed."""
        self.absorb(data, trainer.generator)

    def absorb(self, data: TaskData, generator: torch.Generator) -> None:
        """Add examples to the sums; a class that has several Gaussians is split when it is first met.

        Parameters
        ----------
        data
            Examples, whose classes were added before.
        generator
            Generator on the CPU, for the examples that the search for modes starts from.
        """
        positions = self.positions_of(data)
        groups = self._groups_of(data, positions, generator) if self.modes > 1 else positions + 1
        for piece, group in zip(data.x.split(ROWS), groups.split(ROWS), strict=True):
            self.sums.add(self._scaled(piece), group)
        self._forget_derived()

    def add_classes(self, labels: Sequence[int], generator: torch.Generator) -> None:
        """Make room for the sums of each new label."""
        new = self.new_labels(labels)
        if not new:
            return
        self.sums.widen(self.modes * len(new))
        self.take_in(new)
        self._forget_derived()

    def _groups_of(self, data: TaskData, positions: Tensor, generator: torch.Generator) -> Tensor:
        """Return the group of every example: the nearest mode of its class, or a new one where the class is new."""
        groups = torch.empty_like(positions)
        known = self.sums.count.sum(1) > 0
        derived = self._on(self.device) if bool(known.any()) else None
        for position in positions.unique().tolist():
            own = (positions == position).nonzero()[:, 0]
            first = (position + 1) * self.modes
            x = torch.cat([self._scaled(piece) for piece in data.x[own].split(ROWS)]).double()
            if derived is not None and bool(known[first : first + self.modes].any()):
                joint = derived.joint(x.to(derived.like))[:, first : first + self.modes]
                groups[own] = first + joint.argmax(1).cpu()
            else:
                groups[own] = first + split(x, self.modes, generator)
        return groups

    def _scaled(self, x: Tensor) -> Tensor:
        """Return examples as scaled vectors on the CPU."""
        scaled: Tensor = self.scaling(as_float(x.to(self.device)))
        return scaled.flatten(1).cpu()

    # Answers ---------------------------------------------------------------------------------------------------

    def score(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return log p(x), and the classes' probabilities by Bayes' rule."""
        joint = self._joint(x)
        return joint.logsumexp(1).float() - self.scaling.log_volume, self._class_logits(joint).log_softmax(1)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the code under the likeliest Gaussian of each example, and class log-densities."""
        derived, vectors = self._of(x)
        joint = derived.joint(vectors)
        return derived.code(vectors, joint.argmax(1)).float(), self._class_logits(joint)

    def rate(self, x: Tensor) -> Tensor:
        """Return half the squared Mahalanobis distance of the code, nats, shape ``(batch,)``."""
        return 0.5 * self.code(x).square().sum(1)

    def decode(self, codes: Tensor, positions: Tensor) -> Tensor:
        """Return what lies at a code about the mean of a class; without a class, of the Gaussian with most examples."""
        derived = self._on(codes.device)
        group = derived.heaviest(self.modes)[(positions + 1).to(codes.device)]
        return self._examples(derived.at(codes, group))

    def draw(self, positions: Tensor, generator: torch.Generator) -> Tensor:
        """Draw from the Gaussians of each class; where no class is asked for, from all in their proportions."""
        derived = self._on(self.device)
        share = derived.log_weight.exp().cpu().view(-1, self.modes)
        asked = share.new_zeros(len(share), *share.shape)
        asked[torch.arange(len(share)), torch.arange(len(share))] = share
        # a class without examples of its own, or none asked for, is drawn from everything there is
        of_class = torch.where((share.sum(1) > 0)[:, None], asked.flatten(1), share.flatten())
        group = torch.multinomial(of_class[positions + 1], 1, generator=generator)[:, 0]
        drawn = []
        for part in group.split(ROWS):
            noise = torch.randn(len(part), self.domain.size, generator=generator, dtype=torch.float32)
            drawn.append(self._examples(derived.draw(part.to(self.device), noise.to(self.device))))
        return self.domain.project(torch.cat(drawn))

    @property
    def choice(self) -> Choice:
        """Type and shrinkage of the covariances, with the mean log-density of held-out examples that decided."""
        return self._relatives.choice

    def _joint(self, x: Tensor) -> Tensor:
        derived, vectors = self._of(x)
        return derived.joint(vectors)

    def _class_logits(self, joint: Tensor) -> Tensor:
        """Return the log-density of each class from that of all Gaussians, shape ``(batch, classes)``."""
        if not self.classes:
            return joint.new_zeros(len(joint), 0, dtype=torch.float32)
        of_class: Tensor = joint[:, self.modes :].view(len(joint), len(self.classes), self.modes).logsumexp(2)
        return of_class.float()

    def _of(self, x: Tensor) -> tuple[Derived, Tensor]:
        derived = self._on(x.device)
        return derived, self.scaling(x).flatten(1).to(derived.like)

    def _examples(self, vectors: Tensor) -> Tensor:
        return self.scaling.undo(vectors.float().view(-1, *self.shape))

    # What follows from the sums --------------------------------------------------------------------------------

    def together(self, components: Sequence[Component]) -> tuple[Component, ...]:
        """Return components that share what is tied and what is chosen; see the ability."""
        own = [component for component in components if isinstance(component, Gaussian)]
        members = [component.sums.folds for component in own]
        known = (each for component in own for each in (component._family, component._met) if each is not None)
        family = next((each for each in known if each.is_of(members)), None) or self._family_of(own)
        return tuple(component._in(family, k) for k, component in enumerate(own))

    def alone(self) -> Component:
        """Return the component with covariances of its own examples alone, where these are enough for any."""
        if float(self.sums.count.sum()) < ENOUGH_FOR_OWN * self.domain.size:
            return self
        component = copy(self)
        component._family = Family(
            [self.sums.folds], self._own_shape, every_type=False, shrinkages=(self._own_shape.shrinkage,)
        )
        return component

    def _in(self, family: Family, index: int) -> Gaussian:
        self._met = family
        component = copy(self)
        component._family, component._place = family, index
        return component

    def _family_of(self, components: Sequence[Gaussian]) -> Family:
        options = self.options
        return Family(
            [component.sums.folds for component in components],
            Shape(options.covariance_type or "tied", 0.0, options.reg_covar, options.rank),
            every_type=options.covariance_type is None and self.sums.form == "each",
            shrinkages=SHRINKAGES if options.shrinkage is None else (options.shrinkage,),
        )

    def _on(self, device: torch.device) -> Derived:
        """Return what scores are computed by, on a device; threads that ask at once compute the same."""
        derived = self._derived
        if derived is None or derived.like.device != device:
            double = device.type == "cpu" and self.domain.size <= DOUBLE_UP_TO
            dtype = torch.float64 if double else torch.float32
            own = self._directions().to(device, dtype), self._log_weights().to(device, dtype)
            self._derived = derived = Derived(self._relatives.member(self._place, device, dtype), *own)
        return derived

    @property
    def _relatives(self) -> Family:
        """The components whose covariances are made together with those of this one."""
        if self._family is None:
            self._family = self._family_of([self])
        return self._family

    def _forget_derived(self) -> None:
        self._derived = self._family = self._met = None
        self._place = 0

    def _directions(self) -> Tensor:
        """Return the leading directions of the covariances that the component has by itself."""
        return leading_directions(covariances(self.sums.folds.but(), self._own_shape), self.latent)

    @property
    def _own_shape(self) -> Shape:
        """How covariances of the component alone are made, without a choice."""
        shrinkage = CODE_SHRINKAGE if self.options.shrinkage is None else self.options.shrinkage
        return Shape(self.options.covariance_type or "tied", shrinkage, self.options.reg_covar, self.options.rank)

    def _log_weights(self) -> Tensor:
        """Return the log share of every Gaussian, ``(groups,)``: of its class by examples, classes by their prior."""
        count = self.sums.count.sum(1).view(-1, self.modes)
        within = count / count.sum(1, keepdim=True).clamp_min(1.0)
        unlabelled = self.unlabelled_count.double().cpu()
        labelled = self.class_counts.double().cpu().sum()
        of_class = self.class_log_prior().exp().double().cpu() * (labelled / (labelled + unlabelled).clamp_min(1.0))
        share = torch.cat([(1.0 - of_class.sum()).clamp_min(0.0)[None], of_class])
        return (share[:, None] * within).flatten().log()

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], *args: Any) -> None:
        super()._load_from_state_dict(state_dict, *args)
        self._forget_derived()

    def __getstate__(self) -> dict[str, Any]:
        # a copy is going to learn, and derives its own
        return {**self.__dict__, "_derived": None, "_family": None, "_met": None, "_place": 0}


def _form(options: GaussianOptions, size: int) -> Form:
    if options.covariance_type is None:
        return "each" if size <= CHOOSES_TYPES_UP_TO else "pooled"
    return _FORMS[options.covariance_type]


def _shares(options: GaussianOptions, size: int) -> tuple[float, ...]:
    if options.covariance_type is not None and options.shrinkage is not None:
        return ONE_FOLD
    return FIVE_FOLDS if size <= CHOOSES_TYPES_UP_TO else TENTH
