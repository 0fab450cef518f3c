"""What all tests share: one thread, no deadlines, and where the data sets lie."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any, NoReturn, Protocol

import pytest
import torch
from hypothesis import settings

REPOSITORY = Path(__file__).resolve().parent.parent

# Two workers with two threads each slow one another down several times.
torch.set_num_threads(1)

# What a shell starts in the background ignores Ctrl-C, and so would all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):  # nohup has it ignored, and so would every process that a test starts
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# A first call may compile or load something; a wall-clock limit per example says nothing about growmix. Cases are the
# same each time, or what lands would depend on luck; `pytest --hypothesis-profile=search` looks for ten times as many.
settings.register_profile("growmix", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None, max_examples=1_000)
settings.load_profile("growmix")


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder of ``<name>/{train,test}.parquet``, or the test is skipped."""
    named = os.environ.get("GROWMIX_TEST_DATA")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    if not (folder / "mnist" / "train.parquet").is_file():
        pytest.skip(f"no data sets in {folder}; set GROWMIX_TEST_DATA to a folder of <name>/train.parquet")
    return folder


PATIENCE = 1_800.0
"""Seconds until a test gives up on another process; only a test that fails ever waits so long."""


@pytest.fixture(scope="module")
def quick_features() -> Iterator[None]:
    """Have the classifier of the Frechet distance learn for a moment, where what it learns is not what is tested."""
    from growmix.evaluation import frechet

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frechet, "BUDGET", dataclasses.replace(frechet.BUDGET, epochs=1, steps=10))
        yield


@pytest.fixture(scope="module")
def quick_theory() -> Iterator[None]:
    """Have the theory of a run search for a moment, where what it finds is not what is tested."""
    from growmix.theory import account
    from growmix.theory.ledger import SEARCH, RiskLedger

    quick = dataclasses.replace(SEARCH, steps=5, batch=32, restarts=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(account, "SEARCH", quick)
        for function in (RiskLedger.__init__, RiskLedger.unpack.__func__):  # type: ignore[attr-defined]
            patch.setitem(function.__kwdefaults__, "search", quick)
        yield


class Waitable(Protocol):
    """What is known of another process: whether it has ended, and what it said."""

    def poll(self) -> int | None: ...

    def communicate(self) -> tuple[Any, Any]: ...


def _wait_for(happened: Callable[[], Any], process: Waitable | None = None) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.01)


@pytest.fixture(scope="session")
def wait_for() -> Callable[..., None]:
    """Wait until something is seen to have happened; fails where the process that should do it ended without."""
    return _wait_for


class ForkedProgram:
    """The command line in a copy of this process: signals reach it as they reach any other, and it need not import.

    An interpreter that imports torch takes seconds of CPU to start: where its start is not what is tested, this does.
    """

    stdin = None

    def __init__(self, words: Sequence[str], output: IO[Any], errors: IO[Any]) -> None:
        self.returncode: int | None = None
        self._said = (output, errors)
        self.pid = os.fork()
        if self.pid == 0:
            self._be_the_program(words)

    def _be_the_program(self, words: Sequence[str]) -> NoReturn:
        status = 70
        try:
            for number, file in enumerate(self._said, start=1):
                os.dup2(file.fileno(), number)
            sys.stdin, sys.stdout, sys.stderr = open(os.devnull), open(1, "w"), open(2, "w")  # noqa: SIM115
            sys.argv = ["growmix", *words]
            from growmix.cli.app import main

            try:
                main()
            except SystemExit as ended:
                status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def poll(self) -> int | None:
        return self._ended(os.WNOHANG)

    def wait(self) -> int:
        status = self._ended(0)
        assert status is not None
        return status

    def _ended(self, flags: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, flags)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self) -> tuple[str, str]:
        """Wait for its end; what it wrote to stdout and stderr."""
        self.wait()
        output, errors = (Path(file.name).read_text() for file in self._said)
        return output, errors


@pytest.fixture
def forked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., ForkedProgram]]:
    """Start ``growmix WORDS`` as a process of its own, in a copy of this one."""
    with ExitStack() as started:

        def start(*words: str, output: IO[Any] | None = None) -> ForkedProgram:
            folder = tmp_path_factory.mktemp("forked")
            said, errors = (started.enter_context((folder / name).open("w")) for name in ("stdout", "stderr"))
            program = ForkedProgram(words, output or said, errors)
            started.callback(program.wait)
            started.callback(program.kill)
            return program

        yield start


@pytest.fixture
def forked_runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have the runs of a study start in copies of this process."""
    from growmix.studies import processes

    with open(os.devnull, "w") as nowhere:

        def start(command: Sequence[str], *, stderr: IO[bytes], **_: Any) -> ForkedProgram:
            return ForkedProgram(command[len(processes.PROGRAM) :], nowhere, stderr)

        stand_in = SimpleNamespace(Popen=start, PIPE=subprocess.PIPE, DEVNULL=subprocess.DEVNULL)
        monkeypatch.setattr(processes, "subprocess", stand_in)
        yield


HOLD = """
import sys
from pathlib import Path
from growmix.system.locking import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def _writing(folder: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def another_writer() -> Callable[[Path], AbstractContextManager[subprocess.Popen[str]]]:
    """Within it, another process writes to a folder; it is killed at the end."""
    return _writing
