"""``growmix sample`` and ``growmix interpolate``: pictures of what a run's mixture can draw."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from growmix.cli.options import AllowImport, Device, Folder, count, path
from growmix.cli.running import open_run
from growmix.cli.words import DONE, say
from growmix.errors import BadInput, shown

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from growmix.data.task import TaskData
    from growmix.learning.learner import Learner
    from growmix.streams import Stream

SAMPLE_HELP = "Draw images from a run's mixture: a PNG with one row per component."
INTERPOLATE_HELP = (
    "Draw paths between test images: within each component, and across components that follow each other."
)
COMPONENT_HELP = "Draw from this component alone; by default there is a row for each."
LABEL_HELP = (
    "Draw this class alone, as numbered over the whole stream; rows are then the components that know the class."
)


def sample(
    folder: Folder,
    /,
    *,
    component: Annotated[int | None, count(COMPONENT_HELP)] = None,
    label: Annotated[int | None, count(LABEL_HELP)] = None,
    n: Annotated[int, count("How many images a row has.")] = 10,
    out: Annotated[Path | None, path("PNG file to write; by default samples.png in DIR.")] = None,
    device: Device = None,
    allow_import: AllowImport = False,
) -> int:
    """Carry out ``growmix sample``: draw the images, and write them."""
    _check_picture(out)
    open_run(folder, allow_import)

    from growmix import experiment
    from growmix.report.pictures import write_grid

    rows = draw(experiment.load_learner(folder, device=device), component, label, n)
    file = out or folder / experiment.SAMPLES
    write_grid(list(rows.values()), file)
    say(f"{file}: {n} images in each row; rows: components {', '.join(map(str, rows))}")
    return DONE


def _check_picture(out: Path | None) -> None:
    """See that a picture can be written there, before anything is computed for it."""
    if out is not None and out.suffix.lower() != ".png":
        raise BadInput(f"out is {shown(str(out))}; allowed is a file whose name ends in .png")
    if out is not None and not out.parent.is_dir():
        raise BadInput(f"out is {shown(str(out))}, but there is no folder {shown(str(out.parent))}; make it first")


def draw(learner: Learner[Any], component: int | None, label: int | None, n: int) -> dict[int, np.ndarray[Any, Any]]:
    """Return images ``(n, channels, height, width)`` of each component that was asked for.

    Raises
    ------
    BadInput
        The mixture does not have the component or the label, or no image was asked for.
    """
    if component is not None:
        return {component: learner.sample(n, component=component, label=label)[0]}
    knowing = [k for k, c in enumerate(learner.components) if label is None or label in c.classes]
    if not knowing and not len(learner.classes_):
        raise BadInput(f"label is {label}, but this mixture learnt without labels; leave --label out")
    if not knowing:
        raise BadInput(f"label is {label}; allowed are {', '.join(map(str, learner.classes_))}")
    return {k: learner.sample(n, component=k, label=label)[0] for k in knowing}


def interpolate(
    folder: Folder,
    /,
    *,
    steps: Annotated[int, count("How many images a path has, both ends included.")] = 8,
    out: Annotated[Path | None, path("PNG file to write; by default interpolation.png in DIR.")] = None,
    device: Device = None,
    allow_import: AllowImport = False,
) -> int:
    """Carry out ``growmix interpolate``: draw the paths, and write them."""
    _check_picture(out)
    open_run(folder, allow_import)

    from growmix import experiment
    from growmix.report.figures import picture_rows

    learner = experiment.load_learner(folder, device=device)
    rows = paths(learner, experiment.load_stream(experiment.RunFolder(folder).config()), steps)
    file = out or folder / experiment.INTERPOLATION
    picture_rows(rows, file)
    say(f"{file}: {len(rows)} paths of {steps} images")
    return DONE


def paths(learner: Learner[Any], stream: Stream, steps: int) -> list[tuple[str, np.ndarray[Any, Any]]]:
    """Return what is shown of a learner's latent spaces: for each path what it is, and its images.

    Raises
    ------
    BadInput
        There are fewer than two steps.
    """
    from growmix.evaluation.evaluator import owners_of

    ends: dict[int, tuple[str, Tensor, Tensor]] = {}
    for task, step in zip(stream, learner.history, strict=False):
        for k in owners_of(step):  # of each component the first task that it learnt, and two unlike images of that
            ends.setdefault(k, (task.name, *two_unlike(task.test)))
    rows = []
    for k, (name, first, second) in sorted(ends.items()):
        rows.append((f"component {k}\n{name}", learner.interpolate(first, second, steps, component=k).numpy()))
    for k in range(len(ends) - 1):
        path = learner.interpolate(ends[k][1], ends[k + 1][1], steps, component=(k, k + 1))
        rows.append((f"components {k} to {k + 1}", path.numpy()))
    return rows


def two_unlike(test: TaskData) -> tuple[Tensor, Tensor]:
    """Return the first test image, and the first of another class if there is one, each as a batch of one."""
    other = 1 if len(test) > 1 else 0
    if test.y is not None and bool((test.y != test.y[0]).any()):
        other = int((test.y != test.y[0]).nonzero()[0])
    images = test[: other + 1].images()
    return images[:1], images[other : other + 1]
