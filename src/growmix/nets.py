"""Networks of a component under their public name; they are made in :mod:`growmix.components`."""

from growmix.components.convolution import Conv
from growmix.components.nets import MLP, Blueprint, OwnModules, check_blueprint
from growmix.components.recipe import Recipe

__all__ = ["MLP", "Blueprint", "Conv", "OwnModules", "Recipe", "check_blueprint"]
