"""Networks of a component under their public name; they are made in :mod:`growmix.components.nets`."""

from growmix.components.nets import MLP, Blueprint, Conv, OwnModules, check_blueprint

__all__ = ["MLP", "Blueprint", "Conv", "OwnModules", "check_blueprint"]
