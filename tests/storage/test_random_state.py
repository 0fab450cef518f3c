"""A state of a generator that was read goes on where it was, or is refused before torch draws from it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from growmix.storage.random_state import check_state, set_state, state_from


@pytest.mark.parametrize("drawn", [0, 1, 623, 624, 625, 2_000])
def test_a_state_goes_on_where_it_was_read(drawn: int) -> None:
    generator, again = torch.Generator().manual_seed(3), torch.Generator()
    torch.randint(2**31, (drawn,), generator=generator)
    set_state(again, state_from(generator.get_state().tolist()))
    draws = [torch.rand(1_000, generator=each) for each in (generator, again)]
    assert torch.equal(*draws)


@pytest.mark.parametrize(("left", "following"), [(624, 624), (0, 1), (-3, 0), (1, 2**40), (700, 5)])
def test_a_state_that_contradicts_itself_is_refused(left: int, following: int) -> None:
    state = torch.Generator().get_state()
    state[8:12] = torch.tensor([left], dtype=torch.int32).view(torch.uint8)
    state[16:24] = torch.tensor([following]).view(torch.uint8)
    with pytest.raises(ValueError, match="no state of a generator"):
        check_state(state)


@pytest.mark.parametrize("numbers", [None, "x", [256], [-1], [1.0], [True], [[1]], {}])
def test_what_is_no_list_of_bytes_is_no_state(numbers: Any) -> None:
    with pytest.raises(ValueError, match="no list of bytes"):
        state_from(numbers)


@pytest.mark.parametrize("state", [torch.zeros(5, dtype=torch.uint8), torch.zeros(5_056), torch.zeros(0)])
def test_a_tensor_of_another_form_is_no_state(state: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="no state of a generator"):
        set_state(torch.Generator(), state)
