"""What a run says of its learner in ``metrics.json``, and the picture of its translations."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from growmix.components.abilities import WithoutDensity
from growmix.config import RunConfig
from growmix.data.task import as_float
from growmix.learning.judging import sources_of
from growmix.learning.learner import Learner
from growmix.report.events import finite
from growmix.streams import Stream

SHOWN = 8
"""How many test images of each task a picture of translations shows."""


def show_translations(learner: Learner[Any], stream: Stream, file: Path) -> None:
    """Draw a picture with three rows for each task: sources, targets, and what the sources are translated to.

    Parameters
    ----------
    learner
        The learner of the pairs.
    stream
        Tasks whose test sets are pairs of images.
    file
        The PNG file to write.
    """
    from growmix.report.figures import picture_rows

    rows = []
    for task in stream[: len(learner.history)]:
        test = task.test[:SHOWN]
        if test.target is None:
            raise ValueError(f"task {task.name!r} has no pairs to show")
        source = test.images()
        rows.append((f"{task.name}\nsource", source.numpy()))
        rows.append(("target", as_float(test.target).numpy()))
        rows.append(("translation", learner.translate(source).numpy()))
    picture_rows(rows, file)


def quality(config: RunConfig, stream: Stream, learner: Learner[Any]) -> dict[str, Any]:
    """Measure the blocks ``log_likelihood`` and ``frechet`` of ``metrics.json``; null where there is none."""
    if any(isinstance(component, WithoutDensity) for component in learner.components):
        return {"log_likelihood": None, "frechet": None}
    from growmix.evaluation.quality import frechet_scores, likelihood_scores

    likelihood, frechet = None, None
    if config.likelihood_draws:
        draws, examples = config.likelihood_draws, config.likelihood_examples
        likelihood = likelihood_scores(learner, stream, draws, examples, config.seed)
    if config.frechet_examples:
        frechet = frechet_scores(learner, stream, config.frechet_examples, config.seed)
    return {"log_likelihood": likelihood, "frechet": frechet}


def score_weights(learner: Learner[Any]) -> dict[str, Any] | None:
    """Return what each score of a component counts, and what decides on the class; ``None`` with one score alone."""
    sources, weights = sources_of(learner.components), learner.history[-1].weights
    if not sources:
        return None
    return {"weights": dict(zip(sources, weights.values, strict=True)), "class_rule": weights.class_rule}


def describe(
    config: RunConfig,
    stream: Stream,
    learner: Learner[Any],
    scores: Mapping[str, Any],
    student: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Describe a learner and a student as ``metrics.json`` does.

    Parameters
    ----------
    config
        What the run was asked to do.
    stream
        The tasks, of which the learner has learnt the first.
    learner
        The model and its history.
    scores
        What was measured of the learner.
    student
        What was measured of the student; ``None`` if there is none.
    """
    decisions = learner.decisions
    names = [task.name for task in stream][: len(decisions)]
    sizes = [sum(weight.numel() for weight in component.parameters()) for component in learner.components]
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
        "score_weights": score_weights(learner),
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
