"""How the learning rate goes over a training."""

from __future__ import annotations

import math
from typing import final

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ConstantLR, LRScheduler, OneCycleLR

from growmix.training.budget import Budget

FIRST_SHARE = 0.04
"""Share of the largest rate that a warm-up starts from: the first moments of gradients are known only after a while."""

LAST_SHARE = 1e-4
"""Share of the largest rate that a cosine ends at, so that the last steps are not for nothing."""


@final
class WarmCosine(LRScheduler):
    """Raises the rate in a straight line, then lowers it by half a cosine.

    Parameters
    ----------
    optimizer
        Whose rates are set; those that it has now are the largest.
    steps
        Number of steps of the training.
    warm_up
        Share of the training in which the rate rises.

    Examples
    --------
    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule, rates = WarmCosine(optimizer, steps=100, warm_up=0.5), []
    >>> for _ in range(4):
    ...     rates.append(round(schedule.get_last_lr()[0], 3))
    ...     _ = [optimizer.step() or schedule.step() for _ in range(25)]
    >>> rates
    [0.04, 0.52, 1.0, 0.5]
    """

    def __init__(self, optimizer: Optimizer, *, steps: int, warm_up: float) -> None:
        self._steps, self._warm_up = steps, warm_up
        super().__init__(optimizer)

    def get_lr(self) -> list[float | Tensor]:
        """Return the rate of every group of weights for the next step."""
        return [largest * self._share() for largest in self.base_lrs]

    def _share(self) -> float:
        done = self.last_epoch / self._steps
        if done < self._warm_up:
            return FIRST_SHARE + (1.0 - FIRST_SHARE) * done / self._warm_up
        fallen = min(1.0, (done - self._warm_up) / (1.0 - self._warm_up))
        return max(LAST_SHARE, 0.5 * (1.0 + math.cos(math.pi * fallen)))


def make_schedule(optimizer: Optimizer, budget: Budget, steps: int) -> LRScheduler:
    """Make the schedule that a budget names.

    Parameters
    ----------
    optimizer
        Optimiser whose rates are set.
    budget
        Names the schedule, and its numbers.
    steps
        Number of steps of the training.
    """
    if budget.schedule == "constant":
        return ConstantLR(optimizer, factor=1.0)
    if budget.schedule == "cosine":
        return WarmCosine(optimizer, steps=steps, warm_up=budget.warm_up)
    return OneCycleLR(optimizer, budget.learning_rate, total_steps=max(steps, 2))


def move_on(schedule: LRScheduler, done: int) -> None:
    """Bring a new schedule, and the optimiser whose rate it sets, to where so many steps had brought them."""
    # the count says that the optimiser made those steps, which it did in another process
    schedule.load_state_dict({"last_epoch": done - 1, "_step_count": done + 1})
    schedule.step()
