"""How a denoiser is built, trained and asked: what the user says, and what follows from the images."""

from __future__ import annotations

from dataclasses import dataclass, replace

from growmix.components.diffusion import NoiseRange
from growmix.components.recipe import Recipe
from growmix.data.domain import Shape
from growmix.errors import BadInput

RECIPE = Recipe(
    epochs=60,
    batch_size=256,
    learning_rate=2e-3,
    gradient_clip=1.0,
    matrices_only=True,
    schedule="cosine",
    beta2=0.99,
)
"""What the denoiser of gray images is trained by; colour takes a learning rate of 0.0015."""


@dataclass(frozen=True)
class DenoiserOptions:
    r"""Numbers that say how a denoiser is built and asked; what is ``None`` follows from the images.

    Attributes
    ----------
    width
        Channels of the finest level of the U-net; by default 48 for gray images, 64 for colour.
    levels
        Noise levels of a score.
    draws
        Draws of noise at each level of a score; by default 1 for gray images, 2 for colour.
    lowest, highest
        Standard deviation of the noise, for pixels in [-1, 1]; the lowest is by default 0.15 for gray images, 0.1 for
        colour.
    flips
        Whether mirrored images are learnt too, and every second draw of a score judges the mirrored image; by default
        colour images are, gray ones are not.
    sampling_steps
        Steps from noise to a generated image; 12 leave pixels of digits within a third of a byte's step of 48.
    exponent
        What errors are divided by, :math:`\sigma^{2a}`: 1/2 where the denoiser judges alone, 3/4 beside an ELBO.

    Raises
    ------
    BadInput
        The lowest noise is not below the highest.
    """

    width: int | None = None
    levels: int = 8
    draws: int | None = None
    lowest: float | None = None
    highest: float = 3.0
    flips: bool | None = None
    sampling_steps: int = 12
    exponent: float = 0.5

    def __post_init__(self) -> None:
        if self.lowest is not None:
            _require_range(self.lowest, self.highest)


@dataclass(frozen=True)
class Plan:
    """All that the options of a denoiser, and the shape of its images, come to."""

    widths: tuple[int, ...]
    context: int
    draws: int
    within: NoiseRange
    flips: bool
    deviation: float
    recipe: Recipe

    @classmethod
    def of(cls, options: DenoiserOptions, shape: Shape) -> Plan:
        """Return the plan for images of a shape; raises ``BadInput`` where the noise has no range."""
        colour = shape[0] > 1
        width = options.width or (64 if colour else 48)
        widths = (width, width * 3 // 2, width * 3 // 2) if colour else (width, width)
        lowest = options.lowest or (0.1 if colour else 0.15)
        _require_range(lowest, options.highest)
        return cls(
            widths=widths,
            context=96 if colour else 64,
            draws=options.draws or (2 if colour else 1),
            within=NoiseRange(lowest, options.highest),
            flips=colour if options.flips is None else options.flips,
            deviation=0.5 if colour else 0.6,
            recipe=replace(RECIPE, learning_rate=1.5e-3) if colour else RECIPE,
        )


def _require_range(lowest: float, highest: float) -> None:
    if lowest >= highest:
        raise BadInput(f"lowest_noise is {lowest:g} and highest_noise is {highest:g}; the lowest must be smaller")
