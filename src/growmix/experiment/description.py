"""What a run says of its learner in ``metrics.json``, and the picture of its translations."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from growmix.config import RunConfig
from growmix.data.task import as_float
from growmix.evaluation.quality import frechet_scores, likelihood_scores
from growmix.learning.learner import Learner
from growmix.report.events import finite
from growmix.report.figures import picture_rows
from growmix.streams import Stream

SHOWN = 8
"""Test images per task in a picture of translations."""


def show_translations(learner: Learner[Any], stream: Stream, file: Path) -> None:
    """A picture with three rows per task: source, target, and what the source is translated to."""
    rows = []
    for task in stream[: len(learner.history)]:
        test = task.test[:SHOWN]
        assert test.target is not None  # asked of pairs alone
        source = test.images()
        rows.append((f"{task.name}\nsource", source.numpy()))
        rows.append(("target", as_float(test.target).numpy()))
        rows.append(("translation", learner.translate(source).numpy()))
    picture_rows(rows, file)


def quality(config: RunConfig, stream: Stream, learner: Learner[Any]) -> dict[str, Any]:
    """Blocks ``log_likelihood`` and ``frechet`` of ``metrics.json``."""
    likelihood, frechet = None, None
    if config.likelihood_draws:
        draws, examples = config.likelihood_draws, config.likelihood_examples
        likelihood = likelihood_scores(learner, stream, draws, examples, config.seed)
    if config.frechet_examples:
        frechet = frechet_scores(learner, stream, config.frechet_examples, config.seed)
    return {"log_likelihood": likelihood, "frechet": frechet}


def describe(
    config: RunConfig,
    stream: Stream,
    learner: Learner[Any],
    scores: Mapping[str, Any],
    student: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """What ``metrics.json`` says of a learner and a student, whoever trained them."""
    decisions = learner.decisions
    names = [task.name for task in stream][: len(decisions)]
    sizes = [sum(part.numel() for part in component.parameters()) for component in learner.components]
    described = {
        "stream": stream.name,
        "method": config.method,
        "seed": config.seed,
        "tasks": names,
        "task_components": [decision.component for decision in decisions],
        "decisions": [
            {
                "task": name,
                "action": decision.action,
                "component": decision.component,
                "novelty": decision.novelty,
                "threshold": decision.threshold,
            }
            for name, decision in zip(names, decisions, strict=True)
        ],
        "components": len(learner.components),
        **scores,
        "student": student,
        "parameters": {
            "mixture": sum(sizes) + learner.shared_parameters,
            "per_component": sizes,
            "shared": learner.shared_parameters,
        },
    }
    plain: dict[str, Any] = finite(described)
    return plain
