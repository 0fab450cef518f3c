"""Shows the progress of a run: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, final

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bars

from growmix.learning.gating import Decision
from growmix.report.console import say
from growmix.report.reporter import Reporter, ResumePoint, RunPlan, TaskResult
from growmix.report.words import duration, number, printable, whole
from growmix.training.callbacks import FitInfo, Progress

LINE_SECONDS = 10.0
"""Seconds between two lines about the same training, where there is no terminal."""

PROTOCOLS = ("task_aware", "task_agnostic", "selection")


def progress_reporter(console: Console) -> Reporter:
    """Choose bars if somebody can see them move, else lines."""
    return Bar(console) if console.is_terminal else Lines(console)


class Pace:
    """Estimates how far a run is, and how long the rest takes at the pace so far.

    Parameters
    ----------
    plan
        What the run is going to do.
    clock
        A clock that counts seconds and never goes back.

    Examples
    --------
    >>> from pathlib import Path
    >>> seconds = iter([0.0, 0.0, 10.0, 10.0])
    >>> plan = RunPlan("two", 0, Path("out"), (), ("a", "b"), (100, 100), 200, {})
    >>> pace = Pace(plan, clock=lambda: next(seconds))
    >>> pace.begin(0)
    >>> pace.at(0.5)
    >>> pace.piece_left(), pace.run_left()
    (10.0, 70.0)
    """

    def __init__(self, plan: RunPlan, clock: Callable[[], float] = time.perf_counter) -> None:
        self._visits = (*plan.visits, plan.student_visits)
        self._clock = clock
        self._run_began = clock()
        self._piece_began = self._run_began
        self._piece = 0
        self._share = self._share_before = self._run_before = 0.0

    def begin(self, piece: int) -> None:
        """Note that training of this task begins; the student is the piece after the last task."""
        self._piece, self._share = piece, 0.0
        self._piece_began = self._clock()
        self._share_before = 0.0

    def resume(self, piece: int, share: float) -> None:
        """Note how far an earlier process came in this piece; how long it took is not known here."""
        self._piece, self._share = piece, share
        self._run_before = self.share

    def goes_on(self, share: float) -> None:
        """Note which share of the piece that begins was done by an earlier process."""
        self._share = self._share_before = share

    def at(self, share: float) -> None:
        """Note which share of the piece is done."""
        self._share = share

    @property
    def share(self) -> float:
        """Share of the whole run that is done, by examples looked at."""
        done = sum(self._visits[: self._piece]) + self._share * self._visits[self._piece]
        return done / max(1, sum(self._visits))

    def piece_left(self) -> float:
        """Estimate the seconds that the piece still takes."""
        return (self._clock() - self._piece_began) * (1 - self._share) / max(self._share - self._share_before, 1e-9)

    def run_left(self) -> float:
        """Estimate the seconds that the run still takes, with evaluations that take as long as they did."""
        return (self._clock() - self._run_began) * (1 - self.share) / max(self.share - self._run_before, 1e-9)


@final
class Lines(Reporter):
    """Prints a line for each event, and one about every ten seconds of training; no control characters.

    Parameters
    ----------
    console
        The console that the lines go to.
    clock
        A clock that counts seconds and never goes back.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.perf_counter) -> None:
        self._console = console
        self._clock = clock
        self._last = clock()
        self._what = ""

    def on_run_start(self, plan: RunPlan) -> None:
        """Say what the run is."""
        self._plan, self._pace = plan, Pace(plan, self._clock)
        self._say(describe_plan(plan))

    def on_resume(self, plan: RunPlan, resumed: ResumePoint) -> None:
        """Say what the run is, and where it goes on from."""
        self.on_run_start(plan)
        self._pace.resume(resumed.tasks, resumed.step / max(1, resumed.steps))
        self._say(describe_resume(plan, resumed))

    def on_notice(self, text: str) -> None:
        """Say what whoever watches should know."""
        self._say(text)

    def on_task_start(self, index: int, examples: int) -> None:
        """Say which task begins."""
        self._what = describe_task(self._plan, index)
        self._say(f"{self._what}: {whole(examples)} examples")
        self._begin(index)

    def on_student_start(self) -> None:
        """Say that the student is taught now."""
        self._what = "student"
        self._begin(len(self._plan.tasks))

    def on_fit_start(self, fit: FitInfo) -> None:
        """Note how much of the training was done before."""
        self._pace.goes_on(fit.done / max(1, fit.steps))

    def on_epoch_end(self, progress: Progress) -> None:
        """Say how far training is, if nothing was said for a while."""
        self._pace.at(progress.step / progress.steps)
        if self._clock() - self._last >= LINE_SECONDS:
            self._last = self._clock()
            left = f"about {duration(self._pace.run_left())} for the run"
            self._say(f"{self._what}: {describe_progress(progress, self._pace)}, {left}")

    def on_task_end(self, result: TaskResult) -> None:
        """Say what became of the task."""
        self._say(describe_result(self._plan, result))

    def on_student_end(self, student: Mapping[str, Any], seconds: float) -> None:
        """Say what the student knows."""
        self._say(describe_student(student, seconds))

    def _begin(self, piece: int) -> None:
        self._last = self._clock()
        self._pace.begin(piece)

    def _say(self, text: str) -> None:
        say(self._console, text)


@final
class Bar(Reporter):
    """Shows one bar for what is being trained and one for the run; a line stays for every finished task.

    Parameters
    ----------
    console
        A console that is a terminal.
    """

    def __init__(self, console: Console) -> None:
        self._bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[detail]}", markup=False),
            console=console,
            transient=True,
        )

    def on_run_start(self, plan: RunPlan) -> None:
        """Say what the run is, and show the bars."""
        self._plan, self._pace = plan, Pace(plan)
        self._say(describe_plan(plan))
        self._now = self._bars.add_task("", total=1.0, detail="")
        self._run = self._bars.add_task("run", total=1.0, detail="")
        self._bars.start()

    def on_resume(self, plan: RunPlan, resumed: ResumePoint) -> None:
        """Show the bars, and say where the run goes on from."""
        self.on_run_start(plan)
        self._pace.resume(resumed.tasks, resumed.step / max(1, resumed.steps))
        self._say(describe_resume(plan, resumed))

    def on_notice(self, text: str) -> None:
        """Leave a line with what whoever watches should know."""
        self._say(text)

    def on_task_start(self, index: int, examples: int) -> None:
        """Start the upper bar again, for a task."""
        self._begin(index, describe_task(self._plan, index), f"novelty of {whole(examples)} examples")

    def on_student_start(self) -> None:
        """Start the upper bar again, for the student."""
        self._begin(len(self._plan.tasks), "student", "generating its lessons")

    def on_fit_start(self, fit: FitInfo) -> None:
        """Say which component is trained."""
        self._pace.goes_on(fit.done / max(1, fit.steps))
        where = "student" if fit.component is None else f"component {fit.component}"
        self._bars.update(self._now, detail=f"{where}: {fit.epochs} epochs, {whole(fit.examples)} examples")

    def on_epoch_end(self, progress: Progress) -> None:
        """Move both bars to where training is."""
        self._pace.at(progress.step / progress.steps)
        self._bars.update(
            self._now,
            completed=progress.step / progress.steps,
            detail=describe_progress(progress, self._pace),
        )
        left = f"about {duration(self._pace.run_left())} left"
        self._bars.update(self._run, completed=self._pace.share, detail=left)

    def on_decision(self, index: int, decision: Decision) -> None:
        """Say that evaluation has begun."""
        self._bars.update(self._now, detail="evaluation")

    def on_task_end(self, result: TaskResult) -> None:
        """Leave a line that says what became of the task."""
        self._say(describe_result(self._plan, result))

    def on_student_end(self, student: Mapping[str, Any], seconds: float) -> None:
        """Leave a line that says what the student knows."""
        self._say(describe_student(student, seconds))

    def on_run_end(self, metrics: Mapping[str, Any] | None) -> None:
        """Take the bars away."""
        self._bars.stop()

    def _begin(self, piece: int, what: str, detail: str) -> None:
        self._pace.begin(piece)
        self._bars.update(self._now, description=printable(what), completed=0.0, detail=detail)

    def _say(self, text: str) -> None:
        say(self._bars.console, text)


def describe_plan(plan: RunPlan) -> str:
    """Say what is going to be done, and what was done to the examples."""
    what = f"{plan.stream}, seed {plan.seed}: {len(plan.tasks)} tasks, written to {plan.folder}"
    return "\n".join([what, *plan.notes])


def describe_resume(plan: RunPlan, resumed: ResumePoint) -> str:
    """Say where an interrupted run goes on from.

    Examples
    --------
    >>> from pathlib import Path
    >>> plan = RunPlan("two", 0, Path("out"), (), ("a", "b"), (100, 100), 200, {})
    >>> describe_resume(plan, ResumePoint(tasks=1, step=30, steps=100))
    'goes on after task 1 of 2, from step 30 of 100'
    """
    after = f"after task {resumed.tasks} of {len(plan.tasks)}" if resumed.tasks else "from the beginning"
    if not resumed.steps:
        return f"goes on {after}"
    step = f"from step {whole(resumed.step)} of {whole(resumed.steps)}"
    return f"goes on {after}, {step}" if resumed.tasks else f"goes on {step} of task 1"


def describe_task(plan: RunPlan, index: int) -> str:
    """Say which task it is, of how many."""
    return f"task {index + 1} of {len(plan.tasks)} ({plan.tasks[index]})"


def describe_progress(progress: Progress, pace: Pace) -> str:
    """Say epoch, loss, speed and time left of a training."""
    parts = [
        f"epoch {progress.epoch} of {progress.epochs}",
        f"loss {progress.loss:.2f} nats/example",
        f"{whole(progress.examples_per_second)} examples/s",
        f"{duration(pace.piece_left())} left",
    ]
    return ", ".join(parts)


def describe_result(plan: RunPlan, result: TaskResult) -> str:
    """Say what the gate decided, and how long the task took."""
    decision = result.decision
    nearest = f", novelty {number(min(decision.novelty))}" if decision.novelty else ""
    chosen = f"{decision.action}, component {decision.component}{nearest}"
    seconds = f"trained in {result.train_seconds:.1f} s, evaluated in {result.evaluate_seconds:.1f} s"
    note = f" ({decision.note})" if decision.note else ""
    return f"{describe_task(plan, result.index)}: {chosen}{note}; {seconds}"


def describe_student(student: Mapping[str, Any], seconds: float) -> str:
    """Say how large the student is, and what it knows."""
    return f"student: {whole(student['parameters'])} parameters{averages(student['average'])}; {seconds:.1f} s"


def averages(average: Mapping[str, float | None]) -> str:
    """List the accuracies that there are, each under its own name.

    Examples
    --------
    >>> averages({"task_aware": 0.99, "task_agnostic": 0.95, "selection": None})
    '; mean task_aware 0.990, task_agnostic 0.950'
    """
    known = [f"{name} {number(average[name])}" for name in PROTOCOLS if average[name] is not None]
    return f"; mean {', '.join(known)}" if known else ""
