"""From settings to untrained networks: blueprints, and components with networks of their own."""

from __future__ import annotations

from growmix.components.component import Component
from growmix.components.density import MOST_GAUSSIANS
from growmix.components.importing import imported
from growmix.components.likelihoods import make_likelihood
from growmix.components.nets import MLP, Blueprint, Conv, check_blueprint, is_ours
from growmix.components.translation import Translation
from growmix.components.vae import LABEL_CODE, VAE
from growmix.data.task import Shape
from growmix.settings import Settings, is_import_path
from growmix.system.memory import require_room


def make_blueprint(settings: Settings) -> Blueprint:
    """The networks that the settings name.

    Raises
    ------
    BadInput
        They name an import path that was not allowed, see :mod:`growmix.components.importing`.

    Examples
    --------
    >>> make_blueprint(Settings(hidden=32)).hidden
    32
    """
    if is_import_path(settings.blueprint):
        return imported(settings.blueprint)
    if settings.blueprint == "conv":
        return Conv(settings.width) if settings.hidden is None else Conv(settings.width, settings.hidden)
    return MLP(settings.hidden, settings.depth)


def require_density(settings: Settings) -> None:
    """Refuse codes of which there is no room for a density.

    Raises
    ------
    BadInput
        More memory is needed than there is.
    """
    size = 8 * settings.latent**2 * min(settings.density_components, MOST_GAUSSIANS)
    require_room(size, f"the density of codes of length {settings.latent}")


def whole_component(
    blueprint: Blueprint, settings: Settings, shape: Shape, *, supervised: bool, target_shape: Shape | None = None
) -> Component:
    """A new component with networks of its own: a VAE, or a translation for pairs."""
    inputs = settings.latent + (LABEL_CODE if supervised else 0)
    features = check_blueprint(blueprint, inputs, shape, target_shape)
    if is_ours(blueprint):  # made and dropped: a component's first weights have always been drawn behind these
        blueprint.encoder(shape)
        blueprint.decoder(inputs, shape)
    likelihood = make_likelihood(settings.likelihood, settings.variance, shape)
    vae = VAE(blueprint, shape, features, settings.latent, likelihood, supervised=supervised)
    if target_shape is None:
        return vae
    return Translation(
        vae, blueprint, target_shape, make_likelihood(settings.likelihood, settings.variance, target_shape)
    )
