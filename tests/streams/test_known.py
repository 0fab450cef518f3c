"""Where data sets are looked for: the folder that was given goes before the environment's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from growmix.errors import BadInput
from growmix.streams import available
from growmix.streams.known import DIGITS, HUB_IDS, data_folder


def test_what_was_given_goes_before_the_environment_and_nothing_is_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert data_folder(None) is None
    monkeypatch.setenv("GROWMIX_DATA", str(tmp_path / "a"))
    assert data_folder(None) == tmp_path / "a"
    assert data_folder(tmp_path / "b") == data_folder(str(tmp_path / "b")) == tmp_path / "b"
    monkeypatch.setenv("GROWMIX_DATA", "")
    assert data_folder(None) is None


@pytest.mark.parametrize("given", [5, "", b"x"])
def test_what_is_no_path_is_refused_by_the_name_of_who_gave_it(given: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match=r"data_root is .*; allowed is a path"):
        data_folder(given)
    monkeypatch.setenv("GROWMIX_DATA", "~no-such-user/x")
    with pytest.raises(BadInput, match="GROWMIX_DATA is '~no-such-user/x'"):
        data_folder(None)


def test_the_hub_is_asked_for_data_sets_of_the_catalogue_by_owner_and_name() -> None:
    used = {data_set for entry in available() for data_set in entry.data_sets}
    assert set(HUB_IDS) <= used - {DIGITS}
    assert all(identity[0].count("/") == 1 and len(identity) <= 2 for identity in HUB_IDS.values())
