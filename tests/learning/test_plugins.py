"""Objects of a user's own: what is no object of an interface is refused, and settings take names alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from growmix import BadInput, GrowingMixture, Settings, Student
from growmix.components.component import Component, Trainer
from growmix.components.convolution import Conv
from growmix.components.kinds import ComponentKind
from growmix.components.likelihoods import Bernoulli, Likelihood
from growmix.components.nets import MLP
from growmix.data.domain import Domain
from growmix.data.task import TaskData
from growmix.learning.gating import AlwaysGate, Decision, DirichletGate, Gate, ThresholdGate
from growmix.learning.novelty import PaperMeasure
from growmix.learning.plugins import Plugins, names_of_plugins

TINY: dict[str, Any] = {"hidden": 8, "latent": 2, "epochs": 1, "device": "cpu", "student_examples": 8}


class Laplace(Likelihood):
    """A likelihood of a user's own, without a name of its own."""

    def log_prob(self, output: Tensor, x: Tensor) -> Tensor:
        return -((output - x).abs() / 0.1 + torch.tensor(0.2).log()).flatten(1).sum(1)

    def mean(self, output: Tensor) -> Tensor:
        return output

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return output


def task(kind: int) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(kind).random((24, 1, 4, 4), dtype=np.float32)
    return x * 0.3 + 0.6 * kind, np.arange(24) % 2 + 2 * kind


NAMED: list[tuple[str, Any, dict[str, Any]]] = [
    ("gate", AlwaysGate(), {"gate": "always"}),
    ("gate", ThresholdGate(), {"gate": "threshold"}),
    ("gate", DirichletGate(3.0), {"gate": "dirichlet", "alpha": 3.0}),
    ("novelty", PaperMeasure(), {"novelty": "paper"}),
    ("likelihood", Bernoulli(), {"likelihood": "bernoulli"}),
    ("blueprint", MLP(hidden=5, depth=1), {"blueprint": "mlp", "hidden": 5, "depth": 1}),
    ("blueprint", Conv(width=2), {"blueprint": "conv", "width": 2}),
]


@pytest.mark.parametrize(("keyword", "given", "named"), NAMED)
def test_a_name_and_an_object_mean_the_same_also_when_read_back(
    keyword: str, given: Any, named: dict[str, Any], tmp_path: Path
) -> None:
    by_object, by_name = GrowingMixture(**{keyword: given}), GrowingMixture(**named)
    assert (by_object.settings, by_object.plugins) == (by_name.settings, Plugins())
    by_object.save(tmp_path / "it")
    assert GrowingMixture.load(tmp_path / "it").settings == by_name.settings
    assert GrowingMixture.load(tmp_path / "it", **{keyword: given}).settings == by_name.settings


def test_an_object_that_settings_could_not_name_stays_an_object() -> None:
    mine = MLP(5, name="mine")
    assert GrowingMixture(mine).plugins == Plugins(blueprint=mine)
    assert GrowingMixture(novelty="smd", settings=Settings(latent=3)).measure.name == "smd"


def test_an_object_and_a_setting_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"^hidden is 16, but the object that was handed in has 8"):
        GrowingMixture(MLP(hidden=8), hidden=16)
    GrowingMixture(gate="always").save(tmp_path / "it")
    with pytest.raises(BadInput, match=r"^gate is 'threshold', but this mixture was made with 'always'"):
        GrowingMixture.load(tmp_path / "it", gate=ThresholdGate())


@pytest.mark.parametrize("name", ["hidden", "latent", "classification_weight"])
def test_settings_of_an_autoencoder_are_refused_beside_a_component_of_ones_own(name: str) -> None:
    with pytest.raises(BadInput, match=f"^{name} has no effect beside a component of your own"):
        GrowingMixture(component=GrowingMixture().kind, **{name: 5})  # type: ignore[arg-type]


def test_a_variance_is_refused_where_the_examples_take_the_bernoulli_default() -> None:
    idle = r"^variance is 0.1, which has no effect with likelihood 'bernoulli'"
    mixture = GrowingMixture(variance=0.1, **TINY)
    with pytest.raises(BadInput, match=idle):
        mixture.learn(task(0))
    assert mixture.history == ()
    x, y = task(0)
    assert mixture.learn((x.reshape(24, 16), y)).action == "grow"
    with pytest.raises(BadInput, match=idle):
        GrowingMixture(variance=0.1, support="unit")


class Half:
    """Has some of the members of a gate and of a measure."""

    name = "half"

    def distance(self, new: object, reference: object) -> float:
        return 0.0


@pytest.mark.parametrize(
    ("keyword", "given", "said"),
    [
        ("gate", AlwaysGate, "gate is the class AlwaysGate; give an object of it, such as AlwaysGate()"),
        ("gate", Half(), "which misses decide;"),
        ("novelty", Half(), "which misses default_threshold, noise;"),
        ("likelihood", Half(), "which misses log_prob, mean, sample;"),
        ("blueprint", Half(), "which misses batchable, decoder, encoder;"),
        ("component", Half(), "which misses make;"),
        ("novelty", 3, "novelty is 3, which misses"),
    ],
)
def test_what_is_no_object_of_the_interface_is_refused_by_what_it_misses(keyword: str, given: Any, said: str) -> None:
    with pytest.raises(BadInput) as refused:
        GrowingMixture(**{keyword: given})
    assert str(refused.value).startswith(f"{keyword} is ")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_object_that_has_everything_but_the_interface_is_told_to_inherit() -> None:
    class Like:
        name = "like"
        default_threshold = 0.1
        distance = noise = decide = None

    with pytest.raises(
        BadInput, match=r"all members of a Gate, but is none; .* inherits from growmix\.learning\.gating\.Gate"
    ):
        GrowingMixture(gate=Like())  # type: ignore[arg-type]


def test_networks_beside_a_component_of_ones_own_are_refused() -> None:
    kind = GrowingMixture().kind
    for keyword, given in (("blueprint", MLP(5, name="mine")), ("likelihood", Laplace())):
        with pytest.raises(BadInput, match=f"^{keyword} has no effect beside a component of your own"):
            GrowingMixture(component=kind, **{keyword: given})


def test_a_likelihood_of_ones_own_is_kept_by_its_class_for_the_student_too(tmp_path: Path) -> None:
    mixture = GrowingMixture(likelihood=Laplace(), **TINY)
    mixture.learn(task(0))
    student = mixture.distill()
    assert isinstance(student.component.likelihood, Laplace)
    mixture.save(tmp_path / "mixture")
    student.save(tmp_path / "student")
    x = task(0)[0]
    for kind, model in ((GrowingMixture, mixture), (Student, student)):
        folder = tmp_path / kind.__name__.lower().removeprefix("growing")
        again = kind.load(folder, likelihood=Laplace())
        np.testing.assert_array_equal(again.score_samples(x), model.score_samples(x))
        with pytest.raises(BadInput, match=r"likelihood is missing: .* 'Laplace'"):
            kind.load(folder)
    GrowingMixture(**TINY).learn(task(0))


class Drawing(Component):
    """Draws its first weights, and what it learns, from torch's global generator, as users' modules may."""

    def __init__(self, domain: Domain, *, supervised: bool) -> None:
        super().__init__(domain, supervised=supervised)
        self.first = nn.Linear(domain.size, 2)
        self.register_buffer("learnt", torch.zeros(3))

    def add_classes(self, labels: Sequence[int], generator: torch.Generator) -> None:
        self.classes = tuple(dict.fromkeys((*self.classes, *labels)))
        self.class_counts = torch.zeros(len(self.classes))

    def fit(self, data: TaskData, weight: Tensor, trainer: Trainer) -> None:
        self.learnt = torch.randn(3)

    def score(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return -self.first(x.flatten(1)).square().sum(1), torch.zeros(len(x), len(self.classes)).log_softmax(1)

    def draw(self, positions: Tensor, generator: torch.Generator) -> Tensor:
        return torch.rand(len(positions), *self.shape, generator=generator)


class DrawingKind(ComponentKind):
    name = "drawing"

    def make(self, domain: Domain, *, supervised: bool, target: Domain | None, generator: torch.Generator) -> Component:
        return Drawing(domain, supervised=supervised)


def test_a_component_of_ones_own_may_draw_globally_and_is_decided_by_the_seed_alone() -> None:
    before = torch.get_rng_state()
    learnt = [GrowingMixture(component=DrawingKind(), device="cpu") for _ in range(2)]
    for mixture in learnt:
        mixture.learn(task(0))
    one, other = (mixture.components[0].state_dict() for mixture in learnt)
    assert all(torch.equal(one[name], other[name]) for name in ("first.weight", "first.bias", "learnt"))
    assert torch.equal(before, torch.get_rng_state())


def test_an_object_that_a_mixture_was_made_without_is_refused(tmp_path: Path) -> None:
    GrowingMixture(**TINY).save(tmp_path / "it")
    with pytest.raises(BadInput, match="likelihood is 'Laplace', but this mixture was made without a likelihood of"):
        GrowingMixture.load(tmp_path / "it", likelihood=Laplace())


@pytest.mark.parametrize("saved", [3, ["gate"], {"gate": 3}, {"gates": "mine"}, None])
def test_names_in_a_strangers_checkpoint_are_names(saved: object) -> None:
    with pytest.raises(ValueError, match="user's own objects are"):
        names_of_plugins(saved)


def test_a_gate_that_grows_a_component_that_is_there_changes_nothing() -> None:
    class First(Gate):
        name = "first"

        def decide(self, novelty: Any, counts: Any, threshold: float) -> Decision:
            return Decision("grow", 0, tuple(novelty), threshold)

    mixture = GrowingMixture(gate=First(), **TINY)
    mixture.learn(task(0))
    with pytest.raises(BadInput, match="gate decided to grow component 0; it may grow component 1"):
        mixture.learn(task(1))
    assert len(mixture.records) == len(mixture.decisions) == 1


def test_a_decision_in_numpys_numbers_can_be_saved(tmp_path: Path) -> None:
    class Nearest(Gate):
        name = "nearest"

        def decide(self, novelty: Any, counts: Any, threshold: float) -> Decision:
            if not novelty:
                return Decision("grow", 0, (), threshold)
            chosen: Any = np.argmin(novelty)
            return Decision("reuse", chosen, np.asarray(novelty, np.float32), np.float64(threshold))  # type: ignore[arg-type]

    mixture = GrowingMixture(gate=Nearest(), **TINY)
    for kind in (0, 1):
        mixture.learn(task(kind))
    mixture.save(tmp_path / "mixture")
    assert GrowingMixture.load(tmp_path / "mixture", gate=Nearest()).decisions == mixture.decisions
