"""Numbers that bound what a user may ask for, and the few that all rooms agree on.

The adversary is a slip of the finger: a size far beyond any sensible one is refused before it takes the memory.
"""

from __future__ import annotations

DEVICES = ("auto", "cpu", "cuda", "gpu", "mps")
"""Devices that may be asked for; for another name Lightning Fabric would list its own, in a changing order."""

MOST_UNITS = 65_536
"""The largest size of one layer of a network, such as units, channels or the length of a code."""

MOST_LAYERS = 1_000
"""The largest number of hidden layers of a network."""

MOST_DRAWS = 10_000
"""The largest number of random codes, or of draws, levels or steps of noise, that one example takes."""

MOST_REPLAY = 1_000_000
"""The largest number of replayed examples for each new one."""

MOST_DEVICES = 1_024
"""The largest number of devices that one model is trained on."""

UNLABELLED = -1
"""The label of an example whose class is not known."""

MIN_EXAMPLES = 4
"""The fewest examples that can be learnt: three to train on, one to hold out."""

COUNTABLE = 2**63 - 1
"""The largest whole number that a tensor can hold, and so the largest count of anything."""

MOST_MODES = 100
"""The largest number of Gaussians that one class can have."""
