"""The optimiser of a training: AdamW, with or without decay of what is no matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from growmix.training.budget import Budget

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def make_optimizer(objective: nn.Module, budget: Budget, fabric: Fabric) -> tuple[list[Tensor], torch.optim.AdamW]:
    """Return the weights that are trained, in the order of the optimiser, and the optimiser.

    Parameters
    ----------
    objective
        Module that is minimised; its weights that need a gradient are trained.
    budget
        Decays, rates and all that AdamW needs.
    fabric
        Device, precision and strategy of the training.
    """
    groups = _groups([weight for weight in objective.parameters() if weight.requires_grad], budget)
    optimizer = torch.optim.AdamW(
        groups,
        lr=budget.learning_rate,
        betas=(budget.beta1, budget.beta2),
        # a gradient scaler (16-mixed) must see the gradients before the step, which a fused one hides
        fused=fabric.device.type in ("cpu", "cuda") and getattr(fabric.strategy.precision, "scaler", None) is None,
    )
    return [weight for group in groups for weight in group["params"]], optimizer


def _groups(weights: Sequence[Tensor], budget: Budget) -> list[dict[str, Any]]:
    """Return the weights with the decay of each group of them."""
    if not budget.matrices_only:
        return [{"params": [*weights], "weight_decay": budget.weight_decay}]
    matrices, others = ([weight for weight in weights if (weight.ndim > 1) == decays] for decays in (True, False))
    groups = [{"params": matrices, "weight_decay": budget.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]
