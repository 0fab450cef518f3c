"""A run's folder that a stranger has made: nothing is read or written elsewhere, and nothing waits for ever."""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from growmix import GrowingMixture, experiment
from growmix.checkpoints.snapshots import Snapshots
from growmix.cli.app import execute
from growmix.config import RunConfig, read_values
from growmix.errors import BadCheckpoint, BadInput, GrowmixError
from growmix.experiment.folder import FILES, FOLDERS, RunFolder
from growmix.report import events
from growmix.report.events import read_events
from growmix.report.reporter import Reporter
from growmix.report.words import printable
from growmix.system import locking
from growmix.theory import files as theory_files

pytestmark = pytest.mark.slow

SHORT = {"stream": "split-digits", "max_steps": 2, "student": False, "likelihood_draws": 0, "frechet_examples": 0}
VERBS = ("resume", "evaluate", "sample", "theory", "interpolate")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished") / "run"
    experiment.run(RunConfig.of({**SHORT, "out": folder}))
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of a run that can be changed, not finished by its events."""
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    log = folder / "events.jsonl"
    log.write_text("".join(line for line in log.read_text().splitlines(keepends=True) if "run_finished" not in line))
    return folder


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """What is none of growmix's business."""
    folder = tmp_path / "victim"
    (folder / "photos").mkdir(parents=True)
    (folder / "diary.txt").write_text("dear diary\n")
    (folder / "photos" / "one.png").write_bytes(b"a picture")
    return folder


def contents(folder: Path) -> dict[str, bytes | None]:
    return {str(place): place.read_bytes() if place.is_file() else None for place in sorted(folder.rglob("*"))}


def remove(place: Path) -> None:
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("name", [*FILES, *FOLDERS])
def test_no_link_leads_out_of_a_run(
    name: str, verb: str, run: Path, victim: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    remove(run / name)
    (run / name).symlink_to(victim if name in FOLDERS else victim / "diary.txt")
    before = contents(victim)
    assert execute([verb, str(run)]) == 2
    said = capfd.readouterr().err
    assert said.startswith("growmix: ") and f"{name} is a symbolic link" in said
    assert contents(victim) == before


@pytest.mark.parametrize("inner", ["progress/task-0", "progress/evaluation", "trade-off/always-seed0"])
def test_no_link_leads_out_of_a_folder_in_a_run(inner: str, run: Path, victim: Path) -> None:
    (run / inner).parent.mkdir()
    (run / inner).symlink_to(victim)
    before = contents(victim)
    for verb in VERBS:
        assert execute([verb, str(run)]) == 2
    assert contents(victim) == before


def test_what_is_to_be_replaced_is_no_way_out_either(run: Path, victim: Path) -> None:
    for name in ("metrics.json", "theory.json"):
        (run / f".{name}.new").symlink_to(victim / "diary.txt")
    before = contents(victim)
    assert execute(["theory", str(run)]) == 0
    experiment.run(RunConfig.of({**SHORT, "out": run}), overwrite=True)
    assert contents(victim) == before
    assert not list(run.glob(".*"))


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("name", ["lock", "events.jsonl", "config.yaml", "metrics.json", "theory.json", "samples.png"])
def test_a_pipe_is_not_waited_for(name: str, verb: str, run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    remove(run / name)
    os.mkfifo(run / name)
    assert execute([verb, str(run)]) == 2
    assert f"{name} is a device, a socket or a pipe" in capfd.readouterr().err


@pytest.mark.parametrize("name", ["lock", "events.jsonl"])
def test_a_new_run_does_not_wait_for_a_pipe(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(GrowmixError, match=f"{name} is a device"):
        experiment.run(RunConfig.of({**SHORT, "out": tmp_path}), overwrite=True)


def test_a_run_may_lie_behind_a_link_of_the_users_own(run: Path, tmp_path: Path) -> None:
    (tmp_path / "latest").symlink_to(run)
    assert execute(["sample", str(tmp_path / "latest")]) == 0
    experiment.run(RunConfig.of({**SHORT, "out": tmp_path / "latest"}), overwrite=True)
    assert (tmp_path / "latest").is_symlink()
    assert RunFolder(tmp_path / "latest").metrics() == RunFolder(run).metrics()


HOSTILE: dict[str, bytes] = {
    "nested": b"[" * 100_000,
    "binary": b"\xff\xfe\x00\x9f" * 100,
    "escapes": json.dumps({"pid": "\x1b]0;mine\x07", "host": 3 * [1], "started": None}).encode(),
    "huge": json.dumps({"pid": "9" * 3_000, "host": "x", "started": "y"}).encode(),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_a_lock_may_say_anything(content: bytes, tmp_path: Path) -> None:
    (tmp_path / locking.LOCK).write_bytes(content)
    locking.refuse_second(tmp_path)
    with locking.hold(tmp_path) as notice:
        assert notice is not None and printable(notice) == notice and len(notice) < 500


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 100_000,
        b'{"event": "task_started", "index": [1]}',
        b'{"event": "epoch", "epoch": {}}',
        b'{"event": ["run_finished"]}',
        b"\xff\xfe",
        b"3",
    ],
)
def test_lines_that_no_run_writes_are_passed_over(line: bytes, tmp_path: Path) -> None:
    own = b'{"event": "task_started", "index": 0}'
    (tmp_path / "events.jsonl").write_bytes(b"\n".join([own, line, b'{"event": "run_finished"}']))
    assert [event["event"] for event in read_events(tmp_path / "events.jsonl")] == ["task_started", "run_finished"]


def test_a_log_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "events.jsonl").open("wb") as stream:
        stream.truncate(events.MOST_EVENTS + 1)
    with pytest.raises(BadCheckpoint, match=r"events\.jsonl has \d+ bytes"):
        read_events(tmp_path / "events.jsonl")


READERS: dict[str, Callable[[Path], object]] = {
    "metrics.json": lambda folder: RunFolder(folder).metrics(),
    "theory.json": theory_files.read,
}
THEORY = {"tasks": [], "rows": [], "chains": [], "statements": 7}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    "content",
    [b"[" * 100_000, b"", b"\xff", b"3", b"[[" + b"[],[]," * 2_500_000, json.dumps(THEORY).encode(), None],
    ids=["nested", "empty", "binary", "number", "many", "statements", "sparse"],
)
def test_files_of_a_run_are_read_in_distrust(name: str, content: bytes | None, tmp_path: Path) -> None:
    with (tmp_path / name).open("wb") as stream:
        stream.write(content or b"")
        stream.truncate(6 * 2**30 if content is None else None)
    if name == "metrics.json" and content is not None and content.startswith(b"{"):
        assert READERS[name](tmp_path) == THEORY  # of metrics, any are printed
        return
    with pytest.raises(BadCheckpoint, match=name):
        READERS[name](tmp_path)


def test_statements_can_not_command_a_terminal(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert execute(["theory", str(run)]) == 0
    document = theory_files.read(run)
    (run / "theory.json").write_text(json.dumps({**document, "statements": ["\x1b]0;mine\x07 and \ud800 \x9b2J"]}))
    capfd.readouterr()
    assert execute(["theory", str(run)]) == 0
    out = capfd.readouterr().out
    assert "mine" in out and all(character.isprintable() or character == "\n" for character in out)


@pytest.mark.parametrize("path", [5, None, b"run", "", "a\0b", "~no-such-user/x", "x" * 300])
def test_a_path_that_is_none_is_refused_by_its_name(path: Any) -> None:
    verbs = (RunFolder, experiment.resume, experiment.reevaluate, experiment.explain, experiment.load_learner)
    for verb in (*verbs, experiment.load_student):
        with pytest.raises(BadInput, match=r"^folder is .*; allowed is a path"):
            verb(path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": "a"}, {"steps": -3}, {"steps": 2.5}, {"seconds": "a"}, {"seconds": float("nan")}, {"seconds": -1.0},
        {"seconds": True}, {"belongs": {"a": print}}, {"belongs": {"a": float("nan")}}, {"belongs": 5},
    ],
    ids=str,
)  # fmt: skip
def test_what_snapshots_are_told_is_looked_at_before_training(wrong: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=rf"^{next(iter(wrong))} is .*; allowed is"):
        Snapshots(tmp_path, **wrong)


def test_snapshots_know_their_own_whatever_they_belong_to(tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((12, 1, 4, 4))
    for _ in range(2):
        belongs = {"pair": (1, 2), 3: None}
        mixture = GrowingMixture("mlp", hidden=4, latent=2, epochs=2, device="cpu")
        mixture.learn(x, callbacks=[Snapshots(tmp_path, belongs, steps=1)])  # type: ignore[arg-type]
    assert Snapshots(tmp_path, belongs).place() is not None  # type: ignore[arg-type]


def test_snapshots_lie_at_a_path() -> None:
    with pytest.raises(BadInput, match=r"^folder is 5; allowed is a path"):
        Snapshots(5)  # type: ignore[arg-type]


def test_text_is_a_path_too(finished: Path) -> None:
    assert len(experiment.load_learner(str(finished)).components) > 0  # type: ignore[arg-type]


def test_a_run_that_is_overwritten_can_be_overwritten_again_if_it_ends_halfway(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What tells that the folder holds a run goes last."""
    gone: list[Path] = []

    def remove(place: Path) -> None:
        if gone:
            raise KeyboardInterrupt
        gone.append(place)
        shutil.rmtree(place)

    with monkeypatch.context() as patched:
        patched.setattr("growmix.experiment.folder.remove_folder", remove)
        with pytest.raises(KeyboardInterrupt):
            experiment.run(RunConfig.of({**SHORT, "out": run}), overwrite=True)
    assert gone == [run / "checkpoint"]
    experiment.run(RunConfig.of({**SHORT, "out": run}), overwrite=True)


def test_a_run_that_was_killed_before_its_first_event_can_be_overwritten_and_resumed(tmp_path: Path) -> None:
    config = RunConfig.of({**SHORT, "out": tmp_path / "run"})
    (tmp_path / "run").mkdir()
    RunFolder(tmp_path / "run").open(config)
    RunFolder(tmp_path / "run").check(overwrite=True)
    assert len(experiment.resume(tmp_path / "run")["tasks"]) == 5


def test_an_empty_log_without_a_configuration_is_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is what a process leaves that is killed after it made the log, before it wrote the configuration."""

    def killed(self: RunConfig, file: Path) -> None:
        raise KeyboardInterrupt

    folder = RunFolder(tmp_path)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(RunConfig, "write", killed)
        folder.open(RunConfig.of(SHORT))
    assert [place.name for place in tmp_path.iterdir()] == ["events.jsonl"]
    assert not folder.holds_run()
    folder.check(overwrite=False)
    with pytest.raises(BadInput, match="holds no run"):
        folder.config()
    (tmp_path / "config.yaml").write_text("stream: split-digits\n")
    assert folder.holds_run()
    with pytest.raises(BadInput, match=r"holds a run already.*growmix resume"):
        folder.check(overwrite=False)


@pytest.mark.parametrize("name", ["metrics.json", "samples.png", "checkpoint", "trade-off"])
def test_an_empty_log_does_not_make_other_files_those_of_a_run(tmp_path: Path, name: str) -> None:
    (tmp_path / "events.jsonl").touch()
    (tmp_path / name).mkdir() if name in FOLDERS else (tmp_path / name).write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(BadInput, match=f"{name} is not from a run"):
            RunFolder(tmp_path).check(overwrite)


def test_a_log_with_events_is_a_run_though_its_configuration_is_gone(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text('{"event": "run_started"}\n')
    with pytest.raises(BadInput, match=r"holds a run already; choose another --out, or say --overwrite$"):
        RunFolder(tmp_path).check(overwrite=False)
    RunFolder(tmp_path).check(overwrite=True)


def test_what_the_theory_said_of_a_part_is_gone_when_the_run_goes_on(run: Path) -> None:
    shutil.rmtree(run / "checkpoint")  # as it was before its first task
    (run / theory_files.THEORY).write_text("{}")
    experiment.resume(run)
    assert not (run / theory_files.THEORY).exists()


def test_an_unfinished_run_says_so_when_it_is_measured(
    run: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder, said in ((run, True), (finished, False)):
        assert execute(["evaluate", str(folder)]) == 0
        assert ("not finished" in capsys.readouterr().out) == said


def test_who_gives_a_run_for_its_checkpoint_is_told_where_that_is(run: Path) -> None:
    with pytest.raises(BadCheckpoint, match=r"its checkpoint is .*checkpoint"):
        GrowingMixture.load(run)


def test_a_log_that_can_not_be_written_ends_the_run_in_one_line(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And all who watch are told that it ended."""
    ended: list[object] = []

    class Watcher(Reporter):
        def on_run_end(self, metrics: object) -> None:
            ended.append(metrics)

    shutil.rmtree(run / "checkpoint")
    (run / "events.jsonl").unlink()
    (run / "events.jsonl").mkdir()
    monkeypatch.setattr(RunFolder, "check_kinds", lambda self: None)
    with pytest.raises(BadInput, match=r"events.jsonl can't be written"):
        experiment.resume(run, reporters=[Watcher()])
    assert ended == [None]


def test_a_lock_can_be_held_where_nothing_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("growmix.system.locking.os.ftruncate", full)
    with locking.hold(tmp_path), pytest.raises(BadInput, match="another process"):
        locking.refuse_second(tmp_path)


def test_who_only_looked_at_a_lock_keeps_nobody_out(tmp_path: Path) -> None:
    looking = (tmp_path / locking.LOCK).open("w")
    locking._seize(looking, alone=False)
    threading.Timer(0.05, looking.close).start()
    with locking.hold(tmp_path):
        assert (tmp_path / locking.LOCK).exists()


@pytest.mark.parametrize("file", [5, "", "nowhere.jsonl", "."])
def test_a_log_that_is_none_is_named(file: Any) -> None:
    with pytest.raises(BadInput, match=r"^file is "):
        read_events(file)


@pytest.mark.parametrize("left", [("progress", "lock"), ("lock",)])
@pytest.mark.parametrize("command", [False, True])
def test_a_run_that_was_killed_at_its_very_end_leaves_nothing_behind(
    finished: Path, tmp_path: Path, command: bool, left: tuple[str, ...]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    if "progress" in left:
        (run / "progress" / "evaluation").mkdir(parents=True)
    (run / locking.LOCK).write_text("")
    before = json.loads((run / "metrics.json").read_text())
    if command:
        assert execute(["resume", str(run)]) == 0
    else:
        assert experiment.resume(run) == before
    assert {place.name for place in run.iterdir()} == {place.name for place in finished.iterdir()}


def test_a_finished_run_is_read_in_distrust_too(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    (run / "metrics.json").write_text("{")
    assert execute(["resume", str(run)]) == 2
    assert "metrics.json can't be read" in capsys.readouterr().err
    (run / "metrics.json").unlink()
    (run / "metrics.json").symlink_to(finished / "metrics.json")
    assert execute(["resume", str(run)]) == 2
    assert "metrics.json is a symbolic link" in capsys.readouterr().err


def test_a_run_without_a_checkpoint_says_why(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(run / "checkpoint")
    for verb in ("evaluate", "sample", "theory"):
        assert execute([verb, str(run)]) == 2
        assert f"{run / 'checkpoint'} is missing" in capsys.readouterr().err
    (run / "events.jsonl").write_text("")
    for verb in ("evaluate", "sample", "theory"):
        assert execute([verb, str(run)]) == 2
        assert re.search(r"has learnt no task yet; growmix resume", capsys.readouterr().err)


def test_theory_is_told_of_an_unfinished_run_by_nobody_while_that_is_written(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with locking.hold(run):
        assert execute(["theory", str(run)]) == 2
    assert f"process {os.getpid()} on host" in capsys.readouterr().err
    assert not (run / theory_files.THEORY).exists()


def test_every_reporter_is_told_of_the_end_whatever_another_raises(run: Path) -> None:
    class Closed(Reporter):
        def on_run_end(self, metrics: object) -> None:
            raise BrokenPipeError

    shutil.rmtree(run / "checkpoint")  # as it was before its first task
    with pytest.raises(BrokenPipeError):
        experiment.resume(run, reporters=[Closed()])
    assert RunFolder(run).is_finished()


def test_a_run_goes_on_when_nobody_reads_what_it_says(tmp_path: Path, forked: Callable[..., Any]) -> None:
    RunConfig.of(SHORT).write(tmp_path / "short.yaml")
    ours, theirs = os.pipe()
    with open(theirs, "w") as output:
        process = forked("run", "--config", str(tmp_path / "short.yaml"), "--out", str(tmp_path / "run"), output=output)
    with open(ours) as heard:
        assert heard.readline()
    assert process.wait() == 0
    assert RunFolder(tmp_path / "run").is_finished()


def test_a_configuration_says_where_the_data_are_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    RunConfig.of({"stream": "split-mnist", "data_root": "data"}).write(tmp_path / "config.yaml")
    assert RunConfig.of(read_values(tmp_path / "config.yaml")).data_root == tmp_path / "data"


def test_a_run_that_was_never_begun_is_not_said_to_go_on(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("growmix.streams.load", interrupted)
    assert execute(["run", "split-digits", "--out", str(finished), "--overwrite"]) == 130
    assert capsys.readouterr().err == "growmix: interrupted\n"
