"""Who looks on while something is trained: callbacks, keepers of its state, followers of its steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from growmix.training.state import TrainingState


@dataclass(frozen=True)
class FitInfo:
    """What is about to be trained, told before the first step.

    Attributes
    ----------
    what
        Whether a component or the student is trained.
    component
        Index of the component; ``None`` for the student.
    epochs, steps
        How long the training is at most.
    examples
        How many examples it is trained on.
    done
        Steps that an earlier process had done, where the training goes on from there.
    """

    what: Literal["component", "student"]
    component: int | None
    epochs: int
    steps: int
    examples: int
    done: int = 0


@dataclass(frozen=True)
class Progress:
    """Where a training is: ``epoch`` counts from 1, ``loss`` is the epoch's mean in nats per example."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    examples_per_second: float
    held_out: float | None


@dataclass(frozen=True)
class TrainingLog:
    """What a training did: epochs, steps, examples seen, seconds, mean loss of each epoch (nats per example).

    A component that learns in closed form takes no step and has no losses.
    """

    epochs: int
    steps: int
    examples: int
    seconds: float
    losses: tuple[float, ...]


def summed(logs: Sequence[TrainingLog]) -> TrainingLog:
    """Make one log of several trainings, one after the other."""
    return TrainingLog(
        epochs=sum(log.epochs for log in logs),
        steps=sum(log.steps for log in logs),
        examples=sum(log.examples for log in logs),
        seconds=sum(log.seconds for log in logs),
        losses=tuple(loss for log in logs for loss in log.losses),
    )


class Callback:
    """Receives reports of a training as it goes; override the methods that are of interest."""

    def on_fit_start(self, fit: FitInfo) -> None:
        """Receive what is about to be trained, before the first step."""

    def on_epoch_end(self, progress: Progress) -> None:
        """Receive where the training is, after every epoch."""

    def on_fit_end(self, log: TrainingLog) -> None:
        """Receive what the training did, after the last step."""


class Keeper(Callback, ABC):
    """Interface of a callback that keeps the state of a training, so that another process can go on from there.

    It is asked only where a single process trains: each of several has its own generator.
    """

    @abstractmethod
    def recall(self, training: Mapping[str, Any], check: Callable[[TrainingState], None]) -> TrainingState | None:
        """Return what was kept of a training that is about to begin; ``None`` where nothing was kept.

        Parameters
        ----------
        training
            What is trained, with which budget, and a digest of what it begins with (weights, data, generator), ready
            for JSON: what was kept must be of the same training.
        check
            Raises :class:`growmix.BadCheckpoint` for a state that is not one of this training. A state whose tensors
            have no memory yet (on the device ``meta``) is checked as far as that is possible. The state that is
            returned must pass.
        """

    @abstractmethod
    def after_step(self, steps: int, state: Callable[[], TrainingState]) -> None:
        """Receive how many steps are done; ``state()`` gives the state now, and must be called at once or never."""

    @abstractmethod
    def at_end(self, state: TrainingState) -> None:
        """Receive the state of the finished training, from which it can be finished again without a step."""


class Follower(ABC):
    """Interface of what looks on after every step, and has a state of its own that grows with the training."""

    @abstractmethod
    def after_step(self) -> None:
        """Look at the weights while they still have the gradients that moved them."""

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """Return all that was gathered since the training began, by name."""

    @abstractmethod
    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what :meth:`state` returned; the weights are already those of that moment."""
