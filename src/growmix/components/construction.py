"""From settings to what makes components: blueprints, kinds of components, and the student's kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from growmix.components.convolution import Conv
from growmix.components.denoiser_kind import DenoiserKind
from growmix.components.denoiser_options import DenoiserOptions
from growmix.components.density import MOST_GAUSSIANS
from growmix.components.gaussian.component import GaussianOptions
from growmix.components.gaussian.kind import GaussianKind
from growmix.components.importing import imported
from growmix.components.joined_kind import (
    AutoencoderPartKind,
    DenoiserPartKind,
    JoinedKind,
    PartKind,
    RecogniserPartKind,
)
from growmix.components.kinds import ComponentKind, VAEKind
from growmix.components.likelihoods import Likelihood
from growmix.components.nets import MLP, Blueprint, recipe_of
from growmix.components.vae import VAEOptions
from growmix.settings import Settings, is_import_path
from growmix.system.memory import require_room


def make_blueprint(settings: Settings) -> Blueprint:
    """Return the blueprint that the settings name.

    Raises
    ------
    BadInput
        The settings name an import path that was not allowed, see :mod:`growmix.components.importing`.

    Examples
    --------
    >>> make_blueprint(Settings(hidden=32)).hidden
    32
    """
    if is_import_path(settings.blueprint):
        return imported(settings.blueprint)
    if settings.blueprint == "conv":
        return Conv(settings.width)
    return MLP(settings.hidden, settings.depth)


def vae_kind(settings: Settings, blueprint: Blueprint, likelihood: Likelihood | None = None) -> VAEKind:
    """Return the kind that makes variational autoencoders by the settings.

    Parameters
    ----------
    settings
        Settings of the mixture.
    blueprint
        Makes the networks.
    likelihood
        A user's own likelihood in place of the one that the settings name.
    """
    weight = settings.classification_weight
    options = VAEOptions(
        latent=settings.latent,
        classification_weight=recipe_of(blueprint).classification_weight if weight is None else weight,
        gaussians=settings.density_components,
        from_prior=settings.from_prior,
    )
    chosen = settings.likelihood if likelihood is None else likelihood
    return VAEKind(blueprint, chosen, settings.variance, options)


def denoiser_kind(settings: Settings) -> DenoiserKind:
    """Return the kind that makes denoisers by the settings, as they are alone."""
    options = DenoiserOptions(
        width=settings.denoiser_width,
        levels=settings.noise_levels,
        draws=settings.noise_draws,
        lowest=settings.lowest_noise,
        highest=settings.highest_noise,
        flips=settings.flips,
        sampling_steps=settings.sampling_steps,
    )
    return DenoiserKind(options)


def gaussian_kind(settings: Settings, blueprint: Blueprint, likelihood: Likelihood | None = None) -> GaussianKind:
    """Return the kind that makes components of Gaussians by the settings, without blueprint and likelihood."""
    options = GaussianOptions(
        covariance_type=None if settings.covariance_type == "auto" else settings.covariance_type,
        shrinkage=settings.shrinkage,
        reg_covar=settings.reg_covar,
        rank=settings.covariance_rank,
        latent=settings.latent,
        modes=settings.modes,
    )
    return GaussianKind(options)


KINDS: dict[str, Callable[[Settings, Blueprint, Likelihood | None], ComponentKind]] = {
    "vae": vae_kind,
    "denoiser": lambda settings, blueprint, likelihood: denoiser_kind(settings),
    "gaussian": gaussian_kind,
}
"""From the name of a kind of component to what makes the kind, given settings, blueprint and an own likelihood."""

PARTS: dict[str, Callable[[Settings, Blueprint, Likelihood | None], PartKind]] = {
    "vae": lambda settings, blueprint, likelihood: AutoencoderPartKind(vae_kind(settings, blueprint, likelihood)),
    "denoiser": lambda settings, blueprint, likelihood: DenoiserPartKind(denoiser_kind(settings)),
    "recogniser": lambda settings, blueprint, likelihood: RecogniserPartKind(settings.recogniser_width, settings.flips),
}
"""From the name of a part of a joined component to what makes the part, given the same."""


def make_kind(settings: Settings, blueprint: Blueprint, likelihood: Likelihood | None = None) -> ComponentKind:
    """Return the kind of component that the settings name; parameters as of :func:`vae_kind`."""
    if settings.component in KINDS:
        return KINDS[settings.component](settings, blueprint, likelihood)
    names = settings.component.split("+")
    return JoinedKind(tuple(PARTS[name](settings, blueprint, likelihood) for name in names))


NARROWEST, WIDEST = 8, 32
"""Channels of a convolutional student, unless they are set: it is at most as wide as a component is by default."""


def student_blueprint(settings: Settings) -> Blueprint:
    """Return the networks of the student: of ``student_width`` channels, or ``student_hidden`` units."""
    if settings.student_networks == "conv":
        return Conv(settings.student_width or NARROWEST)
    return MLP(settings.student_hidden, settings.depth)


def student_kind(settings: Settings, likelihood: Likelihood | None = None) -> ComponentKind:
    """Return the kind of the student's one component, a variational autoencoder."""
    own = settings.replace(latent=settings.student_latent, classification_weight=settings.student_classification_weight)
    kind = vae_kind(own, student_blueprint(settings), likelihood)
    shift = settings.student_shift if settings.student_networks == "conv" else 0.0
    return replace(kind, options=replace(kind.options, shift=shift))


def require_density(settings: Settings) -> None:
    """Refuse codes of which there is no room for a density.

    Raises
    ------
    BadInput
        More memory is needed than there is.
    """
    size = 8 * settings.latent**2 * min(settings.density_components, MOST_GAUSSIANS)
    require_room(size, f"the density of codes of length {settings.latent}")
