"""What else follows a run beside its evaluation, such as the theory: the interface, and those that a run asks for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor

if TYPE_CHECKING:
    from growmix.config import RunConfig
    from growmix.learning.learner import Learner
    from growmix.learning.student import Student
    from growmix.streams import Stream


class RunObserver(Protocol):
    """Interface of what follows a run and writes down what it sees; it must change nothing of what is learnt.

    What it keeps is written to disk after every task, so that an interrupted run goes on as if it had not been
    interrupted.

    Attributes
    ----------
    name
        The name that its state is kept under; no two observers of a run have the same.
    """

    @property
    def name(self) -> str:
        """The name that its state is kept under."""

    def after_task(self, learner: Learner[Any]) -> None:
        """Look at a learner that has just learnt one task more."""

    def after_student(self, student: Student) -> None:
        """Look at the student that was taught at the end."""

    def at_end(self, learner: Learner[Any], folder: Path) -> None:
        """Write what was seen to the folder of a run that came to its end."""

    def pack(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return what must be kept to go on after an interrupt, as JSON and tensors."""

    def restored(self, document: Mapping[str, Any], tensors: Mapping[str, Tensor], tasks: int) -> RunObserver:
        """Return an observer like this one, as it was when :meth:`pack` returned these.

        Parameters
        ----------
        document, tensors
            What :meth:`pack` returned; the tensors may have no memory.
        tasks
            How many tasks had been learnt then.

        Raises
        ------
        ValueError
            The document or the tensors can't come from such an observer.
        """


def observers_for(config: RunConfig, stream: Stream) -> tuple[RunObserver, ...]:
    """Make the observers that a run was asked for; nothing of the theory is imported unless it was asked for."""
    if not config.theory:
        return ()
    from growmix.theory.observer import TheoryObserver

    return (TheoryObserver(stream),)
