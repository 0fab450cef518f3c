"""The first word of a mixture: a shorthand for a kind of component and its networks, such as ``conv+denoiser``."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import get_args

from growmix.errors import BadInput, shown
from growmix.settings.mixture import BLUEPRINTS, BlueprintName, ComponentName
from growmix.settings.rules import OneOf, is_import_path


def _words() -> dict[str, dict[str, str]]:
    """Return what each word stands for: a blueprint takes the place of the vae that it makes the networks of."""
    words: dict[str, dict[str, str]] = {name: {"blueprint": name} for name in get_args(BlueprintName)}
    for component in get_args(ComponentName):
        words[component] = {"component": component}
        first, _, others = component.partition("+")
        if first == "vae" and others:
            for name in get_args(BlueprintName):
                words[f"{name}+{others}"] = {"component": component, "blueprint": name}
    return words


WORDS: Mapping[str, Mapping[str, str]] = MappingProxyType(_words())
"""The settings that each word stands for."""


def spelled_out(word: str) -> dict[str, str]:
    """Return the settings that a word stands for.

    Parameters
    ----------
    word
        One of :data:`WORDS`, or the import path of a blueprint.

    Raises
    ------
    BadInput
        The word is neither of them.

    Examples
    --------
    >>> spelled_out("conv+denoiser")
    {'component': 'vae+denoiser', 'blueprint': 'conv'}
    """
    if word in WORDS:
        return dict(WORDS[word])
    if is_import_path(word):
        return {"blueprint": word}
    rule = OneOf(tuple(WORDS), BLUEPRINTS.own)
    raise BadInput(f"blueprint is {shown(word)}; allowed is {rule.words}{rule.hint(word)}")
