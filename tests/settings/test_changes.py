"""Keyword arguments that change settings have names and types of their own."""

from __future__ import annotations

import typing

from growmix.settings import Settings, declarations
from growmix.settings.changes import AllChanges, SettingsChanges


def test_keyword_arguments_have_the_types_of_the_settings() -> None:
    assert typing.get_type_hints(AllChanges) == typing.get_type_hints(Settings)
    assert set(typing.get_type_hints(SettingsChanges)) == {
        each.name for each in declarations(Settings).values() if not each.door
    }
