"""One run: learn a stream task by task, evaluate, distil, and write what came of it.

A run's folder holds ``config.yaml`` (what was asked for), ``events.jsonl`` (what happened, a line each),
``checkpoint/`` (the model after the last finished task; the student in ``checkpoint/student/``), ``metrics.json`` and,
for pairs, ``translation.png``. With ``--theory`` also ``theory.json`` and its figures. While a run is unfinished,
``progress/`` holds what :func:`resume` needs besides.
"""

from growmix.experiment.folder import (
    CHECKPOINT,
    CONFIG,
    EVENTS,
    INTERPOLATION,
    METRICS,
    PROGRESS,
    SAMPLES,
    STUDENT,
    TRADE_OFF,
    TRANSLATION,
    RunFolder,
)
from growmix.experiment.observing import RunObserver
from growmix.experiment.planning import (
    check_method,
    check_networks,
    load_stream,
    versions,
)
from growmix.experiment.reading import explain, load_learner, load_student, reevaluate
from growmix.experiment.running import resume, run

__all__ = [
    "CHECKPOINT",
    "CONFIG",
    "EVENTS",
    "INTERPOLATION",
    "METRICS",
    "PROGRESS",
    "SAMPLES",
    "STUDENT",
    "TRADE_OFF",
    "TRANSLATION",
    "RunFolder",
    "RunObserver",
    "check_method",
    "check_networks",
    "explain",
    "load_learner",
    "load_stream",
    "load_student",
    "reevaluate",
    "resume",
    "run",
    "versions",
]
