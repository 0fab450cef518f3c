"""A run is looked for before anything large is imported, and an interrupt says how to go on."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from growmix import BadInput
from growmix.cli.running import _interruptible, allow, open_run


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    for allowed in (False, True):
        with pytest.raises(BadInput, match="holds no run"):
            open_run(tmp_path, allowed)
    (tmp_path / "config.yaml").touch()
    open_run(tmp_path, allowed=False)


def test_a_module_of_the_users_is_imported_only_where_that_was_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nets_of_mine.py").write_text("from growmix.components.nets import MLP\nblueprint = MLP(4)\n")
    monkeypatch.syspath_prepend(tmp_path)
    allow("nets_of_mine:blueprint", allowed=False)
    allow("mlp", allowed=True)
    allow(None, allowed=True)
    assert "nets_of_mine" not in sys.modules
    allow("nets_of_mine:blueprint", allowed=True)
    assert sys.modules.pop("nets_of_mine")


@pytest.mark.parametrize(
    ("begun", "allow_import", "said"),
    [
        (False, False, "interrupted"),
        (True, False, "interrupted; growmix resume 'my run' goes on from there"),
        (True, True, "interrupted; growmix resume 'my run' --allow-import goes on from there"),
    ],
)
def test_an_interrupt_says_how_to_go_on_if_there_is_something_to_go_on_from(
    begun: bool, allow_import: bool, said: str
) -> None:
    with pytest.raises(KeyboardInterrupt) as caught, _interruptible(Path("my run"), allow_import, begun=begun):
        raise KeyboardInterrupt
    assert str(caught.value) == said
