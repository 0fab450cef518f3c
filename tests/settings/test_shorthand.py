"""A mixture's first word names its kind of component and the networks."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from growmix import BadInput, GrowingMixture, Settings
from growmix.components.nets import MLP
from growmix.settings import ComponentName, spelled_out
from growmix.settings.shorthand import WORDS

SAID: list[tuple[str, str, str]] = [
    ("mlp", "vae", "mlp"),
    ("conv", "vae", "conv"),
    ("denoiser", "denoiser", "mlp"),
    ("conv+denoiser", "vae+denoiser", "conv"),
    ("mlp+recogniser", "vae+recogniser", "mlp"),
    ("vae+denoiser", "vae+denoiser", "mlp"),
    ("denoiser+recogniser", "denoiser+recogniser", "mlp"),
    ("conv+denoiser+recogniser", "vae+denoiser+recogniser", "conv"),
]


@pytest.mark.parametrize(("word", "component", "blueprint"), SAID)
def test_a_word_means_the_same_as_two_settings(word: str, component: Any, blueprint: str) -> None:
    mixture = GrowingMixture(word)
    assert mixture.settings == Settings(component=component, blueprint=blueprint)
    if component != "vae":
        assert mixture.kind.name == component
    assert repr(mixture) == f"GrowingMixture({word.replace('vae', 'mlp')!r}, tasks=0, components=0, classes=0)"


def test_every_kind_has_a_word() -> None:
    assert {said.get("component", "vae") for said in WORDS.values()} == set(get_args(ComponentName))


def test_a_word_that_says_less_leaves_the_component_to_the_setting() -> None:
    assert GrowingMixture("conv", component="vae+denoiser").settings == GrowingMixture("conv+denoiser").settings
    assert GrowingMixture("conv+denoiser", component="vae+denoiser").settings.component == "vae+denoiser"
    mine = GrowingMixture(MLP(5, name="mine"), component="vae+denoiser")
    assert mine.settings.component == "vae+denoiser" and mine.blueprint.name == "mine"


def test_words_that_mean_nothing_or_contradict_are_refused() -> None:
    with pytest.raises(
        BadInput, match=r"^blueprint is 'conv.denoser'; allowed is one of .*; did you mean conv.denoiser"
    ):
        GrowingMixture("conv+denoser")
    with pytest.raises(BadInput, match=r"^component is 'vae', but 'conv.denoiser' names one too; give one of them"):
        GrowingMixture("conv+denoiser", component="vae")
    assert spelled_out("my_nets:blueprint") == {"blueprint": "my_nets:blueprint"}
