"""How contract suites run: every promise on a fresh object, and nobody draws from torch's global generator."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from growmix import BadInput
from growmix.checks.promises import keep, refuses, require


def it_is_empty(found: list[int]) -> None:
    require(not found, "it must be empty")
    found.append(1)


def it_draws(found: list[int]) -> None:
    torch.rand(1)


def test_every_promise_is_tried_on_a_fresh_object_and_named_in_words() -> None:
    assert keep([it_is_empty, it_is_empty], list) == ["it is empty", "it is empty"]
    with pytest.raises(AssertionError, match=r"^it must be empty$"):
        keep([it_is_empty], lambda: [1])


def test_a_draw_from_the_global_generator_breaks_every_contract() -> None:
    with pytest.raises(AssertionError, match="while it was checked that it draws; draw from the generator given"):
        keep([it_is_empty, it_draws], list)


def _raise(error: Exception) -> Any:
    raise error


def test_only_an_error_in_words_counts_as_a_refusal() -> None:
    refuses(lambda: _raise(BadInput("no")), "it")
    with pytest.raises(AssertionError, match=r"^it must raise growmix.BadInput; it returned 3$"):
        refuses(lambda: 3, "it")
    with pytest.raises(AssertionError, match=r"^it must raise growmix.BadInput; it raised KeyError: 'k'$"):
        refuses(lambda: _raise(KeyError("k")), "it")
