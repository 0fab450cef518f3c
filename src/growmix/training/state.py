"""The state of a training between two steps: what a process needs to go on as if it had never stopped.

The adversary is a crash, and a file that is not of this training; what is read is checked before it is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from growmix.errors import shown
from growmix.storage.typed import MOST_SECONDS, check_range

SCALES = (2.0**-149, 2.0**127)
"""Smallest and largest power of two in single precision, between which the scale of gradients stays."""


@dataclass(frozen=True, eq=False)
class TrainingState:
    """Where a training stands between two steps.

    Attributes
    ----------
    document
        What is no tensor, ready for JSON; a :class:`LoopState`.
    tensors
        Weights, the optimiser's state and the states of all generators, by part and name. No part has a dot in its
        name.
    """

    document: dict[str, Any]
    tensors: dict[str, dict[str, Tensor]]


@dataclass(frozen=True)
class PatienceState:
    """How many epochs have passed since the best one, and its held-out ELBO (``None`` before the first epoch)."""

    score: float | None
    epochs_since: int


@dataclass(frozen=True)
class LoopState:
    """What of a :class:`TrainingState` is no tensor."""

    finished: bool
    done: int
    done_in_epoch: int
    seen: int
    losses: tuple[float, ...]
    seconds: float
    precision: dict[str, int | float] | None = None
    best: PatienceState | None = None
    first_loss: float | None = None

    def check(self, steps: int) -> None:
        """Check that a training of so many steps can be in this state.

        Raises
        ------
        ValueError
            A number is out of its range.
        """
        check_range("done", self.done, 1, steps)
        check_range("done_in_epoch", self.done_in_epoch, 0, self.done)
        check_range("losses", len(self.losses), int(self.finished), self.done)
        check_range("seen", self.seen, int(self.finished))
        check_range("seconds", self.seconds, 0.0, MOST_SECONDS)


def adamw_outline(weight: Tensor) -> dict[str, Tensor]:
    """Return tensors of the names and shapes that AdamW keeps of one weight."""
    like = weight.detach()
    return {"step": torch.zeros((), dtype=torch.float32), "exp_avg": like, "exp_avg_sq": like}


def full_names(tensors: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return the tensors of all parts by ``part.name``; a part without tensors leaves no trace on disk."""
    return {f"{part}.{name}": tensor for part, own in tensors.items() for name, tensor in own.items()}


def check_scaler(kept: Mapping[str, int | float] | None, fresh: Mapping[str, Any]) -> None:
    """Check the state of a gradient scaler: only its scale, and the count of steps that it held for, may differ.

    Raises
    ------
    ValueError
        The state has other names or types than a fresh scaler's, or a number is out of its range.
    """
    if kept is None or _types(kept) != _types(fresh):
        raise ValueError(f"precision is {shown(kept)}, needed is the like of {fresh}")
    moving = {"scale": SCALES, "_growth_tracker": (0, fresh.get("growth_interval", 0))}
    for name, value in fresh.items():
        check_range(name, kept[name], *moving.get(name, (value, value)))


def _types(values: Mapping[str, Any]) -> dict[str, type]:
    return {name: type(value) for name, value in values.items()}
