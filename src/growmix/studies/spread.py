"""Mean and standard error of a figure over seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """A figure that was measured with several seeds.

    Attributes
    ----------
    mean
        Mean over the seeds; ``None`` where the figure does not apply.
    error
        Standard error of the mean: sample standard deviation over the root of the number; ``None`` for one seed.
    """

    mean: float | None
    error: float | None

    @classmethod
    def of(cls, values: Sequence[float | None]) -> Spread:
        """Return the spread of one value per seed; a figure that one seed does not have has no mean.

        Examples
        --------
        >>> Spread.of([0.5, 0.75])
        Spread(mean=0.625, error=0.125)
        >>> Spread.of([0.5]), Spread.of([0.5, None]).mean
        (Spread(mean=0.5, error=None), None)
        """
        known = [value for value in values if value is not None]
        if not known or len(known) < len(values):
            return cls(None, None)
        return cls(statistics.fmean(known), statistics.stdev(known) / math.sqrt(len(known)) if known[1:] else None)

    def text(self, digits: int) -> str:
        """Write mean and error as a table shows them.

        Examples
        --------
        >>> Spread(0.625, 0.125).text(2), Spread(0.5, None).text(1), Spread(None, None).text(1)
        ('0.62 ± 0.12', '0.5', '-')
        """
        if self.mean is None:
            return "-"
        error = "" if self.error is None else f" ± {self.error:,.{digits}f}"  # one seed says nothing of the spread
        return f"{self.mean:,.{digits}f}{error}"

    def whole(self, digits: int) -> str:
        """Write a count as a table shows it: it has decimals only where the seeds grew mixtures of unlike size.

        Examples
        --------
        >>> Spread(1200.0, 0.0).whole(1), Spread(2.5, 0.5).whole(1), Spread(None, None).whole(1)
        ('1,200', '2.5 ± 0.5', '-')
        """
        return self.text(digits) if self.mean is None or self.error else f"{self.mean:,.0f}"
