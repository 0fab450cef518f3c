from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from growmix import GrowingMixture, experiment, streams
from growmix.config import RunConfig
from growmix.errors import BadCheckpoint, BadInput, NonFiniteLoss
from growmix.report.reporter import Reporter
from growmix.report.table import closing_table
from growmix.settings import Settings
from growmix.training.callbacks import Progress

pytestmark = pytest.mark.slow

BARE = Settings(hidden=32, epochs=2)
TINY = BARE.replace(student_hidden=32, student_epochs=1, student_examples=50)

ACCURACY = ("task_aware", "task_agnostic", "selection", "grouped")
AVERAGE = (*ACCURACY, "forgetting", "backward_transfer", "forward_transfer")
RECONSTRUCTION = ("mse", "ssim", "psnr", "nll")

METRICS = {
    "stream",
    "method",
    "seed",
    "tasks",
    "task_components",
    "decisions",
    "components",
    "score_weights",
    "accuracy",
    "average",
    "reconstruction",
    "reconstruction_over_time",
    "translation",
    "log_likelihood",
    "frechet",
    "student",
    "parameters",
    "seconds",
    "examples_per_second",
    "versions",
}


class Record(Reporter):
    """Which calls a reporter gets, in order."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("on_"):
            return lambda *_: self.calls.append(name)
        return super().__getattribute__(name)


class Stop(Reporter):
    """Cuts a run short, as Ctrl-C does, when some task's training begins."""

    def __init__(self, task: int, error: BaseException) -> None:
        self.task, self.error, self.seen = task, error, -1

    def on_task_start(self, index: int, examples: int) -> None:
        self.seen = index

    def on_student_start(self) -> None:
        self.seen += 1

    def on_epoch_end(self, progress: Progress) -> None:
        if self.seen == self.task:
            raise self.error


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], list[str]]:
    folder = tmp_path_factory.mktemp("runs") / "a" / "b"
    record = Record()
    config = RunConfig(stream="split-digits", settings=TINY, out=folder)
    return folder, experiment.run(config, reporters=[record]), record.calls


def read(folder: Path, name: str = experiment.METRICS) -> dict[str, Any]:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    document: dict[str, Any] = json.loads((folder / name).read_text(), parse_constant=refuse)
    return document


def is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def is_share(value: object) -> bool:
    return isinstance(value, float) and 0 <= value <= 1


def check_metrics(metrics: Mapping[str, Any], tasks: int) -> None:
    """Keys and types of metrics.json are those of the contract, no more and no less."""
    assert set(metrics) == METRICS
    assert metrics["stream"] == "split-digits"
    assert isinstance(metrics["seed"], int)
    assert metrics["tasks"] == [f"digits/{2 * i}-{2 * i + 1}" for i in range(tasks)]
    assert len(metrics["task_components"]) == len(metrics["decisions"]) == tasks
    for i, decision in enumerate(metrics["decisions"]):
        assert set(decision) == {"task", "action", "component", "novelty", "threshold"}
        assert decision["task"] == metrics["tasks"][i]
        assert decision["action"] in ("grow", "reuse")
        assert decision["component"] == metrics["task_components"][i]
        assert all(is_share(value) for value in decision["novelty"])
        assert is_number(decision["threshold"])
    assert metrics["components"] == 1 + max(metrics["task_components"])
    assert set(metrics["accuracy"]) == set(ACCURACY)
    for matrix in metrics["accuracy"].values():
        assert [len(row) for row in matrix] == [tasks] * tasks
        for t, row in enumerate(matrix):
            assert all(is_share(value) for value in row[: t + 1])
            assert row[t + 1 :] == [None] * (tasks - t - 1)
    check_average(metrics["average"], metrics["accuracy"])
    check_reconstruction(metrics["reconstruction"], tasks)
    over_time = metrics["reconstruction_over_time"]
    assert {name: values[-1] for name, values in over_time.items()} == {
        name: metrics["reconstruction"][name] for name in over_time
    }
    assert all(row[t + 1 :] == [None] * (tasks - t - 1) for rows in over_time.values() for t, row in enumerate(rows))
    assert (metrics["method"], metrics["translation"]) == ("mixture", None)
    assert set(metrics["parameters"]) == {"mixture", "per_component", "shared"}
    assert metrics["parameters"]["mixture"] == sum(metrics["parameters"]["per_component"])
    assert len(metrics["parameters"]["per_component"]) == metrics["components"]
    assert metrics["parameters"]["shared"] == 0
    assert set(metrics["seconds"]) == {"train", "evaluate", "student"}
    assert metrics["examples_per_second"] > 0
    software = {"growmix", "python", "torch", "numpy", "scikit-learn"}
    assert set(metrics["versions"]) == software | {"device", "precision"}


def check_average(average: Mapping[str, Any], accuracy: Mapping[str, Any]) -> None:
    assert set(average) == set(AVERAGE)
    for name in ACCURACY:
        last = accuracy[name][-1]
        assert average[name] == pytest.approx(sum(last) / len(last))


def check_reconstruction(reconstruction: Mapping[str, Any], tasks: int) -> None:
    assert set(reconstruction) == set(RECONSTRUCTION)
    for values in reconstruction.values():
        assert len(values) == tasks
        assert all(is_number(value) for value in values)


def test_metrics_are_those_of_the_contract(finished: tuple[Path, dict[str, Any], list[str]]) -> None:
    folder, returned, _ = finished
    metrics = read(folder)
    assert metrics == returned
    check_metrics(metrics, tasks=5)
    likelihood, frechet = metrics["log_likelihood"], metrics["frechet"]
    assert (len(likelihood["nats"]), len(frechet["distance"])) == (5, 5)
    nll = metrics["reconstruction"]["nll"]
    assert all(tight > -rough for tight, rough in zip(likelihood["nats"], nll, strict=True)), "a tighter bound"
    assert all(bits > 0 for bits in likelihood["bits_per_dim"])
    assert all(distance > 0 for distance in (*frechet["distance"], frechet["all"]))
    student = metrics["student"]
    assert set(student) == {"accuracy", "average", "reconstruction", "translation", "parameters"}
    assert set(student["accuracy"]) == set(ACCURACY)
    assert set(student["average"]) == set(AVERAGE)
    assert len(student["accuracy"]["task_agnostic"]) == 5
    assert student["accuracy"]["selection"] is student["accuracy"]["grouped"] is None  # it has nothing to choose from
    check_reconstruction(student["reconstruction"], tasks=5)
    assert isinstance(student["parameters"], int)
    assert all(seconds > 0 for seconds in metrics["seconds"].values())


def test_the_folder_holds_what_the_contract_says_and_nothing_else(
    finished: tuple[Path, dict[str, Any], list[str]],
) -> None:
    folder = finished[0]
    assert {each.name for each in folder.iterdir()} == {"config.yaml", "metrics.json", "events.jsonl", "checkpoint"}


def test_events_tell_the_run_in_order(finished: tuple[Path, dict[str, Any], list[str]]) -> None:
    folder, metrics, _ = finished
    events = [json.loads(line) for line in (folder / experiment.EVENTS).read_text().splitlines()]
    names = [event["event"] for event in events]
    task = ["task_started", "training_started", "epoch", "epoch", "training_finished", "decision", "task_finished"]
    student = ["student_started", "training_started", "epoch", "training_finished", "student_finished"]
    assert names == ["run_started", *task * 5, *student, "run_finished"]
    times = [event["time"] for event in events]
    assert times == sorted(times)
    told = [{key: event[key] for key in metrics["decisions"][0]} for event in events if event["event"] == "decision"]
    assert told == metrics["decisions"]


def test_reporters_are_told_of_the_run_and_of_every_training(
    finished: tuple[Path, dict[str, Any], list[str]],
) -> None:
    fit = ["on_fit_start", *["on_epoch_end"] * 2, "on_fit_end"]
    task = ["on_task_start", *fit, "on_decision", "on_task_end"]
    taught = ["on_student_start", "on_fit_start", "on_epoch_end", "on_fit_end", "on_student_end"]
    assert finished[2] == ["on_run_start", *task * 5, *taught, "on_run_end"]


def test_a_run_evaluates_again_to_the_same_figures(finished: tuple[Path, dict[str, Any], list[str]]) -> None:
    folder, metrics, _ = finished
    again = experiment.reevaluate(folder)
    assert set(again) == METRICS - {"seconds", "examples_per_second"}
    for block in ("student", "reconstruction", "decisions", "parameters", "log_likelihood", "frechet"):
        assert again[block] == metrics[block]
    for name, matrix in metrics["accuracy"].items():
        assert again["accuracy"][name][-1] == matrix[-1]


def test_a_student_that_is_gone_is_not_passed_over(
    finished: tuple[Path, dict[str, Any], list[str]], tmp_path: Path
) -> None:
    shutil.copytree(finished[0], folder := tmp_path / "run")
    shutil.rmtree(gone := folder / experiment.CHECKPOINT / experiment.STUDENT)
    with pytest.raises(BadCheckpoint, match=rf"^{gone} is missing, but the run has taught a student$"):
        experiment.reevaluate(folder)


def test_the_config_of_a_run_runs_again_to_the_same_figures(
    finished: tuple[Path, dict[str, Any], list[str]], tmp_path: Path
) -> None:
    folder, metrics, _ = finished
    again = experiment.run(replace(experiment.RunFolder(folder).config(), out=tmp_path / "again"))
    changing = {"seconds", "examples_per_second"}
    assert {k: v for k, v in again.items() if k not in changing} == {
        k: v for k, v in metrics.items() if k not in changing
    }


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), NonFiniteLoss("the loss is nan")], ids=["interrupted", "failed"]
)
@pytest.mark.parametrize("task", [2, 5], ids=["third task", "student"])
def test_what_was_learnt_is_kept_when_a_run_is_cut_short(tmp_path: Path, task: int, error: BaseException) -> None:
    folder = tmp_path / "run"
    with pytest.raises(type(error)):
        experiment.run(RunConfig(stream="split-digits", settings=TINY, out=folder), reporters=[Stop(task, error)])
    metrics = read(folder)
    check_metrics(metrics, tasks=task)
    assert metrics["student"] is None
    assert metrics["seconds"]["student"] is None
    assert len(GrowingMixture.load(folder / experiment.CHECKPOINT).decisions) == task
    assert experiment.reevaluate(folder)["average"]["task_aware"] == metrics["average"]["task_aware"]
    last = (folder / experiment.EVENTS).read_text().splitlines()[-1]
    assert json.loads(last)["event"] == "run_cut_short"
    console = Console(width=120)
    with console.capture() as capture:
        console.print(closing_table(metrics))
    assert "student" not in capture.get()


def test_a_run_cut_short_before_anything_was_learnt_leaves_no_figures(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        experiment.run(
            RunConfig(stream="split-digits", settings=TINY, out=tmp_path), reporters=[Stop(0, KeyboardInterrupt())]
        )
    assert {each.name for each in tmp_path.iterdir()} == {"config.yaml", "events.jsonl", "progress"}


def test_an_earlier_run_is_replaced_only_when_asked(tmp_path: Path) -> None:
    first = RunConfig(stream="split-digits", settings=TINY, out=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        experiment.run(first, reporters=[Stop(1, KeyboardInterrupt())])
    kept = {each: each.read_bytes() for each in tmp_path.rglob("*") if each.is_file()}
    with pytest.raises(BadInput, match="holds a run already"):
        experiment.run(first)
    assert {each: each.read_bytes() for each in tmp_path.rglob("*") if each.is_file()} == kept
    with pytest.raises(KeyboardInterrupt):
        experiment.run(first, overwrite=True, reporters=[Stop(0, KeyboardInterrupt())])
    assert {each.name for each in tmp_path.iterdir()} == {"config.yaml", "events.jsonl", "progress"}


def test_files_that_are_not_from_a_run_are_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("mine: true\n")
    with pytest.raises(BadInput, match=r"config\.yaml is not from a run"):
        experiment.run(RunConfig(stream="split-digits", settings=TINY, out=tmp_path), overwrite=True)
    assert (tmp_path / "config.yaml").read_text() == "mine: true\n"


NOT_A_RUNS = [
    "samples.png",
    "theory.json",
    "progress/thesis/chapter.txt",
    "checkpoint/weights.pt",
    "trade-off/table.md",
]


@pytest.mark.parametrize("name", NOT_A_RUNS)
@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("log", [None, "mine"])
def test_what_a_run_would_remove_must_be_a_runs(name: str, overwrite: bool, log: str | None, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("mine")
    if log is not None:
        (tmp_path / "events.jsonl").write_text(log)
    before = {each for each in tmp_path.rglob("*")}
    with pytest.raises(BadInput, match="is not from a run; choose another --out"):
        experiment.run(RunConfig(stream="split-digits", settings=TINY, out=tmp_path), overwrite=overwrite)
    assert {each for each in tmp_path.rglob("*")} == before


@pytest.mark.parametrize("name", ["checkpoint/weights.pt", "progress/thesis/chapter.txt"])
def test_what_lies_among_what_is_a_runs_is_not_removed_either(name: str, tmp_path: Path) -> None:
    config = RunConfig(stream="split-digits", settings=TINY, out=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        experiment.run(config, reporters=[Stop(1, KeyboardInterrupt())])
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(BadInput, match=f"whose {name} is not from a run"):
        experiment.run(config, overwrite=True)
    (tmp_path / name).unlink()
    with pytest.raises(KeyboardInterrupt):
        experiment.run(config, overwrite=True, reporters=[Stop(0, KeyboardInterrupt())])


def test_unsupervised_runs_have_no_accuracies_but_a_selection(tmp_path: Path) -> None:
    config = RunConfig(stream="split-digits", settings=TINY.replace(supervised=False), out=tmp_path)
    metrics = experiment.run(config)
    assert metrics["accuracy"]["task_aware"] is metrics["accuracy"]["task_agnostic"] is None
    assert metrics["average"]["task_agnostic"] is None
    assert is_share(metrics["average"]["selection"])
    assert metrics["student"]["average"]["task_agnostic"] is None
    rendered = Console(width=120)
    with rendered.capture() as capture:
        rendered.print(closing_table(metrics))
    assert "mean" in capture.get()


def test_a_method_runs_like_the_mixture_without_a_student(tmp_path: Path) -> None:
    config = RunConfig(stream="split-digits", method="er", settings=BARE, out=tmp_path, frechet_examples=0)
    metrics = experiment.run(config)
    assert (metrics["method"], metrics["components"], metrics["student"]) == ("er", 1, None)
    assert (metrics["frechet"], metrics["task_components"]) == (None, [0] * 5)
    assert {each.name for each in tmp_path.iterdir()} == {"config.yaml", "metrics.json", "events.jsonl", "checkpoint"}
    assert experiment.reevaluate(tmp_path)["accuracy"]["task_agnostic"][-1] == metrics["accuracy"]["task_agnostic"][-1]
    assert RunConfig(stream="split-digits", method="er").folder.name == "split-digits-er-seed0"


def stripes(seed: int, *, upright: bool = False, n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(seed).random((n, 1, 8, 8)).astype(np.float32) * 0.1
    for image, row in zip(x, np.random.default_rng(seed).integers(0, 7, n), strict=True):
        image[:, row : row + 2] += 0.85
    x = x.transpose(0, 1, 3, 2) if upright else x
    return x, 1 - x


def test_a_run_on_pairs_writes_its_translations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [(*stripes(0), *stripes(1)), (*stripes(2, upright=True), *stripes(3, upright=True))]
    stream = streams.from_arrays(parts, name="pairs")
    monkeypatch.setattr(streams, "load", lambda *_, **__: stream)
    config = RunConfig(stream="translation", settings=TINY.replace(gate="always"), out=tmp_path / "run")
    metrics = experiment.run(config)
    translation = metrics["translation"]
    assert [len(translation[name]) for name in ("mse", "ssim", "psnr")] == [2, 2, 2]
    assert set(translation["when_learnt"]) == {"mse", "ssim", "psnr"}
    assert translation["when_learnt"]["mse"][1] == translation["mse"][1]
    assert set(metrics["student"]["translation"]) == {"mse", "ssim", "psnr"}
    with Image.open(tmp_path / "run" / experiment.TRANSLATION) as picture:
        assert min(picture.size) > 100
    with pytest.raises(BadInput, match=r"'ewc'.*pairs"):
        experiment.run(replace(config, method="ewc", settings=BARE, out=tmp_path / "other"))
    assert not (tmp_path / "other").exists()


def test_the_examples_behind_a_likelihood_are_those_there_were(
    finished: tuple[Path, dict[str, Any], list[str]],
) -> None:
    assert finished[1]["log_likelihood"]["examples"] == max(len(task.test) for task in streams.load("split-digits"))
