"""How far MNIST is from each other set, by the plug-in estimate of the discrepancy distance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, final

from growmix.config import RunConfig
from growmix.studies.experiments.experiment import IMAGES, PAPER_IMAGES, Experiment
from growmix.studies.runs import Outcome
from growmix.studies.spread import Spread
from growmix.studies.study import Findings, Request, Study, lay_out_one
from growmix.studies.tables import Table

if TYPE_CHECKING:
    from growmix.streams import Stream

STREAM = "msfirc"

NOTES = (
    "Plug-in estimate: h is trained on the first set, h' on both together; the difference between how much they "
    "disagree (squared error summed over an image) on test images of one and of the other. The distance is a supremum, "
    "so this is an estimate from below; the first row is what chance gives: the first set's test images, cut in two.",
    "Published as a figure without numbers: MNIST is nearer to rotated MNIST than to Fashion-MNIST.",
)


@final
class DiscrepancyStudy(Study):
    """The first set of a stream against each other one. It trains here: jobs and folders of runs are not needed."""

    def __init__(self, values: Mapping[str, Any], request: Request) -> None:
        from growmix import experiment

        self.title = "Discrepancy distance from MNIST"
        self._notes = (*NOTES, *request.replaced)
        self._configs = lay_out_one({**values, "stream": STREAM}, request)
        experiment.load_stream(self._configs[0])  # what is wrong with the data shows here, and is so with every seed

    @property
    def configs(self) -> tuple[RunConfig, ...]:
        """One per seed."""
        return self._configs

    def findings(self, done: Sequence[Outcome]) -> Findings:
        """An estimate for each set."""
        from growmix import experiment

        seeds = [estimates(experiment.load_stream(config), config) for config in self.configs]
        spreads = {name: Spread.of([each[name] for each in seeds]) for name in seeds[0]}
        rows = tuple((name, value.text(2)) for name, value in spreads.items())
        numbers = {name: asdict(value) for name, value in spreads.items()}
        return Findings((Table(self.title, ("set", "estimate"), rows, self._notes),), {"discrepancy": numbers})


def estimates(stream: Stream, config: RunConfig) -> dict[str, float]:
    """Of the first task against itself and each other one, by name."""
    import torch

    from growmix.theory.discrepancy import autoencoder, plug_in_discrepancy

    settings, first = config.settings, stream[0]
    h = autoencoder(first.train.x, settings)
    again = autoencoder(first.train.x, settings.but(seed=settings.seed + 1))
    one, other = first.test.x.tensor_split(2)
    found = {f"{first.name}, with itself": plug_in_discrepancy(h, again, one, other)}
    for task in stream[1:]:
        both = autoencoder(torch.cat([first.train.x, task.train.x]), settings)
        found[task.name] = plug_in_discrepancy(h, both, first.test.x, task.test.x)
    return found


EXPERIMENTS = (
    Experiment(
        "discrepancy",
        "estimates of the discrepancy distance from MNIST to each other set",
        (STREAM,),
        {"small": {**IMAGES, "max_steps": 1_000}, "paper": PAPER_IMAGES},
        DiscrepancyStudy,
    ),
)
