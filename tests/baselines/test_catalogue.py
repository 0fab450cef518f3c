"""What the rows of the catalogue say of each method, and what is refused by them."""

from __future__ import annotations

from typing import Any

import pytest

from growmix.baselines.catalogue import LIMIX_TEMPERATURE, METHODS, find
from growmix.errors import BadInput
from growmix.settings import Settings


@pytest.mark.parametrize("name", METHODS)
def test_a_row_speaks_of_settings_that_there_are_and_that_have_one_fate(name: str) -> None:
    method, settings = METHODS[name], Settings().to_dict()
    fates = [*method.fixed, *method.usual, *method.unused]
    assert set(fates) <= set(settings)
    assert len(fates) == len(set(fates))
    assert not {each.name for each in method.parameters} & set(settings)


@pytest.mark.parametrize("name", METHODS)
def test_settings_as_they_come_become_those_of_the_method(name: str) -> None:
    method = METHODS[name]
    own = method.settings(Settings())
    assert {key: getattr(own, key) for key in method.fixed} == dict(method.fixed)
    assert method.settings(own) == own
    assert method.idle({}) == {}


def test_a_setting_that_makes_the_method_what_it_is_has_no_other_value() -> None:
    said = "gradient_clip is 1.0, but the method 'si' is what it is by gradient_clip 0.0; leave gradient_clip out"
    with pytest.raises(BadInput, match=said):
        find("si").settings(Settings(gradient_clip=1.0))


def test_another_default_gives_way_to_what_was_asked() -> None:
    assert find("limix").settings(Settings()).temperature == LIMIX_TEMPERATURE
    assert find("limix").settings(Settings(temperature=0.3)).temperature == 0.3


def test_a_setting_without_effect_is_told_with_the_methods_that_use_it() -> None:
    reasons = find("dgr").idle({"replay_ratio": 0.5, "latent": 7})
    assert list(reasons) == ["replay_ratio"]
    told, users = reasons["replay_ratio"].split("; it has one with method ")
    assert told == "replay_ratio is 0.5, which has no effect with method 'dgr'"
    assert "generative-classifier" in users and "joint" not in users


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"buffer_sise": 5}, "buffer_sise is no parameter of the method 'er'; did you mean buffer_size"),
        ({"ewc_strength": 5.0}, "ewc_strength is no parameter of the method 'er'"),
        ({"buffer_size": 0}, "buffer_size is 0; allowed is a whole number of 1 or more"),
    ],
)
def test_parameters_are_the_methods_own(given: dict[str, Any], said: str) -> None:
    assert find("er").values({}) == {"buffer_size": 500}
    assert find("er").values({"buffer_size": 7}) == {"buffer_size": 7}
    with pytest.raises(BadInput, match=said):
        find("er").values(given)
