"""A declaration checks values, reads text, and tells when it has no effect."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass
from typing import Any, Literal

import numpy as np
import pytest

from growmix.errors import BadInput
from growmix.settings.declaration import (
    check_all,
    declarations,
    idle,
    refuse_unknown,
    required,
    setting,
    used_with,
    with_declarations,
)
from growmix.settings.rules import POSITIVE, Whole


@with_declarations
@dataclass(frozen=True)
class Oven:
    """Bakes."""

    dish: str = required("Food", help="What is baked.")
    warmth: int = setting(180, "Heat", Whole(50, 250), help="Degrees.")
    minutes: float | None = setting(None, "Heat", POSITIVE, help="How long.")
    mode: Literal["top", "fan"] = setting("top", "Air", help="Where heat comes from.")
    speed: int = setting(1, "Air", Whole(1, 3), help="How fast the fan turns.", uses=(used_with("mode", "fan"),))

    def __post_init__(self) -> None:
        check_all(self)


DECLARED = declarations(Oven)


def test_names_types_and_defaults_are_those_of_the_fields() -> None:
    assert list(DECLARED) == ["dish", "warmth", "minutes", "mode", "speed"]
    minutes = DECLARED["minutes"]
    assert (minutes.kind, minutes.optional, minutes.default) == (float, True, None)
    assert minutes.allowed == "a finite number above 0, or none"
    assert DECLARED["mode"].allowed == "one of top, fan"
    assert DECLARED["speed"].whole_help == "How fast the fan turns. Used with mode fan."


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [("warmth", "200", 200), ("minutes", "2", 2.0), ("minutes", "none", None), ("mode", "fan", "fan")],
)
def test_text_is_read_as_the_value_that_it_spells(name: str, text: str, value: Any) -> None:
    found = DECLARED[name].read(text)
    assert (found, type(found)) == (value, type(value))
    assert DECLARED[name].read(value) == value


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("warmth", "hot", "warmth is 'hot'; allowed is a whole number from 50 to 250"),
        ("warmth", "251", "warmth is 251; allowed is a whole number from 50 to 250"),
        ("warmth", "none", "warmth is 'none'; allowed is a whole number from 50 to 250"),
        ("minutes", "inf", "minutes is inf; allowed is a finite number above 0, or none"),
        ("mode", "fam", "mode is 'fam'; allowed is one of top, fan; did you mean fan?"),
    ],
)
def test_text_that_spells_no_allowed_value_is_refused_with_what_is_allowed(name: str, text: str, said: str) -> None:
    with pytest.raises(BadInput) as refused:
        DECLARED[name].read(text)
    assert str(refused.value) == said


def test_a_record_keeps_each_value_in_its_own_form() -> None:
    oven = Oven("bread", warmth=np.int64(200), minutes=3)  # type: ignore[arg-type]
    assert (type(oven.warmth), type(oven.minutes)) == (int, float)
    with pytest.raises(BadInput, match=r"^warmth is 20; "):
        Oven("bread", warmth=20, mode="fam")  # type: ignore[arg-type]
    with pytest.raises(FrozenInstanceError):
        oven.warmth = 100  # type: ignore[misc]


def test_a_setting_is_idle_where_it_was_changed_and_what_would_use_it_is_known_to_be_absent() -> None:
    def found(**values: Any) -> list[str]:
        return [name for name, _ in idle(values, DECLARED.values())]

    assert found(mode="top", speed=2) == ["speed"]
    assert found(mode="fan", speed=2) == found(mode="top", speed=1) == found(speed=2) == []


def test_a_name_that_is_not_declared_is_met_with_the_nearest_one() -> None:
    refuse_unknown(["warmth"], DECLARED, "setting")
    with pytest.raises(BadInput, match=r"^warmht is no setting; did you mean warmth?"):
        refuse_unknown(["mode", "warmht"], DECLARED, "setting")
    with pytest.raises(BadInput, match=r"^zz is no setting; allowed are none$"):
        refuse_unknown(["zz"], [], "setting")


def test_help_of_the_class_ends_with_every_setting() -> None:
    assert str(Oven.__doc__).startswith("Bakes.\n\nAttributes\n----------\ndish\n    What is baked.\nwarmth\n")
