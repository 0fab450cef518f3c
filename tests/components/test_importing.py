"""A user's own blueprint by its import path: nothing is imported that was not allowed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from growmix import GrowingMixture, experiment
from growmix.cli.app import execute
from growmix.components import importing
from growmix.components.nets import MLP
from growmix.config import RunConfig
from growmix.errors import BadInput
from growmix.settings import Settings
from growmix.studies import processes, runs

pytestmark = pytest.mark.slow

NETS = '''
"""Leaves a mark when it is imported."""
from pathlib import Path
from torch import nn
from growmix.components.nets import MLP, OwnModules

Path("imported").touch()
small = MLP(hidden=9)
number = 3

def make():
    return OwnModules(
        lambda shape: nn.Sequential(nn.Flatten(), nn.Linear(64, 7), nn.Tanh()),
        lambda inputs, shape: nn.Sequential(nn.Linear(inputs, 64), nn.Unflatten(1, shape)),
        name="seven",
    )

def leave():
    raise SystemExit(0)

def needs_more(width):
    return MLP(width)

def talk():
    raise ValueError("one\\ntwo " + "and so on " * 1_000)
'''
SHORT = {"max_steps": 3, "student": False, "likelihood_draws": 0, "frechet_examples": 0}


@pytest.fixture(autouse=True)
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a module of the user's in it, where the program is started."""
    (tmp_path / "own_nets.py").write_text(NETS)
    (tmp_path / "broken_nets.py").write_text("1 / 0")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(importing, "_allowed", {})
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("own_nets", None)


def was_imported() -> bool:
    return Path("imported").exists() or "own_nets" in sys.modules


def options(**values: object) -> list[str]:
    texts = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in values.items()}
    return [word for name, text in texts.items() for word in (f"--{name.replace('_', '-')}", text)]


def test_a_run_with_a_blueprint_of_the_users_own(nets: Path, capfd: pytest.CaptureFixture[str]) -> None:
    asked = ["split-digits", *options(blueprint="own_nets:make", out="run", **{**SHORT, "student": True})]
    words = [word for word in asked if word != "true"]
    assert execute(["run", *words, "--allow-import", "--student-epochs", "1"]) == 0
    document = json.loads((nets / "run/checkpoint/state.json").read_text())
    assert (document["blueprint"], document["settings"]["blueprint"]) == ("seven", "own_nets:make")
    for verb in ("sample", "evaluate", "interpolate"):
        assert execute([verb, "run", "--allow-import"]) == 0, capfd.readouterr().err


@pytest.mark.parametrize("verb", ["sample", "evaluate", "interpolate", "theory"])
def test_a_run_of_a_strangers_imports_nothing(verb: str, capfd: pytest.CaptureFixture[str]) -> None:
    importing.allow_import("own_nets:make")
    experiment.run(RunConfig.of({"stream": "split-digits", "blueprint": "own_nets:make", "out": "run", **SHORT}))
    importing._allowed.clear()
    sys.modules.pop("own_nets")
    Path("imported").unlink()
    assert execute([verb, "run"]) == 2
    assert "--allow-import" in capfd.readouterr().err
    assert not was_imported()


def test_a_config_file_imports_nothing_by_itself(capfd: pytest.CaptureFixture[str]) -> None:
    Path("config.yaml").write_text("stream: split-digits\nblueprint: own_nets:make\nout: run\n")
    for words in (["run"], ["compare"]):
        assert execute([*words, "--config", "config.yaml"]) == 2
        line = capfd.readouterr().err
        assert line.startswith("growmix: ") and "'own_nets:make'" in line and "--allow-import" in line
    assert not was_imported() and not Path("run").exists()


def test_a_config_file_can_not_allow_itself(capfd: pytest.CaptureFixture[str]) -> None:
    Path("config.yaml").write_text("stream: split-digits\nblueprint: own_nets:make\nallow_import: true\n")
    assert execute(["run", "--config", "config.yaml"]) == 2
    assert "allow_import is no key" in capfd.readouterr().err
    assert not was_imported()


def test_a_comparison_hands_the_permission_on(nets: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["compare", "split-digits", "--methods", "er", "--seeds", "1", "--allow-import"]
    words += options(blueprint="own_nets:make", out="study", max_steps=2)
    assert execute(words) == 0, capfd.readouterr().err
    document = json.loads((nets / "study/er-seed0/checkpoint/state.json").read_text())
    assert document["blueprint"] == "seven"
    assert "--allow-import" in (nets / "study/table.md").read_text()


@pytest.mark.parametrize("allowed", [False, True])
def test_a_run_of_a_study_is_allowed_what_its_user_allowed_and_no_more(
    allowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trials of a stranger's study may look finished, and are then not checked; those after them are begun."""
    begun = []

    class Begun(Exception):
        pass

    def popen(words: list[str], **_: object) -> None:
        begun.append(words)
        raise Begun

    monkeypatch.setattr(processes.subprocess, "Popen", popen)
    config = RunConfig.of({"stream": "split-digits", "blueprint": "own_nets:make", **SHORT})
    with pytest.raises(Begun):
        next(processes.run_trials([runs.in_folder("want1", config, Path("sweep"))], allow_import=allowed))
    assert ("--allow-import" in begun[0]) is allowed


def test_a_checkpoint_names_its_blueprint_without_importing_it(tmp_path: Path) -> None:
    importing.allow_import("own_nets:make")
    rng = np.random.default_rng(0)
    mixture = GrowingMixture("own_nets:make", max_steps=2)
    mixture.learn(rng.random((20, 1, 8, 8)))
    mixture.save(tmp_path / "mixture")
    x = rng.random((3, 1, 8, 8))
    np.testing.assert_array_equal(GrowingMixture.load(tmp_path / "mixture").encode(x), mixture.encode(x))
    made = importing.imported("own_nets:make")
    importing._allowed.clear()
    with pytest.raises(BadInput, match="allow_import"):
        GrowingMixture.load(tmp_path / "mixture")
    loaded = GrowingMixture.load(tmp_path / "mixture", blueprint=made)
    np.testing.assert_array_equal(loaded.encode(x), mixture.encode(x))


def test_what_a_path_names_is_a_blueprint_or_makes_one() -> None:
    assert importing.allow_import("own_nets:small") == importing.imported("own_nets:small") == MLP(hidden=9)
    assert importing.allow_import("own_nets:make").name == "seven"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("own_nets:absent", "absent"),
        ("own_nets:number", "is a int; allowed is a Blueprint"),
        ("own_nets:leave", "SystemExit"),
        ("os:abort", "builtin_function"),
        ("own_nets:needs_more", "width"),
        ("own_nets:talk", "ValueError: one two and so on"),
        ("own_nets:Path", "Path"),
        ("broken_nets:make", "ZeroDivisionError"),
        ("no_such_module:make", "no_such_module"),
        ("own_nets", "import path"),
        ("own_nets:make.name", "import path"),
        ("../own_nets:make", "import path"),
        ("", "import path"),
    ],
)
def test_what_can_not_be_imported_is_said(path: str, said: str) -> None:
    with pytest.raises(BadInput, match=r"^blueprint ") as caught:
        importing.allow_import(path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600
    with pytest.raises(BadInput):
        importing.imported(path)


@pytest.mark.parametrize("name", ["cnv", "a.b", ":make", "nets:", "1a:b", "a:b:c", "a..b:c", "os:system()", 3, None])
def test_settings_take_known_names_and_import_paths_alone(name: object) -> None:
    with pytest.raises(BadInput, match=r"blueprint is .*; allowed is one of mlp, conv, or an import path"):
        Settings(blueprint=name)  # type: ignore[arg-type]
