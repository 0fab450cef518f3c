"""A few weights that stand for a component, and training that is held back by a penalty, step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

NOBODY = torch.zeros(0)


class Line(nn.Module):
    """Stands for a component: some weights, of which new classes add rows."""

    def __init__(self, *weights: float) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(weights))

    def add(self, *weights: float) -> None:
        self.w = nn.Parameter(torch.cat([self.w.detach(), torch.tensor(weights)]))


def restrain(penalty: Any, line: Line) -> Any:
    return penalty.restrain(line, None)


def squares(line: Line, information: list[float]) -> Iterator[Tensor]:
    """Two losses of single examples whose squared gradients are, in the mean, the information wanted."""
    for sign in (-1.0, 1.0):
        yield (sign * torch.tensor(information).sqrt() * line.w).sum()


def cost(restraint: Any) -> float:
    return float(restraint.loss(torch.zeros(3), NOBODY).detach())


def take_steps(line: Line, restraint: Any, loss: Callable[[], Tensor], steps: int, rate: float = 0.01) -> None:
    """Gradient descent on a task's loss and the penalty, as training does it."""
    for _ in range(steps):
        line.w.grad = None
        (loss() + restraint.loss(torch.zeros(3), NOBODY)).backward()
        with torch.no_grad():
            line.w -= rate * line.w.grad
        restraint.after_step()
