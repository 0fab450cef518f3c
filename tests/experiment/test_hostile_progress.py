"""What an interrupted run has left, changed by a stranger and sealed again: refused or begun anew, never believed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from forging import Document, Tensors, change_document, change_tensors
from growmix import BadCheckpoint, BadInput, GrowingMixture, experiment
from growmix.baselines import make_learner
from growmix.checkpoints.snapshots import Snapshots
from growmix.cli.app import DONE, execute
from growmix.components.nets import OwnModules
from growmix.config import RunConfig
from growmix.report.events import read_events
from growmix.report.reporter import Reporter
from growmix.settings import Settings
from growmix.training.callbacks import Callback, Progress

pytestmark = pytest.mark.slow

TINY = Settings(
    gate="always", hidden=16, latent=4, epochs=4, batch_size=32, density_components=3, novelty_examples=50,
    student_hidden=16, student_epochs=2, student_examples=20, device="cpu",
)  # fmt: skip

SCALED = TINY.replace(precision="16-mixed")
"""With a scaler of gradients."""

X = np.random.default_rng(0).random((40, 1, 8, 8)).astype(np.float32)


def put(**tensors: Tensor) -> Callable[[Tensors], Any]:
    return lambda kept: kept.update({name.replace("__", "."): tensor for name, tensor in tensors.items()})


def each(ending: str, change: Callable[[Tensor], Tensor]) -> Callable[[Tensors], Any]:
    return lambda kept: kept.update({name: change(tensor) for name, tensor in kept.items() if name.endswith(ending)})


def contradicting(state: Tensor) -> Tensor:
    """A state of random numbers from which torch would read past its end."""
    state = state.clone()
    state[8:12] = torch.tensor([624], dtype=torch.int32).view(torch.uint8)
    state[16:24] = torch.tensor([624]).view(torch.uint8)
    return state


RANDOM = "random.cpu"
"""The state of torch's own generator in a snapshot, where networks draw from it."""


# A training under way -------------------------------------------------------------------------------------------


class Stop(Callback):
    """Ends a training in its second epoch."""

    def on_epoch_end(self, progress: Progress) -> None:
        if progress.epoch == 2:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("begun")
    for name, method, settings in (("mixture", "mixture", TINY), ("si", "si", TINY), ("scaled", "mixture", SCALED)):
        with pytest.raises(KeyboardInterrupt):
            make_learner(method, settings).learn(X, callbacks=[Snapshots(folder / name, steps=1), Stop()])
    return folder


def _state(**changes: Any) -> Callable[[Document], Any]:
    return lambda document: document["state"].update(changes)


UNFIT_STATES: dict[str, Callable[[Document], Any]] = {
    "none": lambda document: document.pop("state"),
    "list": lambda document: document.update(state=[]),
    "finished": _state(finished=True),
    "finished-word": _state(finished="yes"),
    "done-word": _state(done="x"),
    "done-none": _state(done=0),
    "done-negative": _state(done=-5),
    "done-many": _state(done=10**9),
    "done-float": _state(done=2.0),
    "done-true": _state(done=True),
    "done-other": _state(done=1),
    "in-epoch-negative": _state(done_in_epoch=-3),
    "in-epoch-many": _state(done_in_epoch=10**9),
    "seen": _state(seen=0),
    "losses-words": _state(losses=["a"]),
    "losses-none": _state(losses=None),
    "losses-many": _state(losses=[1.0] * 10_000),
    "seconds-word": _state(seconds="x"),
    "seconds-negative": _state(seconds=-1e300),
    "seconds-huge": _state(seconds=1e300),
    "precision": _state(precision={"scale": 1.0}),
    "precision-none": _state(precision=None),
    "best": _state(best={"score": 0.0, "epochs_since": 0}),
    "kind": lambda document: document.update(kind="student"),
    "belongs": lambda document: document.update(belongs={"data": 1}),
    "training": lambda document: document["training"].update(epochs=5),
    "training-none": lambda document: document.pop("training"),
}

UNFIT_TENSORS: dict[str, Callable[[Tensors], Any]] = {
    "junk": put(junk=torch.zeros(3)),
    "junk-part": put(junk__x=torch.zeros(3)),
    "junk-weight": put(objective__junk=torch.zeros(3)),
    "junk-optimizer": put(**{"optimizer-99__step": torch.zeros(())}),
    "weights-doubles": each("weight", Tensor.double),
    "weights-turned": each("weight", lambda weight: weight.T if weight.ndim == 2 else weight[None]),
    "no-weight": lambda kept: kept.pop("objective.component.posterior.weight"),
    "moments-short": each("exp_avg", lambda _: torch.zeros(3)),
    "moments-one": each("exp_avg_sq", lambda _: torch.zeros(1)),
    "moments-whole-numbers": each("exp_avg", lambda moment: moment.to(torch.int64)),
    "moments-not-finite": each("exp_avg", lambda moment: moment * torch.nan),
    "squares-negative": each("exp_avg_sq", lambda moment: -1 - moment),
    "half-a-moment": lambda kept: kept.pop("optimizer-0.exp_avg"),
    "step-negative": each("step", lambda step: step * 0 - 7),
    "step-large": each("step", lambda step: step * 0 + 1e9),
    "steps": each("step", lambda step: step.repeat(3)),
    "total": put(loop__total=torch.zeros(5)),
    "order-short": each("order", lambda state: state[:10]),
    "order-numbers": each("order", Tensor.float),
    "order-contradicting": each("order", contradicting),
    "noise-contradicting": each("noise", contradicting),
    "random-of-nobody": put(random__cpu=torch.get_rng_state()),  # growmix's own networks draw from generators of theirs
    "no-noise": lambda kept: kept.pop("loop.noise"),
    "best": put(best__weight=torch.zeros(3)),
    "follower": put(follower__decrease=torch.zeros(3)),
}


def assert_begins_anew(begun: Path, folder: Path, method: str, change: Callable[[Path], None]) -> None:
    """Refused where nobody is told; else told of, removed, and the training done as if there had been none."""
    shutil.copytree(begun / method, folder)
    change(folder / "0")
    method, settings = ("mixture", SCALED) if method == "scaled" else (method, TINY)
    learner = make_learner(method, settings)
    with pytest.raises(BadCheckpoint, match=f"{folder.name}.0"):
        learner.learn(X, callbacks=[Snapshots(folder, steps=100)])
    assert learner.decisions == ()
    notices: list[str] = []
    learner.learn(X, callbacks=[Snapshots(folder, steps=100, anew=notices.append)])
    assert len(notices) == 1 and "begins anew" in notices[0]
    untouched = make_learner(method, settings)
    untouched.learn(X)
    ours, theirs = (each.components[0].state_dict() for each in (learner, untouched))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("change", UNFIT_STATES)
def test_a_state_that_does_not_fit_its_training_is_not_gone_on_from(begun: Path, tmp_path: Path, change: str) -> None:
    assert_begins_anew(begun, tmp_path / "it", "mixture", lambda it: change_document(it, UNFIT_STATES[change]))


@pytest.mark.parametrize("change", UNFIT_TENSORS)
def test_tensors_that_do_not_fit_a_training_are_not_gone_on_from(begun: Path, tmp_path: Path, change: str) -> None:
    assert_begins_anew(begun, tmp_path / "it", "mixture", lambda it: change_tensors(it, UNFIT_TENSORS[change]))


def test_a_state_that_contradicts_itself_of_what_a_users_modules_draw_from_is_not_gone_on_from(tmp_path: Path) -> None:
    own = OwnModules(
        lambda shape: nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Dropout(0.5)),
        lambda inputs, shape: nn.Sequential(nn.Linear(inputs, 64), nn.Unflatten(1, shape)),
    )
    with pytest.raises(KeyboardInterrupt):
        GrowingMixture(own, TINY).learn(X, callbacks=[Snapshots(tmp_path / "it", steps=1), Stop()])
    with pytest.raises(BadCheckpoint, match="no state of a generator"):
        change_tensors(tmp_path / "it" / "0", lambda kept: kept.update({RANDOM: contradicting(kept[RANDOM])}))
        GrowingMixture(own, TINY).learn(X, callbacks=[Snapshots(tmp_path / "it")])


def _scaler(**changes: Any) -> Callable[[Document], Any]:
    return lambda document: document["state"]["precision"].update(changes)


UNFIT_SCALERS: dict[str, Callable[[Document], Any]] = {
    "held-long": _scaler(_growth_tracker=10**30),
    "held-longer": _scaler(_growth_tracker=2_001),
    "held-negative": _scaler(_growth_tracker=-1),
    "scale-huge": _scaler(scale=1e308),
    "scale-negative": _scaler(scale=-5.0),
    "scale-none": _scaler(scale=0.0),
    "interval": _scaler(growth_interval=0),
    "backoff": _scaler(backoff_factor=-1.0),
    "growth": _scaler(growth_factor=1.5),
    "words": _scaler(**{"x" * 10_000: 1}),
}


@pytest.mark.parametrize("change", UNFIT_SCALERS)
def test_a_scaler_that_no_training_has_is_not_gone_on_from(begun: Path, tmp_path: Path, change: str) -> None:
    assert_begins_anew(begun, tmp_path / "it", "scaled", lambda it: change_document(it, UNFIT_SCALERS[change]))


def test_what_does_not_fit_is_told_in_a_short_line(begun: Path, tmp_path: Path) -> None:
    shutil.copytree(begun / "scaled", tmp_path / "it")
    change_document(tmp_path / "it" / "0", UNFIT_SCALERS["words"])
    with pytest.raises(BadCheckpoint) as refused:
        make_learner("mixture", SCALED).learn(X, callbacks=[Snapshots(tmp_path / "it")])
    assert len(str(refused.value)) < 700


def test_a_scaler_that_moved_is_gone_on_from(begun: Path, tmp_path: Path) -> None:
    """Its scale is that of a longer training, which halved or doubled it."""
    shutil.copytree(begun / "scaled", tmp_path / "it")
    change_document(tmp_path / "it" / "0", _scaler(scale=2.0**10, _growth_tracker=1_999))
    learner = make_learner("mixture", SCALED)
    learner.learn(X, callbacks=[Snapshots(tmp_path / "it", steps=100)])
    assert len(learner.decisions) == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no such device")
@pytest.mark.parametrize("stream", ["random.cuda", "loop.noise"])
def test_streams_of_a_gpu_that_can_not_be_drawn_from_are_not_gone_on_from(tmp_path: Path, stream: str) -> None:
    settings = TINY.replace(device="cuda")
    with pytest.raises(KeyboardInterrupt):
        make_learner("mixture", settings).learn(X, callbacks=[Snapshots(tmp_path / "it", steps=1), Stop()])
    change_tensors(tmp_path / "it" / "0", put(**{stream: torch.full((16,), 255, dtype=torch.uint8)}))
    notices: list[str] = []
    learner = make_learner("mixture", settings)
    learner.learn(X, callbacks=[Snapshots(tmp_path / "it", steps=100, anew=notices.append)])
    assert len(notices) == 1 and "begins anew" in notices[0]


@pytest.mark.parametrize("change", [Tensor.double, lambda sums: sums[:1], lambda sums: sums[None]])
def test_what_a_follower_gathered_must_be_of_its_weights(
    begun: Path, tmp_path: Path, change: Callable[[Tensor], Tensor]
) -> None:
    def changed(kept: Tensors) -> None:
        kept.update({name: change(sums) for name, sums in kept.items() if name.startswith("follower.decrease")})

    assert_begins_anew(begun, tmp_path / "it", "si", lambda it: change_tensors(it, changed))


def test_the_schedule_and_the_rate_do_not_come_from_the_file(begun: Path, tmp_path: Path) -> None:
    """A stranger's could be an attribute of the schedule, which would then be called."""
    shutil.copytree(begun / "mixture", tmp_path / "it")
    own = {"schedule": {"step": "x", "optimizer": "x"}, "optimizer": [{"lr": 1e308, "capturable": 5}]}
    change_document(tmp_path / "it" / "0", _state(**own))
    learners = [GrowingMixture(None, TINY) for _ in range(2)]
    learners[0].learn(X, callbacks=[Snapshots(tmp_path / "it", steps=100)])
    learners[1].learn(X)
    ours, theirs = (learner.components[0].state_dict() for learner in learners)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_tensors_of_a_snapshot_are_looked_at_before_they_are_read(
    begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: Any) -> None:
        raise AssertionError("read")

    shutil.copytree(begun / "mixture", tmp_path / "it")
    change_tensors(tmp_path / "it" / "0", put(junk=torch.zeros(1_000_000)))
    monkeypatch.setattr("growmix.checkpoints.folders.read_tensors", read)
    assert Snapshots(tmp_path / "it").place() is not None
    with pytest.raises(BadCheckpoint, match="junk"):
        GrowingMixture(None, TINY).learn(X, callbacks=[Snapshots(tmp_path / "it")])


# What was measured ----------------------------------------------------------------------------------------------


class StopRun(Reporter):
    """Ends a run in its third task."""

    def on_task_start(self, index: int, examples: int) -> None:
        self.index = index

    def on_epoch_end(self, progress: Progress) -> None:
        if self.index == 2 and progress.epoch == 2:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("left") / "run"
    usual: dict[str, Any] = {"train_examples": 120, "test_examples": 60, "likelihood_draws": 0, "frechet_examples": 0}
    config = RunConfig(stream="split-digits", out=folder, settings=TINY, checkpoint_steps=5, theory=True, **usual)
    with pytest.raises(KeyboardInterrupt):
        experiment.run(config, reporters=[StopRun()])
    return folder


@pytest.fixture
def run(left: Path, tmp_path: Path) -> Path:
    shutil.copytree(left, tmp_path / "run")
    config = tmp_path / "run" / experiment.CONFIG
    config.write_text(config.read_text().replace(str(left), str(tmp_path / "run")))
    return tmp_path / "run"


def _evaluator(**changes: Any) -> Callable[[Document], Any]:
    return lambda document: document["evaluator"].update(changes)


def _entry(**changes: Any) -> Callable[[Document], Any]:
    return lambda document: document["observers"]["theory"]["rows"][1][0].update(changes)


UNFIT_MEASUREMENTS: dict[str, Callable[[Document], Any]] = {
    "kind": lambda document: document.update(kind="training"),
    "seconds": lambda document: document["seconds"].update(train=[1e308, 1e308]),
    "seconds-many": lambda document: document["seconds"].update(train=[1.0] * 100),
    "seconds-words": lambda document: document["seconds"].update(evaluate="x"),
    "followed": _evaluator(followed=1),
    "followed-many": _evaluator(followed=4),
    "followed-word": _evaluator(followed="2"),
    "rows-word": _evaluator(rows={"0": "x"}),
    "rows-list": _evaluator(rows=[]),
    "row-too-many": lambda document: document["evaluator"]["rows"].update({"9": document["evaluator"]["rows"]["0"]}),
    "row-short": lambda document: document["evaluator"]["rows"]["1"]["columns"].pop(),
    "share-word": lambda document: document["evaluator"]["rows"]["0"]["columns"][0].update(selection="x"),
    "share-large": lambda document: document["evaluator"]["rows"]["0"]["columns"][0].update(selection=7.0),
    "asked": lambda document: document.pop("asked"),
    "asked-word": lambda document: document.update(asked="x"),
    "seconds-none": lambda document: document["seconds"].update(train=[0.0] * len(document["seconds"]["train"])),
    "ledger": lambda document: document["observers"].update(theory=5),
    "ledger-none": lambda document: document.update(observers={}),
    "ledger-rows": lambda document: document["observers"]["theory"]["rows"].pop(),
    "ledger-row-short": lambda document: document["observers"]["theory"]["rows"][1].pop(),
    "entry-component": _entry(component=10**6),
    "entry-generation": _entry(generation=10**6),
    "entry-observed": _entry(observed="x"),
    "chains": lambda document: document["observers"]["theory"]["chains"].pop(),
    "chain-empty": lambda document: document["observers"]["theory"]["chains"][0].clear(),
    "estimates": lambda document: document["observers"]["theory"]["chains"][0][0].update(estimates={}),
}

UNFIT_SCORES: dict[str, Callable[[Tensors], Any]] = {
    "junk": put(junk=torch.zeros(3)),
    "junk-scores": put(evaluator__junk=torch.zeros(3)),
    "junk-images": put(theory__junk=torch.zeros(3)),
    "pictures-by-nobody": each("0.component", lambda component: component + 9),
    "pictures-by-none": each("0.component", lambda component: component * 0 - 1),
    "pictures-of-the-future": each("0.version", lambda version: version + 10**6),
    "pictures-short": each(".scores", lambda scores: scores[:, :2]),
    "pictures-component": each("0.component", Tensor.float),
    "cells": each("cells", lambda cells: cells - 9),
    "means": each("means", lambda means: means[:1]),
    "pictures-of-nothing": put(evaluator__reconstructed__99__scores=torch.zeros(3, 1)),
    "generations-floats": each("0.x", Tensor.float),
    "generations-labels": each("0.y", lambda y: y[:1]),
    "generations-far": put(theory__77__x=torch.zeros(2, 1, 8, 8, dtype=torch.uint8)),
}


@pytest.mark.parametrize("change", UNFIT_MEASUREMENTS)
def test_measurements_that_can_not_be_are_refused(run: Path, change: str) -> None:
    change_document(run / experiment.PROGRESS / "evaluation", UNFIT_MEASUREMENTS[change])
    with pytest.raises(BadCheckpoint, match="evaluation"):
        experiment.resume(run)


@pytest.mark.parametrize("change", UNFIT_SCORES)
def test_scores_that_can_not_be_are_refused(run: Path, change: str) -> None:
    change_tensors(run / experiment.PROGRESS / "evaluation", UNFIT_SCORES[change])
    with pytest.raises(BadCheckpoint, match="evaluation"):
        experiment.resume(run)


def test_what_a_stranger_was_asked_to_do_is_quoted_in_short(run: Path) -> None:
    asked = {"\x1b]0;mine\x07" + "x" * 5_000: "y" * 5_000}
    change_document(run / experiment.PROGRESS / "evaluation", lambda document: document["asked"].update(asked))
    with pytest.raises(BadInput, match="was begun with") as caught:
        experiment.resume(run)
    assert len(str(caught.value)) < 500


def test_what_a_stranger_calls_his_own_can_not_command_a_terminal(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    belongs = {"\x1b]0;mine\x07": 1, "x" * 3_000: 2}
    change_document(run / experiment.PROGRESS / "task-2" / "0", lambda document: document.update(belongs=belongs))
    assert execute(["resume", str(run)]) == DONE
    told = capsys.readouterr().out
    assert "mine" in told and "begins again" in told
    assert all(character.isprintable() or character == "\n" for character in told)
    assert max(map(len, told.splitlines())) < 1_000


def test_a_run_whose_snapshot_does_not_fit_begins_its_task_anew_and_says_so(run: Path) -> None:
    """Only the tensors tell, which are looked at when the training begins."""
    change_tensors(run / experiment.PROGRESS / "task-2" / "0", each("exp_avg", lambda _: torch.zeros(3)))
    metrics = experiment.resume(run)
    assert len(metrics["tasks"]) == 5
    notices = [event["text"] for event in read_events(run / experiment.EVENTS) if event["event"] == "notice"]
    assert any("exp_avg" in text and "begins anew" in text for text in notices)
