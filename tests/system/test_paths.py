from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from growmix.errors import BadInput
from growmix.system.paths import check_path

WRONG_PATHS = [5, None, b"here", "", "a\0b", "~no-such-user/x", "x" * 5_000]


@pytest.mark.parametrize("value", WRONG_PATHS)
def test_what_is_no_path_is_refused_in_a_short_line(value: Any) -> None:
    with pytest.raises(BadInput, match=r"^data_root is .*; allowed is a path") as caught:
        check_path(value, "data_root")
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("value", ["missing", "file/below", Path("missing") / "x", "dangling"])
def test_whether_anything_is_there_is_not_asked(value: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("dangling").symlink_to("nowhere")
    assert check_path(value, "out") == Path(value)


def test_home_is_resolved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert check_path("~/data", "data_root") == tmp_path / "data"
