from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from growmix import GrowingMixture, experiment, streams
from growmix.cli.app import execute
from growmix.cli.drawing import paths, two_unlike
from growmix.cli.words import DONE, FAILED, INTERRUPTED, WRONG_INPUT
from growmix.errors import NonFiniteLoss
from growmix.studies import processes
from growmix.system.interrupts import ACKNOWLEDGED

pytestmark = pytest.mark.slow

TINY = [
    "--hidden",
    "32",
    "--epochs",
    "2",
    "--student-hidden",
    "32",
    "--student-epochs",
    "1",
    "--student-examples",
    "50",
]

# A shell that starts things in the background has them ignore Ctrl-C, and what they start inherits that.
PROGRAM = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from growmix.cli.app import main; main()"
)
GROWMIX = [sys.executable, "-c", PROGRAM]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A finished run."""
    made = tmp_path_factory.mktemp("cli") / "run"
    assert execute(["run", "split-digits", "--out", str(made), *TINY]) == DONE
    yield made


def files(folder: Path) -> set[str]:
    return {str(each.relative_to(folder)) for each in folder.rglob("*")}


WITHOUT_TORCH = """
import sys
from growmix.cli.app import execute
from growmix.cli.words import DONE, WRONG_INPUT

assert {execute(words.split()) for words in ("--help", "run --help", "compare --help", "streams")} == {DONE}
wrong = ("evaluate nowhere", "resume nowhere", "sample nowhere", "theory .", "run x --config nowhere",
         "run split-digits --epochs 0", "run split-digits --data-root " + "a" * 300)
assert {execute(words.split()) for words in wrong} == {WRONG_INPUT}
print("loaded:", *{"torch", "sklearn", "pyarrow", "matplotlib"} & sys.modules.keys())
"""


def test_nothing_imports_torch_to_show_help_list_streams_or_refuse_a_path() -> None:
    """Help comes at once, an early Ctrl-C finds someone who listens, and torch's threads get their setting in time."""
    told = subprocess.run([sys.executable, "-c", WITHOUT_TORCH], capture_output=True, text=True, check=True)
    assert told.stdout.splitlines()[-1] == "loaded:", told.stdout[-200:]


def test_help_is_there_where_python_leaves_docstrings_out() -> None:
    words = [sys.executable, "-OO", "-m", "growmix", "run", "--help"]
    told = subprocess.run(words, capture_output=True, text=True, check=True)
    for text in ("Learn a stream task by task", "Name of the stream;", "--epochs", "Length of the latent code."):
        assert text in told.stdout


@pytest.mark.parametrize("words", [["streams"], ["--help"]])
def test_a_closed_pipe_ends_nothing(words: list[str]) -> None:
    process = subprocess.Popen([*GROWMIX, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait() == DONE


# What it does --------------------------------------------------------------------------------------------------


def test_run_prints_the_table_and_says_where_results_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["run", "split-digits", "--seed", "3", *TINY]) == DONE
    printed = capsys.readouterr().out
    for word in ("task_aware", "task_agnostic", "selection", "mse", "mean, student", "digits/8-9"):
        assert word in printed
    assert printed.splitlines()[-1] == "Results: runs/split-digits-seed3"
    assert "\x1b" not in printed  # no terminal here
    assert (tmp_path / "runs" / "split-digits-seed3" / "metrics.json").is_file()


def test_no_figure_is_called_accuracy_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    execute(["evaluate", str(folder)])
    assert "accuracy" not in capsys.readouterr().out.lower()


def test_options_count_more_than_the_config_file(folder: Path, tmp_path: Path) -> None:
    config = str(folder / "config.yaml")
    assert execute(["run", "--config", config, "--out", "again", "--epochs", "1", "--novelty", "smd"]) == DONE
    written = (tmp_path / "again" / "config.yaml").read_text()
    assert "epochs: 1\n" in written and "novelty: smd\n" in written and "hidden: 32\n" in written


def test_the_stream_may_come_from_the_config_file_or_replace_its(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("stream: nonsense\nepochs: 1\nstudent_epochs: 1\nstudent_examples: 10\n")
    assert execute(["run", "split-digits", "--config", "c.yaml", "--out", "o"]) == DONE


def test_evaluate_gives_the_figures_of_the_run_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["evaluate", str(folder), "--json"]) == DONE
    again = json.loads(capsys.readouterr().out)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert again["reconstruction"] == metrics["reconstruction"]
    assert again["student"] == metrics["student"]


@pytest.mark.parametrize(
    ("options", "columns", "rows"),
    [([], 10, None), (["--n", "3", "--component", "1"], 3, 1), (["--n", "4", "--label", "0"], 4, 1)],
)
def test_sample_draws_a_row_per_component(
    folder: Path, tmp_path: Path, options: list[str], columns: int, rows: int | None
) -> None:
    assert execute(["sample", str(folder), "--out", "x.png", *options]) == DONE
    rows = rows or json.loads((folder / "metrics.json").read_text())["components"]
    with Image.open(tmp_path / "x.png") as image:
        assert image.size == (7 * (columns * 9 + 1), 7 * (rows * 9 + 1))  # 8 pixels and a gap, enlarged 7 times


def test_sample_writes_into_the_run_unless_told(folder: Path) -> None:
    assert execute(["sample", str(folder), "--n", "1"]) == DONE
    assert (folder / "samples.png").is_file()


def test_interpolate_draws_paths_within_and_across_components(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    components = json.loads((folder / "metrics.json").read_text())["components"]
    assert components > 1
    assert execute(["interpolate", str(folder), "--steps", "3", "--out", "x.png"]) == DONE
    assert capsys.readouterr().out == f"x.png: {2 * components - 1} paths of 3 images\n"
    with Image.open(tmp_path / "x.png") as image:
        assert image.width > image.height / (2 * components - 1)


def test_a_path_has_the_reconstructions_of_two_test_images_at_its_ends(folder: Path) -> None:
    learner, stream = experiment.load_learner(folder), streams.load("split-digits")
    rows = paths(learner, stream, 4)
    assert [label for label, _ in rows[:2]] == ["component 0\ndigits/0-1", "component 1\ndigits/2-3"]
    first, second = two_unlike(stream[0].test)
    assert stream[0].test.y is not None and len(set(stream[0].test.y[:2].tolist()) | {0, 1}) == 2
    for end, image in ((0, first), (-1, second)):
        assert np.allclose(rows[0][1][end], learner.reconstruct(image, component=0)[0], atol=1e-5)
    assert rows[-1][0].startswith("components ") and all(len(images) == 4 for _, images in rows)


# What the user may get wrong -----------------------------------------------------------------------------------

BAD = {
    "unknown command": (["runn"], ["runn", "run"]),
    "unknown stream": (["run", "split-digitz"], ["split-digitz", "split-digits"]),
    "no stream": (["run"], ["stream", "growmix streams"]),
    "unknown option": (["run", "split-digits", "--epoch", "3"], ["--epoch", "--epochs"]),
    "strange option": (["run", "split-digits", "--xyzzy"], ["--xyzzy", "growmix run --help"]),
    "one word too many": (["run", "split-digits", "more"], ["more", "growmix run --help"]),
    "option without value": (["run", "split-digits", "--epochs"], ["--epochs"]),
    "option twice": (
        ["run", "split-digits", "--epochs", "1", "--epochs", "2"],
        ["--epochs", "second time", "one value"],
    ),
    "switch twice": (["run", "split-digits", "--student", "--no-student"], ["--no-student", "second time"]),
    "switch with nonsense": (
        ["run", "split-digits", "--supervised=maybe"],
        ["supervised is 'maybe'", "true and false"],
    ),
    "no number": (["run", "split-digits", "--epochs", "many"], ["epochs", "many", "a whole number"]),
    "half a number": (["run", "split-digits", "--epochs", "1.5"], ["epochs", "1.5", "a whole number"]),
    "negative": (["run", "split-digits", "--epochs", "-3"], ["epochs", "-3", "1 or more"]),
    "not finite": (["run", "split-digits", "--learning-rate", "nan"], ["learning_rate", "nan", "finite"]),
    "unknown choice": (["run", "split-digits", "--novelty", "kss"], ["novelty", "kss", "rank, ks, smd, paper, stored"]),
    "unknown device": (["run", "split-digits", "--device", "abacus"], ["device", "abacus"]),
    "unknown precision": (["run", "split-digits", "--precision", "7"], ["precision", "7", "32-true"]),
    "unknown transform": (["run", "domains", "--tasks", "digits@flop"], ["digits@flop", "fliplr"]),
    "unknown data set": (["run", "domains", "--tasks", "mnits", "--data-root", "."], ["mnits", "train.parquet"]),
    "domains without tasks": (["run", "domains"], ["tasks", "mnist,fashion_mnist@invert"]),
    "tasks of another stream": (["run", "split-digits", "--tasks", "digits"], ["tasks", "domains"]),
    "data root without the set": (
        ["run", "split-mnist", "--data-root", "."],
        ["mnist", "train.parquet", "data_root is '/"],
    ),
    "no data root": (["run", "split-mnist", "--data-root", "nowhere"], ["mnist", "nowhere"]),
    "no config file": (["run", "--config", "nowhere.yaml"], ["nowhere.yaml", "YAML"]),
    "config with unknown key": (["run", "--config", "key.yaml"], ["key.yaml", "epoch", "epochs"]),
    "config with wrong value": (["run", "--config", "value.yaml"], ["value.yaml", "epochs", "many"]),
    "config out of range": (["run", "--config", "range.yaml"], ["range.yaml", "variance is nan", "finite"]),
    "config that is no YAML": (["run", "--config", "text.yaml"], ["text.yaml", "YAML"]),
    "out below a file": (["run", "split-digits", "--out", "text.yaml/run"], ["out", "text.yaml", "file"]),
    "out is a file": (["run", "split-digits", "--out", "text.yaml"], ["out", "text.yaml", "file"]),
    "evaluate nothing": (["evaluate"], ["DIR"]),
    "evaluate no run": (["evaluate", "."], ["no run", "config.yaml"]),
    "sample no run": (["sample", "nowhere"], ["nowhere", "no run"]),
    "interpolate no run": (["interpolate", "nowhere"], ["nowhere", "no run"]),
    "unknown method": (["run", "split-digits", "--method", "ewx"], ["ewx", "ewc"]),
    "setting without effect": (["run", "split-digits", "--alpha", "2"], ["alpha is 2.0", "gate dirichlet"]),
    "parameter of another": (["run", "split-digits", "--buffer-size", "9"], ["buffer_size is 9", "method er"]),
    "compare without effect": (
        ["compare", "split-digits", "--methods", "er,ewc", "--threshold", "0.3"],
        ["threshold is 0.3", "no effect", "mixture"],
    ),
    "parameter of none that is compared": (
        ["compare", "split-digits", "--methods", "mixture,ewc", "--buffer-size", "9"],
        ["buffer_size is 9", "method er"],
    ),
    "reproduce without effect": (["reproduce", "split-mnist", "--alpha", "2"], ["alpha is 2.0", "gate dirichlet"]),
    "replace what is not there": (["run", "split-digits", "--replace", "mnist=digits"], ["replace", "mnist"]),
    "label fraction": (["run", "split-digits", "--label-fraction", "1.5"], ["label_fraction", "1.5", "0 to 1"]),
    "compare nothing": (["compare"], ["stream", "growmix streams"]),
    "compare unknown": (["compare", "split-digits", "--methods", "er,ewx"], ["ewx", "er, ewc, si"]),
    "compare twice": (["compare", "split-digits", "--methods", "er,er"], ["er", "twice"]),
    "compare none": (["compare", "split-digits", "--methods", ","], ["methods", "empty"]),
    "compare an empty name": (["compare", "split-digits", "--methods", "all,"], ["methods", "empty", "er, ewc, si"]),
    "compare no seed": (["compare", "split-digits", "--seeds", "0"], ["seeds is 0", "from 1 to 1,000"]),
    "compare without end": (["compare", "split-digits", "--seeds", "100000000"], ["seeds is 100000000", "1 to 1,000"]),
    "compare half a seed": (["compare", "split-digits", "--seeds", "1.5"], ["seeds", "1.5", "a whole number"]),
    "compare no job": (["compare", "split-digits", "--jobs", "0"], ["jobs is 0", "from 1 to 1,000"]),
    "compare too many jobs": (["compare", "split-digits", "--jobs", "1001"], ["jobs is 1001", "from 1 to 1,000"]),
    "compare one seed": (["compare", "split-digits", "--seed", "1"], ["--seed", "--seeds"]),
    "compare one method": (["compare", "split-digits", "--method", "er"], ["--method", "--methods"]),
    "compare wrong value": (["compare", "split-digits", "--epochs", "0"], ["epochs is 0"]),
    "compare without data": (["compare", "split-mnist", "--data-root", "."], ["mnist", "train.parquet"]),
    "compare into a file": (["compare", "split-digits", "--out", "text.yaml"], ["out", "text.yaml", "file"]),
    "reproduce nothing": (["reproduce"], ["experiment", "msfir"]),
    "reproduce one and list": (["reproduce", "--list", "order"], ["experiment is 'order'", "--list"]),
    "reproduce unknown": (["reproduce", "split-mnits"], ["split-mnits", "split-mnist"]),
    "reproduce wrong scale": (["reproduce", "order", "--scale", "big"], ["big", "small", "paper"]),
    "reproduce what it varies": (["reproduce", "order", "--sharing", "trunk"], ["sharing", "--sharing"]),
    "reproduce without data": (
        ["reproduce", "order", "--data-root", "."],
        ["mnist", "svhn", "cifar10", "train.parquet", "--replace"],
    ),
    "reproduce with one set missing": (
        ["reproduce", "order", "--data-root", ".", "--replace", "mnist=digits,cifar10=digits"],
        ["svhn", "train.parquet", "--replace"],
    ),
    "replace by nothing": (["reproduce", "order", "--replace", "svhn="], ["replace", "svhn="]),
}


@pytest.mark.parametrize(("words", "parts"), BAD.values(), ids=BAD)
def test_a_mistake_ends_in_one_line_and_changes_nothing(
    words: list[str], parts: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "key.yaml").write_text("stream: split-digits\nepoch: 3\n")
    (tmp_path / "value.yaml").write_text("stream: split-digits\nepochs: many\n")
    (tmp_path / "range.yaml").write_text("stream: split-digits\nvariance: .nan\n")
    (tmp_path / "text.yaml").write_text("epochs: [")
    before = files(tmp_path)
    assert execute(words) == WRONG_INPUT
    printed = capsys.readouterr()
    assert printed.err.startswith("growmix: ") and printed.err.count("\n") == 1, printed.err
    assert all(part in printed.err for part in parts), printed.err
    assert not printed.out
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--n", "0"], ["n is 0", "1 or more"]),
        (["--n", "1.5"], ["--n", "1.5", "a whole number"]),
        (["--component", "99"], ["component", "99", "allowed are 0 to"]),
        (["--label", "99"], ["label", "99", "allowed are 0, 1"]),
        (["--label", "9", "--component", "0"], ["label", "9", "component 0"]),
        (["--out", "nowhere/x.png"], ["out", "nowhere/x.png"]),
    ],
)
def test_samples_that_can_not_be_had_are_refused(
    folder: Path, tmp_path: Path, options: list[str], parts: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["sample", str(folder), *options]) == WRONG_INPUT
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and all(part in error for part in parts), error
    assert not files(tmp_path)


def test_a_broken_checkpoint_is_the_users_to_mend(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_bytes((folder / "config.yaml").read_bytes())
    assert execute(["evaluate", "run"]) == WRONG_INPUT


def test_a_run_in_a_folder_with_a_run_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {each: each.stat().st_mtime_ns for each in folder.rglob("*")}
    assert execute(["run", "split-digits", "--out", str(folder)]) == WRONG_INPUT
    assert "--overwrite" in capsys.readouterr().err
    assert {each: each.stat().st_mtime_ns for each in folder.rglob("*")} == before


def test_a_study_in_the_folder_of_a_run_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(folder)
    for more in ([], ["--overwrite"]):
        assert execute(["compare", "split-digits", "--methods", "er", "--out", str(folder), *more]) == WRONG_INPUT
        assert "holds a run of its own; choose another --out" in capsys.readouterr().err
    assert files(folder) == before


def test_failed_training_is_not_called_wrong_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise NonFiniteLoss("the loss is nan")

    monkeypatch.setattr(GrowingMixture, "learn", fail)
    assert execute(["run", "split-digits", *TINY]) == FAILED
    assert capsys.readouterr().err == "growmix: the loss is nan\n"


@pytest.mark.parametrize("path", ["~no-such-user/x", "x" * 300, "a\0b", ""])
@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("run split-digits --out", "out"),
        ("run split-digits --config", "config"),
        ("run split-digits --data-root", "data_root"),
        ("compare split-digits --config", "config"),
        ("streams --data-root", "data_root"),
        ("reproduce --list --data-root", "data_root"),
        ("resume", "DIR"),
        ("evaluate", "DIR"),
        ("theory", "DIR"),
        ("sample", "DIR"),
        ("sample run --out", "out"),
        ("interpolate run --out", "out"),
    ],
)
def test_a_path_that_can_not_be_is_named(
    command: str, name: str, path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute([*command.split(), path]) == WRONG_INPUT
    said = capsys.readouterr().err
    assert re.match(rf"growmix: {name} is '.*'?(\.\.\.)?; allowed is a path", said) and said.count("\n") == 1
    assert files(tmp_path) == set()


def test_what_the_system_refuses_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "runs")

    monkeypatch.setattr(experiment, "run", full)
    assert execute(["run", "split-digits"]) == WRONG_INPUT
    assert capsys.readouterr().err == "growmix: [Errno 28] No space left on device: 'runs'\n"


def test_a_data_set_with_a_name_too_long_for_a_file_is_not_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["run", "domains", "--tasks", "x" * 300, "--data-root", "."]) == WRONG_INPUT
    assert "no file" in capsys.readouterr().err


# Studies ------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("forked_runs")
def test_compare_puts_methods_beside_each_other_and_goes_on_where_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compare", "split-digits", "--seeds", "1", "--jobs", "2", "--hidden", "16", "--epochs", "1", "--out", "c"]
    assert execute([*words, "--methods", "er,fine-tuning"]) == DONE
    printed = capsys.readouterr().out
    assert "er-seed0: " in printed and "finished before" not in printed
    for name in ("results.json", "table.md", "comparison.png", "er-seed0/metrics.json"):
        assert (tmp_path / "c" / name).is_file()
    table = (tmp_path / "c" / "table.md").read_text()
    assert "growmix compare split-digits --methods er,fine-tuning --seeds 1" in table and "1 epochs" in table

    before = (tmp_path / "c" / "er-seed0" / "metrics.json").stat().st_mtime_ns
    assert execute([*words, "--methods", "er,joint"]) == DONE
    assert "er-seed0: finished before" in capsys.readouterr().out
    assert (tmp_path / "c" / "er-seed0" / "metrics.json").stat().st_mtime_ns == before

    assert execute([*words, "--methods", "er", "--epochs", "2"]) == WRONG_INPUT  # --epochs twice
    words[words.index("--epochs") + 1] = "2"
    capsys.readouterr()
    assert execute([*words, "--methods", "er"]) == WRONG_INPUT
    assert "another configuration" in capsys.readouterr().err


@pytest.mark.usefixtures("forked_runs")
def test_reproduce_puts_ours_beside_the_published(tmp_path: Path) -> None:
    tiny = ["--replace", "mnist=digits", "--hidden", "16", "--max-steps", "5", "--jobs", "2", "--out", "r"]
    assert execute(["reproduce", "split-mnist", *tiny]) == DONE
    table = (tmp_path / "r" / "table.md").read_text()
    assert "| 5 | 1 | always |" in table and "0.9921" in table and "mnist is replaced by digits" in table
    results = json.loads((tmp_path / "r" / "results.json").read_text())
    assert results["sweep"][0]["components"] == 5 and len(results["runs"]) >= 3
    assert (tmp_path / "r" / "sweep.png").is_file()


def test_a_failed_run_ends_a_study_with_its_reason_and_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = "import sys; sys.exit('growmix: the loss is nan')"
    monkeypatch.setattr(processes, "PROGRAM", (sys.executable, "-c", script))
    assert execute(["compare", "split-digits", "--methods", "er", "--out", "c"]) == FAILED
    error = capsys.readouterr().err
    assert error.startswith("growmix: run er-seed0 failed: the loss is nan; ") and error.count("\n") == 1


# As a process --------------------------------------------------------------------------------------------------


def test_mistakes_leave_the_process_with_status_2_and_no_traceback(tmp_path: Path) -> None:
    done = subprocess.run([*GROWMIX, "run", "split-digitz"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == WRONG_INPUT
    assert not done.stdout and done.stderr.count("\n") == 1 and "Traceback" not in done.stderr


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_keeps_what_was_learnt(
    tmp_path: Path, ending: signal.Signals, forked: Callable[..., Any], wait_for: Callable[..., None]
) -> None:
    process = forked("run", "split-digits", "--hidden", "32", "--epochs", "150", "--out", "run")
    events = tmp_path / "run" / "events.jsonl"
    wait_for(lambda: events.exists() and '"task_finished"' in events.read_text(), process)
    process.send_signal(ending)
    _, errors = process.communicate()
    assert process.returncode == INTERRUPTED
    said = errors.removeprefix(ACKNOWLEDGED)  # where it had to wait
    assert said == "growmix: interrupted; growmix resume run goes on from there\n"
    learnt = len(GrowingMixture.load(tmp_path / "run" / "checkpoint").decisions)
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert 1 <= learnt == len(metrics["tasks"]) < 5
    assert len(metrics["accuracy"]["task_agnostic"]) == learnt and metrics["student"] is None
