"""Every signal that asks a process to end is an interrupt, unless the process was told to ignore it."""

from __future__ import annotations

import os
import signal

import pytest

from growmix.system.interrupts import ACKNOWLEDGED, ENDING, STATUS, Interrupts, interrupt_when_asked_to_end


@pytest.mark.parametrize("kind", ENDING, ids=lambda kind: kind.name)
def test_a_signal_within_a_deferred_stretch_is_raised_at_its_end(kind: signal.Signals) -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), Interrupts().handled() as interrupts, interrupts.deferred():
        signal.raise_signal(kind)
        done.append(interrupts.asked)
    assert done == [True]


@pytest.mark.parametrize("kind", ENDING, ids=lambda kind: kind.name)
def test_handlers_are_put_back(kind: signal.Signals) -> None:
    before = signal.getsignal(kind)
    with Interrupts().handled():
        assert signal.getsignal(kind) != before
    assert signal.getsignal(kind) == before


@pytest.mark.parametrize("kind", ENDING, ids=lambda kind: kind.name)
def test_a_signal_that_is_ignored_stays_so(kind: signal.Signals) -> None:
    before = {each: signal.getsignal(each) for each in ENDING}
    signal.signal(kind, signal.SIG_IGN)
    try:
        with Interrupts().handled():
            signal.raise_signal(kind)
        interrupt_when_asked_to_end()
        signal.raise_signal(kind)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def test_a_terminal_that_says_twice_that_it_is_closed_is_an_interrupt_once() -> None:
    with pytest.raises(KeyboardInterrupt), Interrupts().handled() as interrupts, interrupts.deferred():
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM], ids=lambda kind: kind.name)
def test_the_second_signal_ends_the_process_at_once(kind: signal.Signals) -> None:
    there, here = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(here, 2)  # where a user is told
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with Interrupts().handled() as interrupts, interrupts.deferred():
            signal.raise_signal(kind)
            os.write(here, b"once" if interrupts.asked else b"never")
            signal.raise_signal(signal.SIGINT)
            os.write(here, b"it went on")
        os._exit(0)
    os.close(here)
    ended = os.waitpid(child, 0)[1]
    with os.fdopen(there) as said:
        assert (os.waitstatus_to_exitcode(ended), said.read()) == (STATUS, f"{ACKNOWLEDGED}once")


def test_outside_of_training_an_interrupt_is_at_once() -> None:
    with pytest.raises(KeyboardInterrupt):
        Interrupts().receive()
