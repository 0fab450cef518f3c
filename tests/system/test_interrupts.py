"""The first signal ends a run where it can go on from, the second at once."""

from __future__ import annotations

import os
import signal

import pytest

from growmix.system.interrupts import ACKNOWLEDGED, STATUS, Interrupts


def test_outside_of_training_an_interrupt_is_at_once() -> None:
    with pytest.raises(KeyboardInterrupt):
        Interrupts().receive()


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_the_second_interrupt_ends_the_process(first: signal.Signals) -> None:
    there, here = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(here, 2)  # where a user is told
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with Interrupts().handled() as interrupts, interrupts.deferred():
            os.kill(os.getpid(), first)
            os.write(here, b"once" if interrupts.asked else b"never")
            os.kill(os.getpid(), signal.SIGINT)
            os.write(here, b"twice")
        os._exit(0)
    os.close(here)
    ended = os.waitpid(child, 0)[1]
    with os.fdopen(there) as said:
        assert (os.waitstatus_to_exitcode(ended), said.read()) == (STATUS, f"{ACKNOWLEDGED}once")


def test_handlers_are_put_back_and_ignored_signals_stay_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        ending = signal.getsignal(signal.SIGTERM)
        with Interrupts().handled():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) != ending
        assert signal.getsignal(signal.SIGTERM) == ending
    finally:
        signal.signal(signal.SIGINT, before)
