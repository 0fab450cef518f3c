"""Plans a run before it starts: its stream, whether its method can learn that, and how much work it is."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Any

import torch

from growmix import __version__, baselines, streams
from growmix.components.construction import make_blueprint, make_kind, student_kind
from growmix.config import RunConfig
from growmix.data.domain import Domain
from growmix.errors import BadInput
from growmix.evaluation.labels import check_test_labels
from growmix.learning.distilling import lessons_for
from growmix.learning.learner import Learner
from growmix.report.reporter import RunPlan
from growmix.settings import declarations
from growmix.streams import Stream
from growmix.training.budget import Budget
from growmix.training.fabric import native_precision


def load_stream(config: RunConfig) -> Stream:
    """Load the stream that a configuration names, with tasks that can be learnt and evaluated.

    Raises
    ------
    BadInput
        Something in the configuration does not fit the stream, or a task can't be learnt or can't be evaluated then.
    DataUnavailable
        A data set is not available.
    """
    stream = streams.load(
        config.stream,
        tasks=config.tasks,
        data_root=config.data_root,
        seed=config.seed,
        label_space=config.label_space,
        replace=config.replace,
        train_examples=config.train_examples,
        test_examples=config.test_examples,
        label_fraction=config.label_fraction,
    )
    if config.settings.supervised is not False:
        check_test_labels(stream)
    return stream


def check_networks(learner: Learner[Any], stream: Stream) -> None:
    """See whether there can be networks for the examples of a stream.

    Raises
    ------
    BadInput
        The networks do not fit the examples, or there is too little memory to train them.
    """
    supervised = learner.settings.supervised is not False and stream[0].train.y is not None
    first = stream[0].train
    target = None if stream.target_shape is None else Domain(stream.target_shape, first.support)
    learner.check_networks(Domain(stream.shape, first.support), supervised=supervised, target=target)


def check_method(config: RunConfig, stream: Stream) -> None:
    """See whether the method can learn the stream.

    Raises
    ------
    BadInput
        The method needs labels, or can't learn pairs, and the stream is another; it has no density that could be
        measured; the student's networks do not fit; or the theory says nothing of the run.
    """
    if config.theory:
        check_theory(config, stream)
    if teaches(config):
        check_student(config, stream)
    method = baselines.METHODS[config.method]
    for name in ("likelihood_draws", "frechet_examples"):
        value, usual = getattr(config, name), declarations(RunConfig)[name].default
        if not method.generative and value not in (0, usual):
            raise BadInput(
                f"{name} is {value}, but the method {config.method!r} has no density and generates nothing; leave "
                f"{name} out, or take the method 'mixture' or 'generative-classifier'"
            )
    pairs = any(task.train.target is not None for task in stream)
    if pairs and not method.is_mixture:
        raise BadInput(
            f"method is {config.method!r}, which does not learn pairs of images as stream {stream.name!r} has; "
            f"allowed is one of {', '.join(baselines.MIXTURES)}"
        )
    unlabelled = [task.name for task in stream if task.train.y is None]
    if pairs and config.settings.supervised:
        raise BadInput(f"supervised is True, but stream {stream.name!r} has pairs of images, learnt without labels")
    if method.labels == "optional":
        return
    if method.labels == "all":
        unlabelled += [task.name for task in stream if task.train.y is not None and bool((task.train.y < 0).any())]
    if unlabelled or config.label_fraction == 0 or (method.labels == "all" and config.label_fraction < 1):
        share = f"label_fraction is {config.label_fraction:g}"
        given = f"task {unlabelled[0]!r} has not" if unlabelled and config.label_fraction == 1 else share
        wanted = "a label for every example" if method.labels == "all" else "labels"
        raise BadInput(f"method is {config.method!r}, which needs {wanted}, but {given}")


def check_student(config: RunConfig, stream: Stream) -> None:
    """See whether there can be a student for the examples of a stream, before the mixture is trained.

    Raises
    ------
    BadInput
        The student's networks do not fit the examples.
    """
    first, kind = stream[0].train, student_kind(config.settings)
    target = None if stream.target_shape is None else Domain(stream.target_shape, first.support)
    supervised = config.settings.supervised is not False and first.y is not None and target is None
    with torch.device("meta"):
        domain = Domain(stream.shape, first.support)
        kind.new(domain, supervised=supervised, target=target, generator=torch.Generator())


def check_theory(config: RunConfig, stream: Stream) -> None:
    """See whether the theory has something to say of such a run.

    Raises
    ------
    BadInput
        The method is no mixture, the run replays nothing, or the stream has pairs or too few test data.
    """
    if config.method not in baselines.MIXTURES:
        allowed = ", ".join(baselines.MIXTURES)
        raise BadInput(f"method is {config.method!r}, of which the theory says nothing; allowed are {allowed}")
    if config.settings.replay_ratio == 0:
        raise BadInput("replay_ratio is 0, but the theory is about regenerated data; allowed is a number above 0")
    from growmix.theory.risks import check_stream

    check_stream(stream)


def plan(config: RunConfig, stream: Stream) -> RunPlan:
    """Say what a run is going to do, with an estimate of how much that is."""
    settings = config.settings
    recipes = make_kind(settings, make_blueprint(settings)).recipes

    def visits(examples: int) -> int:
        trained = max(1, round(examples * (1 - settings.holdout)))
        budgets = [Budget.of(settings, trained, recipe) for recipe in recipes]
        return sum(
            min(trained * each.epochs, (each.steps or trained * each.epochs) * each.batch_size) for each in budgets
        )

    learnt = sum(len(task.train) for task in stream)
    classes = len({label for task in stream for label in task.classes})
    lessons = lessons_for(settings, learnt, classes, len(stream))  # as if every task grew
    return RunPlan(
        stream=stream.name,
        seed=config.seed,
        folder=config.folder,
        notes=stream.notes,
        tasks=tuple(task.name for task in stream),
        visits=tuple(visits(len(task.train)) for task in stream),
        student_visits=lessons * settings.student_passes if teaches(config) else 0,
        versions=versions(),
    )


def teaches(config: RunConfig) -> bool:
    """Whether a run distils a student at its end: only a mixture does."""
    return config.student and config.method in baselines.MIXTURES


def versions() -> dict[str, str]:
    """Return the versions of growmix and of the packages that its figures depend on."""
    packages = {name: version(name) for name in ("torch", "numpy", "scikit-learn")}
    return {"growmix": __version__, "python": platform.python_version(), **packages}


def precision(config: RunConfig) -> str:
    """Return the precision that a run trains in, with "auto" resolved."""
    asked = config.settings.precision
    return native_precision(config.settings.device) if asked == "auto" else asked
