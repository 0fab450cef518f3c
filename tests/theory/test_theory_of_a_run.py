from __future__ import annotations

import io
import json
import shlex
import shutil
import subprocess
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from growmix.cli.app import execute
from growmix.theory import files

pytestmark = pytest.mark.slow

TASKS = "digits,digits@invert,digits@rotate90"
QUICK = (
    "--max-steps",
    "20",
    "--train-examples",
    "300",
    "--hidden",
    "16",
    "--student-epochs",
    "1",
    "--student-examples",
    "40",
)
QUICK_RUN = (*QUICK, "--likelihood-draws", "0", "--frechet-examples", "0")


def growmix(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """A command line, in this process: one of its own takes seconds to import what it needs."""
    out, errors = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(errors):
        status = execute([str(word) for word in words])
    return subprocess.CompletedProcess(words, status, out.getvalue(), errors.getvalue())


@pytest.fixture(scope="module", autouse=True)
def _quick(quick_features: None, quick_theory: None) -> None:
    """What is said of the theory is tested here, and elsewhere whether it is true."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("theory") / "run"
    done = growmix("run", "domains", "--tasks", TASKS, "--theory", "--gate", "always", "--out", folder, *QUICK_RUN)
    assert done.returncode == 0, done.stderr
    return folder


def test_a_run_with_theory_writes_its_account_and_figures(run: Path) -> None:
    document = json.loads((run / files.THEORY).read_text())
    metrics = json.loads((run / "metrics.json").read_text())
    assert [len(row) for row in document["rows"]] == [1, 2, 3]
    assert document["between_tasks"]["novelty"] == [decision["novelty"] for decision in metrics["decisions"]]
    for entry, k in zip(document["rows"][-1], metrics["task_components"], strict=True):
        assert entry["component"] == k
        assert entry["generation"] == metrics["task_components"][entry["task"] + 1 :].count(k)
    assert document["seconds"] > 0
    for name in (files.BOUNDS, files.BETWEEN, files.MODELS):
        assert (run / name).stat().st_size > 10_000
    assert not (run / files.TRADE_OFF).exists()  # nothing was swept


@pytest.mark.usefixtures("forked_runs")
def test_the_theory_of_a_run_is_told_in_words_and_a_sweep_adds_to_it(run: Path) -> None:
    told = growmix("theory", run)
    assert told.returncode == 0, told.stderr
    assert "computable part of the bound" in told.stdout
    swept = growmix("theory", run, "--sweep", "--jobs", "2")
    assert swept.returncode == 0, swept.stderr
    assert "In the sweep" in " ".join(swept.stdout.split())
    results = json.loads((run / "trade-off" / "results.json").read_text())
    line = f"Command: {shlex.join(['growmix', 'theory', str(run), '--sweep', '--seeds', '1', '--jobs', '2'])}"
    assert results["about"][0] == line
    found = json.loads((run / files.THEORY).read_text())["trade_off"]
    counts = [point["components"] for point in found["points"]]
    assert counts == sorted(counts, reverse=True) and counts[0] == 3
    assert sum(point["default"] for point in found["points"]) == 1
    assert (run / files.TRADE_OFF).stat().st_size > 10_000
    again = growmix("theory", run)
    assert "In the sweep" in " ".join(again.stdout.split())  # what was swept is kept


def test_an_account_that_was_changed_by_hand_is_named_and_ends_in_one_line(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    document = json.loads((run / files.THEORY).read_text())
    document["between_tasks"]["rank_correlation"] = []
    (tmp_path / "run" / files.THEORY).write_text(json.dumps(document))
    refused = growmix("theory", tmp_path / "run")
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1 and "theory.json can't be understood" in refused.stderr


def test_a_run_without_theory_says_what_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    done = growmix("run", "domains", "--tasks", TASKS, "--threshold", "2", "--out", folder, *QUICK_RUN)
    assert done.returncode == 0, done.stderr
    assert not (folder / files.THEORY).exists()
    told = growmix("theory", folder)
    assert told.returncode == 0, told.stderr
    assert "made without --theory" in told.stdout
    assert len(json.loads((folder / files.THEORY).read_text())["rows"]) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--method", "er"), "method is 'er', of which the theory says nothing"),
        (("--replay-ratio", "0"), "replay_ratio is 0, but the theory"),
        (("--test-examples", "20"), "20 labelled test examples; at least 50"),
    ],
)
def test_a_run_that_can_not_be_followed_is_refused_before_it_starts(
    tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    refused = growmix("run", "split-digits", "--theory", "--out", tmp_path / "run", *options)
    assert refused.returncode == 2
    assert said in refused.stderr
    assert not (tmp_path / "run").exists()


def test_a_folder_without_a_run_has_no_theory(tmp_path: Path) -> None:
    refused = growmix("theory", tmp_path)
    assert refused.returncode == 2
    assert "holds no run" in refused.stderr
