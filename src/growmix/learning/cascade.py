"""Which components are worth a dear score: those that lead by a cheap one.

A component whose score is dear, such as a denoiser, has a cheap one too (:class:`growmix.components.abilities.Cheap`).
Every component is scored cheaply; for each example the best few of them are scored in full, and no other can answer.
"""

from __future__ import annotations

import torch
from torch import Tensor

from growmix.learning.routing import masked
from growmix.learning.shortlist import NOBODY, Lists


def leading(cheap: Tensor, log_prior: Tensor, most: int) -> Tensor:
    """Return the components that lead for each example, shape ``(n, most)``, -1 where there are fewer.

    Parameters
    ----------
    cheap
        Cheap score of each example under each component, shape ``(n, components)``; minus infinity where a component is
        not asked.
    log_prior
        Log share of every component, shape ``(components,)``.
    most
        How many components are scored in full.

    Examples
    --------
    >>> leading(torch.tensor([[-9.0, -1.0, -3.0], [-9.0, -torch.inf, -torch.inf]]), torch.zeros(3), 2)
    tensor([[ 1,  2],
            [ 0, -1]])
    """
    fits, best = (cheap + log_prior).topk(min(most, cheap.shape[1]))
    return best.masked_fill(fits == -torch.inf, NOBODY)


def leading_together(cheap: Tensor, log_prior: Tensor, most: int) -> Tensor:
    """Return the components that lead for all examples together, which come from one task, the same in each row."""
    mean = cheap.double().mean(0, keepdim=True) + log_prior / len(cheap)
    return leading(mean, torch.zeros_like(log_prior), most).expand(len(cheap), -1)


def narrowed(lists: Lists, cheap: Tensor, log_prior: Tensor, most: int) -> Lists:
    """Return of the components that are listed those that lead by their cheap scores.

    Parameters
    ----------
    lists
        Which components are worth a cheap score.
    cheap
        Cheap scores of all components, shape ``(n, components)``.
    log_prior, most
        Log shares of the components, and how many are scored in full, as :func:`leading` takes them.
    """
    return Lists(
        leading(masked(cheap, lists.each), log_prior, most),
        leading_together(masked(cheap, lists.together), log_prior, most),
    )
