"""Snapshots keep the state of a training on disk, so that a process that is killed inside a task loses only minutes.

A folder belongs to one piece of work, a task or the student, which may train several times, one after the other. Each
training has a folder of its own in it, ``0``, ``1`` and so on, with the state that it was left in. Whatever else the
piece needs is computed again from the seed.

The adversary is a kill, and a stranger's snapshot. Promised is that a training goes on from a state of its own,
or begins again and says so.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any, final

from torch import Tensor

from growmix.checkpoints.folders import exists, read_document, read_folder, write_folder
from growmix.checkpoints.persistence import prefixed, understanding
from growmix.errors import BadCheckpoint, BadInput, shortened, shown
from growmix.settings import require_whole
from growmix.storage.checkpoint_files import remove_folder
from growmix.storage.typed import record_from
from growmix.system.interrupts import Interrupts
from growmix.system.paths import check_path
from growmix.training.callbacks import Keeper
from growmix.training.state import LoopState, TrainingState


@dataclass(frozen=True)
class Place:
    """Where a piece of work was left: steps done and needed in its last training, and seconds of them all."""

    step: int
    steps: int
    seconds: float


@final
class Snapshots(Keeper):
    """Keeps the trainings of one piece of work in a folder, every so many seconds or steps.

    Parameters
    ----------
    folder
        The folder for the snapshots of this piece alone.
    belongs
        What else must be equal for a snapshot to be of use, ready for JSON.
    seconds
        How many seconds lie between two snapshots, at least; 0 for none by the clock.
    steps
        How many steps lie between two snapshots; 0 for none by the count.
    interrupts
        When they ask for it, a snapshot is made after the step, and the interrupt is raised.
    anew
        Called with the reason why a snapshot is of no use; it is then removed, and its training begins again. Without
        it, such a snapshot is an error.
    clock
        The clock that tells the seconds.

    Raises
    ------
    BadInput
        ``folder`` is no path, ``belongs`` can't be JSON, or ``seconds`` or ``steps`` are no such numbers.

    Examples
    --------
    >>> import tempfile
    >>> from growmix import GrowingMixture
    >>> dark = np.random.default_rng(0).random((60, 1, 8, 8)) * 0.3
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     mixture = GrowingMixture("mlp", hidden=16, latent=2, epochs=3)
    ...     decision = mixture.learn(dark, callbacks=[Snapshots(Path(folder), steps=2)])
    ...     print(Snapshots(Path(folder)).place().step)
    6
    """

    def __init__(
        self,
        folder: str | Path,
        belongs: Mapping[str, Any] | None = None,
        *,
        seconds: float = 60.0,
        steps: int = 0,
        interrupts: Interrupts | None = None,
        anew: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder, self._belongs = check_path(folder, "folder"), _as_json(belongs or {})
        self._seconds, self._steps = _checked_seconds(seconds), require_whole(steps, "steps", 0)
        self._interrupts = interrupts or Interrupts()
        self._anew = anew
        self._clock = clock
        self._last = clock()
        self._count = 0  # trainings begun
        self._training: Mapping[str, Any] = {}

    def place(self) -> Place | None:
        """Return where an earlier process left this piece; ``None`` if it left nothing.

        Raises
        ------
        BadCheckpoint
            What it left can't be read, or belongs to something else.
        """
        numbers = sorted(int(each.name) for each in self._folder.glob("*") if re.fullmatch(r"\d+", each.name))
        kept = [self._folder / str(k) for k in numbers if exists(self._folder / str(k))]
        places = [self._place_in(each) for each in kept]
        seconds = math.fsum(place.seconds for place in places)
        return Place(places[-1].step, places[-1].steps, seconds) if places else None

    def recall(self, training: Mapping[str, Any], check: Callable[[TrainingState], None]) -> TrainingState | None:
        """Return the state in the folder of the training that begins now, if there is one.

        Raises
        ------
        BadCheckpoint
            The snapshot can't be read, or is of another training: other data or another version of a package led there.
        """
        path = self._folder / str(self._count)
        self._count += 1
        self._training = dict(training)
        self._last = self._clock()
        try:
            return self._state_in(path, check) if exists(path) else None
        except BadCheckpoint as error:
            if self._anew is None:
                raise
            self._anew(f"{error}; this training begins anew")
            remove_folder(path)
            return None

    def _state_in(self, path: Path, check: Callable[[TrainingState], None]) -> TrainingState:
        def look(document: dict[str, Any], tensors: dict[str, Tensor]) -> None:
            self._check(document, path)
            if document.get("training") != self._training:
                raise BadCheckpoint(
                    f"{path} is the snapshot of another training than the one that begins now; the data or the "
                    f"versions of packages have changed: remove {self._folder} to begin this task anew"
                )
            checked(document, tensors)

        def checked(document: dict[str, Any], tensors: dict[str, Tensor]) -> TrainingState:
            state = _state(document, tensors)
            try:
                check(state)
            except BadCheckpoint as error:
                raise BadCheckpoint(f"{path}: {error}") from error
            return state

        return checked(*read_folder(path, look))

    def after_step(self, steps: int, state: Callable[[], TrainingState]) -> None:
        """Keep the state if it is time, or if somebody wants the run to end."""
        by_count = self._steps > 0 and steps % self._steps == 0
        by_clock = self._seconds > 0 and self._clock() - self._last >= self._seconds
        if by_count or by_clock or self._interrupts.asked:
            self._write(state())
        if self._interrupts.asked:
            raise KeyboardInterrupt

    def at_end(self, state: TrainingState) -> None:
        """Keep the result, so that it need not be trained again, unless snapshots are made on interrupts alone."""
        if self._seconds or self._steps:
            self._write(state)

    def _write(self, state: TrainingState) -> None:
        document = {"kind": "training", "belongs": self._belongs, "training": self._training, "state": state.document}
        tensors = {name: t for part, own in state.tensors.items() for name, t in prefixed(f"{part}.", own).items()}
        write_folder(self._folder / str(self._count - 1), document, tensors)
        self._last = self._clock()

    def _place_in(self, path: Path) -> Place:
        document = read_document(path)
        self._check(document, path)
        with understanding(path):
            steps = record_from(document["training"]["steps"], int)
            stand = record_from(document["state"], LoopState)
            stand.check(steps)
            return Place(stand.done, steps, stand.seconds)

    def _check(self, document: Mapping[str, Any], path: Path) -> None:
        """See that a snapshot is of this piece of work."""
        if document.get("kind") != "training":
            raise BadCheckpoint(f"{path} is no snapshot")
        belongs = document.get("belongs")
        if belongs != self._belongs:
            was = belongs if isinstance(belongs, dict) else {}
            unlike = sorted(name for name in {*was, *self._belongs} if was.get(name) != self._belongs.get(name))
            raise BadCheckpoint(f"{path} was made with another {shortened(', '.join(unlike))}")


def _as_json(belongs: Mapping[str, Any]) -> Any:
    """Return what a mapping will be when it is read back: names are text, and tuples lists."""
    try:
        return json.loads(json.dumps(dict(belongs), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise BadInput(f"belongs is {shown(belongs)}; allowed is what can be JSON: {error}") from error


def _checked_seconds(seconds: Any) -> float:
    number = isinstance(seconds, Real) and not isinstance(seconds, bool)
    if not number or not 0.0 <= float(seconds) < math.inf:
        raise BadInput(f"seconds is {shown(seconds)}; allowed is a number of seconds, 0 or more")
    return float(seconds)


def _state(document: dict[str, Any], tensors: dict[str, Tensor]) -> TrainingState:
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        part, _, own = name.partition(".")
        parts.setdefault(part, {})[own] = tensor
    return TrainingState(document.get("state", {}), parts)
