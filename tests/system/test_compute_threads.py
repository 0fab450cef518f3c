"""The number of threads that torch computes with is one thread's own, and comes back as it was."""

from __future__ import annotations

import threading

import torch

from growmix.system.compute_threads import torch_threads


def test_another_thread_keeps_its_number_and_a_new_one_gets_the_process_s() -> None:
    before, seen = torch.get_num_threads(), []
    inside, done = threading.Event(), threading.Event()

    def work() -> None:
        with torch_threads(before + 1):
            inside.set()
            done.wait()

    worker = threading.Thread(target=work)
    worker.start()
    inside.wait()
    seen.append(torch.get_num_threads())
    with torch_threads(None):
        seen.append(torch.get_num_threads())
    done.set()
    worker.join()
    assert seen == [before, before]
    assert torch.get_num_threads() == before
