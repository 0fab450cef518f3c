"""Weights of several scores are chosen by held-out examples and samples, and nothing of these is kept but counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from forging import Document, change_document
from growmix import BadCheckpoint, GrowingMixture, streams
from growmix.data.task import check_task
from growmix.evaluation import Evaluator
from growmix.learning import choosing
from growmix.learning.choosing import FEWEST, NOTHING_COUNTED, Tally, candidates, choose
from growmix.learning.judging import ScoreWeights, judged, preset_of
from growmix.learning.knowledge import Knowledge
from growmix.learning.routing import combine, log_responsibilities, route_examples
from several_scores import SeveralKind, task

PRESET = (1.0, 0.0, 1.0)


def mixture_of(tasks: int, n: int = 400, *, labels: bool = True, **settings: Any) -> GrowingMixture:
    settings = {"gate": "always", "device": "cpu", "holdout": 0.3, **settings}
    mixture = GrowingMixture(component=SeveralKind(), **settings)
    for number in range(tasks):
        mixture.learn(task(number, n, labels=labels))
    return mixture


def accuracy(mixture: GrowingMixture, tasks: int) -> float:
    right = [mixture.predict(x) == y for x, y in (task(number, seed=1) for number in range(tasks))]
    return float(np.concatenate(right).mean())


# What is chosen --------------------------------------------------------------------------------------------------


def test_a_score_that_tells_components_apart_counts_and_noise_does_not() -> None:
    mixture = mixture_of(3)
    plain, telling, noise = mixture.history[-1].weights.values
    assert plain == 1.0 and telling > 0.0 and noise == 0.0
    assert accuracy(mixture, 3) > 0.95 > 0.7 > accuracy(mixture_of(3, score_weights="preset"), 3)


def test_components_are_chosen_well_where_there_are_no_classes() -> None:
    mixture = mixture_of(3, labels=False)
    weights = mixture.history[-1].weights
    assert weights.values[1] > 0.0 == weights.values[2] and weights.class_rule == "score"
    routes = [mixture.route(task(number, seed=1, labels=False)) == number for number in range(3)]
    assert np.concatenate(routes).mean() > 0.95


def test_the_setting_keeps_the_preset() -> None:
    mixture = mixture_of(2, score_weights="preset")
    assert [entry.weights for entry in mixture.history] == [ScoreWeights(PRESET, "score")] * 2
    assert mixture._memory.tally == NOTHING_COUNTED
    assert "weights" not in (mixture.decisions[-1].note or "")


def test_few_held_out_examples_leave_the_preset_and_the_decision_says_so() -> None:
    mixture = mixture_of(2, 80)
    assert mixture.history[-1].weights.values == PRESET
    said = "the weights of the scores are the preset: choosing them takes 200 held-out examples, so far there are 48"
    assert str(mixture.decisions[-1].note).endswith(said)
    for number in range(2, 9):
        mixture.learn(task(number, 80))
    assert sum(mixture._memory.tally.examples) == 9 * 24 >= FEWEST
    assert mixture.history[-1].weights.values != PRESET
    assert "preset" not in str(mixture.decisions[-1].note)


def test_components_stay_bit_for_bit_while_weights_are_chosen_again() -> None:
    mixture = mixture_of(1)
    (first,) = mixture.components
    before = {name: tensor.clone() for name, tensor in first.state_dict().items()}
    weights = mixture.history[0].weights
    for number in (1, 2):
        mixture.learn(task(number))
    assert mixture.components[0] is first and mixture.history[-1].weights != weights
    assert all(torch.equal(tensor, before[name]) for name, tensor in first.state_dict().items())


def test_equal_counts_leave_the_preset() -> None:
    """One component without classes is always the right one, whatever the weights are."""
    assert mixture_of(1, 900, labels=False).history[0].weights == ScoreWeights(PRESET, "score")


def test_a_candidate_that_chance_could_make_better_leaves_the_preset() -> None:
    """Of 100 examples on which a candidate and the preset differ, 60 are no proof, and 61 are one."""
    mixture = mixture_of(1, 900, labels=False)
    known = mixture._knowledge
    choices = candidates(known.components)
    held = check_task(task(0, 4, labels=False))

    def chosen(better: int, worse: int) -> ScoreWeights:
        right, differing = [500] * len(choices), [0] * len(choices)
        right[7], differing[7] = 500 + better - worse, better + worse
        tally = Tally((1_000,), tuple(right), tuple(differing))
        return choose(known, {0: 0}, 0, held, tally, torch.Generator()).weights

    assert chosen(60, 40) == choices[0]
    assert chosen(61, 39) == choices[7]
    assert chosen(39, 61) == choices[0]


def test_candidates_begin_with_the_preset_and_go_away_from_it() -> None:
    found = candidates(mixture_of(1).components)
    assert found[0] == preset_of(mixture_of(1).components) and len(set(found)) == len(found)
    assert {one.values[0] for one in found} == {1.0}  # the measure of the others
    assert all(0.0 in {one.values[source] for one in found} for source in (1, 2))
    assert {one.class_rule for one in found} == {"classifier", "score", "both"}
    assert {one.class_rule for one in candidates(mixture_of(1, labels=False).components)} == {"score"}
    mixed = GrowingMixture("mlp", hidden=4, latent=2, epochs=1, device="cpu")
    mixed.learn(np.random.default_rng(0).random((20, 1, 4, 4)))
    assert candidates(mixed.components) == ()


# What it rests on ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("same_labels", [False, True])
def test_what_is_counted_is_what_would_be_answered(same_labels: bool) -> None:
    """Counted is one table for all candidates; answered is by the functions of the router."""
    mixture = GrowingMixture(component=SeveralKind(), gate="always", device="cpu", score_weights="preset")
    for number in range(3):
        x, y = task(number)
        mixture.learn((x, y % 2 if same_labels else y % (3 + number)))  # of unlike numbers of classes
    known = mixture._knowledge
    x, y = task(1, 60, seed=1)
    data = torch.from_numpy(x)
    labels, owners = torch.from_numpy(y % (2 if same_labels else 4)), torch.full((60,), 1)
    labels[::7] = -1
    scores, choices = known.router.scores(data), candidates(known.components)[::17]
    counted = choosing._Places.of(known).right(scores, choices, labels, owners)
    for i, choice in enumerate(choices):
        told = judged(scores, choice)
        weights = log_responsibilities(told.elbo, known.log_prior)
        classes = [component.classes for component in known.components]
        proba = combine(weights, told.class_log_proba, classes, known.labels)
        said = torch.tensor(known.labels)[proba.argmax(1)]
        route = route_examples(told.elbo, known.log_prior)
        assert torch.equal(counted[i], torch.where(labels < 0, route == owners, said == labels)), choice


def test_counts_of_all_tasks_add_up() -> None:
    mixture = mixture_of(1)
    first = mixture._memory.tally
    assert first.examples == (120,) and len(first.right) == len(candidates(mixture.components))
    mixture.learn(task(1))
    second = mixture._memory.tally
    assert second.examples == (120, 120)
    gained = [b - a for a, b in zip(first.right, second.right, strict=True)]
    assert 0 <= min(gained) < max(gained) <= 120


def test_an_updated_component_counts_the_examples_of_all_its_tasks() -> None:
    mixture = GrowingMixture(component=SeveralKind(), threshold=2.0, device="cpu", holdout=0.3)
    for number in (0, 1):
        mixture.learn(task(number))
    assert [decision.action for decision in mixture.decisions] == ["grow", "reuse"]
    assert mixture._memory.tally.examples == (240,)


def test_samples_show_what_a_newer_component_takes_from_an_older_one() -> None:
    """Held-out examples of the newest task are all answered rightly by a score that takes everything to it."""
    mixture = mixture_of(2, 900, score_weights="preset")
    x, y = task(1, 400, seed=2)
    known = mixture._knowledge
    held, right = check_task((x, y)), len(candidates(known.components))
    generator = torch.Generator().manual_seed(0)
    places, choices = choosing._Places.of(known), candidates(known.components)
    lost = choosing._lost(known, {0: 0, 1: 1}, places, choices, generator)
    assert set(lost) == {0} and lost[0].shape == (right, choosing.SAMPLES)
    taken = {k: each.mean(1) for k, each in lost.items()}
    noisy, telling = (choices.index(ScoreWeights(values, "score")) for values in ((1, 0, 1), (1, 1, 0)))
    assert float(taken[0][noisy]) > 0.2 > 0.05 > float(taken[0][telling])
    everything = Tally(
        (400, 0), (400,) * right, (0,) * right
    )  # as many held-out examples of the first task were right by each
    weights = choose(known, {0: 0, 1: 1}, 1, held, everything, generator).weights
    assert weights.values[2] == 0.0
    assert choosing._lost(known, {0: 1, 1: 1}, places, choices, generator) == {}


def test_neither_test_data_nor_their_labels_reach_the_choice() -> None:
    def chosen(shuffled: bool) -> list[Any]:
        parts = [(*task(number), *task(number, 200, seed=1)) for number in range(3)]
        if shuffled:
            parts = [(x, y, test[::-1].copy() + 3, np.roll(labels, 1)) for x, y, test, labels in parts]
        stream = streams.from_arrays(parts)
        mixture = GrowingMixture(component=SeveralKind(), gate="always", device="cpu", holdout=0.3)
        evaluator = Evaluator(stream)
        for each in stream:
            mixture.learn(each.train)
            evaluator.after_task(mixture)
        return [(entry.weights, mixture._memory.tally) for entry in mixture.history]

    assert chosen(False) == chosen(True)


def test_only_numbers_are_kept() -> None:
    document, tensors = mixture_of(2).pack(mixture_of(2)._memory)
    others = {name for name in tensors if not name.startswith("references.")}
    assert {"sums.mean", "sums.scatter"} == others and set(document["tally"]) == {"examples", "right", "differing"}
    assert all(type(count) is int for counts in document["tally"].values() for count in counts)


# In a state and a checkpoint -------------------------------------------------------------------------------------


def test_a_choice_that_fails_leaves_the_mixture_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    mixture = mixture_of(2)
    before, weights, tally = mixture._state, mixture.history[-1].weights, mixture._memory.tally

    def fail(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(choosing, "_lost", fail)
    with pytest.raises(ZeroDivisionError):
        mixture.learn(task(2))
    assert mixture._state is before
    monkeypatch.undo()
    mixture.learn(task(2))
    assert mixture.history[-2].weights == weights and mixture._memory.tally.examples[:2] == tally.examples


def test_a_checkpoint_keeps_weights_and_counts_and_learns_on_as_the_mixture_would(tmp_path: Path) -> None:
    mixture = mixture_of(2)
    mixture.save(tmp_path / "it")
    again = GrowingMixture.load(tmp_path / "it", component=SeveralKind())
    x = task(1, seed=1)[0]
    for one in (mixture, again):
        if one is again:
            assert (again.history, again._memory.tally) == (mixture.history, mixture._memory.tally)
            assert np.array_equal(again.predict_proba(x), mixture.predict_proba(x))
    for one in (mixture, again):
        one.learn(task(2))
    assert again.history[-1].weights == mixture.history[-1].weights
    assert again._memory.tally == mixture._memory.tally


FORGED: dict[str, Callable[[Document], Any]] = {
    "fewer weights": lambda d: d["history"][1]["weights"].update(values=[1.0, 2.0]),
    "a negative weight": lambda d: d["history"][1]["weights"].update(values=[1.0, -2.0, 0.0]),
    "an unknown rule": lambda d: d["history"][1]["weights"].update(class_rule="oracle"),
    "no weights": lambda d: d["history"][1].pop("weights"),
    "more right than there were": lambda d: d["memory"]["tally"]["right"].__setitem__(0, 10_000),
    "more counted than were learnt": lambda d: d["memory"]["tally"]["examples"].__setitem__(0, 10**9),
    "a negative count": lambda d: d["memory"]["tally"]["examples"].__setitem__(0, -1),
    "fewer candidates": lambda d: d["memory"]["tally"]["right"].pop(),
    "another component": lambda d: d["memory"]["tally"]["examples"].append(0),
    "a share": lambda d: d["memory"]["tally"]["right"].__setitem__(0, 0.5),
}


@pytest.mark.parametrize("forged", FORGED)
def test_weights_and_counts_of_a_stranger_are_refused(forged: str, tmp_path: Path) -> None:
    mixture_of(2).save(tmp_path / "it")
    change_document(tmp_path / "it", FORGED[forged])
    with pytest.raises(BadCheckpoint):
        GrowingMixture.load(tmp_path / "it", component=SeveralKind())


def test_a_tally_has_every_component_even_where_nothing_was_counted_of_it() -> None:
    right = torch.tensor([[True, False, True], [True, True, True]])
    assert NOTHING_COUNTED.plus(0, right, 2) == Tally((3, 0), (2, 3), (0, 1))


def test_an_older_checkpoint_of_one_score_loads(tmp_path: Path) -> None:
    mixture = GrowingMixture("mlp", hidden=4, latent=2, epochs=1, device="cpu")
    mixture.learn(np.random.default_rng(0).random((20, 1, 4, 4)))
    mixture.save(tmp_path / "it")

    def as_before(document: Document) -> None:
        document["memory"].pop("tally")
        document["history"][0].pop("weights")
        document["settings"].pop("score_weights")

    change_document(tmp_path / "it", as_before)
    again = GrowingMixture.load(tmp_path / "it")
    assert (again.history, again._memory.tally) == (mixture.history, NOTHING_COUNTED)


def test_knowledge_after_a_component_was_trained_again() -> None:
    known = mixture_of(2)._knowledge
    other = known.after(1, known.components[0], 7)
    assert other.components == (known.components[0],) * 2 and other.examples == (400, 407)
    assert Knowledge().after(0, known.components[0], 5).examples == (5,)
