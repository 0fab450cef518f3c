from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from followed import QUICK, SETTINGS, followed, make_stream
from growmix import GrowingMixture, streams
from growmix.errors import BadInput
from growmix.learning.replay import as_bytes
from growmix.streams import Stream
from growmix.theory.account import account
from growmix.theory.ledger import RiskLedger
from growmix.theory.records import METHODS
from growmix.theory.risks import risks

pytestmark = pytest.mark.slow


def test_a_chain_is_as_long_as_the_component_was_reused(reused: tuple[Stream, GrowingMixture, RiskLedger]) -> None:
    _, mixture, ledger = reused
    assert len(mixture.components) == 1
    assert [[entry.generation for entry in row] for row in ledger.rows] == [[0], [1, 0], [2, 1, 0]]
    assert [len(chain) for chain in ledger.chains] == [4, 3, 2]  # those used, and that of the next regeneration


def test_a_task_whose_component_is_left_alone_keeps_its_risk_to_the_last_digit(
    grown: tuple[Stream, GrowingMixture, RiskLedger],
) -> None:
    stream, mixture, ledger = grown
    assert len(mixture.components) == 3
    for i, task in enumerate(stream):
        entries = {row[i] for row in ledger.rows if len(row) > i}
        assert len(entries) == 1
        assert float(risks(mixture.components[i], task.test).mean()) == entries.pop().observed  # measured again


def test_following_changes_nothing_of_what_is_learnt(reused: tuple[Stream, GrowingMixture, RiskLedger]) -> None:
    stream, mixture, _ = reused
    alone = GrowingMixture("mlp", **SETTINGS, threshold=2.0)
    for task in stream:
        alone.learn(task.train)
    for name, weight in alone.components[0].state_dict().items():
        assert torch.equal(weight, mixture.components[0].state_dict()[name])


def test_the_bound_is_the_source_risk_and_the_links_that_were_used(
    reused: tuple[Stream, GrowingMixture, RiskLedger],
) -> None:
    _, _, ledger = reused
    entry = ledger.rows[2][0]
    for method in METHODS:
        links = [link.value(method) for link in ledger.chains[0][:3]]
        assert all(link is not None for link in links)
        assert entry.source is not None
        assert ledger.bound(entry, method).computable == pytest.approx(entry.source + sum(x for x in links if x))
        assert ledger.bound(entry, method).unknown == ("f'(S(-1), S(0))", "f'(S(0), S(1))", "f'(S(1), S(2))")


def test_a_student_is_one_regeneration_further(labelled: bool) -> None:
    stream = make_stream(labelled=labelled)
    mixture, ledger = followed(stream, gate="always")
    ledger.after_student(mixture.distill())
    assert [entry.generation for entry in ledger.student] == [1, 1, 1]
    for method in METHODS:
        assert len(ledger.bound(ledger.student[0], method).terms) == 5


def test_a_ledger_that_was_put_away_goes_on_as_if_it_had_not_been(labelled: bool) -> None:
    stream = make_stream(labelled=labelled)
    mixture = GrowingMixture("mlp", **SETTINGS, threshold=2.0)
    through, first = (RiskLedger(stream, examples=60, search=QUICK) for _ in range(2))
    for task in stream[:2]:
        mixture.learn(task.train)
        for ledger in (through, first):
            ledger.after_task(mixture)
    document, tensors = first.pack()
    again = RiskLedger.unpack(stream, json.loads(json.dumps(document)), tensors, examples=60, search=QUICK)
    mixture.learn(stream[2].train)
    for ledger in (through, again):
        ledger.after_task(mixture)
    assert again.rows == through.rows
    assert again.chains == through.chains


def test_what_is_kept_is_generated_and_bounded(reused: tuple[Stream, GrowingMixture, RiskLedger]) -> None:
    stream, _, ledger = reused
    _, tensors = ledger.pack()
    real = torch.cat([part.images() for task in stream for part in (task.train, task.test)])
    for name, kept in tensors.items():
        assert len(kept) <= 60
        if name.endswith(".x"):
            distances = torch.cdist(kept.flatten(1).float(), as_bytes(real).flatten(1).float())
            assert float(distances.min()) > 0.0  # none is one of the images that were learnt


def test_of_a_run_that_nobody_followed_what_is_gone_is_named(labelled: bool) -> None:
    stream = make_stream(labelled=labelled)
    for settings, unknown in (({"gate": "always"}, False), ({"threshold": 2.0}, True)):
        mixture, there = followed(stream, **settings)
        late = RiskLedger(stream, examples=60, search=QUICK)
        late.after_the_fact(mixture, None)
        for entry, known in zip(late.rows[-1], there.rows[-1], strict=True):
            assert entry.observed == known.observed
            gone = unknown and entry.generation > 0
            assert (entry.source is None) == gone
            assert gone or entry == known
        document = account(late, mixture, stream, followed=False)
        assert any("made without --theory" in sentence for sentence in document["statements"])
        assert document["followed"] is False


def test_an_interrupt_leaves_the_ledger_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = make_stream(labelled=True)
    mixture = GrowingMixture("mlp", **SETTINGS, threshold=2.0)
    ledger, through = (RiskLedger(stream, examples=60, search=QUICK) for _ in range(2))
    mixture.learn(stream[0].train)
    for each in (ledger, through):
        each.after_task(mixture)
    mixture.learn(stream[1].train)
    calls = 0

    def broken(*_: object, **__: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:  # in the middle of the second task's links
            raise KeyboardInterrupt
        return None

    with monkeypatch.context() as patch:
        patch.setattr("growmix.theory.risks.discrepancy", broken)
        with pytest.raises(KeyboardInterrupt):
            ledger.after_task(mixture)
    assert (len(ledger.rows), [len(chain) for chain in ledger.chains]) == (1, [2])
    for each in (ledger, through):
        each.after_task(mixture)
    assert ledger.rows == through.rows and ledger.chains == through.chains


def test_source_risks_need_labels_and_test_data_too() -> None:
    stream = make_stream(labelled=True)
    task = stream[0]
    few = torch.full_like(task.train.y, -1) if task.train.y is not None else None
    assert few is not None and task.train.y is not None and task.test.y is not None
    few[:20] = task.train.y[:20]
    partly = replace(stream, tasks=(replace(task, train=replace(task.train, y=few)),))
    _, ledger = followed(partly)
    assert ledger.rows[0][0].source is None
    blind = replace(task.test, y=torch.where(torch.arange(len(task.test)) < 20, task.test.y, -1))
    with pytest.raises(BadInput, match="20 labelled test examples; at least 50"):
        RiskLedger(replace(stream, tasks=(replace(task, test=blind),)))


def test_vectors_of_any_unit_are_followed_with_bounded_risks() -> None:
    rng = np.random.default_rng(0)
    x = [rng.normal(5.0 + 2 * t, 3.0, (80, 4)).astype(np.float32) for t in range(2)]
    found = []
    for unit in (1.0, 1e4):
        stream = streams.from_arrays([(each * unit, each * unit) for each in x])
        mixture, ledger = followed(stream, threshold=2.0, likelihood="gaussian-learnt")
        document, tensors = ledger.pack()
        assert {tensor.dtype for name, tensor in tensors.items() if name.endswith(".x")} == {torch.float32}
        again = RiskLedger.unpack(stream, json.loads(json.dumps(document)), tensors, examples=60, search=QUICK)
        assert (again.rows, again.chains) == (ledger.rows, ledger.chains)
        assert account(ledger, mixture, stream, followed=True)["loss"] == "squared"
        found.append([entry.observed for row in ledger.rows for entry in row])
    assert all(0.0 < risk < 1.0 for risk in found[0])
    assert found[1] == pytest.approx(found[0], rel=0.05)


def test_a_ledger_must_be_told_of_every_task() -> None:
    stream = make_stream(labelled=True)
    mixture = GrowingMixture("mlp", **SETTINGS)
    for task in stream[:2]:
        mixture.learn(task.train)
    with pytest.raises(BadInput, match="learnt 2 tasks, but this ledger follows 0"):
        RiskLedger(stream, search=QUICK).after_task(mixture)


def test_labels_that_are_names_are_followed_whatever_numbers_the_mixture_gives_them() -> None:
    numbers = make_stream(labelled=True)
    names = np.array(["f", "e", "d", "c", "b", "a"])

    def named(y: object) -> object:
        return names[np.asarray(y)].tolist()

    in_names = streams.from_arrays(
        [(t.train.x.numpy(), named(t.train.y), t.test.x.numpy(), named(t.test.y)) for t in numbers]
    )
    mixture, ledger = followed(in_names, threshold=2.0)
    for entry, task in zip(ledger.rows[-1], numbers, strict=True):
        said = mixture.predict(task.test.x.numpy(), component=entry.component)
        assert entry.observed == pytest.approx(np.mean(said != np.array(named(task.test.y))))


def test_a_ledger_measures_with_no_fewer_examples_than_make_a_sample() -> None:
    with pytest.raises(BadInput, match="examples is 10"):
        RiskLedger(make_stream(labelled=True), examples=10)
