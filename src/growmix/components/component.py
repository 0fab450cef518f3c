"""What a mixture is made of: the interface of a component, and of the trainer that it is handed when it learns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from growmix.components.abilities import Evidence, SampledElbo
from growmix.components.recipe import DEFAULT_RECIPE, Recipe
from growmix.data.domain import Domain, Shape
from growmix.data.task import UNLABELLED, TaskData, label_positions
from growmix.errors import BadInput


class Trainer(Protocol):
    """Interface of what a component is handed when it learns.

    Attributes
    ----------
    generator
        Generator on the CPU for all that is drawn while the component learns.
    patient
        Whether a training ends when what is held out of it gets no better.
    """

    generator: torch.Generator

    @property
    def patient(self) -> bool:
        """Whether a training ends when what is held out of it gets no better."""

    def minimise(
        self,
        objective: nn.Module,
        data: Sequence[Tensor],
        *,
        noise: int,
        recipe: Recipe = DEFAULT_RECIPE,
        held_out: Callable[[], float] | None = None,
    ) -> None:
        """Minimise an objective by gradient steps; a component in closed form never calls it.

        A component of several networks calls it for each of them, one after the other.

        Parameters
        ----------
        objective
            ``forward(*batch, noise)`` returns the mean loss of a batch, nats per example.
        data
            Tensors with the same first dimension, from which batches are taken; the first are the examples.
        noise
            How many standard normal numbers every example gets at every step.
        recipe
            What the network is trained by where the settings leave it open.
        held_out
            Returns how good the network is on data that it is not trained on, larger is better; asked after every
            epoch of a patient trainer. ``None``: the trainer measures the whole component.
        """


class Component(nn.Module, ABC):
    """Interface of one generative model, which classifies too when it is supervised.

    All that a mixture does follows from four abstract members: :meth:`fit`, :meth:`score`, :meth:`draw` and
    :meth:`add_classes`. What only some components can do (codes, pairs, draws of the code) is an ability of its own,
    see :mod:`growmix.components.abilities`. Everything that a component has learnt lies in its parameters and buffers,
    which are what a checkpoint keeps.

    Parameters
    ----------
    domain
        Shape and support of the examples, with the statistics of the first task.
    supervised
        Whether the component classifies.

    Attributes
    ----------
    classes : tuple of int
        Global labels that it knows, in the order of its class probabilities; labels inside a component are positions
        in this tuple.
    class_counts : Tensor
        Number of labelled examples learnt of each class, shape ``(classes,)``.
    unlabelled_count : Tensor
        Number of examples learnt without a label, a scalar.
    """

    class_counts: Tensor
    unlabelled_count: Tensor
    is_density: bool = True
    """Whether scores are logarithms of densities; otherwise they are those of probabilities, as of binary pixels."""

    def __init__(self, domain: Domain, *, supervised: bool) -> None:
        super().__init__()
        self.domain = domain
        self.supervised = supervised
        self.classes: tuple[int, ...] = ()
        self.register_buffer("class_counts", torch.zeros(0, dtype=torch.float32))
        self.register_buffer("unlabelled_count", torch.zeros((), dtype=torch.float32))
        self._trained: tuple[str, ...] = ()
        self._foundation = ""

    # What a kind of component must say -------------------------------------------------------------------------

    @abstractmethod
    def fit(self, data: TaskData, weight: Tensor, trainer: Trainer) -> None:
        """Learn from examples, in place; the classes that occur were added before.

        Parameters
        ----------
        data
            A task's examples and what is replayed beside them, on the CPU.
        weight
            How many examples that were learnt each of these stands for, shape ``(n,)``: 1 for a new one.
        trainer
            Minimises objectives, and has the generator to draw from.
        """

    @abstractmethod
    def score(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Score examples without their label: how well the component explains each, and which class it gives.

        Parameters
        ----------
        x
            Examples of the domain, ``float32``, on the component's device, shape ``(batch, *shape)``.

        Returns
        -------
        elbo
            Log-density of each example, or a lower bound of it, in nats, shape ``(batch,)``; comparable between all
            components of the same domain.
        class_log_proba
            Log-probabilities of the classes, shape ``(batch, classes)``; zero columns without classes.
        """

    @abstractmethod
    def draw(self, positions: Tensor, generator: torch.Generator) -> Tensor:
        """Generate one example for each class position, on the component's device, shape ``(n, *shape)``.

        Parameters
        ----------
        positions
            Class positions on the CPU, shape ``(n,)``; -1 asks for an example without a class.
        generator
            Generator on the CPU.
        """

    @abstractmethod
    def add_classes(self, labels: Sequence[int], generator: torch.Generator) -> None:
        """Make room for new global labels; what is known of the old ones stays bit for bit.

        Parameters
        ----------
        labels
            Global labels, of which some may be known already.
        generator
            Generator on the CPU that new weights are drawn from.
        """

    # What follows from it --------------------------------------------------------------------------------------

    def forward(self, x: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Say all that is known of examples without their label; torch's functional calls need this name.

        Parameters
        ----------
        x
            Examples, as :meth:`score` takes them.
        noise
            Draws of the code: a component with the ability :class:`growmix.components.abilities.SampledElbo` estimates
            its bound by them.

        Returns
        -------
        scores
            Bound or score, shape ``(batch,)``; without draws, a component with the ability
            :class:`growmix.components.abilities.Evidence` returns all its scores, shape ``(batch, classes, sources)``.
        class_log_proba
            Log-probabilities of the classes, shape ``(batch, classes)``.
        """
        if noise is not None and isinstance(self, SampledElbo):
            return self.score_draws(x, noise)
        return self.evidence(x) if isinstance(self, Evidence) else self.score(x)

    @property
    def shape(self) -> Shape:
        """Axes of one example, without the batch."""
        return self.domain.shape

    @property
    def device(self) -> torch.device:
        """Where the component's numbers lie."""
        return self.unlabelled_count.device

    def class_log_prior(self) -> Tensor:
        """Return the log share of every class among the labelled examples, add-one smoothed, shape ``(classes,)``."""
        counts = self.class_counts + 1.0
        return (counts / counts.sum()).log()

    def positions_of(self, data: TaskData) -> Tensor:
        """Return the position of every example's label among the classes, -1 where there is none."""
        if data.y is None:
            return torch.full((len(data),), UNLABELLED, dtype=torch.int64)
        return label_positions(data.y, self.classes)

    def count(self, data: TaskData) -> None:
        """Add a task's examples to the counts of what was learnt."""
        positions = self.positions_of(data)
        known = torch.bincount(positions[positions >= 0], minlength=len(self.classes))
        self.class_counts += known.to(self.class_counts)
        self.unlabelled_count += (positions < 0).sum().to(self.unlabelled_count)

    def new_labels(self, labels: Sequence[int]) -> list[int]:
        """Return those of some labels that are not known yet.

        Raises
        ------
        BadInput
            There are some, and the component does not classify.
        """
        new = [label for label in labels if label not in self.classes]
        if new and not self.supervised:
            raise BadInput(f"labels {new} given to an unsupervised component; start the mixture with supervised=True")
        return new

    def take_in(self, new: Sequence[int]) -> None:
        """Note labels that are not known yet, behind those that are; no example of them was learnt so far."""
        self.class_counts = torch.cat([self.class_counts, self.class_counts.new_zeros(len(new))])
        self.classes = (*self.classes, *new)

    def with_classes(self, positions: Tensor, generator: torch.Generator) -> Tensor:
        """Return class positions with one drawn by the shares of the classes wherever none is asked for.

        Parameters
        ----------
        positions
            Class positions on the CPU, -1 where none is asked for, shape ``(n,)``; they stay so without classes.
        generator
            Generator on the CPU.
        """
        unknown = positions < 0
        if not self.classes or not bool(unknown.any()):
            return positions
        chance = self.class_log_prior().exp().cpu()
        drawn = torch.multinomial(chance, int(unknown.sum()), replacement=True, generator=generator)
        return positions.masked_scatter(unknown, drawn)

    def freeze(self) -> None:
        """Stop training: nothing has a gradient any more, and layers behave as in use; twice is as once."""
        trained = tuple(name for name, weight in self.named_parameters() if weight.requires_grad)
        self._trained = trained or self._trained
        self.requires_grad_(False).eval()

    @property
    def trained(self) -> tuple[str, ...]:
        """Names of the weights that training moves, of a component that is frozen."""
        return self._trained

    def thaw(self) -> None:
        """Train again what was trained before; weights that a user's own modules had frozen stay frozen."""
        for name, weight in self.named_parameters():
            weight.requires_grad_(name in self._trained)

    def stand_on(self, foundation: str) -> None:
        """Note which shared foundation the networks stand on: components of two can't be batched together."""
        self._foundation = foundation

    def batch_key(self) -> object:
        """Return a value that is equal for components which differ in nothing but their numbers.

        Such components are scored in one batched call. A component whose kind says nothing of its structure is equal
        to itself alone.
        """
        structure = self._structure()
        return id(self) if structure is None else (type(self), structure, self._foundation)

    def _structure(self) -> str | None:
        """Return what the networks are, apart from their numbers; ``None`` where that is not known."""
        return None
