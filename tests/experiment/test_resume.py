"""An interrupted run ends as one that never was: the same weights, the same metrics.

What lies on the disk when a process is killed is what lies there at that moment. So most of these tests copy a run's
folder while it is written, at moments chosen by count, and resume the copies; three kill a process in earnest.
"""

from __future__ import annotations

import json
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from forging import tensors_in
from growmix import GrowingMixture, experiment, streams
from growmix.baselines import METHODS
from growmix.checkpoints.snapshots import Snapshots
from growmix.cli.app import DONE, INTERRUPTED, WRONG_INPUT, execute
from growmix.config import RunConfig
from growmix.errors import BadCheckpoint, BadInput
from growmix.report.events import read_events
from growmix.report.reporter import Reporter
from growmix.settings import Settings
from growmix.system import locking
from growmix.system.interrupts import ACKNOWLEDGED, Interrupts
from growmix.training import loop as training
from growmix.training.callbacks import Progress

pytestmark = pytest.mark.slow

TINY = Settings(
    gate="always", hidden=16, latent=4, epochs=4, batch_size=32, density_components=3, novelty_examples=50,
    student_hidden=16, student_epochs=2, student_examples=20, device="cpu",
)  # fmt: skip
PER_TASK = 12  # steps: 90 of 120 examples in batches of at most 32, four times
TASKS = 5


def config(out: Path, **changes: Any) -> RunConfig:
    usual: dict[str, Any] = {"train_examples": 120, "test_examples": 60, "likelihood_draws": 0, "frechet_examples": 0}
    usual |= {"checkpoint_every": 0.0, "checkpoint_steps": 5, "settings": TINY}
    values = {**usual, **changes}
    settings = values.pop("settings").to_dict()
    return RunConfig.fitting({"stream": "split-digits", "out": out, **settings, **values})  # whatever the method


def weights(folder: Path) -> dict[str, Tensor]:
    files = sorted((folder / experiment.CHECKPOINT).rglob("*.safetensors"))
    return {f"{file.parent.name}.{name}": tensor for file in files for name, tensor in load_file(file).items()}


def timeless(metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metrics.items() if name not in ("seconds", "examples_per_second")}


def assert_same_end(folder: Path, as_in: Path) -> None:
    """Same weights, same metrics, nothing left over; the log tells each thing once."""
    ours, theirs = weights(folder), weights(as_in)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []
    metrics = [timeless(json.loads((each / experiment.METRICS).read_text())) for each in (folder, as_in)]
    assert metrics[0] == metrics[1]
    if (as_in / "theory.json").exists():
        theory = [timeless(json.loads((each / "theory.json").read_text())) for each in (folder, as_in)]
        assert theory[0] == theory[1]
    assert {each.name for each in folder.iterdir()} == {each.name for each in as_in.iterdir()}
    assert told(folder) == told(as_in)


def told(folder: Path) -> list[Any]:
    """What the log says was done, in order."""
    between = ("run_started", "resumed", "run_cut_short", "notice")
    events = [event for event in read_events(folder / experiment.EVENTS) if event["event"] not in between]
    return [(event["event"], event.get("index"), event.get("component"), event.get("epoch")) for event in events]


def resumed(folder: Path) -> list[Any]:
    """Where the log says that the run went on from."""
    events = read_events(folder / experiment.EVENTS)
    return [(e["learnt"], e["step"]) for e in events if e["event"] == "resumed"]


class Unkept(Reporter):
    """Ends a resumed run as soon as it knows where it goes on, as a kill would."""

    def on_resume(self, plan: Any, left: Any) -> None:
        raise KeyboardInterrupt


# Copies at chosen moments --------------------------------------------------------------------------------------


class Camera(Reporter):
    """Copies a folder as it is at some moments, such as ``("step", 8)``: just before the eighth step."""

    def __init__(self, folder: Path, into: Path, moments: Sequence[tuple[str, int]]) -> None:
        self.folder, self.into, self.moments = folder, into, moments
        self.seen: Counter[str] = Counter()
        self.task = -1

    def moment(self, what: str) -> None:
        self.seen[what] += 1
        if (what, self.seen[what]) in self.moments:
            shutil.copytree(self.folder, self.into / f"{what}-{self.seen[what]}")

    def on_task_start(self, index: int, examples: int) -> None:
        self.task = index

    def on_decision(self, *_: Any) -> None:
        self.moment("saved")

    def on_task_end(self, *_: Any) -> None:
        self.moment("evaluated")

    def on_student_end(self, *_: Any) -> None:
        self.moment("taught")

    @contextmanager
    def watching(self) -> Iterator[None]:
        step, place = training._Loop._step, Path.replace

        def watched_step(loop: Any, index: Tensor) -> Tensor:
            self.moment("step")
            self.moment(f"step of task {self.task}")
            return step(loop, index)

        def watched_replace(path: Path, target: Path) -> Any:
            of = {"state": f"{target.parent.name} is replaced", "tensors": f"{target.parent.name} gets its tensors"}
            self.moment(of.get(target.name.partition(".")[0].partition("-")[0], f"{target.name} is written"))
            return place(path, target)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(training._Loop, "_step", watched_step)
            patch.setattr(Path, "replace", watched_replace)
            yield


def photographed(asked: RunConfig, into: Path, moments: Sequence[tuple[str, int]]) -> None:
    """Run to the end, with copies at these moments."""
    camera = Camera(asked.folder, into, moments)
    with camera.watching():
        experiment.run(asked, reporters=[camera])
    assert {each.name for each in into.iterdir()} == {f"{what}-{n}" for what, n in moments}


MOMENTS: dict[tuple[str, int], tuple[int, int]] = {
    ("step", 1): (0, 0),  # before there is any checkpoint
    ("step", 8): (0, 5),
    ("step", PER_TASK + 1): (1, 0),
    ("step", 2 * PER_TASK): (1, 10),  # before the last one of a task
    ("step", 3 * PER_TASK + 6): (3, 5),
    ("checkpoint gets its tensors", 2): (1, 12),  # the training is done, and need not be done again
    ("checkpoint is replaced", 1): (0, 12),
    ("checkpoint is replaced", 3): (2, 12),
    ("saved", 3): (3, 0),
    ("evaluation is replaced", 3): (2, 0),
    ("evaluated", 4): (4, 0),
    ("0 is replaced", 7): (2, 0),
    ("0 gets its tensors", 8): (2, 5),
    ("step", TASKS * PER_TASK + 8): (5, 5),  # in the student
    ("student is replaced", 1): (5, 14),
    ("taught", 1): (5, 0),
    ("metrics.json is written", 1): (5, 0),
}
"""Where a copy of each moment goes on from: tasks learnt, step."""


@pytest.fixture(scope="module")
def growing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in which every task grows a component; beside it the copies, once to be resumed and once as they are."""
    place = tmp_path_factory.mktemp("growing")
    (place / "copies").mkdir()
    photographed(config(place / "run"), place / "copies", list(MOMENTS))
    shutil.copytree(place / "copies", place / "left")
    return place


@pytest.mark.parametrize(("what", "n"), MOMENTS)
def test_killed_at_any_moment_it_ends_the_same(growing: Path, what: str, n: int) -> None:
    folder = growing / "copies" / f"{what}-{n}"
    experiment.resume(folder)
    assert_same_end(folder, as_in=growing / "run")
    assert resumed(folder) == [MOMENTS[what, n]]


def test_killed_again_and_again_it_ends_the_same(growing: Path, tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    folder, count = tmp_path / "run", 0
    step = training._Loop._step

    def dies_at_every_ninth(loop: Any, index: Tensor) -> Tensor:
        nonlocal count
        count += 1
        if count % 9 == 0:
            raise Killed
        return step(loop, index)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training._Loop, "_step", dies_at_every_ninth)
        with pytest.raises(Killed):
            experiment.run(config(folder))
        for _ in range(60):
            with suppress(Killed):
                experiment.resume(folder)
                break
    assert len(resumed(folder)) > 5
    assert_same_end(folder, as_in=growing / "run")


@pytest.fixture
def three_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams end after three tasks: one before a gap, one in which it is, one after it."""
    whole = streams.load
    monkeypatch.setattr(
        streams, "load", lambda *args, **options: replace(s := whole(*args, **options), tasks=s.tasks[:3])
    )


@pytest.mark.usefixtures("three_tasks")
@pytest.mark.parametrize(
    "changes",
    [
        {"gate": "threshold"},
        {"gate": "threshold", "threshold": 1.0},
        {"gate": "threshold", "threshold": 1.0, "patience": 1, "epochs": 6, "learning_rate": 0.1},
        {"gate": "dirichlet", "novelty": "paper", "schedule": "constant"},
        {"sharing": "adapter"},
        {"sharing": "trunk"},
        {"supervised": False},
        {"blueprint": "conv", "width": 4},
    ],
    ids=lambda changes: "-".join(f"{name}-{value}" for name, value in changes.items()),
)
def test_other_mixtures_resume_too(tmp_path: Path, changes: dict[str, Any]) -> None:
    moments = [("step of task 1", 8), ("saved", 2)]
    (tmp_path / "copies").mkdir()
    asked = config(tmp_path / "run", settings=TINY.replace(**changes), student=False)
    photographed(asked, tmp_path / "copies", moments)
    for what, n in moments:
        folder = tmp_path / "copies" / f"{what}-{n}"
        metrics = experiment.resume(folder)
        assert_same_end(folder, as_in=tmp_path / "run")
    if "threshold" in changes:
        assert metrics["components"] == 1
        assert None not in [row[0] for row in metrics["accuracy"]["task_agnostic"]], "old rows are remembered"


@pytest.mark.usefixtures("three_tasks")
@pytest.mark.parametrize("method", [name for name in METHODS if name != "mixture"])
def test_every_method_resumes_inside_its_second_task(tmp_path: Path, method: str) -> None:
    (tmp_path / "copies").mkdir()
    asked = config(tmp_path / "run", method=method, student=False, settings=TINY.replace(gate="threshold"))
    photographed(asked, tmp_path / "copies", [("step of task 1", 9)])
    folder = tmp_path / "copies" / "step of task 1-9"
    experiment.resume(folder)
    assert_same_end(folder, as_in=tmp_path / "run")
    ((learnt, step),) = resumed(folder)
    assert (learnt, step > 0) == (1, True)


def test_earlier_trainings_of_a_task_are_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A generative classifier trains once per class: of a task killed in its second class, the first one stands."""
    (tmp_path / "copies").mkdir()
    asked = config(tmp_path / "run", method="generative-classifier", checkpoint_steps=100)
    photographed(asked, tmp_path / "copies", [("step", 9)])
    seen: list[int] = []
    step = training._Loop._step
    monkeypatch.setattr(training._Loop, "_step", lambda loop, index: (seen.append(loop.done), step(loop, index))[1])
    experiment.resume(tmp_path / "copies" / "step-9")
    assert len(seen) == TASKS * PER_TASK - 6, "the six steps of the first class were kept when they were done"
    assert_same_end(tmp_path / "copies" / "step-9", as_in=tmp_path / "run")


@pytest.mark.usefixtures("three_tasks")
def test_the_theory_of_a_run_is_followed_across_the_gap(tmp_path: Path) -> None:
    moments = [("step of task 1", 8), ("saved", 2), ("taught", 1)]
    (tmp_path / "copies").mkdir()
    settings = TINY.replace(gate="threshold", threshold=1.0)
    photographed(config(tmp_path / "run", settings=settings, theory=True), tmp_path / "copies", moments)
    for copy in (tmp_path / "copies").iterdir():
        experiment.resume(copy)
        assert_same_end(copy, as_in=tmp_path / "run")


def test_pairs_resume_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    dark = [rng.random((60, 1, 8, 8), dtype=np.float32) * 0.3 for _ in range(4)]
    stream = streams.from_arrays(
        [(dark[0], 1 - dark[0], dark[1], 1 - dark[1]), (1 - dark[2], dark[2], 1 - dark[3], dark[3])]
    )
    monkeypatch.setattr(streams, "load", lambda *_, **__: stream)
    (tmp_path / "copies").mkdir()
    asked = replace(
        config(tmp_path / "run", settings=TINY.replace(gate="threshold", threshold=1.0)), stream="translation"
    )
    photographed(asked, tmp_path / "copies", [("step", 12), ("saved", 2)])
    for copy in (tmp_path / "copies").iterdir():
        experiment.resume(copy)
        assert_same_end(copy, as_in=tmp_path / "run")


# What does not fit ---------------------------------------------------------------------------------------------


@pytest.fixture
def copied(growing: Path, tmp_path: Path) -> Path:
    """A run killed in its fourth task."""
    return shutil.copytree(growing / "left" / f"step-{3 * PER_TASK + 6}", tmp_path / "copied")


def test_a_finished_run_stays_as_it_is(growing: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = growing / "run"
    before = {each: each.stat().st_mtime_ns for each in folder.rglob("*")}
    metrics = experiment.resume(folder)
    assert metrics == json.loads((folder / experiment.METRICS).read_text())
    assert execute(["resume", str(folder)]) == DONE
    assert "finished" in capsys.readouterr().out
    assert {each: each.stat().st_mtime_ns for each in folder.rglob("*")} == before


def test_a_snapshot_that_can_not_be_read_costs_the_task_and_nothing_else(growing: Path, copied: Path) -> None:
    broken = tensors_in(copied / experiment.PROGRESS / "task-3" / "0")
    content = bytearray(broken.read_bytes())
    content[-1] ^= 1
    broken.write_bytes(content)
    experiment.resume(copied)
    assert_same_end(copied, as_in=growing / "run")
    assert resumed(copied) == [(3, 0)]
    notices = [event["text"] for event in read_events(copied / experiment.EVENTS) if event["event"] == "notice"]
    assert any(broken.name in text and "begins again" in text for text in notices)


def test_a_checkpoint_that_is_gone_is_what_is_missed(copied: Path) -> None:
    shutil.rmtree(copied / experiment.CHECKPOINT)
    with pytest.raises(BadCheckpoint, match=rf"^{copied / experiment.CHECKPOINT} is missing, but 3 tasks were learnt"):
        experiment.resume(copied)

    with pytest.raises(BadCheckpoint, match=rf"^{copied / experiment.CHECKPOINT} is missing"):
        experiment.load_learner(copied)


def test_what_a_file_browser_leaves_is_no_obstacle(growing: Path, copied: Path) -> None:
    for place in (copied / experiment.PROGRESS, copied / experiment.PROGRESS / "task-3"):
        (place / ".DS_Store").touch()
    experiment.resume(copied)
    assert_same_end(copied, as_in=growing / "run")


def test_an_interrupt_before_it_goes_on_says_how_to_go_on_too(
    copied: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: Any) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr("growmix.experiment.running.load_stream", interrupted)
    for more in ([], ["--allow-import"]):
        assert execute(["resume", str(copied), *more]) == INTERRUPTED
        command = " ".join(["growmix resume", str(copied), *more])
        assert capsys.readouterr().err == f"growmix: interrupted; {command} goes on from there\n"


def test_on_another_device_the_task_begins_anew(growing: Path, copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here it is another by name alone, so that it ends the same."""
    with monkeypatch.context() as patched:
        kept = Snapshots.__init__

        def elsewhere(self: Snapshots, folder: Path, belongs: Any, **options: Any) -> None:
            kept(self, folder, {**belongs, "device": "cuda"}, **options)

        patched.setattr(Snapshots, "__init__", elsewhere)
        experiment.resume(copied)
    assert resumed(copied) == [(3, 0)]
    notices = [event["text"] for event in read_events(copied / experiment.EVENTS) if event["event"] == "notice"]
    assert any("another device" in text and "begins again" in text for text in notices)
    assert_same_end(copied, as_in=growing / "run")


def test_a_run_computes_where_it_was_asked_to_whatever_a_resume_was_told(growing: Path, copied: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        experiment.resume(copied, device="auto", reporters=[AskToEnd(asked := Interrupts(), 4)], interrupts=asked)
    experiment.resume(copied)
    assert experiment.load_learner(copied).settings.device == "cpu"
    if not torch.cuda.is_available():  # where "auto" is another device, and the student is what was learnt there
        assert_same_end(copied, as_in=growing / "run")


def test_a_student_that_can_not_be_read_is_taught_again(growing: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(growing / "left" / "taught-1", folder)
    broken = tensors_in(folder / experiment.CHECKPOINT / experiment.STUDENT)
    broken.write_bytes(broken.read_bytes()[:-1])
    experiment.resume(folder)
    notices = [event["text"] for event in read_events(folder / experiment.EVENTS) if event["event"] == "notice"]
    assert any(broken.name in text and "taught again" in text for text in notices)
    assert_same_end(folder, as_in=growing / "run")


def test_of_few_test_images_not_a_bit_is_lost_either(tmp_path: Path) -> None:
    """Of few, the verbs batch over components; the scores that are measured must not depend on what is beside them."""
    (tmp_path / "copies").mkdir()
    asked = config(tmp_path / "run", test_examples=20, student=False)
    photographed(asked, tmp_path / "copies", [("step of task 3", 3)])
    experiment.resume(tmp_path / "copies" / "step of task 3-3")
    assert_same_end(tmp_path / "copies" / "step of task 3-3", as_in=tmp_path / "run")


OTHERS = {"epochs": 5, "learning_rate": 0.5, "seed": 1, "train_examples": 130, "likelihood_draws": 3, "theory": True}


@pytest.mark.parametrize("moment", [("step", 1), ("step", 3 * PER_TASK + 6)], ids=["first task", "fourth task"])
@pytest.mark.parametrize(("key", "value"), OTHERS.items())
def test_other_settings_are_refused(growing: Path, moment: tuple[str, int], key: str, value: float) -> None:
    folder = growing / "left" / f"{moment[0]}-{moment[1]}"
    before = (folder / experiment.CONFIG).read_text()
    asked = experiment.RunFolder(folder).config()
    RunConfig.of(asked.to_dict() | {key: value}).write(folder / experiment.CONFIG)
    with pytest.raises(BadInput, match=f"{key} is {value}.*was begun with"):
        experiment.resume(folder)
    assert not (folder / locking.LOCK).exists()
    (folder / experiment.CONFIG).write_text(before)


def test_other_examples_of_the_same_kind_are_refused(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*args: Any, **options: Any) -> streams.Stream:
        stream = whole(*args, **options)
        last = stream[-1]
        turned = replace(last, test=replace(last.test, x=last.test.x.flip(0)))
        return replace(stream, tasks=(*stream[:-1], turned))

    whole = streams.load
    monkeypatch.setattr("growmix.streams.load", load)
    with pytest.raises(BadInput, match="the examples themselves differ"):
        experiment.resume(copied)


def test_what_a_kill_left_of_an_evaluation_survives_a_second_kill(growing: Path, copied: Path) -> None:
    """Tensors that no state names yet, and a state that has no name yet."""
    evaluation = copied / experiment.PROGRESS / "evaluation"
    (evaluation / "tensors-0123456789abcdef.safetensors").write_bytes(b"torn")
    (evaluation / ".state.json.new").write_bytes(b"torn")
    with pytest.raises(KeyboardInterrupt):
        experiment.resume(copied, reporters=[Unkept()])
    experiment.resume(copied)
    assert_same_end(copied, as_in=growing / "run")


def test_a_folder_without_a_run_can_not_be_resumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["resume", str(tmp_path)]) == WRONG_INPUT
    assert "holds no run" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_without_what_was_measured_a_run_can_not_go_on(copied: Path) -> None:
    shutil.rmtree(copied / experiment.PROGRESS)
    with pytest.raises(BadCheckpoint, match="evaluation"):
        experiment.resume(copied)


# In Python -----------------------------------------------------------------------------------------------------


def test_a_loaded_mixture_learns_on_as_one_that_was_never_saved(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tasks = [
        (rng.random((60, 1, 8, 8)) * 0.3 + shift, np.arange(60) % 2 + 2 * k) for k, shift in enumerate((0, 0.7, 0))
    ]
    for threshold in (0.0, 1.0):
        one = GrowingMixture(None, TINY.replace(gate="threshold", threshold=threshold))
        other = GrowingMixture(None, TINY.replace(gate="threshold", threshold=threshold))
        for n, (x, y) in enumerate(tasks):
            one.learn((x, y))
            other.learn((x, y))
            other.sample(3)
            one.sample(3)
            other.save(tmp_path / f"{threshold}-{n}")
            other = GrowingMixture.load(tmp_path / f"{threshold}-{n}")
        ours, theirs = (
            {f"{k}.{name}": t for k, c in enumerate(m.components) for name, t in c.state_dict().items()}
            for m in (one, other)
        )
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
        assert np.array_equal(one.sample(5)[0], other.sample(5)[0])
        assert one.decisions == other.decisions


# Interrupts ----------------------------------------------------------------------------------------------------


@dataclass
class AskToEnd(Reporter):
    """Ctrl-C while some task, or the student, is trained."""

    interrupts: Interrupts
    at: int
    seen: int = -1

    def on_task_start(self, index: int, examples: int) -> None:
        self.seen = index

    def on_student_start(self) -> None:
        self.seen += 1

    def on_epoch_end(self, progress: Progress) -> None:
        if (self.seen, progress.epoch) == (self.at, 1):
            self.interrupts.receive()


@pytest.mark.parametrize("task", [0, 2, TASKS], ids=["first task", "third task", "student"])
def test_an_interrupt_is_after_the_step_and_loses_none(growing: Path, tmp_path: Path, task: int) -> None:
    folder, asked = tmp_path / "run", Interrupts()
    with pytest.raises(KeyboardInterrupt):
        experiment.run(config(folder, checkpoint_steps=0), reporters=[AskToEnd(asked, task)], interrupts=asked)
    assert not (folder / locking.LOCK).exists()
    if task:
        assert len(json.loads((folder / experiment.METRICS).read_text())["tasks"]) == task
    first = PER_TASK // TINY.epochs if task < TASKS else 7
    experiment.resume(folder)
    assert_same_end(folder, as_in=growing / "run")
    assert resumed(folder) == [(task, first + 1)]


# Killed in earnest ---------------------------------------------------------------------------------------------


def command(folder: Path) -> list[str]:
    values = {**config(folder).to_dict(), "out": str(folder), "stream": "split-digits"}
    file = folder.with_suffix(".yaml")
    RunConfig.of({name: value for name, value in values.items() if value not in (None, [])}).write(file)
    return ["run", "--config", str(file), "--out", str(folder)]


@pytest.mark.parametrize("sign", ['"epoch"', '"decision"', '"student_started"'])
def test_killed_by_the_system_it_ends_the_same(
    growing: Path,
    tmp_path: Path,
    sign: str,
    forked: Callable[..., Any],
    wait_for: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "run"
    events = folder / experiment.EVENTS
    process = forked(*command(folder))
    wait_for(lambda: events.exists() and sign in events.read_text(), process)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    monkeypatch.setenv("COLUMNS", "200")
    assert execute(["resume", str(folder)]) == DONE
    said = capsys.readouterr().out
    assert f"the lock of process {process.pid} on host" in said
    assert "goes on" in said
    assert_same_end(folder, as_in=growing / "run")


def test_ctrl_c_leaves_130_and_says_how_to_go_on(
    growing: Path, tmp_path: Path, forked: Callable[..., Any], wait_for: Callable[..., None]
) -> None:
    folder = tmp_path / "run"
    events = folder / experiment.EVENTS
    process = forked(*command(folder))
    wait_for(lambda: events.exists() and '"training_finished"' in events.read_text(), process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == INTERRUPTED, errors
    said = errors.removeprefix(ACKNOWLEDGED)  # where it had to wait
    assert said == f"growmix: interrupted; growmix resume {folder} goes on from there\n"
    assert execute(["resume", str(folder)]) == DONE
    assert_same_end(folder, as_in=growing / "run")


def test_a_second_writer_is_refused_with_the_name_of_the_first(
    copied: Path,
    tmp_path: Path,
    another_writer: Callable[[Path], AbstractContextManager[Any]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = {each: each.read_bytes() for each in copied.rglob("*") if each.is_file() and each.name != locking.LOCK}
    (tmp_path / "new").mkdir()
    with another_writer(copied) as process:
        assert execute(["resume", str(copied)]) == WRONG_INPUT
        assert execute(["run", "split-digits", "--out", str(copied), "--overwrite"]) == WRONG_INPUT
        for line in capsys.readouterr().err.splitlines():
            assert f"process {process.pid} on host {locking.socket.gethostname()!r}" in line
    for file, content in before.items():
        assert file.read_bytes() == content
    with another_writer(tmp_path / "new"), pytest.raises(BadInput, match=r"is writing; wait for its end"):
        experiment.run(config(tmp_path / "new"))


# The log -------------------------------------------------------------------------------------------------------


def test_a_torn_last_line_stays_and_does_not_tear_the_next(growing: Path, copied: Path) -> None:
    events = copied / experiment.EVENTS
    with events.open("a") as stream:
        stream.write('{"event": "epoch", "epo')
    before = events.read_bytes()
    experiment.resume(copied)
    assert events.read_bytes().startswith(before + b"\n"), "nothing that was written is ever changed"
    assert_same_end(copied, as_in=growing / "run")


def test_a_log_that_ends_inside_a_line_is_no_finished_run(growing: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(growing / "run", folder)
    events = folder / experiment.EVENTS
    events.write_bytes(events.read_bytes()[:-5])
    assert not experiment.RunFolder(folder).is_finished()
    events.write_text("\x00" * 10)
    assert not experiment.RunFolder(folder).is_finished()
