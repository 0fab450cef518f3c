from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from growmix.errors import BadInput
from growmix.theory import (
    MLP,
    Absolute,
    Conv,
    Finite,
    Linear,
    Loss,
    Search,
    Squared,
    Trainable,
    ZeroOne,
    discrepancy,
    half_planes,
    thresholds,
)

pytestmark = pytest.mark.slow

N = 2_000
CUTS = thresholds(torch.linspace(-6, 9, 301).tolist())
PLANES = half_planes(18, torch.linspace(-5, 7, 61).tolist())


def normal(seed: int, shift: float = 0.0, *, n: int = N, dimensions: int = 1) -> Tensor:
    x = torch.randn(n, dimensions, generator=torch.Generator().manual_seed(seed))
    x[:, 0] += shift
    return x


def gaussian_gap(shift: float) -> float:
    """Supremum over intervals of the difference of N(0, 1) and N(shift, 1): cut halfway between the means."""
    return math.erf(shift / 2 / math.sqrt(2))


@pytest.mark.parametrize("shift", [2.0, 3.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_on_a_line_the_search_comes_within_a_twentieth_of_all_thresholds(shift: float, seed: int) -> None:
    p, q = normal(100 + seed), normal(200 + seed, shift)
    exact = discrepancy(p, q, CUTS, ZeroOne())
    found = discrepancy(p, q, Linear(), ZeroOne(), search=Search(seed=seed))
    assert exact.estimate == pytest.approx(gaussian_gap(shift), abs=0.04)
    assert 0.95 * exact.estimate <= found.estimate <= exact.estimate + 3 * found.standard_error


@pytest.mark.parametrize("shift", [2.0, 3.0])
def test_in_the_plane_the_search_comes_within_a_twentieth_of_a_grid_of_lines(shift: float) -> None:
    p, q = normal(1, dimensions=2), normal(2, shift, dimensions=2)
    exact = discrepancy(p, q, PLANES, ZeroOne())
    found = discrepancy(p, q, Linear(), ZeroOne())
    assert 0.95 * exact.estimate <= found.estimate <= exact.estimate + 3 * found.standard_error


@pytest.mark.parametrize("hypotheses", [Linear(), MLP(), Conv()])
@pytest.mark.parametrize("loss", [ZeroOne(), ZeroOne(4), Absolute(), Squared()])
def test_two_samples_of_one_distribution_are_no_farther_than_chance(hypotheses: Trainable, loss: Loss) -> None:
    x = torch.rand(600, 1, 8, 8, generator=torch.Generator().manual_seed(3))
    found = discrepancy(x[:300], x[300:], hypotheses, loss, search=Search(steps=60, restarts=2))
    assert abs(found.estimate) <= 3 * found.standard_error


@pytest.mark.parametrize("loss", [Squared(), Absolute(), ZeroOne()])
def test_the_plug_in_of_one_distribution_is_no_larger_than_chance(loss: Loss) -> None:
    x = torch.rand(600, 1, 8, 8, generator=torch.Generator().manual_seed(3))
    y = (x.flatten(1).mean(1) > 0.5).long()
    targets = None if isinstance(loss, Squared) else (y[:300], y[300:])
    found = discrepancy(x[:300], x[300:], MLP(), loss, method="plug-in", targets=targets, search=Search(steps=60))
    assert found.estimate <= 3 * found.standard_error


@pytest.mark.parametrize("method", ["adversarial", "plug-in"])
def test_unlike_images_are_far_and_noise_that_was_fitted_is_not_counted(method: str) -> None:
    dark = torch.rand(400, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.4
    far = discrepancy(dark[:200], 1 - dark[200:], MLP(), Squared(), method=method)  # type: ignore[arg-type]
    near = discrepancy(dark[:200], dark[200:], MLP(), Squared(), method=method)  # type: ignore[arg-type]
    assert far.estimate > 0.03 and far.estimate > 10 * far.standard_error
    assert abs(near.estimate) < 0.1 * far.estimate
    if method == "adversarial":
        assert near.in_sample > 0.2  # a network that fits every sample


samples = st.integers(0, 10_000).map(lambda seed: normal(seed, seed % 7 / 3, n=60))


@given(samples, samples, samples, st.sampled_from([ZeroOne(), Absolute(), Squared()]))
def test_the_exact_distance_is_a_pseudometric(p: Tensor, q: Tensor, r: Tensor, loss: Loss) -> None:
    def distance(a: Tensor, b: Tensor) -> float:
        return discrepancy(a, b, CUTS if isinstance(loss, ZeroOne) else slopes, loss).estimate

    assert distance(p, p) == 0.0
    assert distance(p, q) == pytest.approx(distance(q, p))
    assert distance(p, r) <= distance(p, q) + distance(q, r) + 1e-9


slopes = Finite(lambda x: torch.stack([(a * x[:, 0]).sigmoid() for a in (-2.0, -1.0, 0.0, 1.0, 2.0)]), "5 slopes")


@pytest.mark.parametrize("seed", [0, 1])
def test_the_search_finds_a_spread_that_two_thresholds_must_enclose(seed: int) -> None:
    p, q = 0.3 * normal(seed), 2.0 * normal(seed + 50)
    exact = discrepancy(p, q, CUTS, ZeroOne())
    found = discrepancy(p, q, Linear(), ZeroOne(), search=Search(seed=seed))
    assert 0.95 * exact.estimate <= found.estimate <= exact.estimate + 3 * found.standard_error


@pytest.mark.parametrize("method", ["adversarial", "plug-in"])
def test_a_sample_is_at_no_distance_from_itself(method: str) -> None:
    x = torch.rand(100, 1, 8, 8)
    assert discrepancy(x, x.clone(), MLP(), Squared(), method=method).estimate == 0.0  # type: ignore[arg-type]


@settings(max_examples=20)
@given(st.integers(0, 1_000))
def test_the_search_is_symmetric_up_to_its_error(seed: int) -> None:
    p, q = normal(seed, n=400), normal(seed + 1, 1.5, n=400)
    search = Search(steps=60, restarts=2)
    one, other = (discrepancy(a, b, Linear(), ZeroOne(), search=search) for a, b in ((p, q), (q, p)))
    assert abs(one.estimate - other.estimate) <= 3 * math.hypot(one.standard_error, other.standard_error)


def test_the_same_seed_gives_the_same_estimate_and_touches_no_other_stream() -> None:
    p, q = normal(0, n=100), normal(1, 1.0, n=100)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again = (discrepancy(p, q, MLP(), ZeroOne(), search=Search(steps=20, seed=4)) for _ in range(2))
    assert first == again
    assert torch.equal(before, torch.get_rng_state())


def test_arrays_bytes_and_tensors_are_taken_alike() -> None:
    x = np.random.default_rng(0).integers(0, 256, (120, 1, 4, 4), dtype=np.uint8)
    search = Search(steps=10)
    as_bytes = discrepancy(x[:60], x[60:], Linear(), Squared(), search=search)
    floats = torch.from_numpy(x).float() / 255
    assert discrepancy(floats[:60], floats[60:], Linear(), Squared(), search=search) == as_bytes


class Unbounded(Loss):
    name = "unbounded"
    bound = None

    def outputs(self, inputs: int) -> int:
        return 1

    def answer(self, output: Tensor) -> Tensor:
        return output[..., 0]

    def between(self, a: Tensor, b: Tensor) -> Tensor:
        return (a - b).abs()

    def smooth(self, output: Tensor, other: Tensor) -> Tensor:
        return self.between(self.answer(output), self.answer(other))

    def to_target(self, output: Tensor, target: Tensor) -> Tensor:
        return self.between(self.answer(output), target)

    def means(self, answers: Tensor) -> Tensor:
        return torch.cdist(answers, answers, p=1.0)


GOOD = torch.rand(60, 1, 4, 4)


@pytest.mark.parametrize(
    ("p", "q", "options", "said"),
    [
        (GOOD, torch.rand(60, 1, 5, 5), {}, "q has examples of shape"),
        (GOOD[:0], GOOD, {}, "p has 0 examples; at least 50"),
        (GOOD, GOOD[:49], {}, "q has 49 examples; at least 50"),
        (torch.rand(60), GOOD, {}, "p has the shape"),
        (GOOD.masked_fill(GOOD > 0.9, torch.nan), GOOD, {}, "p has numbers that are not finite"),
        (["a"] * 60, GOOD, {}, "p has the type"),
        (GOOD, GOOD, {"loss": Unbounded()}, "loss 'unbounded' has the bound None"),
        (GOOD, GOOD, {"method": "exact"}, "method is 'exact', but the hypotheses are linear"),
        (GOOD, GOOD, {"method": "best"}, "method is 'best'; allowed are"),
        (GOOD, GOOD, {"hypotheses": CUTS, "method": "plug-in"}, "but the hypotheses are 301 thresholds"),
        (GOOD, 1 - GOOD, {"hypotheses": CUTS}, r"these hypotheses take \(examples, 1\)"),
        (normal(0), normal(1), {"hypotheses": PLANES}, r"these hypotheses take \(examples, 2\)"),
        (normal(0), normal(1), {"hypotheses": Finite(lambda x: 9 * x.T, "wild")}, "answers outside of"),
        (
            normal(0),
            normal(1),
            {"hypotheses": Finite(lambda x: 0 * x.T + 2, "twos"), "loss": ZeroOne()},
            "answers of hypotheses are not all classes",
        ),
        (GOOD, GOOD, {"method": "plug-in", "targets": ([0] * 60, [0] * 60)}, "the examples are their own"),
        (
            GOOD,
            GOOD,
            {"method": "plug-in", "loss": ZeroOne(), "targets": (["a"] * 60, [0] * 60)},
            "targets of p has the type",
        ),
        (GOOD, GOOD, {"method": "plug-in", "loss": ZeroOne()}, "targets are missing"),
        (3 * GOOD, GOOD, {"method": "plug-in"}, "reconstructions are bounded in"),
        (
            GOOD,
            GOOD,
            {"method": "plug-in", "loss": ZeroOne(), "targets": ([0] * 60, [2] * 60)},
            "targets of q are not all classes",
        ),
        (
            GOOD,
            GOOD,
            {"method": "plug-in", "loss": ZeroOne(), "targets": ([0] * 60, [1] * 59)},
            "targets of q have the shape",
        ),
        (normal(0), normal(1), {"hypotheses": Conv()}, "hypotheses of convolutions take"),
    ],
)
def test_what_can_not_be_measured_is_refused_in_words(
    p: object, q: object, options: dict[str, object], said: str
) -> None:
    asked = {"hypotheses": Linear(), "loss": Squared(), "search": Search(steps=2), **options}
    with pytest.raises(BadInput, match=said):
        discrepancy(p, q, asked.pop("hypotheses"), asked.pop("loss"), **asked)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong", [{"steps": 1}, {"batch": 0}, {"restarts": True}, {"learning_rates": (0.0,)}, {"learning_rates": ()}]
)
def test_a_search_that_can_not_be_done_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(BadInput, match=next(iter(wrong))):
        Search(**wrong)  # type: ignore[arg-type]
