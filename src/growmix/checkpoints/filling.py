"""Networks and densities take the numbers of a checkpoint, each tensor checked against what it is to become.

The adversary is a stranger's checkpoint. Promised is that shapes and types are those of the networks that the
document tells of, and that numbers can be computed with: finite, where growmix's own networks have them, and weights
and owners of a density such as there can be. Shapes are checked of tensors without memory, too.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from growmix.components.density import MOST_GAUSSIANS, LatentDensity
from growmix.data.task import UNLABELLED
from growmix.errors import LONGEST_REASON, BadCheckpoint, shortened
from growmix.storage.checkpoint_files import TENSORS


def check_density(density: LatentDensity, latent: int, classes: int) -> None:
    """Check that a density can be one of codes of a length, for a number of classes, as far as it has memory.

    Parameters
    ----------
    density
        The density as it was read.
    latent
        Length of the component's codes.
    classes
        Number of classes that the component knows.

    Raises
    ------
    BadCheckpoint
        The density is of other classes or another length of codes, or its numbers make no distribution.
    """
    gaussians = len(density.weight)
    if gaussians > MOST_GAUSSIANS * (classes + 1):
        raise BadCheckpoint(f"{TENSORS}: a density of {classes} classes has {gaussians} Gaussians")
    needed = {
        "weight": ((gaussians,), torch.float32),
        "mean": ((gaussians, latent), torch.float32),
        "scale": ((gaussians, latent, latent), torch.float32),
        "owner": ((gaussians,), torch.int64),
    }
    for name, (shape, dtype) in needed.items():
        tensor: Tensor = getattr(density, name)
        if tensor.shape != shape or tensor.dtype != dtype or not gaussians:
            raise BadCheckpoint(f"{TENSORS}: {name} of a density is {tensor.dtype} of shape {tuple(tensor.shape)}")
    check_finite({name: getattr(density, name) for name in needed})
    if density.weight.is_meta:
        return
    owners = (int(density.owner.min()), int(density.owner.max()))
    if float(density.weight.min()) <= 0 or owners[0] < UNLABELLED or owners[1] >= classes:
        raise BadCheckpoint(f"{TENSORS}: a density has weights of 0 or less, or owners {owners} that are no classes")


def load_state(module: nn.Module, tensors: Mapping[str, Tensor], *, foreign: bool) -> None:
    """Fill a module with all of its state, each tensor in its own shape and type.

    Parameters
    ----------
    module
        The module to be filled.
    tensors
        All of the module's weights and buffers, by name.
    foreign
        Whether the module is made of a user's own, which may hold what is not finite, and change a buffer's type.

    Raises
    ------
    BadCheckpoint
        The tensors are not the module's.
    """
    if foreign:
        _take_types(module, tensors)
    for name, tensor in module.state_dict().items():
        if name in tensors and tensors[name].dtype != tensor.dtype:
            raise BadCheckpoint(f"{TENSORS}: {name} is of {tensors[name].dtype}, needed {tensor.dtype}")
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        reason = shortened(str(error), LONGEST_REASON)
        raise BadCheckpoint(f"{TENSORS}: tensors do not fit the networks of this model: {reason}") from error
    if not foreign:
        check_finite(dict(module.named_parameters()))


def _take_types(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give the buffers of modules inside a module the types that they were saved in: they may have changed in use."""
    for name, buffer in list(module.named_buffers()):
        parent, _, own = name.rpartition(".")
        if parent and name in tensors and tensors[name].dtype != buffer.dtype:
            setattr(module.get_submodule(parent), own, buffer.to(tensors[name].dtype))


def check_finite(tensors: Mapping[str, Tensor]) -> None:
    """See that all numbers are finite, of those tensors that have memory.

    Raises
    ------
    BadCheckpoint
        A number is not finite.
    """
    for name, tensor in tensors.items():
        if not tensor.is_meta and not bool(torch.isfinite(tensor).all()):
            raise BadCheckpoint(f"{TENSORS}: {name} has numbers that are not finite")


def check_limits(limits: Mapping[str, tuple[Tensor, float]]) -> None:
    """See that all numbers are finite and not too small, of those tensors that have memory.

    Parameters
    ----------
    limits
        Tensors by name, each with the smallest value that its numbers may have.

    Raises
    ------
    BadCheckpoint
        A number is not finite, or too small.
    """
    check_finite({name: tensor for name, (tensor, _) in limits.items()})
    for name, (tensor, least) in limits.items():
        if not tensor.is_meta and bool((tensor < least).any()):
            raise BadCheckpoint(f"{TENSORS}: {name} has numbers below {least:g}")
