from __future__ import annotations

from pathlib import Path

from rich.console import Console

from growmix.learning.gating import Decision
from growmix.report.progress import Bar, Lines, progress_reporter
from growmix.report.reporter import Reporter, RunPlan, TaskResult
from growmix.report.table import closing_table
from growmix.training.callbacks import Progress

AVERAGE = ("task_aware", "task_agnostic", "selection", "grouped", "forgetting", "backward_transfer", "forward_transfer")

PLAN = RunPlan("two", 0, Path("out"), ("b: 8x8 brought to 28x28",), ("a", "b"), (100, 100), 200, {})


HOSTILE = "\x1b]0;mine\x07[red]x[/red]\ud800\u202e"
SEEN = "?]0;mine?[red]x[/red]??"


def told(reporter: Reporter, plan: RunPlan = PLAN) -> None:
    """Tell a reporter of a short run."""
    reporter.on_run_start(plan)
    for index in range(2):
        reporter.on_task_start(index, 50)
        for epoch in (1, 2):
            reporter.on_epoch_end(Progress(epoch, 2, epoch * 5, 10, 71.25, 12_345.6, None))
        decision = Decision("grow", index, (0.5,) * index, 0.2)
        reporter.on_decision(index, decision)
        reporter.on_task_end(TaskResult(index, decision, 1.5, 0.5))
    reporter.on_student_start()
    average = dict.fromkeys(AVERAGE, None) | {"task_aware": 0.99, "task_agnostic": 0.9}
    reporter.on_student_end({"parameters": 1_234, "average": average}, 2.0)
    reporter.on_run_end({})


def test_lines_tell_task_epoch_loss_speed_and_time_left() -> None:
    console = Console(width=40, force_terminal=False)
    clock = iter(range(0, 10_000, 6))
    with console.capture() as capture:
        told(Lines(console, clock=lambda: float(next(clock))))
    text = capture.get()
    assert "\x1b" not in text and "\r" not in text
    assert "task 1 of 2 (a): epoch 1 of 2, loss 71.25 nats/example, 12,346 examples/s, 0:" in text
    assert "task 2 of 2 (b): grow, component 1, novelty 0.500; trained in 1.5 s, evaluated in 0.5 s\n" in text
    assert "b: 8x8 brought to 28x28" in text
    assert "mean task_aware 0.990, task_agnostic 0.900" in text


def test_lines_are_silent_while_there_is_nothing_new() -> None:
    console = Console(width=120, force_terminal=False)
    with console.capture() as capture:
        told(Lines(console, clock=lambda: 0.0))
    assert "epoch" not in capture.get()


def test_bars_show_the_same_on_a_terminal() -> None:
    console = Console(width=150, force_terminal=True, force_interactive=True)
    with console.capture() as capture:
        told(Bar(console))
    text = capture.get()
    assert "task 2 of 2 (b): grow, component 1, novelty 0.500" in text
    assert text.rstrip().endswith("\x1b[2K") or "\x1b[?25h" in text  # the cursor is given back


def test_bars_are_for_terminals_alone() -> None:
    assert isinstance(progress_reporter(Console(force_terminal=True)), Bar)
    assert isinstance(progress_reporter(Console(force_terminal=False)), Lines)


def test_names_and_paths_of_a_stranger_command_no_terminal() -> None:
    plan = RunPlan(HOSTILE, 0, Path(HOSTILE), (HOSTILE,), (HOSTILE, "b"), (100, 100), 200, {})
    for make in (Lines, Bar):
        console = Console(width=300, force_terminal=make is Bar, force_interactive=make is Bar, color_system=None)
        with console.capture() as capture:
            told(make(console), plan)
        text = capture.get()
        assert f"{SEEN}, seed 0: 2 tasks, written to {SEEN}\n{SEEN}\n" in text.replace("\r", "").replace("\x1b[2K", "")
        assert f"task 1 of 2 ({SEEN}): grow" in text
        assert "\x1b]" not in text and "\x07" not in text and "\ud800" not in text


def test_the_closing_table_shows_foreign_names_as_they_are() -> None:
    average = dict.fromkeys(AVERAGE, 0.5)
    row = {"task": HOSTILE, "component": 0, "action": "grow", "novelty": [], "threshold": 0.2}
    metrics = {
        "stream": HOSTILE, "method": "mixture", "seed": 0, "tasks": [HOSTILE], "components": 1, "decisions": [row],
        "accuracy": {name: [[0.5]] for name in ("task_aware", "task_agnostic", "selection")}, "average": average,
        "reconstruction": {"mse": [1.0]}, "student": None, "parameters": {"mixture": 1},
    }  # fmt: skip
    console = Console(width=300, markup=False, emoji=False)
    with console.capture() as capture:
        console.print(closing_table(metrics))
    assert capture.get().count(SEEN) == 2
    assert all(character.isprintable() or character == "\n" for character in capture.get())
