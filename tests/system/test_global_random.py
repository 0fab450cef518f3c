"""Torch's global generator is lent for one piece of work at a time, and comes back as it was."""

from __future__ import annotations

import random
import threading

import numpy as np
import pytest
import torch

from growmix.system.global_random import global_generator, seeded


def test_a_seeded_stretch_is_repeatable_and_leaves_no_trace() -> None:
    states = torch.get_rng_state(), np.random.get_state()[1], random.getstate()
    drawn = []
    for seed in (5, 5, 6):
        with seeded(seed) as generator:
            drawn.append((torch.rand(3).tolist(), torch.rand(3, generator=generator).tolist()))
    with pytest.raises(KeyboardInterrupt), seeded(1):
        torch.rand(1)
        raise KeyboardInterrupt
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]
    assert torch.equal(states[0], torch.get_rng_state())
    assert np.array_equal(states[1], np.random.get_state()[1])
    assert states[2] == random.getstate()


def test_what_needs_no_global_generator_draws_nothing() -> None:
    own = torch.Generator().manual_seed(3)
    with global_generator(own, needed=False):
        pass
    assert torch.equal(own.get_state(), torch.Generator().manual_seed(3).get_state())


def test_two_pieces_of_work_wait_for_each_other() -> None:
    drawn: list[list[float]] = []

    def work() -> None:
        with global_generator(torch.Generator().manual_seed(0), needed=True):
            drawn.append([float(torch.rand(())) for _ in range(200)])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(numbers == drawn[0] for numbers in drawn)
