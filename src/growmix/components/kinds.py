"""Kinds of components: what a mixture makes a new component with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import final

import torch
from torch import nn

from growmix.components.component import Component
from growmix.components.likelihoods import Likelihood, make_likelihood
from growmix.components.nets import Blueprint, PlainLayers, recipe_of
from growmix.components.recipe import DEFAULT_RECIPE, Recipe
from growmix.components.translation import Translation
from growmix.components.vae import VAE, VAEOptions
from growmix.data.domain import Domain
from growmix.errors import BadInput
from growmix.system.ambient import SinglePrecision
from growmix.system.global_random import global_generator


class ComponentKind(ABC):
    """Interface of what makes new components, all of one kind.

    Attributes
    ----------
    name
        Name of the kind in checkpoints and reports.
    """

    name: str

    @abstractmethod
    def make(self, domain: Domain, *, supervised: bool, target: Domain | None, generator: torch.Generator) -> Component:
        """Make an untrained component on the CPU.

        Parameters
        ----------
        domain
            Shape and support of the examples, with the statistics of the first task.
        supervised
            Whether the component is to classify; its classes are added later.
        target
            Shape and support of the examples that these are translated to; ``None`` where the data are no pairs.
        generator
            Generator on the CPU that first weights are drawn from.

        Raises
        ------
        BadInput
            The kind can't learn such examples.
        """

    @final
    def new(
        self, domain: Domain, *, supervised: bool, target: Domain | None = None, generator: torch.Generator
    ) -> Component:
        """Make a component by :meth:`make`, in single precision and with first weights that the generator decides."""
        with SinglePrecision(), global_generator(generator, needed=self.draws_globally):
            return self.make(domain, supervised=supervised, target=target, generator=generator)

    @property
    def without_memory(self) -> bool:
        """Whether components can be made within ``torch.device("meta")``, where nothing takes memory."""
        return False

    @property
    def draws_globally(self) -> bool:
        """Whether components may draw from torch's global generator, in training or when they are made."""
        return True

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """What the networks of a component are trained by, one for each that is trained after another."""
        return (DEFAULT_RECIPE,)

    @property
    def shared_modules(self) -> tuple[nn.Module, ...]:
        """What all components of the kind refer to, apart from themselves."""
        return ()


class PlainKind(ComponentKind):
    """Interface of what makes components of growmix's own layers alone, which need no memory to be made."""

    @property
    @final
    def without_memory(self) -> bool:
        """Whether components can be made without memory; these can."""
        return True

    @property
    @final
    def draws_globally(self) -> bool:
        """Whether components draw from torch's global generator; these have generators of their own alone."""
        return False


def require_pictures(name: str, domain: Domain, target: Domain | None, instead: str) -> None:
    """Refuse what a component that learns pictures alone can't learn.

    Parameters
    ----------
    name
        Name of the kind of component, for the message.
    domain
        Shape and support of the examples.
    target
        Shape and support of the examples that these are translated to; ``None`` where the data are no pairs.
    instead
        What vectors can be learnt by, in words.

    Raises
    ------
    BadInput
        The examples are no pictures, or come in pairs.
    """
    if target is not None:
        raise BadInput(f"component {name!r} learns no pairs; take component 'vae'")
    if not domain.is_image:
        raise BadInput(
            f"component {name!r} learns pictures (channels, height, width) with pixels in [0, 1], and the examples "
            f"have shape {domain.shape} and support {domain.support!r}; for vectors take {instead}"
        )


@final
@dataclass(frozen=True)
class VAEKind(ComponentKind):
    """Makes variational autoencoders, and translations for pairs of images.

    Attributes
    ----------
    blueprint
        Makes the networks.
    likelihood
        Name of a likelihood, an object to be copied, or ``None`` for the default of the domain's support.
    variance
        Variance of a Gaussian likelihood, or where a learnt one starts.
    options
        How an autoencoder is built and trained.
    """

    blueprint: Blueprint
    likelihood: str | Likelihood | None = None
    variance: float = 0.5
    options: VAEOptions = field(default_factory=VAEOptions)
    name: str = "vae"

    def make(self, domain: Domain, *, supervised: bool, target: Domain | None, generator: torch.Generator) -> Component:
        """Make a variational autoencoder, or a translation where there is a target."""
        if target is not None and supervised:
            raise BadInput("supervised is True, but data are pairs of images, which are learnt without labels")
        vae = self.autoencoder(domain, supervised=supervised, generator=generator)
        if target is None:
            return vae
        of_target = make_likelihood(self.likelihood, self.variance, target)
        return Translation(vae, self.blueprint, target, of_target, generator)

    def autoencoder(self, domain: Domain, *, supervised: bool, generator: torch.Generator) -> VAE:
        """Make a variational autoencoder, see :meth:`make`."""
        likelihood = make_likelihood(self.likelihood, self.variance, domain)
        return VAE(domain, self.blueprint, likelihood, self.options, supervised=supervised, generator=generator)

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """What the blueprint's networks are trained by."""
        return (recipe_of(self.blueprint),)

    @property
    def without_memory(self) -> bool:
        """Whether the blueprint's networks are plain layers."""
        return isinstance(self.blueprint, PlainLayers)

    @property
    def draws_globally(self) -> bool:
        """Whether the blueprint's networks are a user's own, which may have dropout or the like."""
        return not isinstance(self.blueprint, PlainLayers) or isinstance(self.likelihood, Likelihood)
