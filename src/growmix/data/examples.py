"""Whether one tensor holds examples: vectors or images, of the domain learnt, with numbers that the support allows."""

from __future__ import annotations

import math
from typing import Any, cast, get_args

import torch
from torch import Tensor

from growmix.data.domain import Domain, Shape, Support
from growmix.errors import BadInput, shown
from growmix.system.memory import require_room

MOST_CHANNELS = 4
"""Most channels of images: with more in front and no more at the end, the channels are taken to be last."""

FORMS = "images are (n, channels, height, width), vectors (n, numbers)"
"""The two forms that examples come in, as messages say them."""


def check_support(support: Any) -> Support | None:
    """Return a support as a user gives it: a name, or ``None`` where the shape of the examples decides.

    Raises
    ------
    BadInput
        The value is the name of no support.

    Examples
    --------
    >>> check_support("bytes")
    Traceback (most recent call last):
    growmix.errors.BadInput: support is 'bytes'; allowed are 'unit', 'real' and None
    """
    if support is not None and (not isinstance(support, str) or support not in get_args(Support)):
        names = ", ".join(map(repr, get_args(Support)))
        raise BadInput(f"support is {shown(support)}; allowed are {names} and None")
    return cast(Support | None, support)


def default_support(shape: Shape) -> Support:
    """Return the support of examples that come without one: images are of pixels, vectors of any numbers."""
    return "unit" if len(shape) == 3 else "real"


def described(shape: Shape) -> str:
    """Say in a message's words what examples of a shape are.

    Examples
    --------
    >>> described((1, 28, 28)), described((64,))
    ('images of shape (1, 28, 28)', 'vectors of 64 numbers')
    """
    if len(shape) == 1:
        return f"vectors of {shape[0]} numbers"
    return f"images of shape {tuple(shape)}"


def in_domain(x: Tensor, like: Domain | None, support: Support | None, name: str) -> Tensor:
    """Return examples in the form that is learnt: ``uint8`` or ``float32`` in [0, 1] (unit), ``float32`` (real).

    Parameters
    ----------
    x
        One tensor as :func:`growmix.data.arrays.as_tensor` makes it: ``float32``, ``bool`` or whole numbers.
    like
        The domain learnt, whose shape and support the examples must have; ``None`` takes any.
    support
        The support asked for where nothing was learnt; by default ``unit`` for images and ``real`` for vectors.
    name
        What messages call the examples.

    Raises
    ------
    BadInput
        The tensor has neither two nor four axes, holds no number, is unlike what was learnt, or has numbers that the
        support does not allow.
    """
    _require_form(x, name)
    shape = tuple(x.shape[1:])
    if like is not None:
        support = like.support
        if shape != like.shape:
            _require_channels_first(x, name)
            raise BadInput(f"{name} has {_given(x)}, but {described(like.shape)} were learnt; {_way_out(shape, like)}")
    if (support or default_support(shape)) == "real":
        return _real(x, name)
    if like is None:
        _require_channels_first(x, name)
    return _unit(x, name, learnt=like is not None)


def _require_form(x: Tensor, name: str) -> None:
    given = tuple(x.shape)
    if given and not given[0]:
        raise BadInput(f"{name} is empty (shape {given}); at least one example is needed")
    if 0 in given:
        raise BadInput(f"{name} has examples of shape {given[1:]}, without any number; at least one is needed")
    if x.ndim == 3:
        raise BadInput(
            f"{name} has shape {given}; {FORMS}: x[:, None] makes gray images of it, x.reshape(len(x), -1) vectors"
        )
    if x.ndim not in (2, 4):
        raise BadInput(f"{name} has shape {given}; {FORMS}{': one vector is x[None]' if x.ndim == 1 else ''}")


def _given(x: Tensor) -> str:
    """Say what was given: of vectors also how many, since the rows of one image look like vectors."""
    vectors = described(tuple(x.shape[1:]))
    return f"{len(x)} {vectors}" if x.ndim == 2 else vectors


def _way_out(shape: Shape, like: Domain) -> str:
    if len(shape) == len(like.shape) == 3:
        return "resize them (stream transforms 'size28', 'gray') or start a new mixture"
    if len(shape) == len(like.shape):
        return "give vectors with the same columns or start a new mixture"
    if math.prod(shape) == like.size:
        return f"reshape them to (n, {', '.join(map(str, like.shape))}) or start a new mixture"
    return f"give {described(like.shape)} or start a new mixture"


def _require_channels_first(x: Tensor, name: str) -> None:
    """Refuse images that look as if their channels came last; vectors have none."""
    if x.ndim != 4:
        return
    _, channels, _, last = x.shape
    if (channels not in (1, 3) and last in (1, 3)) or last <= MOST_CHANNELS < channels:
        raise BadInput(
            f"{name} has shape {tuple(x.shape)}, with the channels last; images are (n, channels, height, width): "
            "permute the axes to (0, 3, 1, 2)"
        )


def _real(x: Tensor, name: str) -> Tensor:
    """Return any finite numbers as ``float32``; a whole number is itself, not a byte."""
    if not x.is_floating_point():
        require_room(4 * x.numel(), f"{name} of shape {tuple(x.shape)} as floats")
        return x.float()
    _require_finite(x, name)
    return x


def _require_finite(x: Tensor, name: str) -> None:
    if not (bool(torch.isfinite(x.min())) and bool(torch.isfinite(x.max()))):
        raise BadInput(f"{name} has NaN or infinite numbers (in single precision); all must be finite")


def _unit(x: Tensor, name: str, *, learnt: bool) -> Tensor:
    """Return bytes as they are, and all else as ``float32`` in [0, 1]; whole numbers are bytes."""
    if x.dtype == torch.uint8:
        return x
    if x.dtype == torch.bool:
        require_room(4 * x.numel(), f"{name} of shape {tuple(x.shape)} as floats")
        return x.float()
    other = "" if learnt else "; support='real' takes any numbers"
    if x.is_floating_point():
        _require_finite(x, name)
    low, high = x.min().numpy(), x.max().numpy()  # numpy writes no more digits than their precision has
    if x.is_floating_point():
        if low < 0 or high > 1:
            raise BadInput(
                f"{name} has numbers from {low!s} to {high!s}; "
                f"floats must be in [0, 1] (or give bytes in 0..255){other}"
            )
        return x
    if low < 0 or high > 255:
        raise BadInput(f"{name} has whole numbers from {low} to {high}; bytes in 0..255 are allowed{other}")
    if high == 1:
        raise BadInput(f"{name} has the whole numbers 0 and 1; give floats in [0, 1], or bytes in 0..255 as uint8")
    return x.to(torch.uint8)
