"""Early stopping: the weights of the epoch with the best held-out ELBO, and how long it has been since."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any, final

from torch import Tensor, nn

from growmix.training.state import PatienceState


@final
class BestWeights:
    """Keeps the weights of the epoch with the best held-out ELBO.

    Parameters
    ----------
    held_out
        Returns the ELBO of held-out data, larger is better; called after every epoch.
    patience
        Number of epochs without a better one after which training ends.
    """

    def __init__(self, held_out: Callable[[], float], patience: int) -> None:
        self._held_out = held_out
        self._patience = patience
        self._score = -math.inf
        self._weights: dict[str, Any] | None = None
        self._epochs_since = 0

    def look(self, objective: nn.Module) -> float:
        """Measure the held-out ELBO after an epoch, and keep the weights if it is the best so far."""
        objective.eval()
        score = self._held_out()
        objective.train()
        self._epochs_since += 1
        if score > self._score:
            self._score, self._epochs_since = score, 0
            self._weights = copy.deepcopy(objective.state_dict())
        return score

    @property
    def gave_up(self) -> bool:
        """Whether the best epoch lies so far back that training should end."""
        return self._epochs_since >= self._patience

    def put_back(self, objective: nn.Module) -> None:
        """Give the objective the weights of the best epoch."""
        if self._weights is not None:
            objective.load_state_dict(self._weights)

    @property
    def state(self) -> PatienceState:
        """What of its state is no tensor, ready for JSON, which has no word for infinity."""
        return PatienceState(None if self._weights is None else self._score, self._epochs_since)

    def tensors(self) -> dict[str, Tensor]:
        """Return the weights of the best epoch by name; empty before the first epoch."""
        return self._weights or {}

    def restore(self, state: PatienceState, tensors: Mapping[str, Tensor]) -> None:
        """Take over what :attr:`state` and :meth:`tensors` returned."""
        self._epochs_since = state.epochs_since
        if state.score is not None:
            self._score, self._weights = state.score, dict(tensors)
