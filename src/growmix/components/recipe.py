"""What a kind of network is trained by where the settings leave it open."""

from __future__ import annotations

from dataclasses import dataclass

from growmix.settings import ScheduleName


@dataclass(frozen=True)
class Recipe:
    """Numbers of one training that suit a network; each setting that a user gives takes the place of its number.

    Attributes
    ----------
    epochs
        Passes over a task.
    step_range
        Fewest and most gradient steps: small tasks need more passes, large ones fewer.
    batch_size
        Examples of one step of a task that is not small; a small one takes 32.
    learning_rate
        Largest learning rate of AdamW.
    weight_decay
        Weight decay of AdamW.
    matrices_only
        Whether weights with fewer than two axes, such as biases, are left without decay.
    gradient_clip
        Largest norm of a gradient; 0 leaves gradients alone.
    schedule
        How the learning rate goes over the training.
    beta1, beta2
        Decays of AdamW's means of gradients and of their squares.
    warm_up
        Share of the training in which the learning rate rises, of a schedule that has such a part.
    classification_weight
        Weight of the cross-entropy of a classifier on the encoder against the ELBO, in nats.
    """

    epochs: int = 40
    step_range: tuple[int, int] = (1_500, 6_000)
    batch_size: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    matrices_only: bool = False
    gradient_clip: float = 1_000.0
    schedule: ScheduleName = "one-cycle"
    beta1: float = 0.9
    beta2: float = 0.999
    warm_up: float = 0.1
    classification_weight: float = 1.0


DEFAULT_RECIPE = Recipe()
"""What fully connected networks are trained by."""
