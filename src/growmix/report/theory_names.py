"""Names of the files that say what the theory says of a run; to know them, nothing of the theory is imported."""

from __future__ import annotations

THEORY = "theory.json"
BOUNDS = "theory-bounds.png"
BETWEEN = "theory-tasks.png"
TRADE_OFF = "theory-trade-off.png"
MODELS = "theory-models.png"

ALL = (THEORY, BOUNDS, BETWEEN, TRADE_OFF, MODELS)
"""Every file that the theory writes to a run's folder."""
