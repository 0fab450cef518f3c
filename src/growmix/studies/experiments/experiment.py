"""Experiment: one row of the paper's experiments, with its settings at each scale."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from growmix.studies.study import Request, Study, Variant

Scale: TypeAlias = Literal["small", "paper"]

SEEDS: Mapping[Scale, int] = MappingProxyType({"small": 1, "paper": 5})
"""Number of seeds at each scale; the paper has five."""

UNMEASURED = {"student": False, "likelihood_draws": 0, "frechet_examples": 0}
"""Keys that leave out what takes time and is in none of the paper's tables; some studies teach the student."""

PAPER = {
    **UNMEASURED,
    "blueprint": "conv",
    "latent": 100,
    "likelihood": "gaussian",
    "variance": 0.5,
    "batch_size": 64,
    "learning_rate": 2e-4,
    "adam_beta1": 0.5,
    "schedule": "constant",
    "weight_decay": 0.0,
}
"""Published settings: Adam 2e-4, beta1 0.5, batch 64, 100 latents, squared error plus KL. Epochs: each experiment's."""

EPOCHS_UNSUPERVISED, EPOCHS_MNIST, EPOCHS_CIFAR = 100, 20, 200
"""Published numbers of epochs."""

IMAGES = {
    **UNMEASURED,
    "supervised": False,
    "latent": 64,
    "likelihood": "gaussian",
    "variance": 0.5,
    "batch_size": 128,
}
"""Keys of the small scale where reconstructions are measured: the paper's loss, smaller networks, fewer steps."""

PAPER_IMAGES = {**PAPER, "supervised": False, "epochs": EPOCHS_UNSUPERVISED}

SHARING = (
    Variant("mixture", "growing mixture", {"method": "mixture", "sharing": "none"}),
    Variant("mixture-adapter", "growing mixture, adapter", {"method": "mixture", "sharing": "adapter"}),
    Variant("mixture-trunk", "growing mixture, trunk", {"method": "mixture", "sharing": "trunk"}),
)


@dataclass(frozen=True)
class Experiment:
    """One experiment of the paper, which ``growmix reproduce NAME`` does.

    Attributes
    ----------
    name
        Name for the command line.
    measures
        One line that says what is measured.
    streams
        Streams of the catalogue whose data the experiment needs.
    values
        Keys of the runs at each scale; the small one has the same protocol within 20 minutes on two cores per seed.
    study
        Function that makes the study from these keys and a request.
    seeds
        Number of seeds at each scale.
    """

    name: str
    measures: str
    streams: tuple[str, ...]
    values: Mapping[Scale, Mapping[str, Any]]
    study: Callable[[Mapping[str, Any], Request], Study]
    seeds: Mapping[Scale, int] = field(default_factory=lambda: SEEDS)

    @property
    def data_sets(self) -> tuple[str, ...]:
        """Data sets that the experiment needs, each once; those of its own tasks are those of the small scale."""
        from growmix.streams.catalogue import entry

        named = [name for stream in self.streams for name in entry(stream).data_sets]
        tasks = [task.split("@")[0] for task in self.values["small"].get("tasks", ())]
        return tuple(dict.fromkeys((*named, *tasks)))

    def at(self, scale: Scale, request: Request) -> Study:
        """Make the study at a scale.

        Raises
        ------
        BadInput
            The request gives a key that the study sets itself, or a wrong value.
        """
        return self.study(self.values[scale], request)
