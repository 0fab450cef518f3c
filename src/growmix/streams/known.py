"""Data sets that are known by name, and the folder in which others are looked for; nothing is read here."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, TypeAlias

from growmix.system.paths import check_path

Part: TypeAlias = Literal["train", "test"]

PARTS: tuple[Part, Part] = ("train", "test")

DIGITS = "digits"
"""The data set that comes with scikit-learn."""

HUB_IDS: dict[str, tuple[str, ...]] = {
    "mnist": ("ylecun/mnist",),
    "fashion_mnist": ("zalando-datasets/fashion_mnist",),
    "cifar10": ("uoft-cs/cifar10",),
    "cifar100": ("uoft-cs/cifar100",),
    "svhn": ("ufldl-stanford/svhn", "cropped_digits"),
}
"""Data sets that the Hub has with the same classes and the same parts, and which configuration of several holds them;
a new one is a new row."""


def data_folder(data_root: str | os.PathLike[str] | None) -> Path | None:
    """Return where files are looked for: the folder that was given, else the environment's, else ``None``.

    Raises
    ------
    BadInput
        What was given is no path.
    """
    if data_root is not None:
        return check_path(data_root, "data_root")
    named = os.environ.get("GROWMIX_DATA")
    return check_path(named, "GROWMIX_DATA") if named else None
