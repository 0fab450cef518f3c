"""The command line: options in, a run out; every mistake of the user's ends in one line and exit status 2."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import IO, cast

from cyclopts import (
    App,
    CoercionError,
    CycloptsError,
    RepeatArgumentError,
    UnknownOptionError,
    UnusedCliTokensError,
)
from rich.console import Console

from growmix import __version__
from growmix.cli.drawing import INTERPOLATE_HELP, SAMPLE_HELP, interpolate, sample
from growmix.cli.helping import asked
from growmix.cli.measuring import EVALUATE_HELP, THEORY_HELP, evaluate, theory
from growmix.cli.places import STREAMS_HELP, streams
from growmix.cli.running import RESUME_HELP, RUN_HELP, resume, run
from growmix.cli.studying import COMPARE_HELP, REPRODUCE_HELP, compare, reproduce
from growmix.cli.words import DONE, FAILED, INTERRUPTED, WRONG_INPUT, complain
from growmix.errors import BadInput, GrowmixError, NonFiniteLoss, shown
from growmix.report.console import PatientOutput
from growmix.system.interrupts import interrupt_when_asked_to_end

EPILOGUE = """\
growmix COMMAND --help-all lists every option. Exit status: 0 done; 2 something that you gave is \
wrong, one line on stderr says what; 130 interrupted, what was learnt is kept \
and "growmix resume" goes on; 1 training failed."""

app = App(
    name="growmix",
    help="Lifelong learning with growing mixtures of generative models.",
    help_epilogue=EPILOGUE,
    help_format="plaintext",
    version=__version__,
    suppress_keyboard_interrupt=False,
)
app.command(run, help=RUN_HELP)
app.command(resume, help=RESUME_HELP)
app.command(compare, help=COMPARE_HELP)
app.command(reproduce, help=REPRODUCE_HELP)
app.command(evaluate, help=EVALUATE_HELP)
app.command(theory, help=THEORY_HELP)
app.command(sample, help=SAMPLE_HELP)
app.command(interpolate, help=INTERPOLATE_HELP)
app.command(streams, help=STREAMS_HELP)


def execute(tokens: Sequence[str] | None = None) -> int:
    """Run one command line, and return its exit status.

    Parameters
    ----------
    tokens
        The words of the command line; by default those that the program was started with.
    """
    app.console = Console(file=cast("IO[str]", PatientOutput("stdout")))  # as wide as the terminal is now
    words, app.help_formatter = asked(sys.argv[1:] if tokens is None else tokens)
    try:
        status = app(words, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        return _fail(_in_own_words(error), WRONG_INPUT)
    except NonFiniteLoss as error:
        return _fail(error, FAILED)
    except (GrowmixError, OSError) as error:  # of the system: a path that nobody looked at before, a disk that is full
        return _fail(error, WRONG_INPUT)
    except KeyboardInterrupt as interrupt:
        return _fail(str(interrupt) or "interrupted", INTERRUPTED)
    return status if isinstance(status, int) else DONE  # help and version give nothing back


def main() -> None:
    """Run the program and end the process with its exit status."""
    # being told to end counts as an interrupt, so that a cluster's time limit loses nothing
    interrupt_when_asked_to_end()
    # must be set before torch loads: threads that spin for long while they wait slow a shared machine down many times
    # (measured: 30); ones that sleep at once slow a quiet one down by half; 3,000 turns cost neither
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")
    sys.exit(execute())


def _fail(reason: object, status: int) -> int:
    complain(reason)
    return status


def _in_own_words(error: CycloptsError) -> str:
    """Return what cyclopts says, and where it says too little, what is allowed."""
    if isinstance(error.__cause__, BadInput):  # of an option that is checked while it is read
        return str(error.__cause__)
    if isinstance(error, UnusedCliTokensError):
        return f"unexpected {' '.join(error.unused_tokens or [])!r}; see {_help_of(error)}"
    if isinstance(error, UnknownOptionError) and "Did you mean" not in str(error):
        return f"{error} {_help_of(error)} lists what is allowed."
    if isinstance(error, RepeatArgumentError):
        return f"{error.token.keyword} is given a second time; allowed is one value for each option"
    if isinstance(error, CoercionError) and error.target_type is bool and error.token is not None:
        return f"{error.token.keyword} is {shown(error.token.value)}; allowed are true and false"
    return str(error)


def _help_of(error: CycloptsError) -> str:
    return " ".join(["growmix", *(error.command_chain or ()), "--help"])
