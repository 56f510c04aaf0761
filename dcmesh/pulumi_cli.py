"""Pulumi's command line, and how a stack's state is read while a run writes it."""

import subprocess
import time
from collections.abc import Callable
from itertools import takewhile
from typing import TypeVar

T = TypeVar("T")

READS = 20
"""How often reading a state is tried. One read in thirty failed beside a run that only wrote its state."""

LONGEST = 120
"""Seconds that a command may take, so that a silent backend is reported and a monitor's check ends."""

PAUSE = 0.1
"""Seconds between two reads."""

NEXT_STEPS = {
    "no stack named": "`pulumi stack ls` lists those of the backend that `pulumi whoami --verbose` names",
    "PULUMI_ACCESS_TOKEN": "say where the state is, by `pulumi login`; "
    "`make up` has it in your home directory: `export PULUMI_BACKEND_URL=file://~`",
}
"""What to do, by words in what Pulumi says."""


class PulumiError(LookupError):
    """Pulumi does not answer; the message is for the user."""


def pulumi(*words: str) -> str:
    """Return what a command of Pulumi's prints.

    Raises:
        PulumiError: it cannot be run, fails, or takes longer than LONGEST.
    """
    command = " ".join(takewhile(lambda word: not word.startswith("--"), words))
    try:
        done = subprocess.run(
            ["pulumi", *words, "--non-interactive"],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=LONGEST,
        )
    except OSError as error:
        on_path = '`eval "$(scripts/env)"` puts the one of a clone on PATH'
        raise PulumiError(f"pulumi cannot be run: {error.strerror}: {on_path}") from None
    except subprocess.TimeoutExpired:
        raise PulumiError(f"pulumi {command}: no answer within {LONGEST} seconds: check its backend") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"it exited {done.returncode}"]
        said = lines[0].removeprefix("error: ")
        steps = [step for words, step in NEXT_STEPS.items() if words in said]
        raise PulumiError(": ".join((f"pulumi {command}", said, *steps)))
    return done.stdout


def read_state(read: Callable[[], T]) -> T:
    """Read a stack's state, even while a run writes it, and return what was read.

    If the state is a directory, each of its files has another file, `.attrs`, beside it. Pulumi's library empties that
    one before it fills it again: a read in between fails with `EOF`.

    Args:
        read: reads it; raises LookupError if it cannot.

    Raises:
        LookupError: it cannot be read.
    """
    for _ in range(READS - 1):
        try:
            return read()
        except LookupError as error:
            if not str(error).endswith("EOF"):
                raise
        time.sleep(PAUSE)
    return read()
