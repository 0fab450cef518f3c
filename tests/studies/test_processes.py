"""Runs of a study in processes of their own: what is run again, what ends them, and how many run at a time."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from growmix.errors import BadCheckpoint, BadInput
from growmix.studies import processes
from growmix.studies.processes import RunFailed, run_trials
from growmix.studies.runs import Trial, check, standing

STAND_IN = '''
"""Does with a folder what `growmix run` does, at once; `method` says how it goes."""
import json, os, pathlib, shutil, signal, sys, time
metrics = json.loads(pathlib.Path(__file__).with_name("metrics.json").read_text())
arguments = sys.argv[1:]
resumed = arguments[0] == "resume"
if resumed:
    out = pathlib.Path(arguments[1])
    text = (out / "config.yaml").read_text()
else:
    source, out = (pathlib.Path(arguments[arguments.index(name) + 1]) for name in ("--config", "--out"))
    text = source.read_text()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    (out / "config.yaml").write_text(text)
method = next(line.split(": ")[1] for line in text.splitlines() if line.startswith("method"))
began = time.time()

def end(event):
    seen = {"threads": os.environ.get("OMP_NUM_THREADS"), "began": began, "ended": time.time(), "resumed": resumed}
    (out / "seen.json").write_text(json.dumps(seen))
    (out / "events.jsonl").write_text(json.dumps({"event": event}) + "\\n")
    (out / "metrics.json").write_text(json.dumps({} if method == "dgr" else metrics))

def keep(*_):
    end("run_cut_short")
    sys.exit(130)

if method == "ewc":
    print("growmix: the loss is nan", file=sys.stderr)
    sys.exit(1)
if method == "si":
    signal.signal(signal.SIGTERM, keep)
    (out / "ready").touch()
    signal.pause()
if method == "er":
    os.kill(os.getpid(), signal.SIGKILL)
met = pathlib.Path(__file__).with_name("met")
met.mkdir(exist_ok=True)
(met / str(os.getpid())).touch()
patience = time.monotonic() + 600
while len(list(met.iterdir())) < int(os.environ.get("RUNS_THAT_MEET", 1)):
    if time.monotonic() > patience:
        sys.exit("nobody came")
    time.sleep(0.01)
end("run_finished")
'''


@pytest.fixture(autouse=True)
def _stand_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metrics: Callable[..., dict[str, Any]]
) -> Iterator[None]:
    script = tmp_path / "stand_in.py"
    script.write_text(STAND_IN)
    (tmp_path / "metrics.json").write_text(json.dumps(metrics()))
    monkeypatch.setattr(processes, "PROGRAM", (sys.executable, str(script)))
    monkeypatch.setattr(processes, "POLL", 0.01)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    yield


Make = Callable[..., Trial]


def last_event(trial: Trial) -> str:
    return str(json.loads((trial.config.folder / "events.jsonl").read_text().splitlines()[-1])["event"])


def seen(trial: Trial) -> dict[str, Any]:
    """What the stand-in noted of its own run."""
    found: dict[str, Any] = json.loads((trial.config.folder / "seen.json").read_text())
    return found


def test_a_finished_run_is_not_run_again(trial: Make) -> None:
    (first,) = run_trials([trial("joint")])
    (again, new) = run_trials([trial("joint"), trial("lgm")])
    assert again.seconds is None and again.metrics == first.metrics
    assert new.seconds is not None


@pytest.mark.slow
def test_a_run_that_was_cut_short_is_taken_up_though_it_left_metrics(trial: Make) -> None:
    list(run_trials([trial("joint")]))
    first = seen(trial("joint"))
    (trial("joint").config.folder / "events.jsonl").write_text(
        '{"event": "run_finished"}\n{"event": "run_cut_short"}\n'
    )
    assert standing(trial("joint").config) == "unfinished"
    (again,) = run_trials([trial("joint")])
    assert again.seconds is not None and seen(trial("joint"))["began"] > first["began"]
    assert seen(trial("joint"))["resumed"] and not first["resumed"]
    list(run_trials([trial("joint")], overwrite=True))
    assert not seen(trial("joint"))["resumed"]


def test_another_configuration_in_the_folder_is_refused_before_anything_runs(trial: Make) -> None:
    list(run_trials([trial("joint")]))
    with pytest.raises(BadInput, match=r"joint-seed0.*another configuration.*--overwrite"):
        check([trial("lgm"), trial("joint", epochs=3)])
    with pytest.raises(BadInput, match="another configuration"):
        next(run_trials([trial("lgm"), trial("joint", epochs=3)]))
    assert not trial("lgm").config.folder.exists()
    (over,) = run_trials([trial("joint", epochs=3)], overwrite=True)
    assert over.seconds is not None
    assert "epochs: 3\n" in (over.trial.config.folder / "config.yaml").read_text()


def test_overwrite_runs_what_was_finished_again(trial: Make) -> None:
    list(run_trials([trial("joint")]))
    (again,) = run_trials([trial("joint")], overwrite=True)
    assert again.seconds is not None


def test_a_failed_run_ends_the_study_and_keeps_what_finished(trial: Make) -> None:
    outcomes = run_trials([trial("joint"), trial("ewc"), trial("lgm")])
    assert next(outcomes).trial.variant == "joint"
    with pytest.raises(RunFailed, match="run ewc-seed0 failed: the loss is nan") as failed:
        next(outcomes)
    assert failed.value.status == 1
    assert standing(trial("joint").config) == "finished"
    assert not trial("lgm").config.folder.exists()


def test_metrics_that_no_run_writes_are_named_and_end_the_study(trial: Make) -> None:
    folder = trial("dgr").config.folder
    with pytest.raises(BadCheckpoint, match=rf"{folder}.metrics.json does not hold the metrics .*`tasks`"):
        list(run_trials([trial("dgr")]))
    with pytest.raises(BadCheckpoint, match="remove the folder to run it again"):
        list(run_trials([trial("dgr")]))  # as it was found


def test_a_killed_run_is_no_result(trial: Make) -> None:
    with pytest.raises(RunFailed, match="killed by signal 9"):
        list(run_trials([trial("er")]))


def test_the_end_of_a_study_has_its_runs_keep_what_they_learnt(trial: Make, wait_for: Callable[..., None]) -> None:
    outcomes = run_trials([trial("si"), trial("joint")], jobs=2)
    assert next(outcomes).trial.variant == "joint"
    wait_for((trial("si").config.folder / "ready").exists)
    outcomes.close()
    assert last_event(trial("si")) == "run_cut_short"
    assert standing(trial("si").config) == "unfinished"


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_as_many_run_at_a_time_as_were_asked_for(trial: Make, jobs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNS_THAT_MEET", str(jobs))  # a run that should not be alone waits for the others
    trials = [trial("joint", seed=seed) for seed in range(4)]
    spans = [seen(outcome.trial) for outcome in run_trials(trials, jobs=jobs)]
    at_once = max(sum(a["began"] <= b["began"] < a["ended"] for a in spans) for b in spans)
    assert len(spans) == 4 and at_once == jobs
    cores = processes.threads(jobs)
    assert {span["threads"] for span in spans} == {None if cores is None else str(cores)}
