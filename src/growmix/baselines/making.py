"""Makes the learner of a method by name, and reads one back from its checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from growmix.baselines.catalogue import find
from growmix.checkpoints.folders import read_document
from growmix.checkpoints.persistence import understanding
from growmix.components.construction import make_blueprint
from growmix.errors import BadCheckpoint, BadInput
from growmix.learning.learner import Learner
from growmix.learning.loading import load_learner
from growmix.learning.mixture import GrowingMixture
from growmix.settings import Settings
from growmix.system.ambient import torch_as_it_comes
from growmix.system.paths import check_path


@torch_as_it_comes()
def make_learner(name: str, settings: Settings, **parameters: Any) -> Learner[Any]:
    """Return a new learner of a method.

    Parameters
    ----------
    name
        The name of the method.
    settings
        All settings of the learner.
    **parameters
        Parameters of the method alone, such as ``buffer_size`` of ``er``.

    Raises
    ------
    BadInput
        There is no such method, or the settings or the parameters do not fit it.

    Examples
    --------
    >>> make_learner("er", Settings(), buffer_size=0)
    Traceback (most recent call last):
    growmix.errors.BadInput: buffer_size is 0; allowed is a whole number of 1 or more, below 2**63
    """
    method = find(name)
    if not isinstance(settings, Settings):
        raise BadInput(f"settings is a {type(settings).__name__}; give a Settings")
    if method.labels != "optional" and settings.supervised is False:
        raise BadInput(f"supervised is False; the method {name!r} needs labels")
    return method.make(method.settings(settings), **method.values(parameters))


def load(path: str | Path, name: str, device: str | None = None) -> Learner[Any]:
    """Read a learner back from what it was saved to.

    Parameters
    ----------
    path
        The folder that it was saved to.
    name
        The name of the method that it was made with.
    device
        Where to put the learner, if not where it was made.

    Raises
    ------
    BadCheckpoint
        A file is missing, broken, or of another method.
    BadInput
        There is no such method.
    """
    method = find(name)
    path = check_path(path, "path")
    other = f"{path} was made with other settings than those of the method {name!r}"

    def make(settings: Settings) -> Learner[Any]:
        make_blueprint(settings)  # one that was not allowed is no fault of the checkpoint
        try:
            own = method.settings(settings)
            learner = method.make(own, **method.values(_parameters(path) if method.parameters else {}))
        except BadInput as error:
            raise BadCheckpoint(f"{other}: {error}") from error
        if own != settings:  # the mixtures differ in nothing else
            raise BadCheckpoint(other)
        return learner

    return load_learner(path, GrowingMixture.method if method.is_mixture else name, make, device)


def _parameters(path: Path) -> dict[str, Any]:
    """Return the parameters that a checkpoint says it was made with; whether they are allowed is not looked at."""
    with understanding(path):
        return dict(read_document(path)["memory"]["parameters"])
