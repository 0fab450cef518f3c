"""Whether a training whose loss stayed finite diverged all the same, so that its weights are of no use."""

from __future__ import annotations

ALLOWED_GROWTH = 100.0
"""How many times its first size the loss may grow: two orders of magnitude.

A training ends below the loss that it began with. One that is too short, noisy or held back by a penalty can end
somewhat above it, but not a hundred times: what is that far off was thrown there by steps that were too long.
"""


def has_diverged(before: float, after: float, numbers: int) -> bool:
    """Tell whether a training ended so far above the loss that it began with that it must have diverged.

    Parameters
    ----------
    before
        Mean loss of the first batch, before the first step, in nats per example.
    after
        Mean loss of the epoch whose weights are kept, in nats per example.
    numbers
        How many numbers an example has. One nat for each is the least that counts as the size of a loss: the loss
        of a density can begin near 0, or below it.

    Examples
    --------
    >>> has_diverged(before=44.9, after=21.6, numbers=64), has_diverged(before=44.9, after=11_200.0, numbers=64)
    (False, True)
    """
    return after - before > ALLOWED_GROWTH * max(abs(before), float(numbers))
