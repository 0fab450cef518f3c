"""Records in checkpoints come back as they were, and what can't be one is refused."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from growmix import Decision
from growmix.data.task import TaskData
from growmix.learning.history import HistoryEntry, Part
from growmix.learning.measuring import new_record
from growmix.learning.record_files import pack_records, unpack_records
from known_points import LOG, point, task

COMPONENTS = (point(0), point(1))
HISTORY = [HistoryEntry(Decision("grow", k, (), 0.2), (Part(k, 8, 1),), LOG) for k in (0, 1)]
RECORDS = tuple(new_record(point(k), TaskData(task(k)[0], support="real"), 8, 0) for k in (0, 1))


def test_records_come_back_as_they_were() -> None:
    document, tensors = pack_records(RECORDS)
    assert sorted(tensors) == ["0.0.0", "0.0.1", "1.0.2", "1.0.3"]
    assert unpack_records(json.loads(json.dumps(document)), tensors, HISTORY, COMPONENTS) == RECORDS


def test_records_are_looked_at_before_their_tensors_have_memory() -> None:
    document, tensors = pack_records(RECORDS)
    outlines = {name: tensor.to("meta") for name, tensor in tensors.items()}
    found = unpack_records(json.loads(json.dumps(document)), outlines, HISTORY, COMPONENTS)
    assert all(answer.quantiles.is_meta for record in found for answer in record.references[0].answers)


def _answers(change: Callable[[list[dict[str, Any]]], Any]) -> Callable[[Any, dict[str, Tensor]], Any]:
    return lambda document, tensors: change(document[0]["references"][0]["answers"])


def _tensor(change: Callable[[Tensor], Tensor]) -> Callable[[Any, dict[str, Tensor]], Any]:
    return lambda document, tensors: tensors.update({"0.0.1": change(tensors["0.0.1"])})


def _elbo(document: Any) -> dict[str, Any]:
    elbo: dict[str, Any] = document[0]["references"][0]["statistics"]["elbo"]
    elbo["quantiles"] = list(elbo["quantiles"])
    return elbo


WRONG: dict[str, Callable[[Any, dict[str, Tensor]], Any]] = {
    "a class that is not known": _answers(lambda answers: answers[0].update(label=9)),
    "a class twice": _answers(lambda answers: answers[0].update(label=1)),
    "no order": _answers(lambda answers: answers.reverse()),
    "no examples": _answers(lambda answers: answers[0].update(count=0)),
    "more examples than the task": _answers(lambda answers: answers[0].update(count=9)),
    "fewer than there are quantiles": _answers(lambda answers: answers[0].update(count=3)),
    "quantiles of the task that fall": lambda document, tensors: _elbo(document)["quantiles"].__setitem__(0, 1e9),
    "more quantiles of the task than examples": lambda document, tensors: _elbo(document)["quantiles"].append(1e9),
    "a word": _answers(lambda answers: answers[0].update(count="x")),
    "no tensor": lambda document, tensors: tensors.pop("0.0.1"),
    "no quantiles": _tensor(lambda tensor: tensor[:, :0]),
    "too few numbers": _tensor(lambda tensor: tensor[1:]),
    "doubles": _tensor(Tensor.double),
    "not finite": _tensor(lambda tensor: tensor * torch.nan),
    "falling": _tensor(lambda tensor: tensor + torch.arange(4.0).flip(0)),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_can_not_be_a_record_is_refused(wrong: str) -> None:
    document, tensors = pack_records(RECORDS)
    document = copy.deepcopy(document)
    for reference in (document[0]["references"][0],):
        reference["answers"] = list(reference["answers"])
    WRONG[wrong](document, tensors)
    with pytest.raises(ValueError):
        unpack_records(json.loads(json.dumps(document)), tensors, HISTORY, COMPONENTS)
