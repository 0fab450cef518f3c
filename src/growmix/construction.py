"""From settings to untrained networks: blueprints, and components with networks of their own."""

from __future__ import annotations

from growmix.component import LABEL_CODE, VAE, Component
from growmix.data import Shape
from growmix.likelihoods import make_likelihood
from growmix.nets import MLP, Blueprint, Conv, check_blueprint
from growmix.settings import Settings
from growmix.translation import Translation


def make_blueprint(settings: Settings) -> Blueprint:
    """The built-in networks that the settings name.

    Examples
    --------
    >>> make_blueprint(Settings(hidden=32)).hidden
    32
    """
    if settings.blueprint == "conv":
        return Conv(settings.width) if settings.hidden is None else Conv(settings.width, settings.hidden)
    return MLP(settings.hidden, settings.depth)


def whole_component(
    blueprint: Blueprint, settings: Settings, shape: Shape, *, supervised: bool, target_shape: Shape | None = None
) -> Component:
    """A new component with networks of its own: a VAE, or a translation for pairs."""
    inputs = settings.latent + (LABEL_CODE if supervised else 0)
    features = check_blueprint(blueprint, inputs, shape)
    likelihood = make_likelihood(settings.likelihood, settings.variance, shape)
    vae = VAE(blueprint, shape, features, settings.latent, likelihood, supervised=supervised)
    if target_shape is None:
        return vae
    return Translation(
        vae, blueprint, target_shape, make_likelihood(settings.likelihood, settings.variance, target_shape)
    )
